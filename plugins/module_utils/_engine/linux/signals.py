# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Signals as events of a loop (signal(7)): a descriptor becomes readable when one has come."""

from __future__ import annotations

import contextlib
import os
import signal
import types
import typing as t


class Signals:
    """Collects the signals ``numbers`` for the length of a with statement."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = numbers
        self._come: list[signal.Signals] = []

    def __enter__(self) -> Signals:
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._former = {number: signal.signal(number, self._note) for number in self._numbers}
        self._former_fd = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        return self

    def _note(self, number: int, _frame: types.FrameType | None) -> None:
        self._come.append(signal.Signals(number))

    def fileno(self) -> int:
        """The descriptor."""
        return self._read

    def take(self) -> list[signal.Signals]:
        """The signals that have come, in order, each told once."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass
        come, self._come = self._come, []
        return come

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(self._former_fd)
        for number, handler in self._former.items():
            signal.signal(number, t.cast("t.Any", handler))
        os.close(self._read)
        os.close(self._write)
