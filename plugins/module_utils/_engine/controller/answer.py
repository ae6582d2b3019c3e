# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""Answers of controllers that are not cut off: http.client takes what is for complete."""

from __future__ import annotations

import http.client
import typing as t


class _Headers:
    """What an answer is read from, which notices when that ends."""

    def __init__(self, file: t.Any) -> None:
        self.file = file
        self.ended = False

    def readline(self, *limit: int) -> bytes:
        """Return the next line, empty at the end."""
        line: bytes = self.file.readline(*limit)
        self.ended |= not line
        return line

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self.file, name)


class WholeAnswer(http.client.HTTPResponse):
    """An answer of HTTP whose headers are all there."""

    fp: t.Any

    def begin(self) -> None:
        """Read status and headers. Raises HTTPException."""
        headers = self.fp = _Headers(self.fp)
        try:
            super().begin()
        finally:
            if self.fp is headers:
                self.fp = headers.file
        if headers.ended:
            raise http.client.HTTPException("the answer ended before its headers did")
