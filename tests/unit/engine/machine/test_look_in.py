# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where people knock who want to see a machine's screen."""

from __future__ import annotations

import socket
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.look_in import (
    Door,
    LookIn,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError


class Machine:
    """One that notes whom it is to show its screen, or raises `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.shown: list[tuple[str, int]] = []

    def let_in(self, client: socket.socket) -> None:
        if self.error is not None:
            raise self.error
        self.shown.append(client.getpeername())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("error", [None, VmError("QEMU refused add_client"), OSError(107, "gone")])
def test_one_who_cannot_come_in_ends_nothing(error: Exception | None) -> None:
    machine, port = Machine(error), free_port()
    door = Door(LookIn("127.0.0.1", port, "x"), t.cast("t.Any", machine))
    # Nobody is there.
    door.turn()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(5)
        own = client.getsockname()
        door.turn()
        assert machine.shown == ([own] if error is None else [])
        # The machine has its own descriptor of it.
        assert client.recv(1) == b""
    door.close()


def test_a_place_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=rf"cannot show screens at 127\.0\.0\.1:{port}"):
            Door(LookIn("127.0.0.1", port, "x"), t.cast("t.Any", Machine()))
