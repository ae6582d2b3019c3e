# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Clearing away what a use of the host has left, by its own lease."""

from __future__ import annotations

import contextlib
import shutil
import typing as t

from ..controller.journal import Journal, settle
from ..errors import sentence
from ..host.host import Host
from ..host.locks import Lease
from ..vm.qemu.process import release


def clear(host: Host, lease: Lease) -> None:
    """Remove everything ``lease`` names, then the lease itself.

    What it may name: a machine (see Vm), `folders` to delete, `snapshot`, the work
    snapshot, further `snapshots`, and `journal`, a task that has to get a result.
    Raises NetworkError, CommandError, StorageError, JournalError or OSError where
    something cannot be removed or settled; the lease is kept then, for the next sweep.
    """
    record = lease.record
    release(host, record)
    if record.get("journal"):
        # Before the folder goes: the result may have arrived there.
        journal, entry = record["journal"]
        settle(Journal(journal), entry, record.get("delivery"))
    for folder in record.get("folders", []):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
    for snapshot in [record.get("snapshot"), *record.get("snapshots", [])]:
        if snapshot and host.storage.info(snapshot) is not None:
            host.storage.delete(snapshot)
    lease.end()


@contextlib.contextmanager
def leased(host: Host, **facts: t.Any) -> t.Iterator[Lease]:
    """A lease for the length of a with statement; all it names is cleared away at the end."""
    lease = host.leases.take(**facts)
    try:
        yield lease
    finally:
        try:
            clear(host, lease)
        except BaseException:
            lease.abandon()
            raise


def describe_dead(host: Host) -> list[str]:
    """Whose leavings a sweep would clear away, for people to read."""
    found = []
    for lease in host.leases.stale():
        found.append(_description(lease))
        lease.abandon()
    return found


def _description(lease: Lease) -> str:
    record = lease.record
    what = f"{record.get('what', 'work')} of process {record.get('pid', '?')}"
    return f"{what} on machine {record['machine']}" if record.get("machine") else what


def sweep(host: Host) -> list[str]:
    """Clear away what dead owners have left; one line for each, for people to read."""
    done = []
    for lease in host.leases.stale():
        what = _description(lease)
        try:
            clear(host, lease)
        except Exception as error:
            # Whatever one of the dead has left must not keep the others from being cleared away.
            lease.abandon()
            host.report(f"error: cannot clear away the dead {what}: {sentence(error)}")
        else:
            done.append(f"cleared away the dead {what}")
            host.report(f"info: {done[-1]}")
    if done:
        host.drop_dead_locks()
    return done
