# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What the files are called that agent and guest exchange by TFTP.

`manifest` is the name of 2017 (bbot's agent), and our worker's. Those with a kind in them are
of bbot 0.14 and newer, from memory of it: nothing here could be tried with a worker of that age.
Whoever is served may use either.
"""

from __future__ import annotations

import os
import typing as t

OLD = "manifest"

TASK = (OLD, "task.manifest")
"""What a guest fetches."""
RESULT = (OLD, "result.manifest.lz4", "result.manifest")
"""What it uploads at last; one is enough."""
BOOTSTRAPPED = (OLD, "bootstrap.manifest")
"""What a guest uploads that has been bootstrapped; one is enough."""
ANY: tuple[str, ...] = ()
"""What an auxiliary machine uploads when it is ready: a file of any name."""

PACKED = ".lz4"
"""How names of files end that are an LZ4 frame."""


def arrived_in(folder: str, names: t.Sequence[str]) -> str | None:
    """Return the path of the first of the files `names` that is in `folder`; None without any.

    Without names, ANY, it is any file that is whole. A guest can make a name a folder, by sending
    a file to be in it: that is none of them.
    """
    if not names:
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    paths = (os.path.join(folder, name) for name in names)
    return next((path for path in paths if os.path.isfile(path)), None)
