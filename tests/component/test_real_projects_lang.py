# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects in other languages than C that nobody here wrote: green, and red by one assertion."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from bbot_worker import account
from bbot_worker.drivers import cargo
from helpers.real_sources import crates, debian, npm, source_package, unpack
from helpers.worker import build

pytestmark = pytest.mark.long


@dataclass
class Project:
    """Where it comes from, and the text whose change breaks one assertion of its tests.

    ``tests`` is how many pass, None where nobody counts.
    """

    origin: Callable[[Path], Path]
    change: tuple[str, str, str]
    tests: int | None
    configuration: str = ""
    operation: str = "test"


def archive(fetch: Callable[..., Path], *facts: str) -> Callable[[Path], Path]:
    """How to have the sources of a project that comes as an archive."""
    return lambda place: unpack(fetch(*facts), place)


def crate(name: str, *packages: str) -> Callable[[Path], Path]:
    """How to have a crate of the first of Debian's packages; the others are what it needs."""
    return lambda _dummy: next(crates(*packages).glob(f"{name}-[0-9]*"))


DEBIAN = "config.bbot.driver=debian"
SERDE = ("librust-serde-dev", "librust-serde-derive-dev", "librust-proc-macro2-dev")
SYN = ("librust-quote-dev", "librust-syn-dev", "librust-unicode-ident-dev")

PROJECTS = {
    "fnv": Project(
        crate("fnv", "librust-fnv-dev"),
        ("lib.rs", 'assert_eq!(fnv1a(b""), 0xcbf2', 'assert_eq!(fnv1a(b""), 0xdbf2'),
        3,
    ),
    "semver": Project(
        crate("semver", "librust-semver-dev", *SERDE, *SYN),
        (
            "tests/test_version.rs",
            'assert_eq!(version("1.2.3"), version("1.2.3"))',
            'assert_eq!(version("1.2.3"), version("1.2.4"))',
        ),
        35,
    ),
    "uuid": Project(
        archive(
            debian,
            "golang-github-google-uuid",
            "golang-github-google-uuid_1.3.0.orig.tar.gz",
            "7f7f37c47980e0afcc178a9ffc390bec29ed2371919b4c07658eb01791a7f921",
        ),
        (
            "uuid_test.go",
            '{"f47ac10b-58cc-0372-8567-0e02b2c3d479", 0,',
            '{"f47ac10b-58cc-0372-8567-0e02b2c3d479", 1,',
        ),
        31,
    ),
    "inherits": Project(
        archive(
            npm,
            "inherits@2.0.1",
            "inherits-2.0.1.tgz",
            "e0d5493f8142aff09125344665a90a8227b9a3ffa4bb8d086d0fb471c00deb29",
        ),
        ("test.js", "assert(c.constructor === Child)", "assert(c.constructor === Array)"),
        None,
    ),
    # Its runner of tests is fetched from npm's registry.
    "concat-map": Project(
        archive(
            npm,
            "concat-map@0.0.1",
            "concat-map-0.0.1.tgz",
            "35902dd620cf0058c49ea614120f18a889d984269a90381b7622e79c2cfe4261",
        ),
        ("test/map.js", "t.same(ixes, [ 0, 1,", "t.same(ixes, [ 1, 1,"),
        5,
    ),
    "argparse": Project(
        archive(
            debian,
            "lua-argparse",
            "lua-argparse_0.7.1.orig.tar.gz",
            "d344e49404c3e7b3e7fa4fe6741c106f25909d9b24923cb08dcceda1f9754809",
        ),
        ("spec/arguments_spec.lua", 'assert.same({foo = "bar"}', 'assert.same({foo = "baz"}'),
        192,
    ),
    "dotenv": Project(
        archive(
            debian,
            "ruby-dotenv",
            "ruby-dotenv_2.4.0.orig.tar.gz",
            "c7bc6ad80583f6500500e6d93193467863fcd4fb8dad0f33a6630405e00d3f55",
        ),
        (
            "spec/dotenv/parser_spec.rb",
            'expect(env("FOO=bar")).to',
            'expect(env("FOO=baz")).to',
        ),
        69,
        # Others of its tests are for a framework.
        "'config.bbot.test=rspec spec/dotenv_spec.rb spec/dotenv/parser_spec.rb'",
    ),
    "hello.deb": Project(
        lambda _dummy: source_package(
            "hello",
            "hello_2.10.orig.tar.gz",
            "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b",
        ),
        ("tests/hello-1", "Hello, world", "Hello, moon"),
        4,
        DEBIAN,
        operation="update",
    ),
    "cjson.deb": Project(
        lambda _dummy: source_package(
            "cjson",
            "cjson_1.7.15.orig.tar.gz",
            "5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2",
        ),
        ("tests/print_number.c", 'assert_print_number("0", 0)', 'assert_print_number("1", 0)'),
        19,
        DEBIAN,
        operation="update",
    ),
    "libuev.deb": Project(
        lambda _dummy: source_package(
            "libuev",
            "libuev_2.4.0.orig.tar.xz",
            "31f1aa4f492ba4f6a5dd6b19968ae6a732968dc05cae6575930560b6cee1f5ef",
        ),
        ("test/active.c", "fail_unless(w == &timer1)", "fail_unless(w == &timer2)"),
        7,
        DEBIAN,
        operation="update",
    ),
}


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution's tools, used as who we are."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
    monkeypatch.setattr(account.os, "getuid", lambda: 1000)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_real_project(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = PROJECTS[name]
    source = project.origin(tmp_path / "origin")
    # The other crates are beside it, as they are where Debian's packages put them.
    monkeypatch.setattr(cargo, "DEBIAN_REGISTRY", str(source.parent))
    copy = tmp_path / "copy"
    shutil.copytree(source, copy, symlinks=True)

    outcome = build(copy, tmp_path / "green", project.configuration)
    assert outcome.status in ("success", "warning"), outcome
    assert "no tests were run" not in outcome.logs["test"]
    if project.tests is None:
        assert outcome.tests == {}
    else:
        assert outcome.tests["test"]["passed"] == project.tests, outcome
        assert outcome.tests["test"]["failed"] == 0

    name, former, wrong = project.change
    file = copy / name
    text = file.read_text()
    assert former in text
    file.write_text(text.replace(former, wrong, 1))
    outcome = build(copy, tmp_path / "red", project.configuration)
    assert outcome.statuses[project.operation] == "error", outcome
    if project.tests is not None:
        assert outcome.tests[project.operation]["failed"] >= 1, outcome
