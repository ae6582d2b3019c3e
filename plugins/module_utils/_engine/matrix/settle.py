# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What has become of one combination, noted in the index, with its results beside it."""

from __future__ import annotations

import os
import shutil
import typing as t

from ..errors import sentence
from .collect import NoResults, collect
from .ledger import Ledger
from .states import CANCELLED, DONE, FAILED, Entry

# Where results are until all of them have come.
_PART = ".part"


def keep_results(
    ledger: Ledger, entry: Entry, bring: t.Callable[[str], None], **facts: t.Any
) -> Entry:
    """Have ``bring`` lay the results of a combination down in a folder, and note that it is done.

    ``facts`` say what is not in there: `culprit`, `reason`, `seconds`, `host` and `since`.
    Results that cannot be had are a fault of the host. Returns what is noted.
    """
    home = os.path.join(ledger.folder, entry["id"])
    part = f"{home}{_PART}"
    try:
        _remove(part)
        bring(part)
        found = collect(part)
        # What an attempt before has left.
        _remove(home)
        os.rename(part, home)
    except (NoResults, OSError) as error:
        _remove(part)
        told = {**facts, "culprit": "host", "reason": sentence(error)}
        return ledger.settle(entry["id"], FAILED, **told)
    return ledger.settle(entry["id"], DONE, **found, **facts)


def note_fault(ledger: Ledger, entry: Entry, culprit: str, reason: str, **facts: t.Any) -> Entry:
    """Note that a combination has no result, by a fault of a machine or a host."""
    told = {**facts, "culprit": culprit, "reason": reason}
    return ledger.settle(entry["id"], FAILED, **told)


def note_cancelled(ledger: Ledger, entry: Entry, reason: str) -> Entry:
    """Note that nobody wants a combination any more."""
    return ledger.settle(entry["id"], CANCELLED, reason=reason)


def _remove(folder: str) -> None:
    if os.path.lexists(folder):
        shutil.rmtree(folder)
