# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The past: a form to look for tasks, and a page of those that were found."""

from __future__ import annotations

HISTORY = """\
{% extends "layout" %}
{% import "parts" as parts with context %}
{% macro choice(id, label, values, chosen, every) %}
<p><label for="{{ id }}">{{ label }}</label>
<select id="{{ id }}" name="{{ id }}">
<option value="">{{ every }}</option>
{% for value in values %}<option{% if value == chosen %} selected{% endif %}>{{ value }}</option>
{% endfor %}
</select></p>
{% endmacro %}
{% block content %}
<form method="get" action="history" role="search" aria-label="Tasks">
<p><label for="q">Name, version or reason</label>
<input type="search" id="q" name="q" value="{{ wanted.text }}" maxlength="200"></p>
{{ choice("outcome", "Outcome", outcomes, wanted.outcome, "any") }}
{{ choice("machine", "Machine", choices.machines, wanted.machine, "any") }}
{{ choice("toolchain", "Toolchain", choices.toolchains, wanted.toolchain, "any") }}
<p><button type="submit">Look</button></p>
</form>
{% if page.rows %}
{{ parts.tasks("", page.rows, "Tasks, the newest first") }}
{% else %}
<p>{{ "No task is like that." if choices.tasks else "There was no task yet." }}</p>
{% endif %}
<nav aria-label="More tasks"><ul class="more">
{% if page.newer %}<li><a rel="prev" href="history?{{ filter }}after={{ newest }}">Newer tasks</a></li>
<li><a href="history?{{ filter }}">The newest</a></li>{% endif %}
{% if page.older %}<li><a rel="next" href="history?{{ filter }}before={{ oldest }}">Older tasks</a></li>{% endif %}
</ul></nav>
<p class="quiet">{{ choices.tasks | counted("task is", "tasks are", "No task is") }} in the journal.</p>
{% endblock %}
"""
