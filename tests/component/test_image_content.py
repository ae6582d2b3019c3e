# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build finds in the machine: as on any Debian system, though nobody installed it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.images import debian_image, tiny_image
from helpers.lone_machines import TASK, bootstrap, pack, perform

# Each answer is a line "name: text".
SCRIPT = """\
#!/usr/bin/env python3
import os, resource, socket, stat, subprocess, sys, time

def tell(name, answer):
    try:
        text = answer()
    except Exception as error:
        text = repr(error)
    print(f"{name}: {text}")

def read(path):
    with open(path) as file:
        return file.read().strip()

def mode(path):
    return oct(stat.S_IMODE(os.stat(path).st_mode))

def berlin():
    os.environ["TZ"] = "Europe/Berlin"
    time.tzset()
    return time.strftime("%H:%M", time.localtime(0))

def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return f"{done.returncode} {' '.join(done.stdout.split())}"

def resolve(name):
    started = time.monotonic()
    try:
        socket.getaddrinfo(name, 80)
    except socket.gaierror:
        return "no" if time.monotonic() - started < 1 else "no, late"
    return "yes"

if sys.argv[1] == "configure":
    tell("localhost", lambda: socket.gethostbyname("localhost"))
    tell("hostname", socket.gethostname)
    tell("own name", lambda: socket.gethostbyname(socket.gethostname()))
    tell("IPv6", lambda: socket.getaddrinfo("localhost", 80, socket.AF_INET6)[0][4][0])
    tell("unknown name", lambda: resolve("nowhere.invalid"))
    tell("machine-id", lambda: read("/etc/machine-id"))
    tell("soft limit", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    tell("hard limit", lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    tell("TERM", lambda: os.environ.get("TERM"))
    tell("locale", lambda: os.environ.get("LANG"))
    for path in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
        tell(path, lambda: mode(path))
    if os.path.exists("/usr/bin/getent"):
        tell("http", lambda: run("getent", "services", "http"))
        tell("icmp", lambda: run("getent", "protocols", "icmp"))
        tell("hosts", lambda: run("getent", "hosts", "localhost"))
        tell("Berlin", berlin)
        tell("time zone", lambda: os.path.realpath("/etc/localtime"))
        tell("yaml", lambda: run("python3", "-c", "import yaml; print(yaml.safe_load('[1]'))"))
        tell("who", lambda: run("id", "-un"))
"""

EVERYWHERE = {
    "localhost": "127.0.0.1",
    "own name": "127.0.1.1",
    "IPv6": "::1",
    "unknown name": "no",
    "soft limit": "1024",
    "hard limit": "524288",
    "TERM": "None",
    "locale": "C.UTF-8",
    "/tmp": "0o1777",
    "/var/tmp": "0o1777",
    "/dev/shm": "0o1777",
    "/run/lock": "0o1777",
}
IN_DEBIAN = {
    "http": "0 http 80/tcp www",
    "icmp": "0 icmp 1 ICMP",
    "hosts": "0 ::1 localhost ip6-localhost ip6-loopback",
    "Berlin": "01:00",
    "time zone": "/usr/share/zoneinfo/Etc/UTC",
    "yaml": "0 [1]",
    "who": "0 build",
}


@pytest.mark.parametrize("variant", ["tiny", pytest.param("debian", marks=pytest.mark.long)])
def test_a_build_finds_what_it_may_expect(variant: str, tmp_path: Path) -> None:
    image = tiny_image() if variant == "tiny" else debian_image()
    (tmp_path / "bootstrapped").mkdir()
    machine, _dummy = bootstrap(image, tmp_path / "bootstrapped")
    task = TASK + "target-config: config.bbot.operations=configure\n"
    files = {"manifest": task.encode(), "source.tar": pack({"bbot-build": SCRIPT})}
    found = []
    for life in ("first", "second"):
        (tmp_path / life).mkdir()
        result, _dummy = perform(machine, tmp_path / life, files)
        lines = result["configure-log"].splitlines()
        found.append(dict(line.split(": ", 1) for line in lines if ": " in line))
    expected = {**EVERYWHERE, "hostname": variant, **(IN_DEBIAN if variant == "debian" else {})}
    assert {name: found[0].get(name) for name in expected} == expected
    ids = [facts["machine-id"] for facts in found]
    assert all(re.fullmatch("[0-9a-f]{32}", text) for text in ids), ids
    assert ids[0] != ids[1]
