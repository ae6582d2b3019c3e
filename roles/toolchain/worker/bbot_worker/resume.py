# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that was saved and goes on."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import struct
import time

from .errors import WorkerError
from .ioctls import RNDADDENTROPY, RNDRESEEDCRNG
from .tftp import TftpError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from .tftp import Tftp

# What an agent offers to a machine that it resumed from a saved state, and to no other.
RESUMED = "resumed"
_SECONDS = 10.0
# Of the boot stub's DHCP client.
DHCP_PID = "/run/udhcpc.pid"
SIGUSR1 = 10  # The module signal is slow to import.
MACHINE_ID = "/etc/machine-id"


def come_to(tftp: Tftp) -> bool:
    """Set the clock and reseed the kernel if this machine was saved before; whether it was.

    Raises WorkerError.

    A saved machine waits for the answer to this request, its first. What it believes of the
    time, and what its kernel would give out as random, is that of every machine resumed from the
    same state; a machine that was booted is refused the file.
    """
    file = io.BytesIO()
    try:
        tftp.get(RESUMED, file, _SECONDS)
    except TftpError:
        return False
    try:
        # Plain lines, so that a slow guest need not wait for the parser, too, before its task.
        lines = file.getvalue().decode().splitlines()
        fields = dict(line.split(": ", 1) for line in lines)
        time.clock_settime(time.CLOCK_REALTIME, float(fields["time"]))
        mix_in(bytes.fromhex(fields["seed"]))
    except (OSError, LookupError, ValueError) as error:
        raise WorkerError(f"cannot come to after a pause: {error!r}", "abnormal") from error
    return True


def mix_in(seed: bytes) -> None:
    """Have the kernel's random numbers depend on *seed* from now on."""
    device = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
    try:
        pool = struct.pack(f"ii{len(seed)}s", 8 * len(seed), len(seed), seed)
        # Bytes for the kernel's generator, which count; and make use of them at once.
        fcntl.ioctl(device, RNDADDENTROPY, pool)
        fcntl.ioctl(device, RNDRESEEDCRNG)
    finally:
        os.close(device)


def renew_machine_id() -> None:
    """Take an id unlike that of every machine resumed from the same state. See machine-id(5)."""
    with contextlib.suppress(FileNotFoundError), open(MACHINE_ID, "r+") as file:
        file.write(os.urandom(16).hex() + "\n")
        file.truncate()


def renew_address() -> None:
    """Have the DHCP server know that our address is in use: the machine was away for long."""
    try:
        with open(DHCP_PID) as file:
            os.kill(int(file.read()), SIGUSR1)
    except (FileNotFoundError, ProcessLookupError):
        return  # A fixed address, or another client's care.
