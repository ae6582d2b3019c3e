# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Beginning a matrix, or going on with one that was interrupted."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..task.prepare import Prepared
from .asked import Asked, MatrixError
from .ledger import Ledger, folder_name, is_kept, new_index, renew
from .packing import changes, digests, prepare_all
from .plan import MACHINE, check_fields, plan, wanted_fields
from .states import Entry, Index


@dataclasses.dataclass(frozen=True)
class Begun:
    """A matrix that can be worked at: its ``ledger``, and its projects ``prepared``.

    ``said`` are lines for people.
    """

    ledger: Ledger
    prepared: list[Prepared]
    said: list[str]

    def files(self, entry: Entry) -> dict[str, str]:
        """The files for the guest of a combination, by name."""
        return self.prepared[entry["project"]].files

    def auxiliary(self, entry: Entry) -> list[str]:
        """The auxiliary machines that it wants."""
        return self.prepared[entry["project"]].auxiliary_machines


def begin(asked: Asked, prepared: list[Prepared], known: t.Sequence[str], results: str) -> Begun:
    """Make the folder of a new matrix in the folder ``results``. Raises MatrixError, OSError.

    ``known`` are the machines that there are for tasks.
    """
    combinations = plan(asked, prepared, known)
    sources = [digests(each) for each in prepared]
    index = new_index(asked.to_mapping(), combinations, sources)
    ledger = Ledger.create(os.path.join(results, folder_name()), index)
    return Begun(ledger, prepared, [f"{len(combinations)} combinations"])


def go_on(folder: str, work: str, worker: str | None, pid: int) -> Begun:
    """Go on with the matrix in ``folder``: all that has no result waits again.

    The projects are packed anew in the folder ``work``; what has changed since is said. Process
    ``pid`` is at it from now on. Raises MatrixError, PrepareError and OSError.
    """
    ledger = Ledger(folder)
    asked = read_asked(ledger.read())
    ledger.own(pid)
    prepared = prepare_all(asked, work, worker)
    sources = [digests(each) for each in prepared]

    def restart(index: Index) -> list[str]:
        again = [entry for entry in index["combinations"] if not is_kept(entry)]
        said = [f"{len(index['combinations']) - len(again)} results are kept"]
        changed: dict[str, list[Entry]] = {}
        for entry in index["combinations"]:
            project = _project(entry, prepared)
            fields = wanted_fields(asked, prepared[project], entry["axes"])
            for what in changes(entry, fields, sources[project]):
                label = f"{what} of {entry['axes'].get('project', entry['id'])}"
                changed.setdefault(label, []).append(entry)
            if not is_kept(entry):
                check_fields(fields)
                renew(entry)
                entry.update(task=fields, sources=sources[project])
        for label, entries in changed.items():
            kept = sum(map(is_kept, entries))
            new = len(entries) - kept
            # Of what is not done again nobody needs to know.
            if new and kept:
                said.append(
                    f"warning: the {label} has changed: {kept} kept results are of the former one, "
                    f"the {new} that are done now of the new one"
                )
            elif new:
                said.append(f"warning: the {label} has changed since the matrix began")
        return [*said, f"{len(again)} combinations are to be done"]

    return Begun(ledger, prepared, ledger.change(restart))


def read_asked(index: Index) -> Asked:
    """What the matrix with this ``index`` was asked for. Raises MatrixError."""
    return Asked.from_mapping(index["asked"])


def _project(entry: Entry, prepared: t.Sequence[Prepared]) -> int:
    number: int = entry["project"]
    if not 0 <= number < len(prepared) or MACHINE not in entry["axes"]:
        raise MatrixError(f"the index does not say what {entry['id']} is made of")
    return number
