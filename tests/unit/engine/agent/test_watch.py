# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes of the machines are noticed, whatever becomes of their folders."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.watch import Watch
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "machines" / "default" / "debian").mkdir(parents=True)
    (tmp_path / "tftp" / "toolchains").mkdir(parents=True)
    return Host(
        run=t.cast("t.Any", None),
        storage=t.cast("t.Any", None),
        machines=str(tmp_path / "machines"),
        tftp=str(tmp_path / "tftp"),
    )


@pytest.fixture
def watch(host: Host) -> Watch:
    watch = Watch(host)
    if watch.fileno() < 0:
        pytest.skip("there is no inotify")
    watch.refresh()
    assert not watch.changed()
    return watch


def test_what_matters(host: Host, watch: Watch) -> None:
    folder = Path(host.machines, "default", "debian")
    (folder / "debian-default-1-0").mkdir()
    (folder / "debian-1.1").mkdir()
    assert not watch.changed()
    (folder / "debian-1").symlink_to("debian-1.1")
    assert watch.changed()
    assert not watch.changed()
    Path(host.tftp, "toolchains", "x").symlink_to(".x-1")
    assert watch.changed()
    Path(host.machines, "default", "other").mkdir()
    assert watch.changed()


def test_a_volume_that_is_renamed_is_watched_on(host: Host, watch: Watch) -> None:
    Path(host.machines, "default").rename(Path(host.machines, "moved"))
    assert watch.changed()
    watch.refresh()
    watch.changed()
    Path(host.machines, "moved", "another").mkdir()
    assert watch.changed()
