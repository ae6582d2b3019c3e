# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines on disk: what is seen of them, when they are bootstrapped anew, and the races."""

from __future__ import annotations

import dataclasses
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.locks import LockError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import ensure as _ensure
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import FAKE_MAC
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import Ensured
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    Machine,
    enumerate_machines,
    find_machine,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
)
from helpers import sources
from helpers.build_host import BuildHost
from helpers.toolchains import install_toolchain


def list_machines(host: BuildHost) -> list[Machine]:
    return enumerate_machines(host.engine(), host.toolchain())


def faked(host: BuildHost, name: str = "tiny") -> Path:
    """Install a machine that counts as bootstrapped; where it is."""
    host.install(name)
    ensured = host.ensure(name, fake=True)
    assert ensured.changed
    assert ensured.machine.state == "current"
    return Path(ensured.machine.bootstrapped_path)


def test_a_fresh_machine_is_missing_and_then_current(host: BuildHost) -> None:
    revision = host.install()
    machine = host.machine()
    assert machine.state == "missing"
    assert machine.reasons == ("not bootstrapped for toolchain default",)
    assert machine.revision == str(revision)

    ensured = host.ensure(fake=True)
    assert ensured.changed
    info = host.storage.info(ensured.machine.bootstrapped_path)
    assert info is not None
    assert info.read_only
    assert ensured.machine.reasons == ()
    assert ensured.machine.bootstrapped is not None
    assert ensured.machine.bootstrapped.machine.mac == FAKE_MAC

    again = host.ensure(fake=True)
    assert not again.changed
    assert host.storage.info(again.machine.bootstrapped_path) == info


def test_each_reason_makes_the_affected_machine_obsolete(host: BuildHost) -> None:
    faked(host, "one")
    faked(host, "two")
    host.install("two", revision=2)
    one, two = list_machines(host)
    assert one.state == "current"
    assert (two.state, two.reasons) == (
        "obsolete",
        ("the machine's id is two-2, it was bootstrapped as two-1",),
    )

    former = host.toolchain_id
    changed = install_toolchain(host.tftp, files={"extra": "x"}, version="0.2.0")
    one, two = list_machines(host)
    because_of_id = f"the toolchain's id is {changed}, it was bootstrapped with {former}"
    because_of_version = "it was bootstrapped with bbot 0.1.0, we have 0.2.0"
    assert (one.state, one.reasons) == ("obsolete", (because_of_id, because_of_version))
    assert two.reasons == (*two.reasons[:1], because_of_id, because_of_version)
    for name in ("one", "two"):
        assert host.ensure(name, fake=True).changed
    assert [machine.state for machine in list_machines(host)] == ["current", "current"]


def test_a_newer_machine_is_left_alone(host: BuildHost) -> None:
    path = faked(host)
    before = host.storage.info(str(path))
    install_toolchain(host.tftp, version="0.0.9")
    machine = host.machine()
    assert machine.state == "newer"
    assert machine.reasons == ("it was bootstrapped with bbot 0.1.0, newer than our 0.0.9",)
    assert not host.ensure(fake=True).changed
    assert host.storage.info(str(path)) == before


def test_what_is_not_expected_is_not_compared(host: BuildHost) -> None:
    path = faked(host)
    host.storage.set_read_only(str(path), False)
    manifest = path / "manifest"
    manifest.write_text(manifest.read_text() + "libbutl-version: 0.0.1\n")
    assert host.machine().state == "current"


def test_an_unlinked_machine_goes(host: BuildHost) -> None:
    path = faked(host)
    (host.volume / "tiny" / "tiny-1").unlink()
    machine = host.machine()
    assert machine.state == "unlinked"
    assert machine.reasons == ("there is no link tiny-1 to a revision of it",)
    assert host.ensure().changed
    assert not path.exists()
    assert not host.ensure().changed
    assert (host.volume / "tiny" / "tiny-1.1").exists()


def broken_manifest(host: BuildHost) -> None:
    path = host.install()
    host.storage.set_read_only(str(path), False)
    (path / "manifest").write_text(": 1\nid: x\nname: tiny\nsummary\n")


def broken_bootstrapped(host: BuildHost) -> None:
    path = faked(host)
    host.storage.set_read_only(str(path), False)
    (path / "manifest").write_text(": 1\nid: x\nname: tiny\nsummary: x\ntype: kvm\n")


def dangling_link(host: BuildHost) -> None:
    host.install()
    host.link("tiny", 7)


def no_manifest(host: BuildHost) -> None:
    path = host.install()
    host.storage.set_read_only(str(path), False)
    (path / "manifest").unlink()


def folder_for_link(host: BuildHost) -> None:
    (host.volume / "tiny" / "tiny-1").mkdir(parents=True)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (broken_manifest, "tiny/tiny-1.1/manifest:4:8: error: ':' expected after name"),
        (broken_bootstrapped, "tiny/tiny-default/manifest:"),
        (dangling_link, "tiny/tiny-1 names is not there or has no manifest"),
        (no_manifest, "tiny/tiny-1 names is not there or has no manifest"),
        (folder_for_link, "cannot read "),
    ],
)
def test_a_broken_machine_says_where_and_is_left_alone(
    host: BuildHost, break_it: t.Callable[[BuildHost], None], words: str
) -> None:
    break_it(host)
    machine = host.machine()
    assert machine.state == "broken"
    assert words in machine.reasons[0]
    assert "\n" not in machine.reasons[0]
    ensured = host.ensure(fake=True)
    assert not ensured.changed
    assert ensured.machine.state == "broken"


def test_only_folders_with_proper_names_are_machines(host: BuildHost) -> None:
    host.install("b")
    host.install("a")
    other = host.machines / "another"
    other.mkdir()
    (other / "c").mkdir()
    (host.volume / ".hidden").mkdir()
    (host.machines / ".hidden" / "d").mkdir(parents=True)
    (host.volume / "file").write_text("x")
    (host.volume / "link").symlink_to("a")
    (host.machines / "link").symlink_to("default")
    found = [(machine.volume, machine.name) for machine in list_machines(host)]
    linked = [(volume, name) for volume in ("default", "link") for name in ("a", "b", "link")]
    assert found == [("another", "c"), *linked]


def test_an_unknown_machine_is_told_with_those_that_are_there(host: BuildHost) -> None:
    with pytest.raises(HostError, match="no machine x on this host; there are: none"):
        find_machine(list_machines(host), "x")
    for name in ("b", "a"):
        host.install(name)
    with pytest.raises(HostError, match="no machine x on this host; there are: a, b"):
        find_machine(list_machines(host), "x")


def test_a_machine_is_bootstrapped_per_toolchain(host: BuildHost) -> None:
    faked(host)
    install_toolchain(host.tftp, "other")
    assert host.machine(toolchain="other").state == "missing"
    assert host.machine().state == "current"


class Meddling(Btrfs):
    """A storage in which somebody relinks, or removes, a revision while it is snapshotted."""

    def __init__(self, meddle: t.Callable[[int, str], None], before: bool) -> None:
        self.meddle = meddle
        self.before = before
        self.calls = 0

    def snapshot(self, source: str, path: str, *, read_only: bool = False) -> None:
        self.calls += 1
        if self.before:
            self.meddle(self.calls, source)
        super().snapshot(source, path, read_only=read_only)
        if not self.before:
            self.meddle(self.calls, source)


def meddled(host: BuildHost, storage: Meddling) -> Ensured:
    host.changes["storage"] = storage
    return host.ensure(fake=True)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_ensure.time, "sleep", lambda _seconds: None)


def test_a_revision_that_is_relinked_while_it_is_snapshotted(host: BuildHost) -> None:
    host.install()

    def relink(call: int, _source: str) -> None:
        if call == 1:
            host.install(revision=2)

    storage = Meddling(relink, before=False)
    ensured = meddled(host, storage)
    assert storage.calls == 2
    assert ensured.machine.state == "current"
    assert ensured.machine.bootstrapped is not None
    assert ensured.machine.bootstrapped.machine.id == "tiny-2"


def test_a_revision_that_is_replaced_before_it_is_snapshotted(host: BuildHost) -> None:
    host.install()

    def replace(call: int, source: str) -> None:
        if call == 1:
            host.install(revision=2)
            host.storage.delete(source)

    storage = Meddling(replace, before=True)
    assert meddled(host, storage).machine.state == "current"
    assert storage.calls == 2


def test_a_revision_that_is_replaced_all_the_time(host: BuildHost) -> None:
    host.install()
    storage = Meddling(lambda call, _: host.link("tiny", call + 1), before=False)
    for revision in range(2, 13):
        host.install(revision=revision)
    host.link("tiny", 1)
    with pytest.raises(StorageError, match="tiny-1: it is replaced all the time"):
        meddled(host, storage)
    assert storage.calls == 11


def test_a_revision_that_is_deleted_with_its_link_left(host: BuildHost) -> None:
    host.install()
    storage = Meddling(lambda _, source: host.storage.delete(source), before=True)
    with pytest.raises(StorageError, match=r"cannot snapshot subvolume .*tiny-1\.1"):
        meddled(host, storage)
    assert storage.calls == 1


def test_a_revision_that_is_relinked_during_the_bootstrap(
    host: BuildHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes out is that of the old one, and says so."""
    host.install()
    bootstrap = _ensure.bootstrap

    def relink(*arguments: t.Any, **options: t.Any) -> t.Any:
        host.install(revision=2)
        return bootstrap(*arguments, **options)

    monkeypatch.setattr(_ensure, "bootstrap", relink)
    machine = host.ensure(fake=True).machine
    assert (machine.state, machine.reasons) == (
        "obsolete",
        ("the machine's id is tiny-2, it was bootstrapped as tiny-1",),
    )


def test_two_at_once_boot_once(host: BuildHost, bootstrapped: Machine) -> None:
    """A real boot: the one waits for the other, a third one will not, and nothing is done twice."""
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    outcomes: list[Ensured] = []
    begun = threading.Event()
    report = host.lines.append

    def note(line: str) -> None:
        report(line)
        if line == "phase work":
            begun.set()

    def ensure_here() -> None:
        with host.site.namespace.entered():
            outcomes.append(host.ensure(lock_timeout=120))

    host.changes["report"] = note
    first = threading.Thread(target=ensure_here)
    first.start()
    assert begun.wait(120)
    with pytest.raises(LockError, match="is there to bootstrap machine tiny for toolchain default"):
        host.ensure()
    second = host.ensure(lock_timeout=120)
    first.join()
    assert not second.changed
    assert [each.changed for each in outcomes] == [True]
    assert second.machine.state == "current"
    assert host.reported("phase start") == 1


def test_the_mac_address_is_kept_and_the_new_machine_works(
    ready: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    def mac() -> str | None:
        machine = ready.machine().bootstrapped
        assert machine is not None
        return machine.machine.mac

    before = mac()
    install_toolchain(ready.tftp, files={"extra": "x"})
    assert ready.machine().state == "obsolete"
    ensured = ready.ensure()
    assert ensured.changed, ready.lines
    assert list(ensured.phases) == [
        *(
            "snapshot",
            "prepare",
            "start",
            "first request",
            "work",
            "upload",
            "shutdown",
            "down",
            "publish",
        ),
    ]
    assert mac() == before
    archive = sources.pack(tmp_path / "source.tar.gz")
    outcome = ready.perform(files={"source.tar.gz": str(archive)})
    assert outcome.result.status is Status.SUCCESS


def test_a_mac_address_that_the_machine_demands_is_taken(host: BuildHost) -> None:
    path = faked(host)
    manifest = host.machine().manifest
    assert manifest is not None
    revision = host.volume / "tiny" / "tiny-1.1"
    host.storage.set_read_only(str(revision), False)
    demanding = dataclasses.replace(manifest, mac="ff:00:00:00:00:01", id="tiny-x")
    (revision / "manifest").write_text(demanding.to_text())
    with pytest.raises(NetworkError, match="MAC address ff:00:00:00:00:01 is a group address"):
        host.ensure()
    assert path.exists()
    assert host.machine().state == "obsolete"
