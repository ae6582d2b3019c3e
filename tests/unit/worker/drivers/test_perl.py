# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for Perl distributions."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Perform = Callable[..., Any]


def text(source: str) -> str:
    return textwrap.dedent(source).lstrip("\n")


def counted(outcome: Any) -> tuple[int, int, int]:
    tests = outcome.report["tests"]["test"]
    return tests["passed"], tests["failed"], tests["skipped"]


MAKEFILE_PL = "use ExtUtils::MakeMaker; WriteMakefile(NAME => 'Sample', VERSION => '1'{more});\n"
BUILD_PL = text(
    """
    use Module::Build;
    Module::Build->new(
      module_name => 'Sample', dist_version => '1', dist_abstract => 'x', dist_author => 'x',
      license => 'perl', create_packlist => 0, REQUIRES
    )->create_build_script;
    """
)
MAKEMAKER = {"Makefile.PL": MAKEFILE_PL.replace("{more}", "")}
BUILD = {"Build.PL": BUILD_PL.replace("REQUIRES", "")}
FILES = {
    "lib/Sample.pm": "package Sample; sub answer { 42 } 1;\n",
    "t/sample.t": "use Test::More tests => 2; use Sample; is(Sample::answer(), 42); ok(1);\n",
}


@pytest.mark.parametrize("kind", [MAKEMAKER, BUILD])
def test_everything(perform: Perform, tmp_path: Path, kind: dict[str, str]) -> None:
    outcome = perform({**FILES, **kind}, "config.bbot.operations=configure,update,test,install")
    assert outcome.status == "success", outcome
    assert counted(outcome) == (2, 0, 0)
    assert (tmp_path / "work" / "installed" / "lib" / "perl5" / "Sample.pm").exists()


@pytest.mark.parametrize("kind", [MAKEMAKER, BUILD])
def test_what_would_be_installed_is_an_artifact(perform: Perform, kind: dict[str, str]) -> None:
    outcome = perform({**FILES, **kind}, "config.bbot.artifacts=install")
    assert "lib/perl5/Sample.pm" in {each["path"] for each in outcome.report["artifacts"]}, outcome


@pytest.mark.parametrize("kind", [MAKEMAKER, BUILD])
def test_no_tests(perform: Perform, kind: dict[str, str]) -> None:
    outcome = perform({"lib/Sample.pm": FILES["lib/Sample.pm"], **kind})
    assert outcome.statuses["test"] == "warning", outcome
    assert "no tests were run: the distribution defines none" in outcome.logs["test"]


@pytest.mark.parametrize(
    "files",
    [
        {"Makefile.PL": MAKEFILE_PL.replace("{more}", ", PREREQ_PM => {'No::Such' => 2}")},
        {"Build.PL": BUILD_PL.replace("REQUIRES", "requires => {'No::Such' => 2},")},
        {"Makefile.PL": "use No::Such;\n"},
        {"Build.PL": "use No::Such;\n"},
    ],
)
def test_a_missing_prerequisite_is_named(perform: Perform, files: dict[str, str]) -> None:
    outcome = perform({**FILES, **files})
    assert outcome.statuses["configure"] == "error", outcome
    assert (
        "error: this machine lacks what the distribution needs: No::Such (Debian has it as "
        "libno-such-perl or as a part of perl)"
    ) in outcome.logs["configure"]


def test_a_module_that_tests_lack_is_named(perform: Perform) -> None:
    outcome = perform({**FILES, **MAKEMAKER, "t/other.t": "use No::Such;\n"})
    assert outcome.statuses["test"] == "error"
    assert "lacks what the distribution needs: No::Such" in outcome.logs["test"]


def test_makemaker_where_module_build_is_missing(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bbot_worker.drivers.perl import Perl

    has = Perl._has
    monkeypatch.setattr(
        Perl, "_has", lambda self, name: name != "Module::Build" and has(self, name)
    )
    assert perform({**FILES, **MAKEMAKER, **BUILD}).status == "success"


def test_module_build_is_named_where_nothing_else_would_do(
    perform: Perform, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bbot_worker.drivers.perl import Perl

    monkeypatch.setattr(Perl, "_has", lambda self, name: False)
    outcome = perform({**FILES, **BUILD})
    assert "Module::Build (Debian has it as libmodule-build-perl" in outcome.logs["configure"]
