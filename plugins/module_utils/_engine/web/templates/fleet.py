# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Several hosts on one page, which is a file: nothing in it leads to another page."""

from __future__ import annotations

FLEET = """\
{% extends "layout" %}
{% block content %}
{% for each in hosts %}
<section aria-labelledby="host-{{ loop.index }}">
<h2 id="host-{{ loop.index }}">{{ each.name }}</h2>
{% if each.trouble %}<p><span class="state bad">trouble</span> {{ each.trouble }}</p>{% endif %}
{% for title, content in each.parts %}
<h3>{{ title }}</h3>
{{ content }}
{% endfor %}
</section>
{% else %}
<p>There is no host.</p>
{% endfor %}
{% endblock %}
"""
