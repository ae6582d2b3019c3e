# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The engine's errors: one family, whose members say who is to blame and whether to try again."""

from __future__ import annotations

import typing as t

# Who made something fail: the package, the image or its worker, this build host, a controller.
Culprit = t.Literal["none", "task", "machine", "host", "controller"]


class EngineError(Exception):
    """Something that the engine was asked for and could not do.

    The text is one sentence for a person. `culprit` is who is to blame. `temporary` says whether
    the same attempt can succeed later without anybody changing anything; whoever retries asks it.
    """

    culprit: Culprit = "host"
    temporary: bool = True

    def __init__(
        self, message: str, *, culprit: Culprit | None = None, temporary: bool | None = None
    ) -> None:
        super().__init__(message)
        if culprit is not None:
            self.culprit = culprit
        if temporary is not None:
            self.temporary = temporary


class Interrupted(Exception):
    """Nobody waits for the outcome any more. Not a fault, hence not of the family."""


def sentence(error: BaseException) -> str:
    """Return what to tell a person about `error`, whatever class it has, on one line."""
    if isinstance(error, Interrupted):
        return "nobody waits for the outcome any more: the machine was thrown away"
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, MemoryError):
        return "the build host failed: it has no memory left"
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"the build host failed: {place}{error.strerror or error}"
    # A defect: its text alone seldom says what went wrong.
    text = " ".join(str(error).split())
    return f"internal error: {type(error).__name__}{': ' if text else ''}{text}"
