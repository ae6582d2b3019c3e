# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a container stands on, made in the process that becomes it: its root, its network."""

from __future__ import annotations

import dataclasses
import os

from ...linux.mounts import (
    hide_mounts,
    make_read_only,
    mount_image,
    mount_memory,
    mount_overlay,
    mount_shifted,
)
from ...network.wire import lay
from .disk import DISK, STAGE, TREE

# The ids of a container's users are these of the host, by its place; nobody else has them
# (systemd's docs/UIDS-GIDS.md: a range for containers).
IDS = 65536
_FIRST = 0x60000000
# Where the root is, from the machine's directory.
# Of systemd-nspawn, on the host.
_RUN = "/run/systemd/nspawn"
ROOT = os.path.join(STAGE, "root")


def first_id(place: int) -> int:
    """Return the id on the host of the root of a container at this `place`, from 0 on."""
    return _FIRST + place * IDS


@dataclasses.dataclass(frozen=True)
class Stage:
    """What the process makes for itself before it becomes the container's program.

    `directory` is the machine's, `first` the id of its root on the host, `port` the name of its
    port in the segment that the process is in, `mac` its Ethernet address.
    """

    directory: str
    first: int
    port: str
    mac: str

    def set(self) -> None:
        """Make it; all of it goes with the process. Raises OSError, CommandError, NetworkError."""
        lay(self.port, self.mac)
        hide_mounts()
        tree, stage = (os.path.join(self.directory, each) for each in (TREE, STAGE))
        os.makedirs(stage, exist_ok=True)
        mount_memory(stage)
        root, lower, disk = (os.path.join(stage, name) for name in ("root", "lower", "disk"))
        for each in (root, lower, disk):
            os.mkdir(each)
        image = os.path.join(tree, DISK)
        if os.path.exists(image):
            mount_shifted(os.path.join(tree, "root"), lower, self.first, IDS)
            mount_image(image, disk)
            upper, work = os.path.join(disk, "upper"), os.path.join(disk, "work")
            os.mkdir(upper)
            os.chmod(upper, 0o755)
            os.chown(upper, self.first, self.first)
            os.mkdir(work)
            mount_overlay(root, lower, upper, work)
        else:
            # What is installed now is to stay.
            mount_shifted(os.path.join(tree, "root"), root, self.first, IDS)
        # systemd-nspawn leaves folders there.
        os.makedirs(_RUN, exist_ok=True)
        mount_memory(_RUN)
        # And waits for a udev that may not be there, unless nobody can write there.
        make_read_only("/sys")
