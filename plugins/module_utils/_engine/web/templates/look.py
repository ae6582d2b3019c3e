# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""How the pages look, beside what reports have, too; and the script that shows what changes."""

from __future__ import annotations

from ...matrix.style import STYLE

LOOK = f"""{STYLE}
nav ul, ul.more, ul.files {{ list-style: none; padding: 0; margin: .25rem 0; }}
nav ul, ul.more {{ display: flex; flex-wrap: wrap; gap: .25rem 1rem; }}
nav a {{ display: inline-block; padding: .25rem 0; }}
nav a[aria-current] {{ font-weight: 700; color: var(--ink); }}
header nav {{ display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: center; }}
header {{ border-bottom: 1px solid var(--line); padding-bottom: .5rem; margin-bottom: 1rem; }}
.host {{ font-weight: 700; }}
main:focus {{ outline: none; }}
.running {{ border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; margin: .5rem 0; }}
.running p {{ margin: .25rem 0; }}
.tail {{ white-space: pre-wrap; overflow-wrap: anywhere; max-height: none; overflow: hidden; }}
.log {{ max-height: 40rem; }}
.log.whole {{ max-height: none; }}
mark {{ color: var(--bad); background: var(--bad-back); font-weight: 700; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; margin: .5rem 0; }}
dt {{ color: var(--quiet); }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
form {{ display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: end; }}
form p {{ margin: .25rem 0; max-width: 100%; }}
label {{ display: block; color: var(--quiet); }}
input, select, button {{
  font: inherit; color: var(--ink); background: var(--page); border: 1px solid var(--quiet);
  border-radius: .35rem; padding: .3rem .6rem; max-width: 100%;
}}
.bar {{ width: 100%; min-width: 4rem; height: .8rem; display: block; margin-top: .35rem; }}
.phases th {{ overflow-wrap: normal; }}
.phases td:last-child {{ width: 60%; }}
.chart {{ width: 100%; height: 11rem; display: block; }}
.back {{ fill: var(--panel); }}
.fill {{ fill: var(--link); }}
.axis {{ stroke: var(--quiet); }}
.files li {{ overflow-wrap: anywhere; margin: .2rem 0; }}
.unseen {{ position: absolute; left: -100rem; }}
.list th {{ min-width: 8rem; }}
h1, h3, p, li {{ overflow-wrap: anywhere; }}
"""

# The page is whole without it. Asks only while somebody sees the page: browsers keep few
# connections to one place.
SCRIPT = """
(() => {
  const main = document.querySelector('[data-live]');
  if (!main || !window.EventSource) return;
  const note = document.getElementById('live');
  const log = document.getElementById('log');
  const waiting = new Map();
  let source = null, ended = false, address = main.dataset.live;
  const say = text => { if (note.textContent !== text) note.textContent = text; };
  const show = () => {
    for (const [id, html] of waiting) {
      const part = document.getElementById(id);
      const chosen = window.getSelection();
      // What somebody has marked to copy it stays.
      if (part && !chosen.isCollapsed && part.contains(chosen.anchorNode)) continue;
      waiting.delete(id);
      const fresh = document.createElement('template');
      fresh.innerHTML = html;
      if (!part || part.innerHTML === fresh.innerHTML) continue;
      const at = document.activeElement;
      const key = part.contains(at) ? at.getAttribute('href') || at.getAttribute('aria-label') : null;
      part.replaceChildren(fresh.content);
      if (!key) continue;
      for (const each of part.querySelectorAll('a, [tabindex]')) {
        if ((each.getAttribute('href') || each.getAttribute('aria-label')) === key) {
          each.focus({preventScroll: true});
          break;
        }
      }
    }
  };
  const add = text => {
    const below = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const kept = log.textContent + text;
    log.textContent = kept.length > 400000 ? kept.slice(-300000) : kept;
    if (below) log.scrollTop = log.scrollHeight;
  };
  const begin = () => {
    if (source || ended || document.hidden) return;
    source = new EventSource(address);
    source.onopen = () => say('What changes is shown as it comes.');
    source.onerror = () => say('There is no connection: what is shown may be old.');
    source.addEventListener('part', event => {
      const {id, html} = JSON.parse(event.data);
      waiting.set(id, html);
      show();
    });
    source.addEventListener('lines', event => {
      address = main.dataset.live.replace(/from=\\d+/, 'from=' + event.lastEventId);
      if (log) add(JSON.parse(event.data).text);
    });
    source.addEventListener('ended', () => {
      ended = true;
      source.close();
      say('It has ended.');
    });
  };
  const rest = () => { if (source) { source.close(); source = null; } };
  document.addEventListener('visibilitychange', () => document.hidden ? rest() : begin());
  window.setInterval(show, 1000);
  if (log) log.scrollTop = log.scrollHeight;
  begin();
})();
"""
