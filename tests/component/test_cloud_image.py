# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine of a disk as clouds have them, which a firmware and its own boot loader start."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import sources
from helpers.build_host import BuildHost, make_task
from helpers.cloud_disk import cloud_disk
from helpers.images import BUILDER
from helpers.site import Site

pytestmark = pytest.mark.long

# Systemd takes long to start under emulation.
WAITS = Waits(startup=600, total=600, retries=0, shutdown=60)
RAM = 1 << 20
FACTS = ["--name", "cloud", "--id", "cloud-1", "--summary", "A test", "--fingerprint", "f"]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module", params=["bios", "uefi"])
def firmware(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture(scope="module")
def machine(site: Site, firmware: str, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """The machine of the disk, bootstrapped."""
    disk, image = cloud_disk(), tmp_path_factory.mktemp("images") / "cloud"
    before = digest(disk)
    command = [sys.executable, str(BUILDER), "--variant", "cloud", "--firmware", firmware, *FACTS]
    subprocess.run([*command, "--cloud", str(disk), str(image)], check=True)
    assert digest(disk) == digest(image / "disk.img") == before
    assert (image / "OVMF_VARS.fd").exists() is (firmware == "uefi")
    host = BuildHost(site)
    source = site.btrfs / f"cloud-{firmware}"
    host.copy(image, source, read_only=False)
    host.install("cloud", source=source)
    with site.namespace.entered():
        ensured = host.ensure("cloud", WAITS, {"ram": RAM})
        assert ensured.failure is None, (host.lines, ensured.logs)
        host.assert_clean()
    assert ensured.machine.revision is not None
    assert digest(Path(ensured.machine.revision) / "disk.img") == before
    return ensured.machine


def test_a_task_is_performed_on_it(
    host: BuildHost, machine: Machine, firmware: str, tmp_path: Path
) -> None:
    host.install_bootstrapped(machine, "cloud")
    probe = "ls /sys/firmware; cloud-init --version; systemctl is-active systemd-networkd\n"
    probe += "findmnt --noheadings --output LABEL /\n"
    files = {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz", probe))}
    outcome = host.perform(make_task(machine="cloud"), files=files, waits=WAITS, ram=RAM)
    assert outcome.result.status is Status.SUCCESS, outcome.result.logs
    lines = outcome.result.logs["update"].splitlines()
    assert ("efi" in lines) is (firmware == "uefi")
    assert "cloudimg-rootfs" in lines
    assert "active" in lines
    print(outcome.start, outcome.phases)
