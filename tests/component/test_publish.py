# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine that is bootstrapped anew is there at each instant, whoever is killed when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
)
from helpers.build_host import BuildHost
from helpers.site import Site
from helpers.stores import mounted
from helpers.toolchains import install_toolchain


@pytest.fixture(scope="module")
def ext4(site: Site) -> t.Iterator[Path]:
    with mounted(site, "ext4") as place:
        yield place


@pytest.fixture(params=["btrfs", "directory"])
def host(request: pytest.FixtureRequest, site: Site, ext4: Path) -> BuildHost:
    """A build host with a machine that counts as bootstrapped."""
    made = BuildHost(site, request.param, ext4 if request.param == "directory" else None)
    made.install()
    assert made.ensure(fake=True).machine.state == "current"
    return made


def change(host: BuildHost, number: int) -> None:
    """Have the machine be obsolete."""
    install_toolchain(host.tftp, files={"extra": str(number)})
    assert host.machine().state == "obsolete"


def test_who_looks_all_the_time_never_misses_it(host: BuildHost) -> None:
    ended, seen = threading.Event(), set()
    path = host.volume / "tiny" / "tiny-default"
    failures: list[BaseException] = []

    def bootstrap() -> None:
        try:
            for number in range(20):
                change(host, number)
                assert host.ensure(fake=True).changed
        except BaseException as error:
            failures.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=bootstrap)
    thread.start()
    while not ended.is_set():
        # Raises where it is missing for an instant.
        fd = os.open(path, os.O_RDONLY)
        seen.add(os.fstat(fd).st_mtime_ns)
        os.close(fd)
    thread.join()
    assert failures == []
    assert len(seen) > 5
    host.assert_clean()


_KILLED = """
import json, os, sys
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import ensure as _ensure
from helpers import owner
facts, left = json.loads(sys.argv[1]), int(sys.argv[2])

def audit(event, arguments):
    # From the point on where it is published.
    global left
    if publishing and event in AUDITED:
        left -= 1
        if not left:
            os.kill(os.getpid(), 9)

AUDITED = ("os.rename", "os.remove", "os.rmdir", "os.symlink", "os.mkdir", "fcntl.ioctl",
           "ctypes.dlsym", "os.chmod", "open")
publishing, real = False, _ensure._publish

def publish(*arguments):
    global publishing
    publishing = True
    real(*arguments)

_ensure._publish = publish
sys.addaudithook(audit)
owner.main(facts)
"""


def test_killed_at_any_point_of_publishing_it_is_the_former_or_the_new_one(
    host: BuildHost,
) -> None:
    engine = host.engine()
    names = ("machines", "tftp", "state", "runtime", "bridge", "user")
    facts = {
        "host": {name: getattr(engine, name) for name in names},
        **{"logs": str(host.logs / "x"), "stop": "", "storage": host.kind, "files": None},
        **{"warm": [], "fake": True},
    }
    path = host.volume / "tiny" / "tiny-default"
    states, former = set(), []
    for number in range(1, 80):
        change(host, number)
        before = host.storage.info(str(path))
        done = subprocess.run(
            [sys.executable, "-c", _KILLED, json.dumps(facts), str(number)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        after = host.storage.info(str(path))
        assert before
        assert after
        former.append(before.uuid)
        # Whatever the sweep finds, it keeps the one that is published.
        swept = sweep(host.engine())
        host.engine().drop_dead_locks()
        host.assert_clean()
        assert sorted(os.listdir(path.parent)) == ["tiny-1", "tiny-1.1", "tiny-default"]
        assert host.storage.info(str(path)) == after
        states.add(host.machine().state)
        assert host.machine().state == ("obsolete" if after.uuid in former else "current")
        assert done.returncode in (0, -9)
        if not swept:
            # It was at its end.
            break
    else:
        raise AssertionError("it never came to its end")
    assert states == {"obsolete", "current"}


def test_what_cannot_be_exchanged_leaves_the_former_one(
    host: BuildHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(host, 1)
    path = str(host.volume / "tiny" / "tiny-default")
    before = host.storage.info(path)

    def refuse(first: str, second: str) -> None:
        raise StorageError(f"cannot exchange {first} and {second}: input/output error")

    monkeypatch.setattr(host.storage, "exchange", refuse)
    with pytest.raises(StorageError, match="input/output error"):
        host.ensure(fake=True)
    assert host.storage.info(path) == before
    host.assert_clean()
    monkeypatch.undo()
    assert host.ensure(fake=True).machine.state == "current"
