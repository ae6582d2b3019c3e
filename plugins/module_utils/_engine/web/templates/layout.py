# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What all pages have around them."""

from __future__ import annotations

LAYOUT = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{% if not links %}<meta http-equiv="Content-Security-Policy" content="{{ policy }}">{% endif %}
<title>{{ title }}{{ " – " ~ host if host }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
{% if links %}
<header>
<nav aria-label="Pages">
<span class="host">{{ host }}</span>
<ul>
{% for place, name in [("", "Now"), ("history", "History"), ("trends", "Trends")] %}
<li><a href="{{ root }}{{ place }}"{% if name == current %} aria-current="page"{% endif %}>{{ name }}</a></li>
{% endfor %}
</ul>
</nav>
</header>
{% endif %}
<main id="main" tabindex="-1"{% if live %} data-live="{{ live }}"{% endif %}>
<h1>{{ title }}</h1>
{% block content %}{% endblock %}
</main>
<footer>bbot-agent {{ version }}, {{ now | moment }}
{%- if live %}. <span id="live" role="status">To see what changes, reload the page.</span>{% endif %}</footer>
{% if live %}<script>{{ script }}</script>
{% endif -%}
</body>
</html>
"""

MESSAGE = """\
{% extends "layout" %}
{% block content %}
<p>{{ message }}</p>
{% if status == 404 %}<p><a href="{{ root }}history">Look for it in the history</a></p>{% endif %}
{% endblock %}
"""
