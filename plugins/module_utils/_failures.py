# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The engine's errors, all together, for those who turn them into one sentence."""

from __future__ import annotations

from ._command import CommandError
from ._conversation import Interrupted
from ._host import HostError
from ._journal import JournalError
from ._locks import LockError
from ._manifest import ManifestError
from ._network import NetworkError
from ._storage import StorageError
from ._tftp import TftpError
from ._vm import VmError

# What running a machine may raise, besides a defect of our own.
EXPECTED = (
    CommandError,
    HostError,
    JournalError,
    LockError,
    ManifestError,
    NetworkError,
    StorageError,
    TftpError,
    VmError,
)


def sentence(error: BaseException) -> str:
    """What to tell a person about ``error``."""
    if isinstance(error, Interrupted):
        return "nobody waits for the outcome any more: the machine was thrown away"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"the build host failed: {place}{error.strerror or error}"
    return str(error)
