# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checksum that a task expects of its sources."""

from __future__ import annotations

import re

from ..errors import WorkerError

FIELD = "repository-checksum"
_CHUNK = 1 << 20


def expected(field: str, fragment: str) -> str:
    """Return the digest by the task's field and the address's fragment; empty if neither has one.

    Raises WorkerError for what is none, and for two that differ.
    """
    digests = set()
    if field:
        found = re.fullmatch("sha256:([0-9a-fA-F]{64})", field)
        if not found:
            raise WorkerError(f"{FIELD} '{field}': sha256: and 64 hexadecimal digits expected")
        digests.add(found[1].lower())
    for part in fragment.split("&") if fragment else []:
        found = re.fullmatch("sha256=([0-9a-fA-F]{64})", part)
        if not found:
            raise WorkerError(
                f"the fragment '#{fragment}' of an archive's address: sha256= and 64 hexadecimal "
                "digits expected"
            )
        digests.add(found[1].lower())
    if len(digests) > 1:
        raise WorkerError(f"{FIELD} and the fragment of the address are not the same")
    return digests.pop() if digests else ""


def of_file(path: str) -> str:
    """Return the SHA-256 digest of a file. Raises WorkerError."""
    import hashlib

    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
    except OSError as error:
        raise WorkerError(f"cannot read {path}: {error.strerror}") from None
    return digest.hexdigest()


def check(digest: str, wanted: str, what: str) -> None:
    """Raise WorkerError if the SHA-256 *digest* of *what* is not the one that is *wanted*."""
    if wanted and digest != wanted:
        raise WorkerError(f"{what} has the SHA-256 checksum {digest}, and {wanted} is expected")
