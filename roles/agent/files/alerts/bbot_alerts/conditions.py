# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong, by what `bbot-agent status` says: conditions that begin and end."""

from __future__ import annotations

import dataclasses
import typing as t

Status = t.Mapping[str, t.Any]

# Of more than so many conditions the rest is counted.
MOST = 200
_LENGTH = 1000

# For so many seconds something has to be wrong before it is told: as long as what mends itself
# takes at most, such as a restart of an agent or of a controller.
_AGENT, _CONTROLLER, _RESULTS, _DESK, _STATUS = 180.0, 300.0, 600.0, 60.0, 60.0


@dataclasses.dataclass(frozen=True)
class Condition:
    """Something that is wrong, in one line, which is told after it was so for `hold` seconds."""

    text: str
    hold: float = 0.0


def unreadable(why: str) -> dict[str, Condition]:
    """Return that nobody knows what is wrong, and why so."""
    return {"status": Condition(_line(f"bbot-agent status fails: {why}"), _STATUS)}


def conditions(status: Status, wanted: t.Collection[str]) -> dict[str, Condition]:
    """Return what is wrong by a key that stays the same as long as it is.

    `wanted` are the toolchains for which there should be an agent. Raises LookupError, TypeError,
    ValueError and AttributeError for a status of another form.
    """
    found: dict[str, Condition] = {}
    running = {agent["toolchain"] for agent in status["agents"]}
    for name in sorted(set(wanted) - running):
        found[f"agent {name}"] = Condition(f"no agent runs for toolchain {name}", _AGENT)
    for agent in status["agents"]:
        for what, why in sorted(agent["troubles"].items()):
            where = f"agent {agent['toolchain']}, {what}"
            found[where] = Condition(f"{where}: {why}", _patience(what))
    for machine in status["machines"]:
        why = machine["failure"]
        if machine["state"] == "broken":
            why = "; ".join(machine["reasons"])
        if why:
            where = f"machine {machine['name']} of toolchain {machine['toolchain']}"
            found[f"{where} in {machine['volume']}"] = Condition(f"{where} cannot be used: {why}")
    found |= _results(status["queue"])
    for each in status["suspended"]:
        # Numbers of machines that are gone are used again.
        found[f"suspended {each['id']} {each['since']:.0f}"] = Condition(
            f"machine {each['machine']} is suspended as {each['id']}: {each['reason']}"
        )
    shown = {key: Condition(_line(one.text), one.hold) for key, one in list(found.items())[:MOST]}
    if len(found) > MOST:
        shown["more"] = Condition(f"{len(found) - MOST} more things are wrong: bbot-agent status")
    return shown


def _patience(what: str) -> float:
    kind = what.partition(" ")[0]
    if kind in ("host", "machine"):
        return 0.0
    return _CONTROLLER if kind == "controller" else _DESK


def _results(queue: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, Condition]:
    """Return which controllers have refused results that wait for them."""
    refused: dict[str, list[t.Mapping[str, t.Any]]] = {}
    for each in queue:
        if each["attempts"] > 0:
            refused.setdefault(each["controller"], []).append(each)
    return {
        f"results for {controller}": Condition(
            f"{len(entries)} results cannot be delivered to {controller}: "
            f"{entries[0]['last_error']}",
            _RESULTS,
        )
        for controller, entries in refused.items()
    }


def _line(text: str) -> str:
    line = " ".join(text.split())
    return "".join(each if each.isprintable() else "?" for each in line)[:_LENGTH]
