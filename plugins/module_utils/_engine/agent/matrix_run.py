# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""A matrix performed on this host alone."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import typing as t

from ..linux.process import Runner
from ..matrix.begin import Begun
from ..matrix.publish import publish
from ..matrix.settle import keep_results, note_cancelled, note_fault
from ..matrix.states import DONE, Entry, Index
from ..matrix.table import Live, ended, plain, summary
from ..matrix.verdict import exit_of, exit_of_all
from ..task.logs import copy_results
from ..task.rerun import SourceKeeper
from .crew import Crew, Performed, default_at_once
from .performer import PATIENCE, Order, Performer
from .screen import Screen
from .settings import Settings

HOST_NAME = "localhost"
_PHASE, _GUEST = "phase ", "| "
# Seconds between two looks at what runs.
_TURN = 0.2


class MatrixRun:
    """One run of a matrix, for a person at a terminal or who reads a pipe."""

    def __init__(
        self,
        settings: Settings,
        run: Runner,
        performer: Performer,
        screen: Screen,
        wanted: t.Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._run = run
        self._performer = performer
        self._screen = screen
        self._wanted = wanted
        self._phases: dict[str, str] = {}
        self._live = Live(screen.write, _size) if screen.terminal else None
        self._running: dict[str, Entry] = {}
        self._sources = SourceKeeper()
        # Why nobody wants what is not done yet; empty as long as somebody does.
        self._stopped = ""

    def perform(self, begun: Begun, options: argparse.Namespace) -> int:
        """Do all that waits; the exit status."""
        for line in begun.said:
            self._screen.show(line)
        accelerator = self._performer.accelerator
        self._screen.show(f"accelerator {accelerator.name}: {accelerator.reason}")
        at_once = options.at_once or default_at_once(self._settings)
        crew = Crew(
            *(self._settings, self._run, accelerator, at_once, self._hear),
            patience=PATIENCE,
            hold=options.hold,
        )
        try:
            self._go(begun, crew, options)
        finally:
            crew.close()
            if not self._stopped and not self._wanted():
                self._stopped = "interrupted"
            index = begun.ledger.end(stopped=bool(self._stopped))
            publish(begun.ledger.folder, index)
            if self._live is not None:
                self._live.clear()
        status = exit_of_all(index)
        self._tell(index, begun.ledger.folder, status, as_json=options.json)
        return status

    def _go(self, begun: Begun, crew: Crew, options: argparse.Namespace) -> None:
        ledger = begun.ledger
        while True:
            if not self._wanted():
                self._stop(crew, "interrupted")
            while not self._stopped and (crew.free() or not len(crew)):
                entry = ledger.take(HOST_NAME, lambda _entry: True)
                if entry is None:
                    break
                self._running[entry["id"]] = entry
                self._phases[entry["id"]] = "in line"
                order = Order(entry["task"], begun.files(entry), begun.auxiliary(entry))
                crew.start(entry["id"], order)
            if not len(crew):
                return
            for key, done in crew.turn(_TURN):
                entry = self._end(begun, self._running.pop(key), done)
                index = ledger.read()
                if exit_of(entry, index["asked"]["fail_on"]) and options.fail_fast:
                    self._stop(crew, "cancelled after the first failure")
                self._say(ended(index, entry))
            if self._live is not None:
                self._live.draw(ledger.read(), self._phases)

    def _stop(self, crew: Crew, why: str) -> None:
        if not self._stopped:
            self._stopped = why
            crew.cancel()

    def _end(self, begun: Begun, entry: Entry, done: Performed) -> Entry:
        """Note what has become of a combination."""
        facts = {"host": HOST_NAME, "since": entry["since"], "seconds": done.seconds}
        if done.logs:
            return keep_results(
                begun.ledger,
                entry,
                lambda home: self._bring(done.logs, home, begun.files(entry)),
                culprit=done.culprit,
                reason=done.reason,
                **facts,
            )
        if done.interrupted:
            return note_cancelled(begun.ledger, entry, self._stopped or "it was cancelled")
        return note_fault(begun.ledger, entry, done.culprit, done.reason, **facts)

    def _bring(self, logs: str, home: str, files: t.Mapping[str, str]) -> None:
        copy_results(logs, home)
        self._sources.keep(files, home)

    def _hear(self, key: str, line: str) -> None:
        """Take what a combination reports: phases, and what people should know at once."""
        if line.startswith(_PHASE):
            self._phases[key] = line.removeprefix(_PHASE)
        elif line.startswith(("waiting for room", "waiting to ")):
            self._phases[key] = line
        if line.startswith(("warning: ", "error: ", "waiting ", "bootstrapping ", "saving ")):
            self._say(f"[{key}] {plain(line)}")

    def _say(self, line: str) -> None:
        if self._live is not None:
            self._live.say(line)
        else:
            self._screen.show_all([line])

    def _tell(self, index: Index, folder: str, status: int, *, as_json: bool) -> None:
        if not as_json:
            self._screen.show_all(summary(index, folder))
            if self._stopped:
                self._screen.show_all([f"to go on: bbot-agent run --resume {shlex.quote(folder)}"])
            return
        facts = [describe(entry, folder) for entry in index["combinations"]]
        json.dump({"status": status, "matrix": folder, "results": facts}, sys.stdout, indent=2)
        sys.stdout.write("\n")


def describe(entry: Entry, folder: str) -> dict[str, t.Any]:
    """A combination for programs, in the form of a task that was alone."""
    facts: dict[str, t.Any] = {
        "id": entry["id"],
        "axes": entry["axes"],
        "machine": entry["axes"]["machine"],
        "state": entry["state"],
        "culprit": entry.get("culprit", "none"),
        "reason": entry.get("reason", ""),
    }
    if entry["state"] == DONE:
        names = ("name", "version", "status", "seconds", "tests")
        facts |= {name: entry[name] for name in names}
        facts["results"] = f"{folder}/{entry['id']}"
    return facts


def _size() -> tuple[int, int]:
    size = shutil.get_terminal_size()
    return size.columns, size.lines
