# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that reach a proxy of the host, and nothing else."""

from __future__ import annotations

import contextlib
import http.server
import os
import select
import signal
import socket
import threading
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.netns import (
    current_network,
    enter_network,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.spawn import hand_over
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import proxy as _proxy
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.egress import choose_egress
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.proxy import PORT, Proxy
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.segment import (
    GATEWAY,
    Segment,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest
from helpers.build_host import BuildHost, run
from helpers.waiting import until
from helpers.world import LAN_HOST, MAC, WORLD, World, beside, reaches

# Fetches by what its task says of a proxy.
FETCH = (
    guest.GET_TASK
    + "export $(grep -o 'https\\?_proxy=.*' /run/task)\n"
    + "busybox wget -q -O /run/page http://deep.example/page || echo failed > /run/page\n"
    + "printf ': 1\\nname: hello\\nversion: 1.0\\nstatus: success\\nupdate-status: success\\n' "
    + "> /run/result\n"
    + 'echo "update-log: $(cat /run/page) $https_proxy" >> /run/result\n'
    + guest.put("/run/result")
    + guest.SLEEP
)


class Pages(http.server.BaseHTTPRequestHandler):
    """A proxy that knows all pages; ``asked`` are their addresses."""

    asked: t.ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = f"the page {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def proxy() -> t.Iterator[Proxy]:
    """A proxy on the loopback interface of the host that this process is on."""
    Pages.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever).start()
        yield Proxy("localhost", server.server_address[1])
        server.shutdown()


@pytest.fixture
def world() -> t.Iterator[World]:
    with beside() as made:
        yield made


def connect_within(segment: Segment, address: str, port: int) -> socket.socket:
    """A connection from the network of the segment, as a guest has one to its gateway."""

    def connect() -> list[int]:
        enter_network(segment.namespace)
        sock = socket.create_connection((address, port), 5)
        return [sock.detach()]

    (fd,) = hand_over(connect, 10)
    return socket.socket(fileno=fd)


def test_it_is_all_that_is_reached(world: World, proxy: Proxy) -> None:
    with contextlib.closing(Segment(MAC, "a test", run, proxy)) as segment:
        with connect_within(segment, str(GATEWAY.ip), PORT) as sock:
            sock.settimeout(10)
            sock.sendall(b"GET http://deep.example/ HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: sock.recv(4096), b""))
        assert answer.endswith(b"the page http://deep.example/")
        for address, port in ((WORLD, 7000), (LAN_HOST, 7001), ("127.0.0.1", 7001)):
            assert not reaches(segment, world, address, port)
        with pytest.raises(EngineError, match=r"Connection refused|Network is unreachable"):
            connect_within(segment, "127.0.0.1", proxy.port)
    assert world.heard == []


def test_it_ends_with_the_segment_and_with_its_owner(proxy: Proxy) -> None:
    segment = Segment(MAC, "a test", run, proxy)
    assert segment.router is not None
    watched = [os.pidfd_open(segment.router.pid)]
    segment.check()
    segment.close()
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            held = Segment(MAC, "a test", run, proxy)
            os.write(theirs, str(held.router.pid if held.router else 0).encode())
            signal.pause()
        finally:
            os._exit(1)
    watched.append(os.pidfd_open(int(os.read(ours, 20))))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for fd in (ours, theirs):
        os.close(fd)
    for fd in watched:
        until(lambda fd=fd: ended(fd), "the relay has ended", 10)
        os.close(fd)


def ended(pidfd: int) -> bool:
    """Whether it has, be it buried or not."""
    return bool(select.select([pidfd], [], [], 0)[0])


def test_a_relay_that_ends_is_noticed(proxy: Proxy) -> None:
    with contextlib.closing(Segment(MAC, "a test", run, proxy)) as segment:
        assert segment.router is not None
        os.kill(segment.router.pid, signal.SIGKILL)

        def noticed() -> bool:
            try:
                segment.check()
            except NetworkError as error:
                return "the relay to the guests' proxy has ended" in str(error)
            return False

        until(noticed, "it is noticed", 10)


def test_a_host_without_the_relay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_proxy, "_PROGRAM", "/nowhere/proxyd")
    with pytest.raises(NetworkError, match="there is no /nowhere/proxyd; install the package"):
        Segment(MAC, "a test", run, Proxy("localhost", 1))


@pytest.mark.parametrize(
    "text", ["", "host", "host:", ":1", "host:0", "http://x:1", "a b:1", "x:y"]
)
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(NetworkError, match=r"guests are to reach a proxy \(egress-proxy\), but "):
        choose_egress("proxy", (), (), text)


def test_a_build_is_told_of_it(host: BuildHost, bootstrapped: Machine, proxy: Proxy) -> None:
    host.install_scripted(bootstrapped, FETCH)
    host.changes["egress"] = proxy
    outcome = host.perform()
    assert outcome.result.status is Status.SUCCESS, host.lines
    where = f"http://{GATEWAY.ip}:{PORT}"
    assert outcome.result.logs == {"update": f"the page http://deep.example/page {where}"}
    assert Pages.asked == ["http://deep.example/page"]


def test_it_is_our_own_network_that_is_left_alone(proxy: Proxy) -> None:
    own = os.readlink("/proc/self/ns/net")
    with contextlib.closing(Segment(MAC, "a test", run, proxy)):
        held = current_network()
        assert os.readlink(f"/proc/self/fd/{held}") == own
        os.close(held)
