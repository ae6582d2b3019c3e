# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the worker's package together as one file that Python runs: a zipapp.

    python3 pack_worker.py <folder of the worker> <file to write>

The same sources give the same bytes wherever and whenever they are packed, so that machines are
bootstrapped anew only for another worker. Nothing is compressed: zlib's output is not the same
everywhere.
"""

from __future__ import annotations

import io
import os
import sys
import zipfile

# The earliest time that a zip archive can tell.
_TIME = (1980, 1, 1, 0, 0, 0)


def pack(folder: str) -> bytes:
    """Return the archive of the Python files in *folder* and below it. Raises OSError."""
    buffer = io.BytesIO()
    buffer.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        for path in sorted(_python_files(folder)):
            entry = zipfile.ZipInfo(path.replace(os.sep, "/"), _TIME)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix, wherever this runs.
            with open(os.path.join(folder, path), "rb") as file:
                archive.writestr(entry, file.read())
    return buffer.getvalue()


def _python_files(folder: str) -> list[str]:
    return [
        os.path.relpath(os.path.join(place, name), folder)
        for place, _folders, names in os.walk(folder)
        for name in names
        if name.endswith(".py")
    ]


def main() -> int:
    if len(sys.argv) != 3:
        sys.stderr.write(f"usage: {sys.argv[0]} <folder of the worker> <file to write>\n")
        return 2
    try:
        data = pack(sys.argv[1])
        with open(sys.argv[2], "wb") as file:
            file.write(data)
    except OSError as error:
        sys.stderr.write(f"error: the worker cannot be packed: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
