# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for Debian's source packages, with this host's tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bbot_worker.drivers.debian import DebhelperOutput
from kinds.lang import KINDS

Perform = Callable[..., Any]

KIND = KINDS["debian"]
GOOD = KIND.project("good")


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")


def test_packages_come_home(perform: Perform) -> None:
    outcome = perform(GOOD, KIND.configuration)
    assert outcome.status == "success", outcome
    names = {each["path"].rpartition("/")[2] for each in outcome.report["artifacts"]}
    assert names == {"sample_1.0_all.deb", "sample_1.0_amd64.buildinfo", "sample_1.0_amd64.changes"}


def test_what_lintian_finds(perform: Perform) -> None:
    documented = dict(GOOD)
    del documented["debian/copyright"]
    outcome = perform(documented, KIND.configuration)
    assert outcome.statuses == {"configure": "success", "update": "success", "test": "error"}
    assert "error: lintian has found 1 errors" in outcome.logs["test"]
    control = GOOD["debian/control"].replace(" It has a text, and nothing else", " .\n A\ttext")
    outcome = perform({**GOOD, "debian/control": control}, KIND.configuration)
    assert outcome.statuses["test"] in ("warning", "error"), outcome


def test_build_dependencies_that_are_missing_are_named(perform: Perform) -> None:
    needed = "debhelper-compat (= 13), no-such-dev (>= 2) | other, nothing"
    control = GOOD["debian/control"].replace("debhelper-compat (= 13)", needed)
    outcome = perform({**GOOD, "debian/control": control}, KIND.configuration)
    assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
    assert (
        "error: this machine lacks packages to build with: no-such-dev (>= 2) | other nothing: "
        "list them in a bbot.yml ('packages') or have them in the image "
        "(machine_image_extra_packages)"
    ) in outcome.logs["configure"]


@pytest.mark.parametrize(
    ("lines", "has_run"),
    [
        ("   dh_auto_test\n\tmake -j2 check\nmake[1]: Entering directory\n", True),
        ("   dh_auto_test\n   create-stamp debian/debhelper-build-stamp\n", False),
        ("   dh_auto_test\n   dh_prep\n\tsomething\n", False),
        ("   debian/rules override_dh_auto_test\nmake[1]: Entering directory '/x'\n./test\n", True),
        ("   debian/rules override_dh_auto_test\nmake[1]: Leaving directory '/x'\n", False),
        ("   dh_auto_build\n\tmake -j2\n", False),
    ],
)
def test_whether_tests_were_run(lines: str, has_run: bool) -> None:
    output = DebhelperOutput()
    for line in lines.splitlines():
        output.feed(line)
    assert output.has_run is has_run
