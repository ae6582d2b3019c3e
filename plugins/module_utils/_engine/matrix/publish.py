# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The reports in the folder of a matrix, for people and for programs."""

from __future__ import annotations

import os

from .junit import render as render_junit
from .report import render as render_page
from .states import Index

PAGE, JUNIT = "report.html", "junit.xml"


def publish(folder: str, index: Index) -> None:
    """Write the reports on a matrix to its ``folder``, in the place of old ones. Raises OSError."""
    contents = {
        PAGE: render_page(index, folder).encode(errors="replace"),
        JUNIT: render_junit(index, folder),
    }
    for name, content in contents.items():
        path = os.path.join(folder, name)
        with open(f"{path}.new", "wb") as file:
            file.write(content)
        os.replace(f"{path}.new", path)
