# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""After a crash or a power cut: what the dead have left is removed, their tasks get results.

What belongs to a living process is not touched, nor is what another toolchain's agent
has left without a lease.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
import typing as t

from ..controller.journal import Journal, settle
from ..errors import sentence
from ..host.host import Host
from ..host.locks import lease_name
from ..machine.inventory import subfolders
from ..machine.suspended import SUFFIX, Suspensions
from ..machine.sweep import sweep
from ..task.logs import LOGS_NAME

# A task that was asked for in a play may wait so long, in seconds, to be performed.
_GRACE = 3600.0

# bbot's form of temporary names: process and counter. The RAM of a template lies beside it.
_WORK = re.compile(r"([0-9]{1,7})-[0-9]+(?:\.ram)?")
# No process has a higher number (proc(5), pid_max).
_MOST_PROCESSES = 1 << 22


def recover(host: Host, journal: Journal, suspensions: Suspensions) -> None:
    """Clear away what dead owners have left, and settle the tasks that nobody performs any more.

    What cannot be cleared away or settled is reported. Raises JournalError.
    """
    sweep(host)
    settle_orphans(host, journal)
    suspensions.prune()


def settle_orphans(host: Host, journal: Journal) -> None:
    """See to it that tasks that nobody performs any more have results.

    One that cannot be settled is reported, and does not keep others from being so. Raises
    JournalError if the journal cannot be read.
    """
    for line in journal.set_aside_damaged():
        host.report(f"error: {line}")
    living = [lease_name(*lease) for lease in host.leases.records().items()]
    for entry in journal.orphans(living, _GRACE):
        what = f"task {entry.title} on machine {entry.machine}"
        try:
            settle(journal, entry.id)
        except Exception as error:
            host.report(f"error: {what} cannot be given a result: {sentence(error)}")
        else:
            host.report(f"warning: {what} was interrupted")


def remove_leftovers(host: Host, suspensions: Suspensions, toolchain: str) -> None:
    """Remove work snapshots and folders of ``toolchain`` that no lease names any more.

    There are such where the folder of leases was lost, and behind bbot's own agents. What
    cannot be removed is reported.
    """
    kept = {each.hardware.directory for each in suspensions.all()}
    for record in host.leases.records().values():
        kept |= {path for path in [record.get("snapshot"), *record.get("snapshots", [])] if path}
    for directory in _machine_folders(host.machines):
        _tidy(host, directory)
        prefix = f"{os.path.basename(directory)}-{toolchain}"
        for path in subfolders(directory):
            name = os.path.basename(path)
            rest = name.removeprefix(prefix)
            if rest == name or path in kept or _is_bootstrapped(host, directory, name):
                continue
            if rest.startswith(SUFFIX) or (rest.startswith("-") and _is_dead(rest[1:])):
                _delete(host, path)
    for kind in ("build", "bootstrap"):
        for path in subfolders(os.path.join(host.tftp, kind)):
            name = os.path.basename(path)
            if name.startswith(f"{toolchain}-") and _is_dead(name.removeprefix(f"{toolchain}-")):
                shutil.rmtree(path, ignore_errors=True)
                host.report(f"info: removed the left-over folder {path}")


def _is_bootstrapped(host: Host, directory: str, name: str) -> bool:
    """Return whether ``name`` in ``directory`` is a machine bootstrapped for a toolchain.

    Former versions took toolchains' names with dashes, such as `stage-20261128-1`.
    """
    toolchain = name.removeprefix(f"{os.path.basename(directory)}-")
    return os.path.lexists(os.path.join(host.tftp, "toolchains", toolchain))


def remove_old_logs(host: Host, directory: str, age: float) -> None:
    """Remove the folders of logs that are older than ``age`` seconds; 0 keeps them all."""
    if not age:
        return
    limit = time.time() - age
    for path in subfolders(directory):
        if not LOGS_NAME.fullmatch(os.path.basename(path)):
            continue
        # Another agent may be removing it as well.
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_mtime < limit:
                shutil.rmtree(path, ignore_errors=True)
                host.report(f"info: removed the old logs {path}")


def _machine_folders(machines: str) -> t.Iterator[str]:
    for volume in subfolders(machines, links=True):
        yield from subfolders(volume, links=True)


def _is_dead(name: str) -> bool:
    """Whether ``name`` is a temporary one, of a process that is no more."""
    match = _WORK.fullmatch(name)
    if match is None or int(match[1]) > _MOST_PROCESSES:
        return False
    return not os.path.exists(f"/proc/{match[1]}")


def _tidy(host: Host, directory: str) -> None:
    try:
        for path in host.storage.tidy(directory):
            host.report(f"info: removed the half-made {path}")
    except Exception as error:
        host.report(f"error: cannot remove what is half-made in {directory}: {sentence(error)}")


def _delete(host: Host, path: str) -> None:
    try:
        if host.storage.discard(path):
            host.report(f"info: deleted the left-over snapshot {path}")
    except Exception as error:
        host.report(f"error: cannot delete the left-over snapshot {path}: {sentence(error)}")
