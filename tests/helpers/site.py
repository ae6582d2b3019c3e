# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build host's surroundings: network namespace, bridge, DHCP, and a btrfs volume."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shlex
import shutil
import signal
import subprocess
import tempfile
import typing as t
from pathlib import Path

import jinja2

from .namespace import Namespace
from .waiting import until

TEMPLATES = Path(__file__).parents[2] / "roles" / "host" / "templates"

BRIDGE = "brtest"
ADDRESS = "172.31.254.1"
PREFIX = 24

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Site:
    """What all test hosts share. ``root`` is short and can be entered by any user.

    ``btrfs`` is where the volume is mounted, ``plain`` a folder on another file system.
    """

    def __init__(self, namespace: Namespace, root: Path) -> None:
        self.namespace = namespace
        self.root = root
        self.btrfs = root / "btrfs"
        self.plain = root / "plain"
        self._hosts = 0

    def next_name(self) -> str:
        """A name that no other host has, of any site."""
        self._hosts += 1
        return f"h{self._hosts}p{os.getpid()}"


def network_script(root: Path, bridge: str, address: str, egress: str) -> str:
    """The script of the role host that makes the bridge and cuts the guests off.

    What it notes is in ``root``.
    """
    environment = jinja2.Environment(keep_trailing_newline=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"bool": bool, "quote": shlex.quote, "comment": lambda text: f"# {text}"}
    template = (TEMPLATES / "network.sh.j2").read_text().replace("=/run/", f"={root}/")
    return environment.from_string(template).render(
        ansible_managed="test",
        host_bridge=bridge,
        host_bridge_nat=False,
        host_dns=False,
        host_egress=egress,
        __host_lib="/nonexistent",
        __host_bridge_mac="02:00:00:00:fe:01",
        __host_network={"address": address, "prefix": PREFIX},
    )


def _dnsmasq(root: Path) -> list[str]:
    first, last = ADDRESS.rsplit(".", 1)[0] + ".2", ADDRESS.rsplit(".", 1)[0] + ".254"
    options = ["--conf-file=/dev/null", "--port=0", "--no-ping", "--dhcp-authoritative"]
    options += [f"--interface={BRIDGE}", "--bind-interfaces", "--except-interface=lo"]
    options += [f"--dhcp-range={first},{last},1h", f"--dhcp-leasefile={root}/dhcp.leases"]
    options += [f"--pid-file={root}/dnsmasq.pid", f"--log-facility={root}/dnsmasq.log"]
    return ["/usr/sbin/dnsmasq", "--keep-in-foreground", *options]


@contextlib.contextmanager
def _dhcp(root: Path) -> t.Iterator[None]:
    process = subprocess.Popen(_dnsmasq(root), preexec_fn=_die_with_parent)
    try:
        until((root / "dnsmasq.pid").exists, "dnsmasq has started")
        yield
    finally:
        process.kill()
        process.wait()


def end_tenants(root: Path) -> None:
    """Kill what a failed test has left running in ``root``: it would keep the volume busy."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink().is_relative_to(root):
                process = os.pidfd_open(int(entry.name))
                signal.pidfd_send_signal(process, signal.SIGKILL)
                select.select([process], [], [], 10)
                os.close(process)


@contextlib.contextmanager
def _volume(root: Path) -> t.Iterator[None]:
    file, place = root / "volume", root / "btrfs"
    place.mkdir()
    with file.open("wb") as image:
        image.truncate(4 << 30)
    subprocess.run(["mkfs.btrfs", "--quiet", "--metadata", "single", str(file)], check=True)
    subprocess.run(["mount", "-o", "loop,noatime", str(file), str(place)], check=True)
    try:
        yield
    finally:
        end_tenants(root)
        subprocess.run(["umount", str(place)], check=True)


@contextlib.contextmanager
def site() -> t.Iterator[Site]:
    """A site for the length of a with statement; nothing of it is left afterwards."""
    with contextlib.ExitStack() as stack:
        root = Path(tempfile.mkdtemp(prefix="bbot-"))
        stack.callback(shutil.rmtree, root)
        root.chmod(0o755)
        namespace = Namespace()
        stack.callback(namespace.close)
        made = Site(namespace, root)
        made.plain.mkdir()
        script = root / "network"
        script.write_text(network_script(root, BRIDGE, ADDRESS, "none"))
        with namespace.entered():
            subprocess.run(["sh", str(script), "up"], check=True)
            stack.enter_context(_dhcp(root))
        stack.enter_context(_volume(root))
        os.chmod(made.btrfs, 0o755)
        yield made
