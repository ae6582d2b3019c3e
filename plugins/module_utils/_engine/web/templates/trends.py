# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""How it went over time: bars, and the same as tables."""

from __future__ import annotations

TRENDS = """\
{% extends "layout" %}
{% import "parts" as parts with context %}
{% macro bars(id, what, unit, values) %}
<section aria-labelledby="h-{{ id }}">
<h2 id="h-{{ id }}">{{ what }}</h2>
{% set most = values | map(attribute=1) | reject("none") | max | default(0) or 1 %}
<svg viewBox="0 0 {{ values | length * 20 }} 110" class="chart" preserveAspectRatio="none" role="img"
 aria-label="{{ what }}, the same as in the table below">
<line x1="0" x2="{{ values | length * 20 }}" y1="100" y2="100" class="axis"/>
{% for label, value in values %}{% if value is not none %}
{% set height = 98 * value / most %}
<rect class="fill" x="{{ loop.index0 * 20 + 3 }}" width="14" y="{{ "%.2f" | format(100 - height) }}"
 height="{{ "%.2f" | format(height) }}"><title>{{ label }}: {{ "%.1f" | format(value) }} {{ unit }}</title></rect>
{% endif %}{% endfor %}
</svg>
<p class="quiet">{{ values[0][0] }} to {{ values[-1][0] }}; the highest bar is {{ "%.1f" | format(most) }} {{ unit }}.</p>
</section>
{% endmacro %}
{% macro seconds(value) %}{{ "%.1f" | format(value) if value is not none }}{% endmacro %}
{% block content %}
<nav aria-label="Length of time"><ul class="more">
{% for each in lengths %}<li><a href="trends?days={{ each }}"{% if each == days %} aria-current="true"{% endif %}>{{ each }} days</a></li>
{% endfor %}</ul></nav>
{% if buckets | selectattr("ended") | list %}
{{ bars("duration", "Duration, the median of each day", "s", buckets | map("pair", "middle") | list) }}
{{ bars("failed", "Failure rate", "% of the tasks that ended", buckets | map("pair", "rate") | list) }}
{{ bars("wait", "Waiting for room, the mean of each day", "s", buckets | map("pair", "wait") | list) }}
<h2 id="h-table">The same as a table</h2>
{% call parts.table("Days with tasks", ["Day", "Tasks", "Failed", "Faults of machine or host", "Rate, %",
  "Median, s", "Nine of ten, s", "Wait, s", "Warm, %"]) %}
{% for each in buckets | reverse if each.ended %}
<tr><th scope="row">{{ each.label }}</th>
<td data-label="Tasks" class="number">{{ each.ended }}</td>
<td data-label="Failed" class="number">{{ each.failed }}</td>
<td data-label="Faults" class="number">{{ each.faults }}</td>
<td data-label="Rate, %" class="number">{{ seconds(each.rate) }}</td>
<td data-label="Median, s" class="number">{{ seconds(each.middle) }}</td>
<td data-label="Nine of ten, s" class="number">{{ seconds(each.most) }}</td>
<td data-label="Wait, s" class="number">{{ seconds(each.wait) }}</td>
<td data-label="Warm, %" class="number">{{ seconds(each.warm) }}</td></tr>
{% endfor %}
{% endcall %}
{% else %}
<p>No task has ended in the last {{ days }} days.</p>
{% endif %}
{% endblock %}
"""
