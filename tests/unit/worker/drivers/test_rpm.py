# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for RPM packages, with this host's tools."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kinds.lang import KINDS

Perform = Callable[..., Any]

KIND = KINDS["rpm"]
GOOD = KIND.project("good")
SPEC = GOOD["sample.spec"]


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")


def test_packages_come_home(perform: Perform) -> None:
    outcome = perform(GOOD, KIND.configuration)
    assert outcome.status == "success", outcome
    names = {each["path"].rpartition("/")[2] for each in outcome.report["artifacts"]}
    assert names == {"sample-1.0-1.noarch.rpm", "sample-1.0-1.src.rpm"}


@pytest.mark.parametrize(
    ("setup", "source"),
    [
        ("%setup -q -n elsewhere", "sample-1.0.tar.xz"),
        ("%autosetup -n elsewhere-%{version}", "other.tgz"),
        ("%autosetup", "sample-%{version}.tar.bz2"),
    ],
)
def test_the_archive_is_made_as_the_spec_wants_it(
    perform: Perform, setup: str, source: str
) -> None:
    spec = SPEC.replace("%setup -q", setup).replace("sample-1.0.tar.gz", source)
    outcome = perform({**GOOD, "sample.spec": spec}, KIND.configuration)
    assert outcome.statuses["update"] == "success", outcome


def test_patches_beside_the_spec_are_applied(perform: Perform) -> None:
    patch = "--- a/notes.txt\n+++ b/notes.txt\n@@ -1 +1 @@\n-A sample.\n+Patched.\n"
    spec = SPEC.replace("BuildArch:", "Patch1: fix.patch\nBuildArch:")
    spec = spec.replace("%setup -q", "%setup -q\n%patch1 -p1\ngrep Patched notes.txt")
    outcome = perform({**GOOD, "sample.spec": spec, "fix.patch": patch}, KIND.configuration)
    assert outcome.statuses["update"] == "success", outcome


def test_a_source_that_is_missing_is_named(perform: Perform) -> None:
    spec = SPEC.replace("BuildArch:", "Source1: https://example.org/data.zip\nBuildArch:")
    outcome = perform({**GOOD, "sample.spec": spec}, KIND.configuration)
    assert outcome.statuses["configure"] == "error"
    assert (
        "error: Source1 of sample.spec, data.zip, is not in the sources"
        in outcome.logs["configure"]
    )


def test_a_spec_that_is_wrong(perform: Perform) -> None:
    outcome = perform(
        {**GOOD, "sample.spec": SPEC.replace("Version:", "Vresion:")}, KIND.configuration
    )
    assert outcome.statuses["configure"] == "error"
    assert "error: rpm does not understand sample.spec: " in outcome.logs["configure"]


def test_what_rpmlint_finds(perform: Perform) -> None:
    spec = SPEC.replace("Notes, and nothing else", "Notes, and nothing else.")
    outcome = perform({**GOOD, "sample.spec": spec}, KIND.configuration)
    assert outcome.statuses["test"] == "warning", outcome
    assert "rpmlint has " in outcome.logs["test"]
