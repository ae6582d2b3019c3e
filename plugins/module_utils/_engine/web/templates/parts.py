# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Parts that are shown alone, too, when they have changed; and what several pages have."""

from __future__ import annotations

PARTS = """\
{% macro state(word) -%}
{% if word %}<span class="state {{ word | tone }}">{{ word }}</span>{% endif %}
{%- endmacro %}

{% macro moment(seconds) -%}
{% if seconds is number %}<time datetime="{{ seconds | iso }}">{{ seconds | moment }}</time>{% endif %}
{%- endmacro %}

{% macro task(root, id, name) -%}
{% if id and links %}<a href="{{ root }}task/{{ id }}">{{ id }} {{ name }}</a>{% else %}{{ name }}{% endif %}
{%- endmacro %}

{% macro table(caption, head, class="list") %}
<div class="wide" role="region" tabindex="0" aria-label="{{ caption }}{{ of }}">
<table class="{{ class }}">
<caption>{{ caption }}{{ of }}</caption>
<thead><tr>{% for name in head %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{{ caller() }}
</tbody>
</table>
</div>
{% endmacro %}

{% macro tasks(root, rows, caption) %}
{% call table(caption, ["Task", "Machine", "Status", "Start", "Seconds", "Received", "Why"]) %}
{% for row in rows %}
<tr>
<th scope="row">{{ task(root, row.id, row.name ~ "/" ~ row.version) }}</th>
<td data-label="Machine">{{ row.machine }}</td>
<td data-label="Status">{{ state(row.status or row.state) }}
{%- if row.state in ("queued", "expired", "damaged") and row.status %} {{ row.state }}{% endif %}</td>
<td data-label="Start">{{ row.phases | started }}</td>
<td data-label="Seconds" class="number">{{ row.phases | total }}</td>
<td data-label="Received">{{ moment(row.received) }}</td>
<td data-label="Why">{{ row.reason | brief }}
{%- if row.culprit and row.culprit not in ("none", "task") %} <span class="quiet">({{ row.culprit }})</span>{% endif %}</td>
</tr>
{% endfor %}
{% endcall %}
{% endmacro %}
"""

# The parts of what goes on, in this order, and what they are called.
NOW_SECTIONS = {
    "summary": "In short",
    "running": "Running",
    "suspended": "Suspended machines",
    "queue": "Results to be delivered",
    "machines": "Machines",
    "last": "Last tasks",
}

NOW_PARTS = """\
{% import "parts" as parts with context %}
{% macro summary(s) %}
<p role="status">{{ s.running | length | counted("task or bootstrap runs", "tasks and bootstraps run", "Nothing runs") }}.
{{ s.queue | length | counted("result waits to be delivered", "results wait to be delivered", "No result waits to be delivered") }}.
{{ s.suspended | length | counted("machine is suspended", "machines are suspended", "No machine is suspended") }}.</p>
{% if s.agents %}
<p>Agents: {% for each in s.agents -%}
{{ each.toolchain }}, up to {{ each.instance_max }} at once, since {{ parts.moment(each.since) }}{{ "; " if not loop.last }}
{%- endfor %}.</p>
{% else %}
<p>No agent runs on this host.</p>
{% endif %}
{% endmacro %}

{% macro running(s) %}
{% for each in s.running %}
<article class="running">
<h3>{{ parts.task("", each.id, each.task or each.what) }}
{% if each.waits %}<span class="state odd">waits</span>{% else %}{{ parts.state(each.phase or each.what) }}{% endif %}</h3>
<p>{{ each.what }} on {{ each.machine or "no machine yet" }}, for {{ each.since | ago(s.now) }}
{%- if each.by == "play" %}, by a play or a command{% elif each.by == "nobody" %}, whose process is gone{% endif %}
{%- if each.waits %}. It waits: {{ each.waits }}{% endif %}.
{% if each.shell %}To look in: <code>bbot-agent shell {{ each.lease }}</code>{% endif %}</p>
{% if each.tail %}<pre class="tail">{{ each.tail | join("\n") }}</pre>{% endif %}
</article>
{% else %}
<p>Nothing.</p>
{% endfor %}
{% if s.hidden %}<p>And {{ s.hidden }} more.</p>{% endif %}
{% endmacro %}

{% macro queue(s) %}
{% if s.queue %}
{% call parts.table("Results that wait for their controller", ["Task", "Status", "Attempts", "Next try", "Controller", "Why"]) %}
{% for each in s.queue[:most] %}
<tr>
<th scope="row">{{ parts.task("", each.id, each.task) }}</th>
<td data-label="Status">{{ parts.state(each.status) }}</td>
<td data-label="Attempts" class="number">{{ each.attempts }}</td>
<td data-label="Next try">{% if each.next_try %}{{ parts.moment(each.next_try) }}{% else %}at once{% endif %}</td>
<td data-label="Controller">{{ each.controller }}</td>
<td data-label="Why">{{ each.last_error | brief }}</td>
</tr>
{% endfor %}
{% endcall %}
{% if s.queue | length > most %}<p>And {{ s.queue | length - most }} more.</p>{% endif %}
{% else %}
<p>None.</p>
{% endif %}
{% endmacro %}

{% macro machines(s) %}
{% if s.machines %}
{% call parts.table("Machines of this host", ["Machine", "Toolchain", "Kind", "State", "Start", "Why"]) %}
{% for each in s.machines[:most] %}
<tr>
<th scope="row">{{ each.name }}</th>
<td data-label="Toolchain">{{ each.toolchain }}</td>
<td data-label="Kind">{{ each.type or "" }}{{ ", " ~ each.role if each.role and each.role != "build" }}</td>
<td data-label="State">{{ parts.state(each.state) }} {{ "can be used" if each.state == "current" else "cannot be used" }}</td>
<td data-label="Start">{% if each.warm and not each.warm.reason %}warm{% else %}cold{% endif %}</td>
<td data-label="Why">{{ (each.failure or each.reasons | join("; ")) | brief }}
{%- if each.warm and each.warm.reason %} <span class="quiet">Not warm: {{ each.warm.reason | brief }}</span>{% endif %}</td>
</tr>
{% endfor %}
{% endcall %}
{% if s.machines | length > most %}<p>And {{ s.machines | length - most }} more.</p>{% endif %}
{% else %}
<p>None.</p>
{% endif %}
{% endmacro %}

{% macro suspended(s) %}
{% if s.suspended %}
{% call parts.table("Machines that failed and are kept", ["Machine", "Since", "Size", "Why", "To look in", "To throw away"]) %}
{% for each in s.suspended[:most] %}
<tr>
<th scope="row">{{ each.machine }}</th>
<td data-label="Since">{{ parts.moment(each.since) }}</td>
<td data-label="Size" class="number">{{ each.bytes | size }}</td>
<td data-label="Why">{{ each.what }}: {{ each.reason | brief }}</td>
<td data-label="To look in"><code>bbot-agent resume {{ each.id }}</code></td>
<td data-label="To throw away"><code>bbot-agent discard {{ each.id }}</code></td>
</tr>
{% endfor %}
{% endcall %}
{% else %}
<p>None.</p>
{% endif %}
{% endmacro %}

{% macro last(s) %}
{% if s.history %}
{{ parts.tasks("", s.history[:10], "The last tasks") }}
{% else %}
<p>There was no task yet.</p>
{% endif %}
{% endmacro %}
"""

NOW = """\
{% extends "layout" %}
{% block content %}
{% if s.trouble %}<p class="verdict"><span class="state bad">trouble</span> {{ s.trouble }}</p>{% endif %}
{% for id, name, content in sections %}
<section aria-labelledby="h-{{ id }}">
<h2 id="h-{{ id }}">{{ name }}</h2>
<div id="{{ id }}">{{ content }}</div>
</section>
{% endfor %}
{% endblock %}
"""
