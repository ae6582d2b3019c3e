# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the machine itself has to say when a command fails: no memory, no disk."""

from __future__ import annotations

import contextlib
import os
import re

_KERNEL_LOG = "/dev/kmsg"
_OOM = re.compile(r"(?:Out of memory|Memory cgroup out of memory): Killed process \d+ \(([^)]*)\)")
# Less than that, in bytes and files, and nothing can be built.
_DISK_LEAST = 16 << 20
_FILES_LEAST = 64
# More messages are not looked through: a build may write them, too.
_LINES_MOST = 10_000


class Guest:
    """Watches the machine while it does one operation in the directory *work*."""

    def __init__(self, work: str, kernel_log: str = _KERNEL_LOG) -> None:
        self._places = (work, "/tmp", "/var/tmp")
        self._killed: list[str] = []
        self._log: int | None = None
        # Only root may read it, and only in a machine of our own is it about our build.
        with contextlib.suppress(OSError):
            self._log = os.open(kernel_log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self._log, 0, os.SEEK_END)

    def close(self) -> None:
        if self._log is not None:
            os.close(self._log)
            self._log = None

    def trouble(self) -> str:
        """Return what the machine has run out of, as a sentence; empty if of nothing."""
        return self._memory() or self._disk()

    def _memory(self) -> str:
        self._killed += [name for line in self._kernel_lines() for name in _OOM.findall(line)]
        if not self._killed:
            return ""
        names = ", ".join(dict.fromkeys(self._killed))
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
        return (
            f"out of memory: the kernel killed {names}; this machine "
            f"has {size} MB (more by the option 'ram', less need of it by config.bbot.jobs)"
        )

    def _kernel_lines(self) -> list[str]:
        """The kernel's messages since the last look."""
        lines: list[str] = []
        if self._log is None:
            return lines
        for _dummy in range(_LINES_MOST):
            try:
                data = os.read(self._log, 8192)  # One message each time.
            except BrokenPipeError:
                continue  # Some were overwritten before they were read.
            except OSError:
                break
            if not data:
                break
            lines.append(data.decode("utf-8", "replace"))
        return lines

    def _disk(self) -> str:
        for place in self._places:
            with contextlib.suppress(OSError):
                status = os.statvfs(place)
                size, left = (
                    count * status.f_frsize >> 20 for count in (status.f_blocks, status.f_bavail)
                )
                if status.f_bavail * status.f_frsize < min(_DISK_LEAST, size << 17):
                    return f"out of disk: {left} of {size} MB are left at {place} in this machine"
                if status.f_files and status.f_favail < _FILES_LEAST:
                    return f"out of disk: no more files can be made at {place} in this machine"
        return ""
