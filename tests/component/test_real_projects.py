# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects that nobody here wrote, built by the worker with this host's tools: green as they are,
red by one broken assertion."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from bbot_worker import account
from helpers.real_sources import debian, pypi, unpack
from helpers.worker import build

pytestmark = pytest.mark.long


@dataclass
class Project:
    """Where it comes from, what does it, and the text whose change breaks one of its tests.

    ``counts`` is (passed, skipped), None where nobody counts. ``more`` are files to add, by name;
    ``wheels`` those for a wheelhouse.
    """

    origin: tuple[Callable[..., Path], str, str, str]
    driver: str
    change: tuple[str, str, str]
    counts: tuple[int, int] | None
    configuration: str = ""
    more: dict[str, str] = field(default_factory=dict)
    wheels: list[tuple[str, str, str]] = field(default_factory=list)


SETUPTOOLS = (
    "setuptools==80.9.0",
    "setuptools-80.9.0-py3-none-any.whl",
    "062d34222ad13e0cc312a4c02d73f059e86a4acbfbdea8f8f76b28c99f306922",
)
# A library that comes without tests: one of ours.
FSPLIB_TEST = """\
#include <assert.h>
#include <string.h>
#include "fsplib.h"
int main(void)
{
  char space[FSP_SPACE];
  FSP_PKT sent;
  memset(&sent, 0, sizeof sent);
  sent.cmd = 0x41;
  sent.len = 3;
  memcpy(sent.buf, "abc", 3);
  assert(fsp_pkt_write(&sent, space) == FSP_HSIZE + 3);
  assert(memcmp(space + FSP_HSIZE, "abc", 3) == 0);
  return 0;
}
"""

PROJECTS = {
    "cjson": Project(
        (
            debian,
            "cjson",
            "cjson_1.7.15.orig.tar.gz",
            "5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2",
        ),
        "cmake",
        ("tests/print_number.c", 'assert_print_number("0", 0)', 'assert_print_number("1", 0)'),
        (19, 0),
    ),
    "hello": Project(
        (
            debian,
            "hello",
            "hello_2.10.orig.tar.gz",
            "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b",
        ),
        "autotools",
        ("tests/hello-1", "\nHello, world!", "\nHello, moon!"),
        (4, 1),
    ),
    "zlib": Project(
        (
            debian,
            "zlib",
            "zlib_1.2.13.dfsg.orig.tar.bz2",
            "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1",
        ),
        "configure",
        (
            "test/example.c",
            "if (strcmp((char*)uncompr, hello))",
            "if (!strcmp((char*)uncompr, hello))",
        ),
        None,
        # Debian has taken out what its CMakeLists.txt needs.
        "config.bbot.driver=configure",
    ),
    "figlet": Project(
        (
            debian,
            "figlet",
            "figlet_2.2.5.orig.tar.gz",
            "bf88c40fd0f077dab2712f54f8d39ac952e4e9f2e1882f1195be9e5e4257417d",
        ),
        "make",
        ("tests/res001.txt", "_", "-"),
        None,
    ),
    "fribidi": Project(
        (
            debian,
            "fribidi",
            "fribidi_1.0.8.orig.tar.bz2",
            "94c7b68d86ad2a9613b4dcffe7bbeb03523d63b5b37918bdf2e4ef34195c1e6c",
        ),
        "meson",
        ("test/test_CapRTL_explicit.reference", "this is JUST", "this is MUST"),
        (8, 0),
    ),
    "fsplib": Project(
        (
            debian,
            "fsplib",
            "fsplib_0.14.orig.tar.gz",
            "a42d900cf533b8a52f45d48fd6fc690ef237c5519b7367f4125dca7eee606900",
        ),
        "declared",
        ("check.c", "FSP_HSIZE + 3)", "FSP_HSIZE + 4)"),
        None,
        more={
            "bbot.yml": "driver: scons\n"
            "steps: {test: cc -o check check.c libfsplib.a && ./check}\n",
            "check.c": FSPLIB_TEST,
        },
    ),
    "fsplib-by-command": Project(
        (
            debian,
            "fsplib",
            "fsplib_0.14.orig.tar.gz",
            "a42d900cf533b8a52f45d48fd6fc690ef237c5519b7367f4125dca7eee606900",
        ),
        "scons",
        ("check.c", "FSP_HSIZE + 3)", "FSP_HSIZE + 4)"),
        None,
        "'config.bbot.test=cc -o check check.c libfsplib.a && ./check'",
        more={"check.c": FSPLIB_TEST},
    ),
    "libclass-std-perl": Project(
        (
            debian,
            "libclass-std-perl",
            "libclass-std-perl_0.013.orig.tar.gz",
            "bcd6d82f6c8af0fe069fced7dd165a4795b0b6e92351c7d4e5a1ab9a14fc35c6",
        ),
        "perl",
        ("t/simple.t", "is ref $arg_ref, 'HASH'", "is ref $arg_ref, 'HUSH'"),
        (275, 0),
    ),
    "libtext-glob-perl": Project(
        (
            debian,
            "libtext-glob-perl",
            "libtext-glob-perl_0.11.orig.tar.gz",
            "069ccd49d3f0a2dedb115f4bdc9fbac07a83592840953d1fcdfc39eb9d305287",
        ),
        "perl",
        ("t/Text-Glob.t", "ok( 'foobar' !~ $regex", "ok( 'foobar' =~ $regex"),
        (74, 0),
    ),
    "six": Project(
        (
            pypi,
            "six==1.16.0",
            "six-1.16.0.tar.gz",
            "1e61c37477a1626458e36f7b1d82aa5c9b094fa4802892072e49de9c60c4c926",
        ),
        "python",
        ("test_six.py", "isinstance(six.MAXSIZE + 23, six", "isinstance(str(six.MAXSIZE), six"),
        (184, 16),
    ),
    "xmltodict": Project(
        (
            pypi,
            "xmltodict==0.13.0",
            "xmltodict-0.13.0.tar.gz",
            "341595a488e3e01a85a9d8911d8912fd922ede5fecc4dce437eb4b6c8d037e56",
        ),
        "python",
        ("tests/test_xmltodict.py", "{'a': None}", "{'a': 1}"),
        (58, 0),
    ),
    # Wants a newer setuptools than the machine's, and has a module in C.
    "markupsafe": Project(
        (
            pypi,
            "markupsafe==3.0.4",
            "markupsafe-3.0.4.tar.gz",
            "2e9ad7dd851bf45fab9f75cbff4cb493fee9979e8d8c7c9c3ee119022518edd6",
        ),
        "python",
        ("tests/test_escape.py", '("", "")', '("", "a")'),
        (79, 1),
        wheels=[SETUPTOOLS],
    ),
}


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution's tools, used as who we are.

    Pytest makes the first folder before that, as who it is.
    """
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
    monkeypatch.setattr(account.os, "getuid", lambda: 1000)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_real_project(name: str, tmp_path: Path) -> None:
    project = PROJECTS[name]
    fetch, *words = project.origin
    source = unpack(fetch(*words), tmp_path / "source")
    for path, content in project.more.items():
        (source / path).write_text(content)
    for wheel in project.wheels:
        (source / "wheelhouse").mkdir(exist_ok=True)
        shutil.copy(pypi(*wheel), source / "wheelhouse")

    outcome = build(source, tmp_path / "green", project.configuration)
    # Compilers of today warn of what was fine once.
    assert set(outcome.statuses.values()) <= {"success", "warning"}, outcome
    assert outcome.statuses["test"] == "success", outcome
    assert outcome.driver == project.driver
    if project.counts is not None:
        tests = outcome.tests["test"]
        assert (tests["passed"], tests["failed"], tests["skipped"]) == (
            project.counts[0],
            0,
            project.counts[1],
        )

    path, old, new = project.change
    text = (source / path).read_text()
    assert old in text
    (source / path).write_text(text.replace(old, new, 1))
    outcome = build(source, tmp_path / "red", project.configuration)
    assert set(outcome.statuses) == {"configure", "update", "test"}
    assert outcome.statuses["test"] == "error", outcome
    if project.counts is not None:
        assert outcome.tests["test"]["failed"] >= 1, outcome
        assert outcome.tests["test"]["first_failure"]["name"]
