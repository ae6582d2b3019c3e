# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A guest's network of its own: who is in it, who is not, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.netns import (
    current_network,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.rtnetlink import Rtnetlink
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import (
    segment as _segment,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.dnsmasq import Dnsmasq
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.segment import (
    GATEWAY,
    SERVER,
    Seat,
    Segment,
    SharedSegment,
    guest_address,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.packets import (
    DATA,
    opcode_of,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Event, Server
from helpers.build_host import run
from helpers.frames import BROADCAST, Datagram, FrameGuest
from helpers.links import ip, link
from helpers.namespace import Namespace
from helpers.site import Site
from helpers.waiting import until

MAC, OTHER_MAC = "02:00:00:00:00:20", "02:00:00:00:00:21"
FIRST = "172.30.254.2"
READ_MANIFEST = b"\0\1manifest\0octet\0"


@pytest.fixture(autouse=True)
def inside(site: Site) -> t.Iterator[None]:
    with site.namespace.entered():
        yield


@pytest.fixture
def segment() -> t.Iterator[Segment]:
    with contextlib.closing(Segment(MAC, "a test", run)) as made:
        yield made


@pytest.fixture
def guest(segment: Segment) -> FrameGuest:
    return guest_of(segment)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    (tmp_path / "manifest").write_text("a task, with its secrets")
    return tmp_path


def guest_of(segment: Seat, mac: str = MAC, address: str = FIRST) -> FrameGuest:
    return FrameGuest(segment.tap, mac, address, _segment._BRIDGE_MAC)


def within(segment: Segment, *command: str) -> str:
    """What `command` prints in the network of `segment`."""
    enter = ["nsenter", f"--net=/proc/self/fd/{segment.namespace}"]
    done = subprocess.run(
        [*enter, *command],
        pass_fds=[segment.namespace],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def links() -> set[str]:
    return {name for _dummy, name in socket.if_nameindex()}


def test_it_is_nothing_to_the_host(segment: Segment) -> None:
    own = os.readlink("/proc/self/ns/net")
    assert os.readlink(f"/proc/self/fd/{segment.namespace}") != own
    assert "tap0" not in links()
    named = [entry.stat().st_ino for entry in Path("/run/netns").glob("*")]
    assert os.fstat(segment.namespace).st_ino not in named
    shown = json.loads(within(segment, "ip", "-json", "-4", "address"))
    addresses = {
        link["ifname"]: [f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"]]
        for link in shown
    }
    assert addresses == {"lo": ["127.0.0.1/8", f"{SERVER}/32"], "br1": [str(GATEWAY)]}
    assert within(segment, "ip", "-6", "address", "show", "dev", "br1") == ""
    assert SERVER not in ip("address")


def answer(guest: FrameGuest, server: Server, target: str = SERVER) -> Datagram | None:
    """What the guest gets for a request that it sends to `target`; None if that is nothing."""
    guest.send_udp((target, 69), 4000, READ_MANIFEST)
    for _dummy in range(20):
        server.poll()
        if (got := guest.receive(4000, 0.05)) is not None:
            return got
    return None


def test_the_guest_gets_its_address_and_its_files(
    segment: Segment, guest: FrameGuest, content: Path
) -> None:
    assert guest.discover() == FIRST
    with segment.serve(get_root=str(content), put_root=None) as server:
        got = answer(guest, server)
        assert got is not None
        assert got.source == (SERVER, 69)
        assert got.data[4:] == b"a task, with its secrets"
    # The address stays the same, whoever it was before.
    assert guest.discover() == FIRST


def test_names_are_refused_at_once(guest: FrameGuest) -> None:
    assert guest.discover() == FIRST
    query = bytes.fromhex("471101000001000000000000076578616d706c65036f72670000010001")
    guest.send_udp((str(GATEWAY.ip), 53), 5000, query)
    got = guest.receive(5000, 5)
    assert got is not None
    refused = 5
    assert got.data[3] & 15 == refused


def test_nobody_else_is_answered(segment: Segment, guest: FrameGuest, content: Path) -> None:
    """Neither a process of the host, nor one of a neighbour, nor one that routes its way in."""
    seen: list[Event] = []
    with segment.serve(get_root=str(content), put_root=None, on_event=seen.append) as server:
        with link("vehost", "veth", "peer", "name", "venear"):
            neighbour = Namespace()
            try:
                with neighbour.entered():
                    held = current_network()
                move = ["ip", "link", "set", "venear", "netns", f"/proc/self/fd/{held}"]
                subprocess.run(move, pass_fds=[held], check=True)
                os.close(held)
                ip("address", "add", "10.77.0.1/24", "dev", "vehost")
                ip("link", "set", "vehost", "up")
                with neighbour.entered():
                    ip("address", "add", "10.77.0.2/24", "dev", "venear")
                    ip("link", "set", "venear", "up")
                    ip("route", "add", "default", "via", "10.77.0.1")
                for place in (contextlib.nullcontext(), neighbour.entered()):
                    with place:
                        assert not any(map(asks, (SERVER, str(GATEWAY.ip), FIRST)))
            finally:
                neighbour.close()
        server.poll()
        assert seen == []
        assert server.dropped == 0
        got = answer(guest, server)
        assert got is not None
        assert opcode_of(memoryview(got.data)) == DATA
    assert [event.kind for event in seen][:1] == ["request"]


def asks(address: str) -> bool:
    """Whether a process here gets an answer from the port of TFTP of `address`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.2)
        with contextlib.suppress(OSError):
            sock.sendto(READ_MANIFEST, (address, 69))
            sock.recv(600)
            return True
    return False


def test_a_guest_that_poses_as_another_reaches_its_own_server_only(
    segment: Segment, guest: FrameGuest, content: Path
) -> None:
    seen: list[Event] = []
    with contextlib.closing(Segment(MAC, "a test", run)) as other:
        # The victim has the same addresses as the attacker, as all guests of a machine have.
        victim = guest_of(other)
        assert victim.discover() == guest.discover() == FIRST
        with (
            segment.serve(get_root=None, put_root=None) as own,
            other.serve(get_root=str(content), put_root=None, on_event=seen.append) as server,
        ):
            assert answer(victim, server) is not None
            seen.clear()
            for target in (SERVER, str(GATEWAY.ip), FIRST):
                for port in (4000, 4001):
                    guest.send_udp((target, 69), port, READ_MANIFEST)
                    guest.send_udp((target, 69), port, b"\0\2manifest\0octet\0", BROADCAST)
            # "The gateway, and the victim, are at mine."
            for address in (str(GATEWAY.ip), FIRST):
                claim = bytes.fromhex("0001080006040002") + bytes.fromhex(MAC.replace(":", ""))
                claim += socket.inet_aton(address) + b"\xff" * 6 + socket.inet_aton(FIRST)
                guest.send(0x0806, claim, BROADCAST)
            own.poll()
            server.poll()
            assert seen == []
            got = answer(victim, server)
            assert got is not None
            strange = [
                frame for frame in victim.frames(0.3) if b"manifest" in frame or claim in frame
            ]
            assert strange == []


def test_a_guest_that_takes_all_addresses_harms_itself_only(
    segment: Segment, guest: FrameGuest
) -> None:
    with contextlib.closing(Segment(OTHER_MAC, "a test", run)) as other:
        taken = {guest.discover(f"02:00:00:00:01:{number:02x}", 2) for number in range(13)}
        assert None in taken
        # Not even itself, in fact.
        assert guest.discover() == FIRST
        assert guest_of(other, OTHER_MAC).discover() == FIRST
        # And the kernel has learned nothing of it.
        for number in range(300):
            mac = f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}"
            address = f"10.0.{number >> 8}.{number & 255}"
            liar = guest_of(segment, mac, address)
            liar.send_udp((SERVER, 69), 4000, READ_MANIFEST)
            # "Where is the gateway? Tell me, who am that one."
            question = bytes.fromhex("0001080006040001") + bytes.fromhex(mac.replace(":", ""))
            question += socket.inet_aton(address) + bytes(6) + GATEWAY.ip.packed
            liar.send(0x0806, question, BROADCAST)
        known = within(segment, "bridge", "fdb", "show", "br", "br1")
        assert "02:00:00:0" not in known
        assert len(within(segment, "ip", "neighbour").splitlines()) <= 16


def test_nothing_that_others_do_to_the_hosts_network_matters(
    segment: Segment, guest: FrameGuest, content: Path
) -> None:
    host = Namespace()
    with (
        contextlib.closing(host),
        host.entered(),
        segment.serve(get_root=str(content), put_root=None) as server,
    ):
        subprocess.run(["nft", "flush", "ruleset"], check=True)
        rule = "table inet t { chain c { type filter hook input priority 0; policy drop; }; }"
        subprocess.run(["nft", rule], check=True)
        assert guest.discover() == FIRST
        assert answer(guest, server) is not None


def test_it_goes_when_it_is_closed() -> None:
    with contextlib.closing(Segment(MAC, "a test", run)) as segment:
        watched = watch(segment.namespace)
        process = Path(f"/proc/{segment.dnsmasq.pid}")
    until(lambda: not watched(), "the namespace is gone", 10)
    assert not process.exists()
    segment.close()


def watch(namespace: int) -> t.Callable[[], bool]:
    """What tells whether a namespace exists: one end of a pair of links is in it."""
    name = f"vew{namespace}"
    with Rtnetlink() as here:
        here.add_veth(name, "vewatch", namespace)
    return lambda: name in links()


OWNER = """
import os, signal, sys
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import segment
def stop(*arguments, **more):
    print("here", os.getpid(), flush=True)
    signal.pause()
if sys.argv[1]:
    setattr(segment, sys.argv[1], stop)
made = segment.Segment("02:00:00:00:00:20", "a test", None)
print("here", os.getpid(), made.dnsmasq.pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize("place", ["make_tap", "Rtnetlink", "Dnsmasq", ""])
def test_it_goes_with_its_owner(place: str) -> None:
    """Killed with the namespace made, with the tap made, with all but dnsmasq, with all."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, place],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        pids = {int(word) for word in owner.stdout.readline().split()[1:]}
        namespaces = {
            path
            for path in (
                *(Path(f"/proc/{pid}/ns/net") for pid in pids),
                *Path(f"/proc/{owner.pid}/fd").iterdir(),
            )
            if str(path.readlink()).startswith("net:[")
            and path.readlink() != Path("/proc/self/ns/net").readlink()
        }
        assert namespaces
        held = os.open(namespaces.pop(), os.O_RDONLY)
        watched = watch(held)
        os.close(held)
        assert watched()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    until(lambda: not watched(), "the namespace is gone", 10)
    for pid in pids:
        until(lambda pid=pid: is_gone(pid), f"process {pid} is gone", 10)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; whoever adopted it may take his time to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_dnsmasq_that_ends_is_noticed(segment: Segment) -> None:
    segment.dnsmasq.check()
    os.kill(segment.dnsmasq.pid, signal.SIGTERM)
    until(lambda: ended(segment), "it is noticed", 10)
    with pytest.raises(NetworkError, match="which tells the guest its address, has ended: no mess"):
        segment.dnsmasq.check()


def ended(segment: Segment) -> bool:
    try:
        segment.dnsmasq.check()
    except NetworkError:
        return True
    return False


def test_a_dnsmasq_that_does_not_start_says_why(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(
        Dnsmasq(segment.namespace, "a test", "br1", GATEWAY, {MAC: guest_address(0)})
    ) as second:
        until(lambda: Path(f"/proc/{second.pid}/stat").read_text().split()[2] == "Z", "it ended")
        with pytest.raises(NetworkError, match="failed to create listening socket for 172"):
            second.check()


def test_a_port_that_is_taken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def take(links: Rtnetlink, index: int) -> None:
        bring_up(links, index)
        if index == 1:
            kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            kept.bind(("0.0.0.0", 69))
            monkeypatch.setattr(links, "kept", kept, raising=False)

    bring_up = Rtnetlink.bring_up
    monkeypatch.setattr(Rtnetlink, "bring_up", take)
    with pytest.raises(NetworkError, match=r"cannot have UDP port 69 of 196\.254\.111\.222 in the"):
        Segment(MAC, "a test", run)


@pytest.fixture
def shared() -> t.Iterator[SharedSegment]:
    with contextlib.closing(SharedSegment([MAC, OTHER_MAC], "a test", run)) as made:
        yield made


def test_each_guest_of_a_shared_segment_has_its_address_and_its_server(
    shared: SharedSegment, tmp_path: Path
) -> None:
    addresses = [str(guest_address(number)) for number in (0, 1)]
    guests = [
        guest_of(seat, mac, address)
        for seat, mac, address in zip(shared.seats, (MAC, OTHER_MAC), addresses, strict=True)
    ]
    assert [guest.discover() for guest in guests] == addresses
    with contextlib.ExitStack() as stack:
        servers: list[Server] = []
        heard: list[list[Event]] = [[], []]
        for number, seat in enumerate(shared.seats):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "manifest").write_text(f"for number {number}")
            server = seat.serve(get_root=str(folder), put_root=None, on_event=heard[number].append)
            servers.append(stack.enter_context(server))
        # In either order, and for as long as they like.
        for number in (1, 0, 0, 1, 1, 0):
            got = answer(guests[number], servers[number])
            assert got is not None
            assert got.data[4:] == f"for number {number}".encode()
            servers[1 - number].poll()
        peers = [{event.peer[0] for event in events} for events in heard]
        assert peers == [{address} for address in addresses]


def test_guests_of_a_shared_segment_reach_each_other(shared: SharedSegment) -> None:
    first = guest_of(shared.seats[0])
    second = guest_of(shared.seats[1], OTHER_MAC, str(guest_address(1)))
    first.send_udp((str(guest_address(1)), 5432), 4000, b"a query", to=OTHER_MAC)
    got = second.receive(5432, 5)
    assert got is not None
    assert got.data == b"a query"


def test_a_stranger_in_a_shared_segment_is_heard_as_the_first_guest(
    shared: SharedSegment, content: Path
) -> None:
    """Which listens to one address only, as soon as it has heard its own guest."""
    stranger = guest_of(shared.seats[1], OTHER_MAC, "172.30.254.9")
    first, second = (seat.serve(get_root=str(content), put_root=None) for seat in shared.seats)
    with first, second:
        first.peer = FIRST
        assert answer(stranger, first) is None
        second.poll()
        assert (first.dropped, second.dropped) == (1, 0)
