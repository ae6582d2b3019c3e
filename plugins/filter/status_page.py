# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter that makes a page about build hosts."""

from __future__ import annotations

import time
import typing as t

from ansible.errors import AnsibleFilterError
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.fleet import fleet_page


def status_page(hosts: t.Any) -> str:
    """Return the page about ``hosts``, of which each has a `status`, and `trouble`."""
    if not isinstance(hosts, t.Mapping) or not all(
        isinstance(each, t.Mapping) for each in hosts.values()
    ):
        raise AnsibleFilterError(
            "bbot.agent.status_page wants a mapping of hosts, of which each is a mapping of status "
            f"and trouble, and not {type(hosts).__name__}"
        )
    return fleet_page(hosts, time.time())


class FilterModule:
    """Registers the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """The filters of this plugin, by name."""
        return {"status_page": status_page}
