# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells people, by mail and by a webhook, what is wrong with the agents, and when that ends."""

from __future__ import annotations

import sys

from bbot_alerts.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
