# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Several hosts on one page, as the play status.yml has asked them."""

from __future__ import annotations

import typing as t

from .clean import clean
from .render import Renderer
from .templates.parts import NOW_SECTIONS

# Lists in a status.
_LISTS = ("agents", "machines", "running", "queue", "suspended", "history")
# What a status of another release may be without.
_MISSING: dict[str, t.Any] = {
    "lease": "", "shell": False, "tail": [], "waits": None, "by": "", "failure": None, "warm": None,
    "role": None,
}  # fmt: skip


def fleet_page(hosts: t.Mapping[str, t.Mapping[str, t.Any]], now: float) -> str:
    """Return the page about ``hosts``, by their names, as they were at the time ``now``.

    Of each there is a `status`, as `bbot-agent status --json` tells it, and `trouble`, why there
    is none. What a host says is not believed: one whose status is odd has that for its trouble.
    """
    renderer = Renderer("", links=False)
    shown = []
    for name, told in hosts.items():
        trouble, parts = str(told.get("trouble") or ""), []
        if told.get("status"):
            try:
                parts = _parts(renderer, str(name), told["status"], now)
            except Exception as error:
                # Whatever it is that it has said, the other hosts are shown.
                words = " ".join(str(error).split())[:200]
                trouble = f"what it says of itself is odd: {type(error).__name__}: {words}"
        shown.append({"name": name, "trouble": trouble, "parts": parts})
    page = renderer.page(
        "fleet", ("",), title="Build hosts", current="", live="", hosts=shown, now=now
    )
    return page.decode()


def _parts(
    renderer: Renderer, name: str, status: t.Mapping[str, t.Any], now: float
) -> list[tuple[str, t.Any]]:
    facts: dict[str, t.Any] = {
        each: [{**_MISSING, **dict(entry)} for entry in status.get(each) or []] for each in _LISTS
    }
    facts |= {"now": now, "hidden": 0}
    return [
        (title, renderer.part("now_parts", part, facts, of=f", {clean(name)}"))
        for part, title in NOW_SECTIONS.items()
    ]
