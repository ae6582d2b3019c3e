# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network interfaces by ip(8), in the namespace of the caller."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import typing as t


def ip(*words: str) -> str:
    """What ip(8) prints; subprocess.CalledProcessError if it fails."""
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def link(name: str, *kind: str) -> t.Iterator[str]:
    """An interface of this type, which may come with arguments, for a with statement."""
    ip("link", "add", name, "type", *kind)
    try:
        yield name
    finally:
        # With its other end, or the namespace that this was in, it goes by itself, some time.
        subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)
        assert name not in {each for _dummy, each in socket.if_nameindex()}
