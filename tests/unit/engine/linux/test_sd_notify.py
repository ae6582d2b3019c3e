# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the service manager is told."""

from __future__ import annotations

import os
import socket
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.sd_notify import (
    ServiceManager,
)


class TestServiceManager:
    @pytest.fixture
    def manager(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Iterator[socket.socket]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(tmp_path / "notify"))
            sock.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
            monkeypatch.setenv("WATCHDOG_USEC", "3000000")
            monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
            yield sock

    def test_it_is_told(self, manager: socket.socket) -> None:
        told = ServiceManager()
        assert told.watchdog_interval == 1.5
        told.ready()
        told.alive()
        told.status("one task")
        told.status("one task")
        told.reloading()
        told.stopping()
        messages = [manager.recv(200).decode() for _dummy in range(5)]
        assert messages[:3] == ["READY=1", "WATCHDOG=1", "STATUS=one task"]
        assert messages[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert messages[4] == "STOPPING=1"

    def test_nobody_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
            monkeypatch.delenv(name, raising=False)
        nobody = ServiceManager()
        nobody.ready()
        nobody.alive()
        assert nobody.watchdog_interval is None
        monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/notify")
        ServiceManager().ready()
