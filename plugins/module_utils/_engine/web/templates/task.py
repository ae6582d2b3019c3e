# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""One task, and a window into one of its logs."""

from __future__ import annotations

TASK_PARTS = """\
{% import "parts" as parts with context %}
{% macro facts(f) %}
<p class="verdict">{{ parts.state(f.row.status or f.row.state) }}
{% if f.row.reason %}{{ f.row.reason }}{% endif %}</p>
<dl>
<dt>Machine</dt><dd>{{ f.row.machine }}{{ ", " ~ f.start ~ " start" if f.start }}</dd>
<dt>Culprit</dt><dd>{{ f.culprit }}</dd>
<dt>Received</dt><dd>{{ parts.moment(f.row.received) }}
{{- ", from " ~ f.controller if f.controller else ", of this host's own people" }}, toolchain {{ f.row.toolchain }}</dd>
{% if f.row.finished %}<dt>Finished</dt><dd>{{ parts.moment(f.row.finished) }}</dd>{% endif %}
{% if f.row.state == "queued" %}<dt>Result</dt><dd>is not delivered: {{ f.row.attempts | counted("attempt", "attempts", "no attempt yet") }}
{{- ". " ~ f.error if f.error }}</dd>
{% elif f.row.delivered %}<dt>Result</dt><dd>delivered {{ parts.moment(f.row.delivered) }}</dd>
{% elif f.row.state == "expired" %}<dt>Result</dt><dd>expired: the controller waits for it no more{{ ". " ~ f.error if f.error }}</dd>{% endif %}
{% if f.running %}<dt>Now</dt><dd>{{ "waits: " ~ f.running.waits if f.running.waits else f.running.phase or "begins" }},
for {{ f.running.since | ago(f.now) }}.
{% if f.running.shell %}To look in: <code>bbot-agent shell {{ f.running.lease }}</code>.{% endif %}
To see its screen: <code>bbot-agent screen {{ f.row.id }} screen.png</code></dd>{% endif %}
</dl>
{% if f.error_line %}
<p><strong>First error</strong>, in <a href="{{ f.row.id }}/log/{{ f.error_log | urlencode }}?first=1#error">{{ f.error_log }}</a>:
<code>{{ f.error_line | brief }}</code></p>
{% endif %}
{% if f.phases %}
<h2>Phases</h2>
<table class="phases"><caption>Where the {{ f.row.phases | total }} seconds went</caption>
<thead><tr><th scope="col">Phase</th><th scope="col">Seconds</th><th scope="col">Share</th></tr></thead>
<tbody>
{% for each in f.phases %}
<tr><th scope="row">{{ each.name }}</th><td class="number">{{ "%.1f" | format(each.seconds) }}</td>
<td><svg viewBox="0 0 100 10" preserveAspectRatio="none" class="bar" role="img"
 aria-label="{{ "%.0f" | format(each.width) }} %"><rect class="back" width="100" height="10"/>
<rect class="fill" x="{{ "%.2f" | format(each.left) }}" width="{{ "%.2f" | format(each.width) }}" height="10"/>
</svg></td></tr>
{% endfor %}
</tbody></table>
{% endif %}
{% if f.operations %}
<h2>Operations</h2>
{% call parts.table("Operations in order", ["Operation", "Status", "Tests", "Log", "Warning"]) %}
{% for each in f.operations %}
<tr><th scope="row">{{ each.name }}</th><td data-label="Status">{{ parts.state(each.status) }}</td>
<td data-label="Tests">{{ each.tests }}</td>
<td data-label="Log">{% if each.log %}<a href="{{ f.row.id }}/log/{{ each.log | urlencode }}">{{ each.log }}</a>{% endif %}</td>
<td data-label="Warning">{{ each.warning | brief }}</td></tr>
{% endfor %}
{% endcall %}
{% endif %}
{% if f.trouble %}<p>{{ f.trouble }}</p>{% endif %}
{% if f.files %}
<h2>Files</h2>
<ul class="files">
{% for each in f.files %}
<li><a href="{{ f.row.id }}/log/{{ each.path | urlencode }}">{{ each.path }}</a> {{ each.size | size }}
(<a href="{{ f.row.id }}/raw/{{ each.path | urlencode }}">raw<span class="unseen"> text of {{ each.path }}</span></a>)</li>
{% endfor %}
</ul>
{% endif %}
{% if f.artifacts %}
<h2>Artifacts</h2>
<ul class="files">
{% for each in f.artifacts[:most] %}
<li><a href="{{ f.row.id }}/file/artifacts/{{ each.path | urlencode }}">{{ each.path }}</a> {{ each.size | size }}
<span class="quiet">sha256 {{ each.sha256 }}</span></li>
{% endfor %}
</ul>
{% if f.artifacts | length > most %}<p>And {{ f.artifacts | length - most }} more.</p>{% endif %}
{% endif %}
{% endmacro %}
"""

TASK = """\
{% extends "layout" %}
{% block content %}
<div id="facts">{{ facts }}</div>
{% if lines is not none %}
<h2 id="h-log">What is done</h2>
<pre id="log" class="log" role="region" tabindex="0" aria-labelledby="h-log">{{ lines }}</pre>
{% endif %}
{% endblock %}
"""

LOG = """\
{% extends "layout" %}
{% macro links() %}
<ul class="more">
<li><a href="?at=0">Begin</a></li>
{% if w.start > 0 %}<li><a href="?at={{ earlier }}">Earlier</a></li>{% endif %}
{% if w.end < w.size %}<li><a href="?at={{ w.end }}">Later</a></li>{% endif %}
<li><a href="?at=-1">End</a></li>
<li><a href="?first=1#error">First error</a></li>
<li><a href="../raw/{{ name | urlencode }}">Raw text</a></li>
</ul>
{% endmacro %}
{% block content %}
<p><a href="../../{{ id }}">Task {{ id }}, {{ task }}</a></p>
<nav aria-label="Places in the log">{{ links() }}</nav>
{% if note %}<p role="status">{{ note }}</p>{% endif %}
<p class="quiet">Bytes {{ w.start }} to {{ w.end }} of {{ w.size }}.</p>
{% if w.text %}
<pre class="log whole" role="region" tabindex="0" aria-label="{{ name }}">
{%- for line in before %}{{ line }}
{% endfor %}{% if marked is not none %}<mark id="error" tabindex="-1">{{ marked }}</mark>
{% endif %}{{ after }}</pre>
<nav aria-label="Places in the log, again">{{ links() }}</nav>
{% else %}<p>There is nothing in it.</p>{% endif %}
{% endblock %}
"""
