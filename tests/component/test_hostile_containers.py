# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the root of a container tries against its host, and what becomes of it.

docs/machines.md has a table of what holds; each line of it that says so is tried here.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from helpers import sources
from helpers.build_host import BuildHost
from helpers.containers import host_with_container, tried_by_root
from helpers.guest import GET_TASK, SLEEP
from helpers.images import nspawn_image
from helpers.site import ADDRESS, Site

# What each line of an attack is followed by: whether it went well.
_SAY = " && echo BROKEN || echo held\n"


@pytest.fixture(scope="module")
def image() -> Path:
    return nspawn_image()


@pytest.fixture(scope="module")
def host(site: Site, image: Path) -> t.Iterator[BuildHost]:
    with contextlib.ExitStack() as stack:
        yield stack.enter_context(host_with_container(site, image))


ATTACKS = {
    # Files and devices of the host.
    "makes the device of a disk": "mknod /run/d b 254 0",
    "makes the device of memory": "mknod /run/m c 1 1",
    "opens the log of the kernel": "head -c 1 /dev/kmsg",
    "opens memory": "head -c 1 /dev/mem",
    "opens the control of loop devices": "head -c 0 /dev/loop-control",
    # Mounts.
    "mounts memory": "mount -t tmpfs x /mnt",
    "mounts a new proc": "mount -t proc x /mnt",
    "mounts a new sysfs": "mount -t sysfs x /mnt",
    "mounts control groups": "mount -t cgroup2 x /mnt",
    "makes proc/sys writable": "mount -o remount,rw /proc/sys",
    "uncovers what is masked": "umount /proc/kmsg",
    "makes proc/sys writable in namespaces of its own": (
        "unshare -U -r -m mount -o remount,bind,rw /proc/sys"
    ),
    "uncovers what is masked in namespaces of its own": "unshare -U -r -m umount /proc/kmsg",
    # The kernel.
    "sets the handler of core dumps": "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
    "sets the loader of modules": "echo /x > /proc/sys/kernel/modprobe",
    "presses the magic key": "echo h > /proc/sysrq-trigger",
    "gives back memory": "echo 1 > /proc/sys/vm/drop_caches",
    "loads a module": "echo > /run/x.ko && insmod /run/x.ko",
    "reads the messages of the kernel": "dmesg",
    "sets the clock": "date -s 2001-01-01; test $(date +%Y) = 2001",
    "changes the name of the host": "hostname broken",
    "lowers an oom score of all": "echo -1000 > /proc/1/oom_score_adj",
    "writes to sysfs": "echo 1 > /sys/kernel/mm/ksm/run",
    "has itself no limits": "ulimit -H -u 1000000",
    "takes priority": "renice -n -10 $$",
    # Control groups.
    "raises its memory": "echo -1 > /sys/fs/cgroup/memory/memory.limit_in_bytes",
    "raises its processes": "echo max > /sys/fs/cgroup/pids/pids.max",
    "moves to another group": "echo $$ > /sys/fs/cgroup/memory/tasks",
    "has the host run a program": "echo /x > /sys/fs/cgroup/memory/release_agent",
}


def test_attacks_by_root(host: BuildHost) -> None:
    lines = "".join(f"echo '{name}:'\n({attack}){_SAY}" for name, attack in ATTACKS.items())
    said = tried_by_root(host, f"mkdir -p /mnt\nset +e\n{lines}")
    found = dict(re.findall(r"^([^\n:]+):\n(?:.*?\n)??(BROKEN|held)$", said, re.M | re.S))
    assert found.keys() == ATTACKS.keys(), said
    assert [name for name, what in found.items() if what != "held"] == [], said


def test_the_host_s_files_are_out_of_sight(host: BuildHost, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very secret")
    said = tried_by_root(
        host,
        f"cat {secret}; cat /proc/1/root{secret}; cat /proc/1/cwd/../../..{secret}\n"
        f"cat /../../..{secret}; chroot /proc/1/root cat {secret}\n"
        "cat /proc/*/root/etc/shadow; cat /etc/shadow; echo $(ls /build/machines) end",
    )
    assert "very secret" not in said
    assert "root:x:" not in said
    assert "root:*:" not in said
    assert said.rstrip().endswith("end")


def test_nothing_of_the_host_s_processes_is_seen(host: BuildHost) -> None:
    said = tried_by_root(
        host,
        "ps -o pid,args\n"
        "for pid in /proc/[0-9]*; do cat $pid/cmdline | tr '\\0' ' '; cat $pid/environ; done\n"
        f"kill -9 {os.getpid()} && echo BROKEN\ncat /proc/net/unix",
    )
    assert "pytest" not in said
    assert "systemd-nspawn --" not in said
    assert "BROKEN" not in said
    assert not re.search(r"@|/run/", said.partition("RefCount")[2]), said


def test_no_address_of_the_host_is_reached(host: BuildHost) -> None:
    with socket.create_server((ADDRESS, 7777)):
        said = tried_by_root(
            host,
            "ip address add 172.31.254.9/24 dev eth0\nip route add default via 172.30.254.1\n"
            f"for each in {ADDRESS} 127.0.0.1 172.30.254.1; do\n"
            "  echo $each; nc -w 1 $each 7777 < /dev/null && echo BROKEN\n"
            "done\nip link\ncat /proc/net/dev; echo end",
        )
    assert "BROKEN" not in said
    assert "end" in said
    names = set(re.findall(r"^ *(\w+):", said.partition("Inter-")[2], re.M))
    assert names == {"lo", "eth0"}, said


def test_a_guest_that_is_another_one_is_not_heard(host: BuildHost) -> None:
    """With another Ethernet address it gets nothing any more; its segment is its own."""
    said = tried_by_root(
        host,
        "old=$(cat /sys/class/net/eth0/address)\n"
        "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:99; ip link set eth0 up\n"
        "ip address; nc -u -w 1 196.254.111.222 69 < /dev/null && echo sent\n"
        "ip link set eth0 down; ip link set eth0 address $old; ip link set eth0 up; sleep 1\n"
        "ip route add 196.254.111.222 via 172.30.254.1 2>&1; ip route add default via 172.30.254.1",
    )
    assert "02:00:00:00:00:99" in said


def test_a_fork_bomb_is_bounded(host: BuildHost) -> None:
    before = len(os.listdir("/proc"))
    said = tried_by_root(
        host,
        "python3 -c '\nimport os, time\nn = 0\ntry:\n  while n < 6000:\n"
        "    if os.fork() == 0:\n      time.sleep(60)\n      os._exit(0)\n    n += 1\n"
        'except OSError as error:\n  print("forks", n, error)\nelse:\n  print("BROKEN", n)\n'
        'os.system("killall -9 python3")\'',
    )
    assert "BROKEN" not in said
    match = re.search(r"forks (\d+)", said)
    assert match is None or int(match[1]) <= 4096, said
    assert len(os.listdir("/proc")) < before + 200


def test_memory_is_bounded(host: BuildHost) -> None:
    """The host's kernel kills who takes too much, and nobody outside of the container."""
    said = tried_by_root(
        host,
        "python3 -c 'x = [b\"x\" * (1 << 20) for _ in range(1 << 11)]'; echo status $?",
    )
    assert re.findall(r"status (\d+)", said) == ["137"], said


def test_who_gets_on_no_more_for_lack_of_memory_is_ended(host: BuildHost) -> None:
    """The kernel ends nobody while it can forget files, and has to read them again at once."""
    said = tried_by_root(
        host,
        "dd if=/dev/zero of=/big bs=1M count=60 2> /dev/null\n"
        "cat > /run/x.py << 'EOF'\n"
        "held = bytearray(b'x') * (306 << 20)\n"
        "while True:\n"
        "    with open('/big', 'rb', buffering=0) as file:\n"
        "        while file.read(1 << 16):\n"
        "            pass\n"
        "EOF\n"
        "python3 /run/x.py; echo status $?",
    )
    assert re.findall(r"status (\d+)", said) == ["137"], said


def test_memory_in_files_is_bounded(host: BuildHost) -> None:
    """Where there is nobody to kill for it, the machine ends."""
    host.script("tiny", f"{GET_TASK}dd if=/dev/zero of=/dev/shm/x bs=1M count=2000\n{SLEEP}")
    outcome = host.perform(waits=Waits(startup=60, total=20, retries=0))
    assert outcome.failure is not None
    assert outcome.failure.kind in ("ended early", "timeout")


def test_the_disk_is_bounded_and_what_is_deleted_counts(host: BuildHost) -> None:
    said = tried_by_root(
        host,
        "dd if=/dev/zero of=/big bs=1M count=300 2>&1; rm /big\n"
        "(exec 9> /big; rm /big; dd if=/dev/zero bs=1M count=300 1>&9 2> /run/e; cat /run/e)\n"
        "df -k / | tail -1",
    )
    assert said.count("No space left on device") == 2, said


def test_what_a_task_writes_is_not_on_the_host(host: BuildHost) -> None:
    before = _files(host)
    said = tried_by_root(
        host,
        "cp /bin/busybox /usr/bin/evil; chmod 4755 /usr/bin/evil; ls -l /usr/bin/evil\n"
        "rm /etc/passwd; echo x > /var/lib/bbot/y; mkdir -p /a/b; chown 0:0 /a/b",
    )
    assert "rwsr-xr-x" in said
    assert _files(host) - before <= {"startup"}


def _files(host: BuildHost) -> set[str]:
    return {path.name for path in Path(host.machine().bootstrapped_path).rglob("*")}


def test_nobody_stays_behind(host: BuildHost) -> None:
    tried_by_root(
        host,
        "for n in 1 2 3; do (setsid sh -c 'trap \"\" HUP TERM INT; sleep 1000' &) ; done\n"
        "python3 -c 'import os\nfor _ in range(3):\n  os.fork()\n' &",
    )
    host.assert_clean()


def test_users_of_other_hosts_programs_are_not_its_own(host: BuildHost) -> None:
    """What is root in there is nobody on the host, without a right over any of its files."""
    said = tried_by_root(
        host, "cat /proc/self/uid_map /proc/self/gid_map; grep Cap /proc/self/status"
    )
    assert re.search(r"^ *0 +161061\d+ +65536$", said, re.M), said
    effective = int(re.search(r"CapEff:\s*(\w+)", said)[1], 16)  # type: ignore[index]
    for number in (16, 17, 19, 21, 22 + 3, 27):
        assert not effective >> number & 1, said


def test_a_build_tells_that_it_has_no_memory(site: Site, image: Path, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", sources.GREEDY)
    with host_with_container(site, image) as own:
        outcome = own.perform(files={"source.tar.gz": str(archive)})
    assert outcome.culprit == "task", outcome
    assert "137" in outcome.result.logs["update"] or "Killed" in outcome.result.logs["update"]


def test_a_user_of_the_host_has_nothing_of_a_tree(host: BuildHost) -> None:
    tree = Path(host.machine().bootstrapped_path, "tree", "root")
    command = ["setpriv", "--reuid=65534", "--clear-groups", "ls", str(tree)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
