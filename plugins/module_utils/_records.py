# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Typed manifests: everything that agents, workers and controllers tell each other, as dataclasses.

Each has `parse()` (from text), `from_manifests()`, `to_manifests()` and `to_text()`; those that are
a single manifest also `from_manifest()` and `to_manifest()`. Unknown fields are kept in their
places, or rejected with `strict`. Errors are `ManifestError` with a place: the name's if the field
should not be there, the value's if that is wrong. No I/O is done here.

This file is the front of several small ones.
"""

from __future__ import annotations

from ._record_base import Message
from ._record_exchange import ResultRequest, TaskRequest, TaskResponse
from ._record_machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineHeader,
    MachineManifest,
    ToolchainManifest,
)
from ._record_result import OperationResult, Result
from ._record_task import Task
from ._record_values import Status, join_words, split_words

__all__ = [
    "BootstrapResult",
    "BootstrappedMachine",
    "MachineHeader",
    "MachineManifest",
    "Message",
    "OperationResult",
    "Result",
    "ResultRequest",
    "Status",
    "Task",
    "TaskRequest",
    "TaskResponse",
    "ToolchainManifest",
    "join_words",
    "split_words",
]
