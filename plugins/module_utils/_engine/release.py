# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Which version of the agent this is."""

from __future__ import annotations

# As in galaxy.yml and in the worker.
VERSION = "0.1.0"
