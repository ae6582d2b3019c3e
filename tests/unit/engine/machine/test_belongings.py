# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lease may name: its own, and nothing else."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    JournalError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import sweep as _sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.belongings import (
    is_below,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import leased, sweep


class Store:
    """A storage that has everything, and notes what is deleted."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    def discard(self, path: str) -> bool:
        self.deleted.append(path)
        return True


class Site:
    """A host in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: list[str] = []
        self.ran: list[t.Any] = []
        self.store = Store()
        self.host = Host(
            run=self.run,
            storage=t.cast("t.Any", self.store),
            machines=str(root / "machines"),
            tftp=str(root / "tftp"),
            state=str(root / "state"),
            runtime=str(root / "run"),
            report=self.told.append,
        )

    def run(self, args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        self.ran.append((args, data))
        return 0, "", ""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


OWN = [
    {"snapshot": "{0}/machines/default/debian/debian-default-{1}"},
    {"snapshots": ["{0}/machines/v/m/m-d-{1}", "{0}/machines/v/m/m-d-{1}.ram"]},
    {"folders": ["{0}/tftp/build/default-{1}"]},
    {"folders": ["{0}/tftp/bootstrap/stage-x-{1}"]},
    {"runtime": "{0}/run/{1}"},
    {"folders": ["{0}/tftp/build/d-{1}"], "delivery": "{0}/tftp/build/d-{1}/put/manifest"},
    {"snapshot": None, "snapshots": None, "folders": None, "mac": None, "runtime": None},
]
FOREIGN = [
    {"snapshot": "{0}/machines/default/debian/debian-1.1"},
    {"snapshot": "{0}/machines/default/debian/debian-default-9-9"},
    {"snapshot": "{0}/machines/default/debian-{1}"},
    {"snapshot": "{0}/machines/default/debian/../../../x-{1}"},
    {"snapshot": "{0}/machines/default/debian/x/x-{1}"},
    {"snapshot": "{0}/machines-{1}/a/b/c-{1}"},
    {"snapshot": "machines/a/b-{1}"},
    {"snapshots": ["{0}/machines/v/m/m-d-{1}", "/etc"]},
    {"folders": ["/etc"]},
    {"folders": ["{0}/tftp"]},
    {"folders": ["{0}/tftp/toolchains/default-{1}"]},
    {"folders": ["{0}/tftp/build/default-9-9"]},
    {"folders": ["{0}/tftp/build/../x-{1}"]},
    {"folders": ["{0}/tftp/build/default-{1}/"]},
    {"folders": ["{0}/tftp/build/default-{1}/get"]},
    {"runtime": "{0}/run"},
    {"runtime": "{0}/run/9-9"},
    {"runtime": "{0}/run/../run/{1}"},
    {"journal": ["/etc/x", 1]},
    {"delivery": "/etc/passwd"},
    {"delivery": "{0}/tftp/build/d-9-9/put/manifest"},
    {"mac": "x"},
    {"mac": "02:00:00:00:00:01"},
    {"mac": "02:00:00:00:00:01", "bridge": "a; flush ruleset"},
    {"mac": "01:00:00:00:00:01", "bridge": "br1"},
]


def stated(facts: t.Any, root: Path, own: str) -> t.Any:
    """`facts` with root and id of the lease filled in."""
    if isinstance(facts, dict):
        return {name: stated(value, root, own) for name, value in facts.items()}
    if isinstance(facts, list):
        return [stated(value, root, own) for value in facts]
    return facts.format(root, own) if isinstance(facts, str) else facts


@pytest.mark.parametrize("facts", OWN)
def test_what_is_its_own_is_removed(site: Site, facts: dict[str, t.Any]) -> None:
    lease = site.host.leases.take(what="task")
    named = stated(facts, site.root, lease.id)
    folders = [*(named.get("folders") or []), named.get("runtime")]
    for folder in filter(None, folders):
        Path(folder, "inner", "deep").mkdir(parents=True)
    lease.note(**named)
    lease.abandon()
    assert len(sweep(site.host)) == 1
    snapshots = [named.get("snapshot"), *(named.get("snapshots") or [])]
    assert site.store.deleted == list(filter(None, snapshots))
    assert not any(Path(folder).exists() for folder in filter(None, folders))
    assert site.host.leases.records() == {}


@pytest.mark.parametrize("facts", FOREIGN)
def test_what_is_not_its_own_is_not_touched(site: Site, facts: dict[str, t.Any]) -> None:
    lease = site.host.leases.take(what="task")
    mine = f"{site.root}/machines/v/m/m-d-{lease.id}"
    lease.note(**{"snapshot": mine, **stated(facts, site.root, lease.id)})
    lease.abandon()
    assert sweep(site.host) == sweep(site.host) == []
    assert site.store.deleted == site.ran == []
    (line,) = site.told
    assert line.startswith("error: a lease is damaged (its ")
    assert line.endswith(f"it was set aside as {lease.path}.damaged")


def test_a_lease_of_no_use_of_the_host(site: Site) -> None:
    with leased(site.host, what="agent") as lease:
        lease.note(controllers=["https://example.org"])
    assert site.told == []


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("/a/b", True),
        ("/a//b", False),
        ("/a/b/", False),
        ("/a/b/c", False),
        ("/a", False),
        ("/ab/c", False),
        ("a/b", False),
        ("/a/..", False),
        ("/a/./b", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("folder", ["/a", "/a/", "/x/../a"])
def test_below(path: str, folder: str, below: bool) -> None:
    assert is_below(path, folder, 1) is below


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (ValueError("nonsense"), False),
        (MemoryError(), False),
        (RecursionError(), False),
        (KeyError("x"), False),
        (JournalError("the journal cannot be used: the disk is full"), True),
    ],
)
def test_a_task_that_cannot_be_settled_ends_the_lease_all_the_same(
    site: Site, monkeypatch: pytest.MonkeyPatch, error: Exception, kept: bool
) -> None:
    def settle(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(_sweep, "settle", settle)
    lease = site.host.leases.take(what="task")
    lease.note(journal=[f"{site.root}/state/journal.sqlite", 1])
    lease.abandon()
    assert len(sweep(site.host)) == (not kept)
    assert len(site.host.leases.records()) == kept
    assert site.told[0].startswith("error: ")
