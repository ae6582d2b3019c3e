# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What is reported while a task is performed, kept among its logs for `bbot-agent log`."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t

from ..host.bounded_file import BoundedFile
from ..host.host import Host
from ..linux.private import make_private

# In the folder of a task's logs.
FILE = "agent.log"


@contextlib.contextmanager
def task_log(host: Host, logs: str) -> t.Iterator[Host]:
    """Give a host like ``host``, all reports of which are kept in the folder ``logs``, too.

    Each line has the time before it. That it cannot be written is no error. Raises OSError if
    the folder cannot be made.
    """
    make_private(logs)
    with contextlib.closing(BoundedFile(os.path.join(logs, FILE))) as file:

        def report(line: str) -> None:
            file.write(f"{time.strftime('%H:%M:%S')} {line}")
            host.report(line)

        yield dataclasses.replace(host, report=report)
