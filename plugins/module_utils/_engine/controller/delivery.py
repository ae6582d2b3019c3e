# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Hand results over to controllers, artifacts first, and never give up before they expire."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ..errors import EngineError, sentence
from ..host.host import Host
from ..host.locks import LockError
from ..records.arrived import RESULT_LIMIT
from ..records.exchange import ResultRequest
from ..records.result_size import fit
from .artifacts import UPLOAD_LIMIT, Artifact, ArtifactError, discard, repack
from .backoff import pause_after
from .journal import Entry, Journal, JournalError, Row
from .transport import ControllerError, Transport
from .urls import masked

# A controller that hangs up so often while it is sent a result of more bytes than a connection
# takes unread does not want that many.
_MOST_RESETS = 2
_LARGE = 128 << 10

# Bytes of a result that brep takes before 0.14, where it does not know agent-checksum either.
_OLD_LIMIT = 10_240_000

# Answers that refuse a request only for now (RFC 9110, RFC 6585).
_FOR_NOW = (401, 403, 407, 408, 425, 429)


@dataclasses.dataclass(frozen=True)
class Delivery:
    """What became of an attempt to deliver a result.

    - `delivered`: the controller has it
    - `held`: somebody else is about to deliver it, so that no attempt was made
    - `failed`: it does not; ``reason`` says why, for people

    The journal has when to try again.
    """

    outcome: t.Literal["delivered", "held", "failed"]
    reason: str = ""


def deliver(
    host: Host,
    journal: Journal,
    entry_id: int,
    transport: Transport,
    upload_limit: int = UPLOAD_LIMIT,
) -> Delivery:
    """Try once to deliver a queued result, with at most ``upload_limit`` bytes of artifacts.

    Whatever goes wrong is told by what is returned, and counts as a failed attempt.
    """
    try:
        try:
            with host.lock(f"upload-{entry_id}", f"upload result {entry_id}"):
                return _deliver(host, journal, entry_id, transport, upload_limit)
        except LockError as error:
            journal.postpone(entry_id, pause_after(0))
            return Delivery("held", str(error))
    except (EngineError, OSError) as error:
        # The journal, or the lock's own file. Another attempt would end in the same way.
        with contextlib.suppress(JournalError):
            journal.failed(entry_id, sentence(error), pause_after(0))
        return Delivery("failed", f"unable to deliver result {entry_id}: {sentence(error)}")


def _deliver(
    host: Host, journal: Journal, entry_id: int, transport: Transport, upload_limit: int
) -> Delivery:
    try:
        entry = journal.get(entry_id)
        if entry is None or entry.state == "delivered":
            return Delivery("delivered")
        if entry.state != "queued":
            return Delivery("failed", f"the result of task {entry_id} is not queued: {entry.state}")
        request = journal.request(entry)
    except JournalError as error:
        if error.temporary:
            raise
        journal.set_aside(entry_id, str(error))
        return Delivery("failed", f"{error}; it is set aside")
    try:
        _upload_artifacts(host, entry, transport, upload_limit)
        _upload_result(journal, entry, request, transport)
    except Exception as error:
        # A defect of ours ends here as well: it must not be met again and again without a pause.
        reason = f"unable to upload result to {masked(entry.result_url)}: {sentence(error)}"
        hung_up = isinstance(error, _HungUpError)
        journal.failed(entry.id, reason, pause_after(entry.attempts), reset=hung_up)
        return Delivery("failed", reason)
    journal.delivered(entry.id)
    if entry.logs is not None:
        discard(entry.logs)
    return Delivery("delivered")


class _HungUpError(ControllerError):
    """A controller that hung up while it was sent the result."""


def _upload_result(
    journal: Journal, entry: Entry, request: ResultRequest, transport: Transport
) -> None:
    """Upload the result, shortened as long as the controller finds it too large.

    Raises ControllerError, and JournalError.
    """
    usual = _OLD_LIMIT if entry.agent_checksum is None else RESULT_LIMIT
    text = fit(request, entry.size_limit or usual)
    resets = entry.resets
    while True:
        size = len(text.encode())
        try:
            transport.upload_result(entry.result_url, text)
            return
        except ControllerError as error:
            hung_up = error.reset and size > _LARGE
            if error.status != 413 and not (hung_up and resets + 1 >= _MOST_RESETS):
                raise _HungUpError(str(error)) if hung_up else error from error
            # Too large for this controller, whatever the usual limit is.
            shorter = fit(request, size // 2)
            if len(shorter.encode()) >= size:
                raise
        text = shorter
        resets = 0
        journal.limit(entry.id, size // 2)


def _upload_artifacts(host: Host, entry: Entry, transport: Transport, limit: int) -> None:
    """Upload what is there; what the controller refuses does not hold up the result.

    Raises ControllerError, ArtifactError for a fault of the host, and OSError.
    """
    if entry.logs is None or os.path.exists(_refusal(entry.logs)):
        return
    try:
        artifacts = repack(entry.logs, entry.upload_urls.keys(), limit)
    except ArtifactError as error:
        if error.temporary:
            raise
        host.report(f"error: {error}")
        _touch(_refusal(entry.logs))
        return
    for artifact in artifacts:
        if os.path.exists(artifact.marker):
            continue
        url = entry.upload_urls[artifact.type]
        try:
            transport.upload_artifact(url, _fields(entry, artifact), artifact.path)
        except ControllerError as error:
            if error.status is None or error.status >= 500 or error.status in _FOR_NOW:
                raise ControllerError(f"artifact {artifact.instance}: {error}") from error
            words = f"unable to upload artifact {artifact.instance} to {masked(url)}: {error}"
            host.report(f"error: {words}")
        _touch(artifact.marker)
        # It would only take the disk twice.
        os.unlink(artifact.path)


def _refusal(logs: str) -> str:
    """The file that says that the artifacts were refused, so that this is said once."""
    return os.path.join(logs, "artifacts.refused")


def _touch(path: str) -> None:
    with open(path, "w", encoding="utf-8"):
        pass


def _fields(entry: Entry, artifact: Artifact) -> dict[str, str]:
    fields = {"session": entry.session}
    if entry.answer is not None:
        fields["challenge"] = entry.answer
    return {**fields, "instance": artifact.instance, "sha256sum": artifact.sha256sum()}


def deliver_all(
    host: Host, journal: Journal, entries: t.Iterable[Row], transport: Transport
) -> dict[int, Delivery]:
    """Try once to deliver each of ``entries``; what became of each, by its number."""
    return {entry.id: deliver(host, journal, entry.id, transport) for entry in entries}
