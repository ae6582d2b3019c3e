# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The folder of a task's logs: task, result, and a file for each operation."""

from __future__ import annotations

import json
import os
import re
import shutil
import time

from ..controller.artifacts import FILE as ARCHIVE
from ..controller.artifacts import ArtifactError, unpack
from ..host.host import Host
from ..linux.private import make_private
from ..records.report import TaskReport
from ..records.result import Result
from ..records.task import Task
from .perform import Outcome, files_below


def logs_name(what: str) -> str:
    """The name of a new folder for the logs of ``what``."""
    return f"{what}-{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}"


# What logs_name() makes: only such folders are removed when they are old.
LOGS_NAME = re.compile(r".+-\d{8}T\d{6}-\d+")


# What else is in a folder of logs: an operation of such a name must not replace it.
_RESERVED = {"agent", "artifacts", "bootstrap", "machine", "report", "result", "task"}


def log_names(result: Result) -> dict[str, str]:
    """The log file of each operation: the guest chose the operations' names, not we."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for number, operation in enumerate(result.logs):
        name = re.sub("[^A-Za-z0-9_.+-]", "_", operation).lstrip(".")[:100] or "_"
        if name.partition(".")[0].lower() in _RESERVED:
            name = f"operation-{name}"
        while name in taken:
            name = f"{name}.{number}"
        taken.add(name)
        names[operation] = f"{name}.log"
    return names


def write_logs(outcome: Outcome, task: Task, logs: str) -> dict[str, str]:
    """Write task, result and operation logs to ``logs``; every file there, by name."""
    texts = {"task.manifest": task.to_text(), "result.manifest": outcome.result.to_text()}
    names = log_names(outcome.result)
    texts |= {names[each.operation]: each.log for each in outcome.result.operations}
    if outcome.report != TaskReport():
        texts["report.json"] = json.dumps(outcome.report.to_mapping(), indent=2)
    make_private(logs)
    for name, text in texts.items():
        with open(os.path.join(logs, name), "w", encoding="utf-8", newline="") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text if text.endswith("\n") or not text else f"{text}\n")
    return files_below(logs)


def lay_out_artifacts(host: Host, outcome: Outcome, logs: str) -> None:
    """Make single files of the worker's archive; what of it cannot be had is told."""
    folder = os.path.join(logs, "artifacts")
    reported = {each.path: (each.size, each.sha256) for each in outcome.report.artifacts}
    if not reported or not os.path.isfile(os.path.join(folder, ARCHIVE)):
        return
    try:
        missing = sorted(set(reported) - set(unpack(folder, reported)))
    except ArtifactError as error:
        host.report(f"warning: {error}")
        return
    if missing:
        host.report(f"warning: {len(missing)} artifacts did not arrive, such as {missing[0]}")
    else:
        os.unlink(os.path.join(folder, ARCHIVE))


def copy_results(logs: str, home: str) -> None:
    """Copy the files in ``logs`` and below it to the new folder ``home``, readable for all.

    What is no file stays behind. Raises OSError.
    """
    os.makedirs(home)
    for place, _folders, files in os.walk(logs):
        folder = os.path.normpath(os.path.join(home, os.path.relpath(place, logs)))
        os.makedirs(folder, exist_ok=True)
        for name in files:
            path = os.path.join(place, name)
            if os.path.isfile(path) and not os.path.islink(path):
                target = os.path.join(folder, name)
                shutil.copyfile(path, target)
                os.chmod(target, 0o755 if os.stat(path).st_mode & 0o111 else 0o644)
