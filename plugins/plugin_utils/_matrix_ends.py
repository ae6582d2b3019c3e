# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a matrix of a play begins with, and what it comes to."""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.ledger import STOPPED
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.publish import publish
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.table import summary
from ansible_collections.bbot.agent.plugins.module_utils._engine.matrix.verdict import (
    SUCCESS,
    counts,
    exit_of_all,
    is_bad,
)

from ._matrix_share import Options, Share

# Options of task_run that say nothing here.
_NOT_OURS = (
    *("fail_on", "log_tail", "unready", "id", "task", "machine", "files"),
    # For tasks of controllers.
    "nspawn",
)

Result = dict[str, t.Any]


def known_machines(options: Options, own: t.Sequence[str] = ()) -> list[str]:
    """The machines of all hosts that tasks can be for: those that were offered, and our ``own``."""
    names = [
        str(machine["name"])
        for machine in options["offers"]
        if machine["state"] not in ("unlinked", "broken") and machine["role"] != "auxiliary"
    ]
    return list(dict.fromkeys([*names, *own]))


def arguments(options: Options, place: str) -> Result:
    """The options of the module on the host, but for its files."""
    given = {**options["machine_options"], **options["task_options"]}
    found = {name: value for name, value in given.items() if name not in _NOT_OURS}
    if options["at_once"]:
        found["at_once"] = options["at_once"]
    return {**found, "toolchain": options["toolchain"], "orders_dir": f"{place}/orders"}


def conclude(share: Share, options: Options, *, interrupted: bool = False) -> Result:
    """End the matrix, of which no host is at it any more; what the play is told of it."""
    ledger = share.ledger
    stopped = interrupted or bool(ledger.read().get(STOPPED))
    index = ledger.end(stopped=stopped)
    publish(ledger.folder, index)
    status = exit_of_all(index)
    bad = [entry["id"] for entry in index["combinations"] if is_bad(entry)]
    failure = ""
    if status != SUCCESS:
        shown = ", ".join(bad[:10]) + (f" and {len(bad) - 10} more" if len(bad) > 10 else "")
        failure = f"Of the matrix failed {shown}; see {os.path.join(ledger.folder, 'report.html')}."
    return {
        "home": ledger.folder,
        "summary": summary(index, ledger.folder),
        "failure": failure,
        "matrix": {
            "status": status,
            "counts": counts(index),
            "failed": bad,
            "results": ledger.folder,
        },
    }


def as_failure(error: EngineError) -> AnsibleActionFail:
    """An error of the engine as one of actions."""
    return AnsibleActionFail(str(error))
