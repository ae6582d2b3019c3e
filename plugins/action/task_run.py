# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: run the module task_run and show its progress live."""

from __future__ import annotations

from ansible_collections.bbot.agent.plugins.plugin_utils._follow import FollowedAction


class ActionModule(FollowedAction):
    """Follows the module task_run."""
