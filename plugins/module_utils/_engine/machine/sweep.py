# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Clearing away what a use of the host has left, by its own lease."""

from __future__ import annotations

import contextlib
import shutil
import typing as t

from ..controller.journal import Journal, JournalError, settle
from ..errors import sentence
from ..host.bridge_port import release_port
from ..host.host import Host
from ..host.locks import Lease
from ..vm.limits import remove_groups
from ..vm.qemu.process import release
from .belongings import LeaseError, check_belongings


def clear(host: Host, lease: Lease) -> None:
    """Remove everything ``lease`` names, then the lease itself.

    What it may name: a machine (see Vm), `folders` to delete, `snapshot`, the work
    snapshot, further `snapshots`, and `journal`, a task that has to get a result.
    Raises LeaseError, with nothing touched, if it names what is not its own. Raises
    NetworkError, CommandError, StorageError, JournalError or OSError where something
    cannot be removed or settled; the lease is kept then, for the next sweep.
    """
    record = lease.record
    check_belongings(host, lease)
    release(record)
    remove_groups(record.get("groups") or [])
    release_port(host, record)
    if record.get("journal"):
        # Before the folder goes: the result may have arrived there.
        journal, entry = record["journal"]
        _settle(host, journal, entry, record.get("delivery"))
    for folder in record.get("folders") or []:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)
    for snapshot in [record.get("snapshot"), *(record.get("snapshots") or [])]:
        if snapshot:
            host.storage.discard(snapshot)
    lease.end()


def _settle(host: Host, journal: str, entry: int, delivered: str | None) -> None:
    """See to it that the task of a dead owner has a result. Raises JournalError.

    That is where trying again can help. Whatever else is wrong, with the journal's entry or with
    what a guest has sent, ends the lease all the same: it would be as wrong the next time.
    """
    try:
        settle(Journal(journal), entry, delivered)
    except Exception as error:
        if isinstance(error, JournalError) and error.temporary:
            raise
        host.report(f"error: task {entry} in the journal cannot be settled: {sentence(error)}")


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
        except LeaseError as error:
            host.leases.set_aside(lease, str(error))
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
