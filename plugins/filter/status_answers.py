# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that reads what build hosts have answered."""

from __future__ import annotations

import json
import re
import typing as t

from ansible.errors import AnsibleFilterError

Found = dict[str, t.Any]

# What Ansible puts before what went wrong.
_ANSIBLES = re.compile(r"^((Task|Module|Action) failed: )+")
# What is counted, and by which lists.
_COUNTED = {
    "agents": "agents",
    "running": "running",
    "undelivered": "queue",
    "suspended": "suspended",
}


def status_answers(asked: t.Any) -> dict[str, Found]:
    """Return of each host in ``asked`` its `status`, or its `trouble`, and its `figures`."""
    if not isinstance(asked, t.Mapping) or not all(
        isinstance(each, t.Mapping) for each in asked.values()
    ):
        raise AnsibleFilterError(
            "bbot.agent.status_answers wants a mapping of hosts, of which each is the result of "
            f"asking it, and not {type(asked).__name__}"
        )
    return {str(name): _read(result) for name, result in asked.items()}


def _read(result: t.Mapping[str, t.Any]) -> Found:
    status, trouble = _status(result)
    figures = {name: _count(status.get(listed)) for name, listed in _COUNTED.items()}
    return {"status": status, "trouble": trouble, "figures": {"trouble": trouble, **figures}}


def _status(result: t.Mapping[str, t.Any]) -> tuple[Found, str]:
    out = str(result.get("stdout") or "")
    if result.get("rc") != 0:
        told = (str(result.get(name) or "").strip() for name in ("stderr", "stdout", "msg"))
        return {}, _ANSIBLES.sub("", next(filter(None, told), "no answer"))
    try:
        # A shell of the host may have said something before.
        found = json.loads(out[out.index("{") :])
    except (ValueError, RecursionError):
        return {}, f"its answer is no status: {' '.join(out.split())[:200]!r}"
    return found, ""


def _count(listed: t.Any) -> int:
    return len(listed) if isinstance(listed, list) else 0


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this plugin, by name."""
        return {"status_answers": status_answers}
