# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine under control, by a monitor that refuses, dies or lies; and what clears it away."""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import process_start
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import (
    Hardware,
    VmError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu import process as _process
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.migration import SavedState
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.process import (
    Ram,
    Vm,
    _own,
    release,
    state_key,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.qemu.qmp import QmpError

MAC = "02:00:00:00:00:01"
TCG = Accelerator("tcg", "")


class Monitor:
    """A QMP session; `error` is raised by whatever is asked for."""

    build = "7.2.0"

    def __init__(self) -> None:
        self.commands: list[str] = []
        self.error: Exception | None = None
        self.come: list[t.Any] = []
        self.answer: t.Any = {}

    def execute(self, command: str, **_arguments: t.Any) -> t.Any:
        self.commands.append(command)
        if self.error is not None:
            raise self.error
        return self.answer

    def listen(self) -> bool:
        if self.error is not None:
            raise self.error
        return True

    def events(self) -> list[t.Any]:
        come, self.come = self.come, []
        return come


class Lease:
    id = "1-0"

    def __init__(self) -> None:
        self.record: dict[str, t.Any] = {}

    def note(self, **facts: t.Any) -> None:
        self.record |= facts


class Site:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.host = Host(
            run=t.cast("t.Any", None),
            storage=t.cast("t.Any", None),
            state=str(root / "state"),
            runtime=str(root / "run"),
        )
        self.hardware = Hardware("m1-t", str(root), MAC)
        self.lease = Lease()
        self.vm = Vm(self.host, t.cast("t.Any", self.lease), self.hardware, TCG, str(root))
        self.monitor = Monitor()
        self.vm._qmp = t.cast("t.Any", self.monitor)

    def start(self) -> None:
        """Have a process stand for QEMU."""
        self.vm.pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
        self.vm._pidfd = os.pidfd_open(self.vm.pid)


@pytest.fixture
def site(tmp_path: Path) -> t.Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.vm.force_down()
    if made.vm._pidfd >= 0:
        os.close(made.vm._pidfd)


CONTROLS: list[tuple[t.Callable[[Vm], object], str]] = [
    (Vm.power_down, "system_powerdown"),
    (Vm.suspend, "stop"),
    (Vm.resume, "cont"),
]


@pytest.mark.parametrize(("control", "command"), CONTROLS)
def test_a_machine_under_control(
    site: Site, control: t.Callable[[Vm], object], command: str
) -> None:
    site.start()
    control(site.vm)
    assert site.monitor.commands == [command]
    site.monitor.error = QmpError("QEMU's monitor did not answer within 30 s")
    with pytest.raises(VmError, match="cannot control machine m1-t: QEMU's monitor did not"):
        control(site.vm)
    # Where it has ended, nobody minds.
    os.kill(site.vm.pid, signal.SIGKILL)
    control(site.vm)
    assert site.vm.exit_status == -signal.SIGKILL


def test_what_a_machine_has_written(site: Site) -> None:
    site.start()
    site.monitor.answer = [{"stats": {"wr_bytes": 5}}, {"stats": {"wr_bytes": 7}}]
    assert site.vm.written() == 12
    for odd in (None, {}, [None], [{"stats": {}}], [{"stats": {"wr_bytes": "much"}}]):
        site.monitor.answer = odd
        with contextlib.suppress(VmError):
            assert site.vm.written() == 0
    site.monitor.error = QmpError("no answer")
    with pytest.raises(VmError, match="cannot watch machine m1-t: no answer"):
        site.vm.written()
    os.kill(site.vm.pid, signal.SIGKILL)
    assert site.vm.written() == 0


def test_a_machine_that_was_not_started(site: Site) -> None:
    site.vm._qmp = None
    for control in (*[each for each, _command in CONTROLS], Vm.listen, Vm.go_on):
        with pytest.raises(VmError, match="machine m1-t has not been started"):
            control(site.vm)
    assert not site.vm.running()
    assert site.vm.wait(0)
    site.vm.force_down()


def test_a_machine_that_runs_is_waited_for(site: Site) -> None:
    site.start()
    assert site.vm.running()
    assert not site.vm.wait(0)
    assert site.vm.fileno() == site.vm._pidfd
    site.vm.force_down()
    assert site.vm.wait()
    assert site.vm.exit_status == -signal.SIGKILL
    site.vm.force_down()


def event(**data: t.Any) -> dict[str, t.Any]:
    return {"event": "BLOCK_IO_ERROR", "data": data}


@pytest.mark.parametrize(
    ("come", "out_of_space"),
    [
        ([], False),
        ([event(action="stop", nospace=True)], True),
        ([event(action="stop", nospace=True), event(action="stop", nospace=False)], True),
        ([event(action="stop", nospace=False)], False),
        ([event(action="report", nospace=True)], False),
        ([event()], False),
        ([{"event": "STOP", "data": {"action": "stop", "nospace": True}}], False),
        ([{"event": "BLOCK_IO_ERROR"}], False),
        ([{"event": "BLOCK_IO_ERROR", "data": ["stop", "nospace"]}], False),
        ([{}], False),
    ],
)
def test_a_machine_whose_disk_is_full(site: Site, come: list[t.Any], out_of_space: bool) -> None:
    site.monitor.come = come
    assert site.vm.listen()
    assert site.vm.out_of_space is out_of_space
    site.vm.go_on()
    assert not site.vm.out_of_space
    assert site.monitor.commands == ["cont"]


def test_a_monitor_that_talks_nonsense_is_listened_to_no_more(site: Site) -> None:
    site.monitor.error = QmpError("QEMU's monitor sent no JSON")
    assert not site.vm.listen()


@pytest.mark.parametrize("shared", [None, True, False])
def test_a_machine_that_is_saved(
    site: Site, shared: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart: list[bool] = []
    monkeypatch.setattr(_process, "save", lambda _qmp, _path, *, ram_apart: apart.append(ram_apart))
    site.vm._ram = None if shared is None else Ram(5, shared)
    key = state_key(site.hardware, TCG)
    # RAM that is a clone's own goes into the state.
    assert site.vm.save("/x/state") == SavedState("/x/state", key, "7.2.0", bool(shared))
    assert apart == [bool(shared)]
    assert site.monitor.commands == ["stop"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (QmpError("QEMU did not save the machine"), "cannot save machine m1-t: QEMU did not"),
        (OSError(28, "No space left on device"), "cannot save machine m1-t to /x/state: No space"),
    ],
)
def test_a_machine_that_cannot_be_saved(
    site: Site, error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: t.Any, **_more: t.Any) -> t.NoReturn:
        raise error

    monkeypatch.setattr(_process, "save", fail)
    with pytest.raises(VmError, match=words):
        site.vm.save("/x/state")


@pytest.mark.parametrize(
    ("key", "apart", "words"),
    [
        ("another", False, "/x/state is the state of another machine than m1-t"),
        ("", True, "/x/state needs the RAM of machine m1-t in a file of its own"),
    ],
)
def test_a_state_that_is_not_this_machines(site: Site, key: str, apart: bool, words: str) -> None:
    state = SavedState("/x/state", key or state_key(site.hardware, TCG), "7.2.0", apart)
    with pytest.raises(VmError, match=words):
        site.vm.start(t.cast("t.Any", None), state=state)
    # Before anything was made.
    assert site.lease.record == {}


@pytest.mark.parametrize(
    ("qemu", "error", "words"),
    [
        ("7.1.0", None, "was saved by QEMU 7.1.0, which QEMU 7.2.0 cannot load"),
        ("7.2.0", FileNotFoundError(2, "No such file or directory"), "cannot read /x/state: No"),
        ("7.2.0", OSError(5, "Input/output error"), "cannot read /x/state: Input/output"),
    ],
)
def test_a_state_that_cannot_be_loaded(
    site: Site, qemu: str, error: Exception | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_arguments: t.Any) -> None:
        assert error is not None
        raise error

    monkeypatch.setattr(_process, "load", load)
    with pytest.raises(VmError, match=words):
        site.vm._load(t.cast("t.Any", site.monitor), SavedState("/x/state", "k", qemu))


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (None, "QEMU said nothing"),
        (b"", "QEMU said nothing"),
        (b"\n \n", "QEMU said nothing"),
        (b"first\nqemu: no such disk\n\n", "qemu: no such disk"),
        (b"\xff odd", "\ufffd odd"),
    ],
)
def test_the_last_words_of_qemu(site: Site, log: bytes | None, words: str) -> None:
    if log is not None:
        Path(site.vm.log).write_bytes(log)
    assert site.vm._words() == words


def test_what_a_person_needs_to_look_into_it(site: Site) -> None:
    site.start()
    assert site.vm.info() == [
        f"qemu pid: {site.vm.pid}",
        f"vnc socket: {site.root}/run/1-0/vnc",
        f"qemu log: {site.root}/qemu.log",
    ]


def test_a_machine_that_is_closed_leaves_nothing(site: Site) -> None:
    site.start()
    runtime = site.root / "run" / "1-0"
    runtime.mkdir(parents=True)
    (runtime / "vnc").write_text("")
    # What its network is of is not its own.
    site.lease.record = {"mac": MAC, "bridge": "br1", "runtime": str(runtime)}
    site.vm.close()
    assert site.vm.exit_status == -signal.SIGKILL
    assert site.vm.fileno() == -1
    assert not runtime.exists()
    assert site.lease.record == {"mac": MAC, "bridge": "br1", "runtime": None, "qemu": None}
    # A second time there is nothing to do.
    site.vm.close()


@pytest.fixture
def sleeper() -> t.Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_a_machine_that_outlived_its_owner_is_killed(
    site: Site, sleeper: subprocess.Popen[bytes]
) -> None:
    release({"qemu": sleeper.pid, "qemu_start": process_start(sleeper.pid)})
    assert process_start(sleeper.pid) is None
    assert sleeper.wait() in (0, -signal.SIGKILL)
    # It may be gone already.
    release({"qemu": sleeper.pid, "qemu_start": 7})


@pytest.mark.parametrize("start", [7, None, 0])
def test_another_process_of_the_same_number_is_left_alone(
    site: Site, sleeper: subprocess.Popen[bytes], start: int | None
) -> None:
    release({"qemu": sleeper.pid, "qemu_start": start})
    assert sleeper.poll() is None


def test_what_a_dead_owner_has_left_is_removed(site: Site) -> None:
    runtime = site.root / "run" / "1-0"
    runtime.mkdir(parents=True)
    (runtime / "vnc").write_text("")
    release({"runtime": str(runtime)})
    assert not runtime.exists()
    # It may be gone already.
    release({"runtime": str(runtime)})
    release({})


def entry(path: Path) -> os.DirEntry[str]:
    with os.scandir(path.parent) as entries:
        return next(each for each in entries if each.name == path.name)


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o666, 0o400])
def test_a_disk_is_its_machines_alone(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "disk.img"
    path.write_text("disk")
    path.chmod(mode)
    before = path.stat().st_ctime_ns
    _own(entry(path), pwd.getpwuid(os.geteuid()))
    after = path.stat()
    assert after.st_mode & 0o777 == (0o600 if mode & 0o077 else mode)
    # Each change costs the file system something.
    assert (after.st_ctime_ns == before) is not bool(mode & 0o077)


def test_a_disk_that_others_share_is_left_to_them(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_text("disk")
    path.chmod(0o440)
    (tmp_path / "other").hardlink_to(path)
    _own(entry(path), pwd.getpwuid(os.geteuid()))
    assert path.stat().st_mode & 0o777 == 0o440
    # One that can be written to is nobody else's.
    path.chmod(0o640)
    _own(entry(path), pwd.getpwuid(os.geteuid()))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_disk_that_somebody_else_installed(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_text("disk")
    (tmp_path / "link").symlink_to("/etc/hostname")
    owner = os.stat("/etc/hostname").st_uid
    account = pwd.getpwnam("nobody")
    site.vm._own_disks(account)
    assert (path.stat().st_uid, path.stat().st_gid) == (account.pw_uid, account.pw_gid)
    # What a link names is not the machine's.
    assert os.stat("/etc/hostname").st_uid == owner
    assert os.lstat(tmp_path / "link").st_uid == os.geteuid()
