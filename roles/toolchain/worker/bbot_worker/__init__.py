# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guest's half of bbot.agent: takes a task, builds it, hands back the result.

It arrives with the toolchain, as one file, while a machine is bootstrapped, and needs nothing but
a Python of 3.9 or newer with its standard library. What is not needed to ask for the task is
imported where it is used: a guest without hardware virtualisation takes a noticeable time over
each module.
"""

VERSION = "0.1.0"
