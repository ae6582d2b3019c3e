# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the action plugins of one matrix share, one for each host of the play.

They are processes of their own. Whoever comes first reads, packs and plans for all of them, in a
folder of the control node that all know.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    sentence,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.asked import (
    Asked,
    common_of,
    find_projects,
    read_configs,
    read_patterns,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.begin import begin, go_on
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.ledger import Ledger
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.packing import prepare_all
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.plan import plan
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.states import Entry
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.prepare import Prepared

from ._prepare import OPTIONS, WORKER, tell_prepared

display = Display()

_BEGUN = "begun.json"
Options = t.Mapping[str, t.Any]


class Share:
    """The folder for the task ``key`` of a play, on whose matrix ``host`` works."""

    def __init__(self, options: Options, key: str, host: str) -> None:
        self._options = options
        self._host = host
        self.folder = os.path.join(C.DEFAULT_LOCAL_TMP, f"bbot-matrix-{key}")
        self._facts: dict[str, t.Any] = {}
        self._ledger: Ledger | None = None
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    @contextlib.contextmanager
    def _alone(self) -> t.Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(os.path.join(self.folder, "lock"), flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def begin(self, known: t.Sequence[str]) -> None:
        """Have the matrix begun, unless another host has. Raises AnsibleActionFail.

        ``known`` are the machines of all hosts.
        """
        path = os.path.join(self.folder, _BEGUN)
        with self._alone():
            if not os.path.exists(path):
                try:
                    facts = self._begin(known)
                except (EngineError, OSError) as error:
                    # The others are not to try it again.
                    facts = {"error": sentence(error)}
                with open(path, "w", encoding="utf-8") as file:
                    json.dump(facts, file)
            with open(path, encoding="utf-8") as file:
                self._facts = json.load(file)
        if "error" in self._facts:
            raise AnsibleActionFail(self._facts["error"])

    def _begin(self, known: t.Sequence[str]) -> dict[str, t.Any]:
        options, work = self._options, os.path.join(self.folder, "work")
        os.mkdir(work)
        if options["resume"]:
            place = os.path.join(options["directory"], os.path.expanduser(options["resume"]))
            begun = go_on(os.path.normpath(place), work, self._worker, os.getppid())
        else:
            asked = read_asked(options)
            prepared = self._prepare(asked, work)
            results = os.path.normpath(os.path.join(options["directory"], options["results"]))
            begun = begin(asked, prepared, known, results)
            begun.ledger.own(os.getppid())
        for line in begun.said:
            self._say(line)
        return {
            "folder": begun.ledger.folder,
            "files": [each.files for each in begun.prepared],
            "auxiliary": [each.auxiliary_machines for each in begun.prepared],
        }

    def check(self, known: t.Sequence[str]) -> list[str]:
        """Return the ids of the combinations that there would be. Raises AnsibleActionFail."""
        work = os.path.join(self.folder, "work")
        os.mkdir(work)
        try:
            if self._options["resume"]:
                index = Ledger(self._options["resume"]).read()
                return [entry["id"] for entry in index["combinations"]]
            asked = read_asked(self._options)
            return [each.id for each in plan(asked, self._prepare(asked, work), known)]
        except (EngineError, OSError) as error:
            raise AnsibleActionFail(sentence(error)) from None

    def _prepare(self, asked: Asked, work: str) -> list[Prepared]:
        prepared = prepare_all(asked, work, self._worker)
        for each in prepared:
            tell_prepared(each, self._host)
        return prepared

    @property
    def _worker(self) -> str | None:
        return WORKER if self._options["toolchain"] == "default" else None

    def _say(self, line: str) -> None:
        if line.startswith("warning: "):
            display.warning(line.removeprefix("warning: "))
        else:
            display.display(f"[{self._host}] {line}")

    @property
    def begun(self) -> bool:
        """Whether there is something to be performed."""
        return "folder" in self._facts

    @property
    def ledger(self) -> Ledger:
        """The index of the matrix that was begun."""
        if self._ledger is None:
            self._ledger = Ledger(self._facts["folder"])
        return self._ledger

    def files(self, project: int) -> dict[str, str]:
        """The files of a project for its guests, on this node, by name."""
        files: dict[str, str] = self._facts["files"][project]
        return files

    def auxiliary(self, entry: Entry) -> list[str]:
        """The auxiliary machines of a combination."""
        names: list[str] = self._facts["auxiliary"][entry["project"]]
        return names

    def leave(self, hosts: t.Collection[str]) -> bool:
        """Note that this host is at it no more; whether all of the ``hosts`` are not."""
        return set(hosts) <= self.ledger.leave(self._host)


def read_asked(options: Options) -> Asked:
    """What the options ask for. Raises MatrixError."""
    directory, task = options["directory"], options["task"]
    tasks = [*(options["tasks"] if isinstance(options["tasks"], list) else [options["tasks"]])]
    tasks += task if isinstance(task, list) else [] if task in (None, "") else [task]
    source = options["source"]
    sources = source if isinstance(source, list) else [source] if source else []
    machines = read_patterns(options["machines"])
    if not machines and options["machine"]:
        machines = (options["machine"],)
    return Asked(
        projects=find_projects(tasks, [str(each) for each in sources], directory),
        configs=read_configs(options["configs"]),
        machines=machines,
        directory=directory,
        config=options["config"],
        common=common_of({name: options[name] for name in OPTIONS}),
        variables=options["matrix"],
        fail_on=options["fail_on"],
    )
