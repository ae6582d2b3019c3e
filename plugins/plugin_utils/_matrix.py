# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A matrix performed by a play: one host's part of it.

The host's module says what it has room for, and is handed combinations one by one. Whatever a host
that fails was at goes to the others, which stay as long as there is something that could.
"""

from __future__ import annotations

import base64
import json
import shlex
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.ledger import (
    STOPPED,
    Ledger,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.settle import (
    keep_results,
    note_cancelled,
    note_fault,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.states import (
    RUNNING,
    WAITING,
    Entry,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.table import (
    ended,
    plain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.verdict import (
    SUCCESS,
    exit_of,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.rerun import SourceKeeper

from ._follow import Watcher
from ._matrix_ends import known_machines
from ._matrix_share import Options, Share
from ._results import check_logs

display = Display()

MODULE = "bbot.agent.matrix_run"


class Helper(t.Protocol):
    """What the action plugin does for its host."""

    def shell(self, command: str) -> str:
        """Output of a shell command."""

    def lay_down(self, files: t.Mapping[str, str], place: str) -> dict[str, str]:
        """Have files in a folder there; their paths by name."""

    def bring_home(self, logs: str, place: str, home: str) -> None:
        """Unpack the results in the folder ``logs`` in the folder ``home`` here."""


class HostPart(Watcher):
    """The part of a matrix that ``host`` does, with its files in the folder ``place`` there."""

    def __init__(
        self, helper: Helper, options: Options, share: Share, host: str, place: str
    ) -> None:
        super().__init__(host)
        self._helper = helper
        self._options = options
        self._share = share
        self._place = place
        self._machines: list[str] = []
        self._free = self._at_once = 0
        # At the host, by key: what it performs, and what waits there.
        self.at_it: dict[str, Entry] = {}
        self._done: list[dict[str, t.Any]] = []
        self._files: dict[int, dict[str, str]] = {}
        self._said = self._stopping = False
        self._orders = 0
        self._sources = SourceKeeper()

    # What the module says.

    def hear(self, lines: list[str]) -> None:
        """Take what the module says: events as JSON, and lines for people."""
        for line in lines:
            event = _event(line)
            if event is None:
                super().hear([line])
            else:
                self._take(event)

    def _take(self, event: dict[str, t.Any]) -> None:
        kind, key = event.get("event"), str(event.get("key"))
        if kind == "offer":
            self._machines = [str(name) for name in event.get("machines") or []]
            self._at_once = _whole(event.get("at_once"))
            display.display(
                f"[{self.host}] accelerator {plain(str(event.get('accelerator')))}: "
                f"{plain(str(event.get('reason')))}"
            )
            self._share.begin(known_machines(self._options, self._machines))
        elif kind == "free":
            self._free = _whole(event.get("count"))
        elif (
            kind == "line" and key in self.at_it and not str(event.get("text")).startswith("phase ")
        ):
            display.display(f"[{self.host}] [{key}] {plain(str(event.get('text')))}")
        elif kind == "done" and key in self.at_it:
            self._done.append(event)

    # What is done meanwhile.

    def turn(self) -> None:
        """Bring home what is done, and hand over what there is room for."""
        if not self._machines and not self._said:
            return
        ledger = self._share.ledger
        while self._done:
            event = self._done.pop(0)
            # It may be said twice.
            if event["key"] in self.at_it:
                self._settle(ledger, event)
        if ledger.read().get(STOPPED):
            self._stop()
        elif not self._said:
            while self._room():
                entry = ledger.take(self.host, self._can)
                if entry is None:
                    break
                self._hand_over(entry)
            if not self.at_it and not self._may_come(ledger):
                self._say("end")

    def _room(self) -> bool:
        if self._free > 0 or not self.at_it:
            return True
        # Where nobody else would take them, some lie ready for the moment when there is room.
        return len(self._options["hosts"]) <= 1 and len(self.at_it) < 2 * self._at_once

    def _can(self, entry: Entry) -> bool:
        return entry["axes"].get("machine") in self._machines

    def _may_come(self, ledger: Ledger) -> bool:
        """Whether there is, or may be once another host has failed, something to do here."""
        return any(
            self._can(entry)
            and self.host not in entry.get("tried", [])
            and entry["state"] in (WAITING, RUNNING)
            for entry in ledger.read()["combinations"]
        )

    def _hand_over(self, entry: Entry) -> None:
        key = entry["id"]
        self.at_it[key] = entry
        self._free -= 1
        project = entry["project"]
        if project not in self._files:
            files = self._share.files(project)
            self._files[project] = self._helper.lay_down(files, f"{self._place}/files/{project}")
        order = {
            "key": key,
            "fields": entry["task"],
            "files": self._files[project],
            "auxiliary": self._share.auxiliary(entry),
        }
        text = base64.b64encode(json.dumps(order).encode()).decode()
        self._orders += 1
        path = f"{self._place}/orders/{self._orders:06}.json"
        self._helper.shell(f"echo {text} | base64 -d > {path}.new && mv {path}.new {path}")

    def _settle(self, ledger: Ledger, event: dict[str, t.Any]) -> None:
        # Ours as long as its results have not come.
        entry = self.at_it[event["key"]]
        seconds = event.get("seconds")
        facts = {
            "host": self.host,
            "since": entry["since"],
            "seconds": seconds if isinstance(seconds, (int, float)) else 0.0,
        }
        culprit = event.get("culprit")
        culprit = culprit if culprit in ("none", "task", "machine", "host") else "host"
        reason = plain(str(event.get("reason") or ""))
        if event.get("logs"):
            logs = event["logs"]
            told = {"culprit": culprit, "reason": reason, **facts}
            files = self._share.files(entry["project"])
            noted = keep_results(ledger, entry, lambda home: self._bring(logs, home, files), **told)
        elif event.get("interrupted"):
            noted = note_cancelled(ledger, entry, self._why_stopped(ledger) or "it was cancelled")
        else:
            culprit = "host" if culprit == "none" else culprit
            noted = note_fault(ledger, entry, culprit, reason or "no reason was given", **facts)
        del self.at_it[entry["id"]]
        index = ledger.read()
        display.display(f"[{self.host}] {ended(index, noted)}")
        if self._options["fail_fast"] and exit_of(noted, self._options["fail_on"]) != SUCCESS:
            ledger.change(
                lambda index: index.update({STOPPED: "cancelled after the first failure"})
            )

    def _bring(self, logs: str, home: str, files: t.Mapping[str, str]) -> None:
        try:
            check_logs(logs)
            self._helper.bring_home(logs, self._place, home)
            self._sources.keep(files, home)
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            raise OSError(0, str(error)) from error

    def _why_stopped(self, ledger: Ledger) -> str:
        return str(ledger.read().get(STOPPED) or "")

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._say("stop")

    def _say(self, word: str) -> None:
        """Tell the module that no more will come, or that nothing is wanted any more."""
        self._said = True
        self._helper.shell(f": > {shlex.quote(self._place)}/orders/{word}")


def _whole(value: t.Any) -> int:
    return value if isinstance(value, int) else 0


def _event(line: str) -> dict[str, t.Any] | None:
    if line.startswith("{"):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if isinstance(found, dict) and "event" in found:
            return found
    return None
