# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The templates by name."""

from __future__ import annotations

from .fleet import FLEET
from .history import HISTORY
from .layout import LAYOUT, MESSAGE
from .parts import NOW, NOW_PARTS, PARTS
from .task import LOG, TASK, TASK_PARTS
from .trends import TRENDS

TEMPLATES = {
    "layout": LAYOUT,
    "message": MESSAGE,
    "parts": PARTS,
    "now": NOW,
    "now_parts": NOW_PARTS,
    "history": HISTORY,
    "fleet": FLEET,
    "task": TASK,
    "task_parts": TASK_PARTS,
    "log": LOG,
    "trends": TRENDS,
}
