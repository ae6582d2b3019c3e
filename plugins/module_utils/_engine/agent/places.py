# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The build host as options describe it."""

from __future__ import annotations

import typing as t

from ..host.host import Host
from ..linux.process import Runner
from ..network.egress import choose_egress
from ..storage.choose import make_storage
from .settings import Places


def make_host(places: Places, run: Runner, report: t.Callable[[str], None]) -> Host:
    """Return the build host as the options describe it; `report` is told what goes on."""
    return Host(
        run=run,
        storage=make_storage(places.storage),
        machines=places.machines,
        tftp=places.tftp,
        state=places.state_dir,
        runtime=places.runtime_dir,
        bridge=places.bridge,
        egress=choose_egress(
            places.egress, places.egress_refused, places.resolver, places.egress_proxy
        ),
        reserve=places.disk_reserve,
        user=places.user,
        report=report,
    )
