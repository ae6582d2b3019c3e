# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CMake project, two configurations, on three releases of Debian, in two kinds of machine."""

from __future__ import annotations

import json
import signal
import subprocess
import typing as t
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from helpers.browser import show
from helpers.build_host import BuildHost
from helpers.images import release_image
from helpers.real_sources import debian
from helpers.run_command import results, start
from helpers.site import Site
from helpers.waiting import until

pytestmark = pytest.mark.long

RELEASES = {"11": "bullseye", "12": "bookworm", "13": "trixie"}
KINDS = ("kvm", "nspawn")
MACHINES = [f"debian_{release}-{kind}" for release in RELEASES for kind in KINDS]
CJSON = "5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2"
# CMake 3.18, that of Debian 11, does not know C 23.
CONFIGS = "plain: -DENABLE_CJSON_UTILS=On; c23: -DCMAKE_C_STANDARD=23"
BROKEN = {f"c23_debian-11-{kind}" for kind in KINDS}


def cjson() -> Path:
    """The archive of the project."""
    return debian("cjson", "cjson_1.7.15.orig.tar.gz", CJSON)


@pytest.fixture(scope="module")
def releases(site: Site) -> t.Iterator[BuildHost]:
    """A host with a bootstrapped machine of each release and kind."""
    images = {
        f"debian_{release}-{kind}": release_image(name, kind, f"debian_{release}-{kind}")
        for release, name in RELEASES.items()
        for kind in KINDS
    }
    # Kept, while packages can be had.
    cjson()
    # Six machines are more than there is room for on the small volume of the site.
    host = BuildHost(site, "directory", site.plain)
    for name, image in images.items():
        source = host.volume / f"{name}.image"
        host.copy(image, source, read_only=False)
        host.install(name, source=source)
        host.storage.delete(str(source))
    with site.namespace.entered():
        for name in images:
            ensured = host.ensure(name, Waits(startup=300, total=300, retries=0, shutdown=60))
            assert ensured.failure is None, host.lines
        yield host


@pytest.fixture
def project(tmp_path: Path) -> Path:
    subprocess.run(["tar", "-C", str(tmp_path), "-xf", str(cjson())], check=True)
    (unpacked,) = tmp_path.iterdir()
    return unpacked.rename(tmp_path / "cjson")


def states(folder: Path) -> dict[str, str]:
    """What the index says of each combination, by its name."""
    for path in folder.glob("results/matrix-*/index.json"):
        found = json.loads(path.read_text())["combinations"]
        return {each["id"]: each.get("status") or each["state"] for each in found}
    return {}


def test_what_fails_where_shows_and_an_interruption_costs_nothing(
    releases: BuildHost, project: Path
) -> None:
    folder = project.parent
    words = ["--machine", "debian_*", "--configs", CONFIGS, "--at-once", "2"]
    with start(releases, folder, "cjson", *words) as process:
        until(lambda: list(states(folder).values()).count("success") >= 3, "some have ended", 1800)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    releases.assert_clean()
    home = results(folder)
    before = states(folder)
    done = {name for name, state in before.items() if state in ("success", "error")}
    assert 3 <= len(done) < 12
    kept = {name: (home / name / "result.manifest").stat().st_mtime_ns for name in done}

    with start(releases, folder, "--resume", str(home)) as process:
        output, errors = process.communicate(timeout=3600)
    assert process.returncode == 1, output + errors
    assert f"{len(done)} results are kept" in output + errors
    assert {n: (home / n / "result.manifest").stat().st_mtime_ns for n in done} == kept
    releases.assert_clean()

    after = states(folder)
    machines = [machine.replace("_", "-") for machine in MACHINES]
    assert set(after) == {f"{c}_{m}" for c in ("plain", "c23") for m in machines}
    assert {name for name, state in after.items() if state == "error"} == BROKEN
    assert {state for name, state in after.items() if name not in BROKEN} == {"success"}
    lines = output.splitlines()
    assert "12 combinations: 2 error, 10 success" in lines
    for kind in KINDS:
        assert f"fails with config c23, machine debian_11-{kind}: 1 of 1" in lines

    index = json.loads((home / "index.json").read_text())["combinations"]
    for entry in index:
        if entry["id"] in BROKEN:
            assert entry["first_error"]["operation"] == "configure"
            assert "C_STANDARD" in entry["first_error"]["line"]
        else:
            assert entry["tests"]["test"]["failed"] == 0
            assert entry["tests"]["test"]["passed"] >= 17
    suites = ET.parse(home / "junit.xml").getroot()
    assert (len(suites), suites.get("errors"), suites.get("failures")) == (12, "0", "2")
    seen = show(home / "report.html", home / "report.png", width=1280, height=1600)
    assert "<title>2 of 12 failed" in seen
    assert "C_STANDARD" in seen
