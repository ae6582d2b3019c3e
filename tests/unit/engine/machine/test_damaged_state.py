# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of our state, mutated at random, by a user who may do nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import tempfile
import traceback
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import (
    describe_dead,
    sweep,
)

NOBODY = 65534
ID = "4194305-0"
BOMBS = [
    *(b"5", b"[" * 3000, b"{}", b"null", b'{"mac": "x"}', b"", b"\x00", b"\xff\xfe", b"9" * 5000),
    *(b'{"since": 1e400}', b'{"pid": -1}', b'{"qemu": 1, "qemu_start": 1}', b'"x"', b"[]"),
    *(b'{"runtime": "/\\u0000"}', b'{"folders": "/"}', b'{"journal": [1, 2]}', b"{" * 3000),
]


class Store:
    """Notes what is deleted, and sees that it is below the folder of machines."""

    def __init__(self, machines: Path) -> None:
        self._machines = machines

    def info(self, _path: str) -> object:
        return self

    def discard(self, path: str) -> bool:
        if not Path(path).resolve().is_relative_to(self._machines):
            raise AssertionError(f"{path} was deleted")
        return True


def values(root: Path) -> list[t.Any]:
    """What a lie may consist of."""
    outside = str(root / "outside")
    return [
        *(None, True, -1, 0, 1, 2**70, 1e400, float("nan"), "", "x", "\0", "\n", "é\udc80"),
        *([], {}, [[]], [None], [1, 2], {"a": 1}, ["x"] * 3, outside, [outside], f"{outside}/x"),
        *("/", "/etc", "..", f"{root}/tftp/build/../../outside", str(root / "machines")),
        *([f"{root}/tftp/build/d-{ID}", outside], [outside, 1], os.getpid(), "02:00:00:00:00:01"),
    ]


def leases(root: Path) -> dict[str, t.Any]:
    """A lease that names all there is."""
    return {
        "pid": 4194305,
        "since": 1.5,
        "what": "task",
        "machine": "m",
        "logs": "/l",
        "folders": [f"{root}/tftp/build/d-{ID}"],
        "snapshot": f"{root}/machines/v/m/m-d-{ID}",
        "snapshots": [f"{root}/machines/v/m/m-d-{ID}.ram"],
        "runtime": f"{root}/run/{ID}",
        "journal": [f"{root}/state/journal.sqlite", 1],
        "delivery": f"{root}/tftp/build/d-{ID}/put/manifest",
        "bridge": "br1",
        "mac": "02:00:00:00:00:01",
        "qemu": 4194305,
        "qemu_start": 1,
    }


def suspended(root: Path) -> dict[str, t.Any]:
    """The record of a suspended machine."""
    return {
        "id": "1",
        "machine": "m",
        "what": "task",
        "reason": "r",
        "since": 1.5,
        "logs": "/l",
        "accelerator": "tcg",
        "hardware": {
            "name": "m-d",
            "directory": f"{root}/machines/v/m/m-d-suspended-1",
            "mac": "02:00:00:00:00:01",
            "options": ["-netdev"],
            "cpu": 1,
            "ram": 1024,
        },
        "state": {"path": f"{root}/state/suspended/1/state", "key": "k", "qemu": "7"},
    }


def mutate(chance: random.Random, record: dict[str, t.Any], root: Path) -> bytes:
    """Some bytes that were a record."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.choice(BOMBS)
    for _dummy in range(chance.randrange(3) if kind < 3 else 0):
        inner = chance.choice([record, *(v for v in record.values() if isinstance(v, dict))])
        name = chance.choice(list(inner)) if inner else "x"
        if chance.randrange(4):
            inner[name] = chance.choice(values(root))
        else:
            inner.pop(name, None)
    data = bytearray(json.dumps(record).encode("utf-8", "surrogatepass") + b"\n")
    for _dummy in range(chance.randrange(4) if kind > 1 else 0):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
        data = data or bytearray(b" ")
    return bytes(data)


def play(root: Path, rounds: int, seed: int) -> None:
    """Mutate and clear away; any exception is a fault of ours."""
    chance = random.Random(seed)
    told: list[str] = []
    host = Host(
        run=lambda _args, data=None: (0, "", ""),
        storage=t.cast("t.Any", Store(root / "machines")),
        machines=str(root / "machines"),
        tftp=str(root / "tftp"),
        state=str(root / "state"),
        runtime=str(root / "run"),
        report=told.append,
    )
    suspensions = Suspensions(host, 3, 86400.0)
    lease = root / "state" / "leases" / f"{ID}.lease"
    lock = root / "state" / "locks" / "task-m.lock"
    record = root / "state" / "suspended" / "1" / "record.json"
    for number in range(rounds):
        for folder in (lease.parent, lock.parent, record.parent, root / "tftp/build" / f"d-{ID}"):
            folder.mkdir(parents=True, exist_ok=True)
        lease.write_bytes(mutate(chance, leases(root), root))
        lock.write_bytes(chance.choice([chance.randbytes(40), b"process 1 is there to x\n"]))
        record.write_bytes(mutate(chance, suspended(root), root))
        host.leases.records()
        describe_dead(host)
        sweep(host)
        suspensions.prune()
        suspensions.all()
        try:
            with host.lock("task-m", "try it"):
                pass
        except LockError as error:
            raise AssertionError(f"round {number}: {error}") from error
        if not (root / "outside" / "kept").exists():
            raise AssertionError(f"round {number} removed what is none of ours")
        for line in told:
            if not line.isprintable():
                raise AssertionError(f"round {number} said {line!r}")
        told.clear()
        if number % 100 == 99:
            shutil.rmtree(root / "state")


@pytest.fixture
def root() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="bbot-state-")).resolve()
    for name in ("outside", "machines", "tftp", "run", "state"):
        (root / name).mkdir()
    (root / "outside" / "kept").write_text("kept")
    if os.geteuid() == 0:
        for place in (root, *root.rglob("*")):
            os.chown(place, NOBODY, NOBODY)
    yield root
    shutil.rmtree(root)


def as_nobody(act: t.Callable[[], None]) -> str:
    """What went wrong in `act`, which is done without any right."""
    out, inner = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            act()
        except BaseException:
            os.write(inner, traceback.format_exc().encode()[-4000:])
        finally:
            # Not by os._exit(): what measures coverage would save it first, as nobody, in vain.
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(inner)
    with open(out, "rb") as pipe:
        text = pipe.read().decode()
    os.waitpid(pid, 0)
    return text


@pytest.mark.parametrize("rounds", [300, pytest.param(10_000, marks=pytest.mark.long)])
def test_damaged_files_end_nothing_and_touch_nothing(root: Path, rounds: int) -> None:
    if failure := as_nobody(lambda: play(root, rounds, seed=rounds)):
        pytest.fail(failure)
