# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks on a real machine that is resumed instead of booted."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    conversation as _conversation,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    template as _template,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import leased, sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.template import (
    TemplateError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import Outcome
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import Hardware
from helpers import guest, sources
from helpers.build_host import RAM, TCG, BuildHost
from helpers.owner import owner
from helpers.toolchains import install_toolchain
from helpers.waiting import until

WARM = {"warm": ["other", "t*y"]}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz", sources.PROBE))}


@pytest.fixture
def saved(ready: BuildHost) -> BuildHost:
    """A build host with the machine tiny, bootstrapped and saved."""
    assert ready.ensure(running=WARM).changed, ready.lines
    ready.lines.clear()
    return ready


def folder(host: BuildHost, kind: str) -> Path:
    return host.volume / "tiny" / f".tiny-default.{kind}"


def warnings(host: BuildHost) -> list[str]:
    return [line for line in host.lines if line.startswith(("warning", "error"))]


def check_cold(host: BuildHost, outcome: Outcome, reason: str) -> None:
    """The task was performed all the same, after a boot, with one warning that says why."""
    assert outcome.result.status is Status.SUCCESS, host.lines
    assert outcome.start is not None
    assert not outcome.start.warm
    assert re.search(reason, outcome.start.reason)
    assert warnings(host) == [
        f"warning: the machine is booted, not resumed: {outcome.start.reason}"
    ]
    host.lines.clear()


def test_tasks_resume_a_saved_machine(saved: BuildHost, files: dict[str, str]) -> None:
    ram = folder(saved, "ram") / "ram"
    before = hashlib.sha256(ram.read_bytes()).digest()
    randoms = set()
    for _task in range(3):
        began = time.time()
        outcome = saved.perform(files=files, **WARM)
        assert outcome.result.status is Status.SUCCESS
        assert outcome.start is not None
        assert outcome.start.warm
        assert outcome.start.reason == ""
        first, *rest = outcome.phases
        assert [first, *rest] == [
            *("snapshot", "resume", "first request", "work", "upload", "down", "delete"),
        ]
        spent = outcome.phases["resume"] + outcome.phases["first request"]
        assert outcome.start.seconds == pytest.approx(spent, abs=0.1)
        then, random = sources.probed(outcome.result.logs["update"])
        assert began - 2 <= then <= time.time() + 2
        randoms.add(random)
        assert b"starting the worker" not in (saved.logs / "task/machine/console.log").read_bytes()
        saved.assert_clean()
    assert len(randoms) == 3
    assert warnings(saved) == []
    assert hashlib.sha256(ram.read_bytes()).digest() == before

    template = _template.look(saved.machine())
    assert template is not None
    assert template.path == str(folder(saved, "warm"))
    assert template.reason == ""
    assert 16 << 20 < template.bytes < RAM << 10
    assert 0 < template.seconds < time.time() - template.made + 60
    # Nothing to be done, and nobody who did not ask gets a warm start.
    assert not saved.ensure(running=WARM).changed
    assert saved.perform(files=files).start == dataclasses.replace(
        outcome.start, warm=False, seconds=pytest.approx(4, abs=60)
    )


def refusal(host: BuildHost, accelerator: Accelerator = TCG, **changes: t.Any) -> str:
    """Why a clone of the template cannot be had."""
    machine, engine = host.machine(), host.engine()
    assert machine.bootstrapped is not None
    with leased(engine, what="test") as lease:
        facts = {
            "name": "tiny-default",
            "directory": f"{machine.bootstrapped_path}-{lease.id}",
            "mac": machine.bootstrapped.machine.mac,
            "options": machine.bootstrapped.machine.option_words,
            "ram": RAM,
            "inspect": True,
        }
        hardware = Hardware(**{**facts, **changes})
        try:
            clone = _template.clone(engine, machine, hardware, accelerator, lease)
        except TemplateError as error:
            return str(error)
        os.close(clone.ram)
    return ""


@contextlib.contextmanager
def changed(host: BuildHost, path: Path, data: bytes | None) -> t.Iterator[None]:
    """With ``data`` in ``path``, or no such file, in the template."""
    place = folder(host, "warm")
    host.storage.set_read_only(str(place), False)
    before = path.read_bytes()
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    yield
    path.write_bytes(before)


def described(host: BuildHost, **changes: t.Any) -> bytes:
    """The template's description with ``changes``."""
    facts = json.loads((folder(host, "warm") / "warm.json").read_bytes())
    return json.dumps({**facts, **changes}).encode()


def test_a_template_that_does_not_fit_is_not_resumed(saved: BuildHost) -> None:
    description, state = (folder(saved, "warm") / name for name in ("warm.json", "warm.state"))
    content = state.read_bytes()
    fit = json.loads(description.read_bytes())["fit"]
    assert refusal(saved) == ""
    for hardware in ({"cpu": 2}, {"ram": 2 * RAM}, {"options": ["-machine", "q35"]}):
        assert refusal(saved, **hardware) == "it was saved with another hardware"
    assert refusal(saved, Accelerator("kvm", "")) == "it was saved with another accelerator"

    cases: list[tuple[Path, bytes | None, str]] = [
        (description, None, "nothing has been saved for it"),
        (description, b"{", "its description is damaged"),
        (description, b"[]", "its description is damaged"),
        (description, b"{}", "its description cannot be understood"),
        (description, described(saved, peer=7), "its description cannot be understood"),
        (description, described(saved, request="x"), "its description cannot be understood"),
        (description, described(saved, reason="it is so"), "it is so"),
        (state, None, r"warm\.state cannot be read \(No such file or directory\)"),
        (state, b"", "its state is damaged"),
        (state, content[:1000], "its state is damaged"),
        (state, content.replace(b"virtio", b"vortio", 1), "its state is damaged"),
    ]
    for part in fit:
        other = described(saved, fit={**fit, part: "x"})
        cases.append((description, other, f"it was saved with another {part}"))
    for path, data, reason in cases:
        with changed(saved, path, data):
            assert re.search(reason, refusal(saved)), reason
    assert refusal(saved) == ""

    ram = folder(saved, "ram") / "ram"
    with ram.open("r+b") as file:
        file.write(b"\0")
    assert refusal(saved) == "its RAM was touched after it was saved"
    ram.unlink()
    assert refusal(saved) == f"{ram} cannot be read (No such file or directory)"

    # Bootstrapped anew by somebody who knows nothing of templates.
    path = saved.machine().bootstrapped_path
    saved.storage.snapshot(path, f"{path}.new", read_only=True)
    saved.storage.delete(path)
    saved.storage.rename(f"{path}.new", path)
    assert refusal(saved) == "it was saved with another bootstrap"
    _template.remove(saved.engine(), saved.machine())
    assert refusal(saved) == "nothing has been saved for it"


def test_where_resuming_fails_the_task_boots_the_machine(
    saved: BuildHost, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    state, description = (folder(saved, "warm") / name for name in ("warm.state", "warm.json"))
    # One that is damaged in a way that only QEMU notices.
    short = state.read_bytes()[:200_000]
    with (
        changed(saved, state, short),
        changed(saved, description, described(saved, digest=hashlib.sha256(short).hexdigest())),
    ):
        check_cold(saved, saved.perform(files=files, **WARM), "tiny-default did not start: .*load")

    killed = []

    def kill(line: str) -> None:
        saved.lines.append(line)
        if line == "phase first request" and not killed:
            killed.extend(saved.qemus())
            os.kill(killed[0], 9)

    saved.changes["report"] = kill
    check_cold(
        saved, saved.perform(files=files, **WARM), "it ended with status -9 before its first"
    )
    saved.changes.clear()

    # A guest that does not wake up.
    monkeypatch.setattr(_conversation, "_RESUME", 2.0)
    ram = folder(saved, "ram") / "ram"
    with ram.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        os.ftruncate(file.fileno(), 0)
        os.ftruncate(file.fileno(), size)
    stat = ram.stat()
    stamp = [stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    with changed(saved, description, described(saved, ram=stamp)):
        check_cold(
            saved,
            saved.perform(files=files, **WARM),
            "no request within 2 s|it ended with|did not start",
        )


def test_a_template_goes_with_its_machine(saved: BuildHost) -> None:
    install_toolchain(saved.tftp, files={"more": "more"})
    assert saved.machine().state == "obsolete"
    assert saved.ensure().changed
    assert saved.machine().state == "current"
    assert not folder(saved, "warm").exists()
    assert not folder(saved, "ram").exists()

    # One that is half there, too.
    saved.storage.create(str(folder(saved, "ram")))
    (saved.volume / "tiny" / "tiny-1").unlink()
    assert saved.ensure().changed
    assert sorted(os.listdir(saved.volume / "tiny")) == ["tiny-1.1"]
    assert not saved.ensure().changed


def test_a_machine_with_another_worker_stays_cold(
    host: BuildHost, bootstrapped: Machine, files: dict[str, str]
) -> None:
    host.install_scripted(
        bootstrapped, guest.GET_TASK + guest.result("status: success") + guest.SLEEP
    )
    assert not host.ensure(running=WARM).changed
    (warning,) = warnings(host)
    reason = "its worker asks for 'manifest' first and not for 'resumed'"
    assert warning.startswith(f"warning: machine tiny has no warm starts: {reason}")
    host.lines.clear()
    # Once is enough.
    assert not host.ensure(running=WARM).changed
    assert host.lines == []
    template = _template.look(host.machine())
    assert template is not None
    assert template.reason.startswith(reason)
    check_cold(host, host.perform(files=files, **WARM), reason)


def test_a_clone_that_does_not_know_of_its_pause_gets_no_task(
    host: BuildHost, bootstrapped: Machine, files: dict[str, str]
) -> None:
    # It asks for what it should know, does not care for the answer, and goes on. To a machine that
    # was booted that makes no difference.
    request = r"import socket; socket.socket(2, 2).sendto(b'\0\1resumed\0octet\0', ('%s', %s))"
    ask = 'python3 -c "' + request % tuple(guest.SERVER.split()) + '"\nsleep 1\n'
    script = ask + guest.GET_TASK + guest.result("status: success") + guest.SLEEP
    host.install_scripted(bootstrapped, script)
    assert host.ensure(running=WARM).changed
    host.lines.clear()
    check_cold(
        host,
        host.perform(files=files, **WARM),
        "its worker asks for 'manifest' before it has 'resumed'",
    )


@pytest.mark.parametrize("stop", ["template boot", "template save", "template publish"])
def test_an_owner_killed_while_a_template_is_made(ready: BuildHost, stop: str) -> None:
    with owner(ready, f"phase {stop}", warm=["tiny"]) as process:
        process.kill()
        process.wait()
    until(lambda: not ready.qemus(), "the machine has died with its owner", 5)
    assert sweep(ready.engine()) == [
        f"cleared away the dead template of process {process.pid} on machine tiny"
    ]
    ready.assert_clean()
    assert not folder(ready, "warm").exists()
    assert not folder(ready, "ram").exists()


def test_a_machine_killed_while_it_is_saved_is_saved_the_next_time(ready: BuildHost) -> None:
    killed = []

    def kill() -> bool:
        if not killed:
            killed.extend(ready.qemus())
            os.kill(killed[0], 9)
        return True

    assert not ready.ensure(running={**WARM, "alive": kill}).changed
    assert warnings(ready) == [
        "warning: machine tiny has no warm starts: "
        "it ended before the request that it is to be saved at"
    ]
    ready.assert_clean()
    assert ready.ensure(running=WARM).changed


def test_an_owner_killed_while_a_clone_is_resumed(saved: BuildHost, files: dict[str, str]) -> None:
    for stop in ("resume", "first request", "work"):
        with owner(saved, f"phase {stop}", files, warm=["tiny"]) as process:
            process.kill()
            process.wait()
        until(lambda: not saved.qemus(), "the machine has died with its owner", 5)
        assert len(sweep(saved.engine())) == 1
        saved.assert_clean()
    outcome = saved.perform(files=files, **WARM)
    assert outcome.result.status is Status.SUCCESS
    assert outcome.start is not None
    assert outcome.start.warm


def test_a_full_disk_means_no_template(ready: BuildHost, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = os.statvfs(ready.volume)
    free = os.statvfs_result((*stat[:4], 1000, *stat[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _path: free)
    assert not ready.ensure(running=WARM).changed
    (warning,) = warnings(ready)
    assert "machine tiny cannot be saved: its RAM is 256 MB, and 3 MB are free in" in warning
