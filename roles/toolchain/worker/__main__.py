# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Python runs when it is given this folder, the one file made of it, or this file alone."""

import sys

folder = __file__.rpartition("/")[0]
if folder not in sys.path:
    sys.path.append(folder)

from bbot_worker.main import main

sys.exit(main(sys.argv[1:]))
