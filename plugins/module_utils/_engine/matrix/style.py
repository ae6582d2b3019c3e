# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""How the report looks: by day and by night, on paper, and on a telephone."""

from __future__ import annotations

from .markup import Markup

STYLE = Markup("""
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1c2128; --quiet: #57606a; --line: #d0d7de; --panel: #f6f8fa;
  --link: #0550ae; --good: #0f5323; --good-back: #dcf5e3; --bad: #8c1020; --bad-back: #ffe1e2;
  --odd: #663c00; --odd-back: #fff1cc; --none: #4b535d; --none-back: #eaeef2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --ink: #e6edf3; --quiet: #a3acb8; --line: #3d444d; --panel: #161b22;
    --link: #79b8ff; --good: #9be9a8; --good-back: #12341d; --bad: #ffb3b5; --bad-back: #4c1418;
    --odd: #f5d47a; --odd-back: #3f2f05; --none: #c0c8d1; --none-back: #262c34;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
main, header, footer { max-width: 75rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 0; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { position: static; display: inline-block; padding: .5rem 0; }
.quiet { color: var(--quiet); }
.verdict { font-size: 1.1rem; margin: .5rem 0; }
.state {
  display: inline-block; padding: .05rem .5rem; border-radius: .75rem; white-space: nowrap;
  color: var(--none); background: var(--none-back); font-weight: 600; font-size: .9rem;
}
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.odd { color: var(--odd); background: var(--odd-back); }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: .5rem 0; }
.counts { list-style: none; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .5rem .75rem; color: var(--quiet); }
th, td { text-align: left; vertical-align: top; padding: .4rem .75rem; }
th, td { border-top: 1px solid var(--line); }
thead th { background: var(--panel); border-top: 0; white-space: nowrap; }
tbody th { font-weight: 600; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.findings { margin: .5rem 0; padding-left: 1.25rem; }
.findings li { margin: .35rem 0; }
code, pre { font: .85rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
code { overflow-wrap: anywhere; }
pre {
  margin: .5rem 0 0; padding: .75rem; background: var(--panel); border-radius: .5rem;
  border: 1px solid var(--line); overflow-x: auto; max-height: 24rem;
}
.failure { border: 1px solid var(--line); border-radius: .5rem; padding: .75rem; margin: .75rem 0; }
.failure p { margin: .35rem 0; }
summary { cursor: pointer; padding: .35rem 0; }
footer { margin-top: 2rem; padding-bottom: 2rem; color: var(--quiet); }
@media (max-width: 40rem) {
  .list thead { position: absolute; left: -100rem; }
  .list, .list tbody, .list tr, .list td, .list th { display: block; width: 100%; }
  .list caption { display: block; }
  .list tr { border-top: 1px solid var(--line); padding: .4rem 0; }
  .list td, .list th { border: 0; padding: .1rem .75rem; text-align: left; }
  .list td:empty { display: none; }
  .list td::before { content: attr(data-label) ": "; color: var(--quiet); }
}
@media print { pre { max-height: none; white-space: pre-wrap; } }
""")
