# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What goes on, on this host: for `bbot-agent status`, metrics and plays."""

from __future__ import annotations

import os
import time
import typing as t

from ..controller.journal import Journal, Row
from ..controller.urls import masked
from ..host.host import Host, HostError
from ..host.locks import parent_of
from ..host.phases import how_started
from ..machine.describe import describe_machine
from ..machine.inventory import enumerate_machines
from ..machine.suspended import Suspensions
from ..machine.toolchain import load_toolchain
from ..release import VERSION

_HISTORY = 20
# Seconds in which tasks have ended lately.
_LATELY = 3600.0


def collect(host: Host, journal: Journal, suspensions: Suspensions) -> dict[str, t.Any]:
    """Everything as plain data. Times are seconds since the epoch. Raises JournalError."""
    records = host.leases.records()
    agents = {record.get("pid") for record in records.values() if record.get("what") == "agent"}
    latest = journal.latest(_HISTORY * 5)
    total, lately = journal.tally(_LATELY)
    entries = {entry.logs: entry for entry in (*latest, *journal.running()) if entry.logs}
    return {
        "version": VERSION,
        "agents": [_agent(record) for record in records.values() if record.get("what") == "agent"],
        "machines": _machines(host, records),
        "running": [
            _running(lease, record, entries.get(str(record.get("logs"))), agents)
            for lease, record in records.items()
            if record.get("what") in ("task", "bootstrap", "template", "resume")
        ],
        "queue": [_queued(entry) for entry in journal.queue()],
        "suspended": [
            {
                "id": each.id,
                "machine": each.machine,
                "what": each.what,
                "reason": each.reason,
                "since": each.since,
                "bytes": each.bytes,
                "directory": each.hardware.directory,
            }
            for each in suspensions.all()
        ],
        "history": [_past(entry) for entry in latest[:_HISTORY]],
        "tasks": {"total": total, "last_hour": lately},
    }


def _agent(record: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    names = ("toolchain", "pid", "since", "controllers", "instance_max", "version", "failed")
    controllers = [masked(str(url)) for url in record.get("controllers") or []]
    return {
        **{name: record.get(name) for name in names},
        "controllers": controllers,
        "troubles": {
            masked(what): masked(why) for what, why in (record.get("troubles") or {}).items()
        },
    }


def _machines(host: Host, records: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The machines, for each toolchain that there is."""
    found = []
    for name in _toolchains(host):
        try:
            toolchain = load_toolchain(host, name, bare=True)
            machines = enumerate_machines(host, toolchain)
        except HostError:
            continue
        failed: dict[str, str] = {}
        for record in records.values():
            if record.get("toolchain") == name:
                failed |= record.get("failed") or {}
        for machine in machines:
            # Another one of that name may be broken, and was not tried.
            tried = machine.state not in ("current", "broken")
            failure = failed.get(machine.name) if tried else None
            found.append({**describe_machine(machine), "toolchain": name, "failure": failure})
    return found


def _toolchains(host: Host) -> list[str]:
    try:
        names = os.listdir(os.path.join(host.tftp, "toolchains"))
    except OSError:
        return []
    return sorted(name for name in names if not name.startswith("."))


def _running(
    lease: str,
    record: t.Mapping[str, t.Any],
    entry: Row | None,
    agents: t.Collection[int | None],
) -> dict[str, t.Any]:
    return {
        "lease": lease,
        "by": _who(record.get("pid"), agents),
        "id": entry.id if entry else None,
        "what": record["what"],
        "task": record.get("task"),
        "machine": record.get("machine"),
        "phase": record.get("phase"),
        "waits": record.get("waits"),
        "since": record.get("since"),
        "pid": record.get("pid"),
        "logs": record.get("logs"),
        "shell": bool(record.get("shell")),
    }


def _who(pid: int | None, agents: t.Collection[int | None]) -> str:
    """Whose work a process does: agents have all they do in jobs, which are their children."""
    parent = None if pid is None else parent_of(pid)
    if parent is None:
        return "nobody"
    return "agent" if parent in agents else "play"


def _queued(entry: Row) -> dict[str, t.Any]:
    return {
        "id": entry.id,
        "task": entry.title,
        "toolchain": entry.toolchain,
        "controller": masked(entry.controller),
        "status": entry.status,
        "attempts": entry.attempts,
        "next_try": entry.next_try,
        "received": entry.received,
        "finished": entry.finished,
        "expires": time.time() + entry.left,
        "last_error": masked(entry.last_error),
    }


def _past(entry: Row) -> dict[str, t.Any]:
    names = (
        *("id", "name", "version", "toolchain", "machine", "controller", "status", "culprit"),
        *("reason", "state", "phases", "received", "finished", "delivered", "logs"),
    )
    shown = {name: getattr(entry, name) for name in names}
    return {**shown, "controller": masked(entry.controller)}


def render(status: t.Mapping[str, t.Any]) -> str:
    """The same for people."""
    troubles = [
        (agent["toolchain"], what, why)
        for agent in status["agents"]
        for what, why in sorted(agent["troubles"].items())
    ]
    sections = [
        _table("agents", ("toolchain", "process", "since"), [
            (a["toolchain"], a["pid"], _ago(a["since"])) for a in status["agents"]
        ]),
        *([_table("troubles", ("toolchain", "of", "why"), troubles)] if troubles else []),
        _table("machines", ("name", "type", "toolchain", "state", "start", "why"), [
            (m["name"], m["type"] or "", m["toolchain"], m["state"],
             "warm" if _is_warm(m["warm"]) else "cold", m["failure"] or "; ".join(m["reasons"]))
            for m in status["machines"]
        ]),
        _table("running", ("number", "task", "machine", "phase", "since"), [
            (r["id"] or "", r["task"] or r["what"], r["machine"],
             f"wait: {r['waits']}" if r["waits"] else r["phase"] or "", _ago(r["since"]))
            for r in status["running"]
        ]),
        _table("results to be delivered", ("number", "task", "status", "attempts", "why"), [
            (q["id"], q["task"], q["status"], q["attempts"], q["last_error"])
            for q in status["queue"]
        ]),
        _table("suspended machines", ("id", "machine", "what", "since", "MiB", "why"), [
            (s["id"], s["machine"], s["what"], _ago(s["since"]), s["bytes"] >> 20, s["reason"])
            for s in status["suspended"]
        ]),
        _table("last tasks", (
            *("number", "task", "machine", "status", "result", "start", "seconds", "why"),
        ), [
            (h["id"], f"{h['name']}/{h['version']}", h["machine"], h["status"] or "", h["state"],
             how_started(h["phases"] or {}),
             f"{sum(h['phases'].values()):.1f}" if h["phases"] else "", h["reason"])
            for h in status["history"]
        ]),
    ]  # fmt: skip
    return "\n".join(sections)


def _is_warm(template: t.Mapping[str, t.Any] | None) -> bool:
    return template is not None and not template["reason"]


def _table(title: str, head: tuple[str, ...], rows: list[tuple[t.Any, ...]]) -> str:
    if not rows:
        return f"{title}: none\n"
    cells = [head, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]
    return f"{title}:\n" + "".join(f"  {line.rstrip()}\n" for line in lines)


def _ago(since: float | None) -> str:
    if since is None:
        return ""
    seconds = max(0, int(time.time() - since))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
