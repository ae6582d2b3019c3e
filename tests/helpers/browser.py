# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A page as Chromium shows it, and what axe-core finds wrong with it."""

from __future__ import annotations

import fcntl
import html
import json
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

from .images import CACHE

_AXE = "axe-core@4.10.3"
_POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
# Leaves what it finds in the page, for --dump-dom.
_PROBE = """
<script>%(axe)s</script>
<script>
  document.querySelectorAll('details').forEach(each => each.open = true);
  axe.run(document, {resultTypes: ['violations', 'incomplete']}).then(found => {
    const said = document.createElement('pre');
    said.id = 'probed';
    const brief = rules => rules.map(rule => [rule.id, rule.nodes.map(node => node.html)]);
    said.textContent = JSON.stringify({
      violations: brief(found.violations),
      passes: found.passes.map(rule => rule.id),
      wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      back: getComputedStyle(document.body).backgroundColor,
      width: window.innerWidth,
    });
    const top = window.parent.document;
    top.documentElement.textContent = '';
    top.documentElement.append(said);
  });
</script>
"""


def axe() -> str:
    """The script of axe-core, from the cache where it was fetched before."""
    place = CACHE / _AXE.replace("@", "-")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "axe-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            new = place.with_name(f"{place.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            subprocess.run(["npm", "pack", "--silent", _AXE], cwd=new, check=True)
            (archive,) = new.glob("*.tgz")
            subprocess.run(["tar", "-xf", archive.name], cwd=new, check=True)
            new.rename(place)
    return (place / "package" / "axe.min.js").read_text()


def _chromium(folder: Path, *arguments: str) -> str:
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [
        "--no-first-run",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
    ]
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def probe(page: str, folder: Path, *, width: int, dark: bool = False) -> dict[str, t.Any]:
    """What a ``page`` is like in a window of so many pixels, with its scripts and axe-core's."""
    inner = _POLICY.sub("", page).replace("</body>", f"{_PROBE % {'axe': axe()}}</body>")
    frame = f'<iframe width="{width}" height="800" srcdoc="{html.escape(inner)}"></iframe>'
    path = folder / "probe.html"
    path.write_text(f'<!DOCTYPE html><html lang="en"><title>x</title><body>{frame}</body></html>')
    more = ["--blink-settings=preferredColorScheme=0"] if dark else []
    said = _chromium(folder, *more, "--virtual-time-budget=20000", "--dump-dom", f"file://{path}")
    match = re.search(r'<pre id="probed">(.*?)</pre>', said, re.DOTALL)
    if match is None:
        raise AssertionError(f"the page was not probed: {said[-500:]}")
    found: dict[str, t.Any] = json.loads(html.unescape(match[1]))
    return found


def show(path: Path, picture: Path, *, width: int, height: int, dark: bool = False) -> str:
    """Leave a ``picture`` of the page ``path`` as it is; the page as the browser has it."""
    more = ["--blink-settings=preferredColorScheme=0"] if dark else []
    size = f"--window-size={width},{height}"
    _chromium(path.parent, *more, size, f"--screenshot={picture}", f"file://{path}")
    return _chromium(path.parent, size, "--dump-dom", f"file://{path}")
