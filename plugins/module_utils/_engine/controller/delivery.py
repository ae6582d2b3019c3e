# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Hand results over to controllers, artifacts first, and never give up before they expire."""

from __future__ import annotations

import os
import random
import typing as t

from ..host.host import Host
from ..host.locks import LockError
from ..records.result_size import fit
from .artifacts import Artifact, ArtifactError, repack
from .journal import Entry, Journal, JournalError, Row
from .transport import RESULT_LIMIT, ControllerError, Transport

# Seconds until the next attempt: at first, and at most.
_PAUSE, _PAUSE_MOST = 5.0, 600.0


def pause_after(attempts: int, first: float = _PAUSE, most: float = _PAUSE_MOST) -> float:
    """How long to wait after so many failures: doubled by each, give or take a fifth."""
    return min(first * 2.0 ** min(attempts, 30), most) * random.uniform(0.8, 1.2)


def deliver(host: Host, journal: Journal, entry_id: int, transport: Transport) -> str | None:
    """Try once to deliver a queued result; None if the controller has it, else the reason.

    What somebody else is delivering, or has delivered, is none of our business any more.
    Raises JournalError.
    """
    try:
        with host.lock(f"upload-{entry_id}", f"upload result {entry_id}"):
            entry = journal.get(entry_id)
            if entry is None or entry.state != "queued":
                return None
            return _attempt(host, journal, entry, transport)
    except LockError:
        return None


def _attempt(host: Host, journal: Journal, entry: Entry, transport: Transport) -> str | None:
    text = ""
    try:
        _upload_artifacts(host, entry, transport)
        text = fit(journal.request(entry), entry.size_limit or RESULT_LIMIT)
        transport.upload_result(entry.result_url, text)
    except (ControllerError, JournalError, OSError) as error:
        # Too large for this controller, whatever the usual limit is.
        too_large = isinstance(error, ControllerError) and error.status == 413
        limit = len(text.encode()) // 2 if too_large and text else None
        reason = f"unable to upload result to {entry.result_url}: {error}"
        journal.failed(
            entry.id, reason, 0 if limit else pause_after(entry.attempts), size_limit=limit
        )
        return reason
    journal.delivered(entry.id)
    return None


def _upload_artifacts(host: Host, entry: Entry, transport: Transport) -> None:
    """Upload what is there; what the controller refuses does not hold up the result."""
    if entry.logs is None:
        return
    try:
        artifacts = repack(os.path.join(entry.logs, "artifacts"), entry.upload_urls.keys())
    except ArtifactError as error:
        host.report(f"error: {error}")
        return
    for artifact in artifacts:
        if os.path.exists(artifact.marker):
            continue
        url = entry.upload_urls[artifact.type]
        try:
            transport.upload_artifact(url, _fields(entry, artifact), artifact.path)
        except ControllerError as error:
            if error.status is None or error.status >= 500:
                raise ControllerError(f"artifact {artifact.instance}: {error}") from error
            host.report(f"error: unable to upload artifact {artifact.instance} to {url}: {error}")
        with open(artifact.marker, "w", encoding="utf-8"):
            pass


def _fields(entry: Entry, artifact: Artifact) -> dict[str, str]:
    fields = {"session": entry.session}
    if entry.answer is not None:
        fields["challenge"] = entry.answer
    return {**fields, "instance": artifact.instance, "sha256sum": artifact.sha256sum()}


def deliver_all(
    host: Host, journal: Journal, entries: t.Iterable[Row], transport: Transport
) -> dict[int, str]:
    """Try once to deliver each of ``entries``; the reasons of those that could not be."""
    reasons = {}
    for entry in entries:
        try:
            reason = deliver(host, journal, entry.id, transport)
        except JournalError as error:
            reason = str(error)
        if reason is not None:
            reasons[entry.id] = reason
    return reasons
