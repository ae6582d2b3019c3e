# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drivers on small real trees, with the tools of this host."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Perform = Callable[..., Any]

ALL = "config.bbot.operations=configure,update,test,install,test-installed"


def text(source: str) -> str:
    return textwrap.dedent(source).lstrip("\n")


MAKEFILE = text(
    """
    all: hello
    hello: hello.c
    \tcc $(CFLAGS) -o hello hello.c
    check: hello
    \t./hello | grep hello
    install:
    \tmkdir -p $(PREFIX)/bin && cp hello $(PREFIX)/bin/
    installcheck:
    \t$(PREFIX)/bin/hello
    """
)
PROGRAM = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
UNUSED = PROGRAM.replace("{ puts", "{ int unused; puts")


def test_make(perform: Perform, tmp_path: Path) -> None:
    tree = {"Makefile": MAKEFILE, "hello.c": PROGRAM}
    outcome = perform(tree, f"{ALL} config.bbot.jobs=2 'CFLAGS=-O1 -Wall'")
    assert outcome.status == "success", outcome
    assert outcome.operations == ["configure", "update", "test", "install", "test-installed"]
    assert "nothing to configure with the make driver" in outcome.logs["configure"]
    assert outcome.logs["update"].startswith("+ make -j2 prefix=")
    assert "cc -O1 -Wall -o hello hello.c" in outcome.logs["update"]
    assert "make check" in outcome.logs["test"]
    assert (tmp_path / "work" / "installed" / "bin" / "hello").exists()


def test_make_without_tests(perform: Perform) -> None:
    outcome = perform({"Makefile": "all:\n\techo built\n"})
    assert outcome.status == "success"
    assert outcome.logs["test"] == "nothing to test with the make driver"


def test_a_compiler_warning_is_a_warning(perform: Perform) -> None:
    outcome = perform({"Makefile": MAKEFILE, "hello.c": UNUSED}, "CFLAGS=-Wall")
    assert outcome.statuses == {"configure": "success", "update": "warning", "test": "success"}
    assert outcome.status == "warning"


def test_it_stops_at_the_first_failure(perform: Perform) -> None:
    outcome = perform({"Makefile": MAKEFILE, "hello.c": "nonsense"})
    assert outcome.statuses == {"configure": "success", "update": "error"}
    assert outcome.logs["update"].endswith("error: make failed with exit status 2")


CONFIGURE = text(
    """
    #!/bin/sh
    echo "configured with $*"
    cp "$(dirname "$0")/Makefile.in" Makefile
    """
)


def test_autotools(perform: Perform, tmp_path: Path) -> None:
    makefile = "all:\n\techo built in $$PWD\ncheck:\n\techo checked\n"
    outcome = perform({"configure": CONFIGURE, "Makefile.in": makefile}, "--enable-x CC=gcc")
    assert outcome.status == "success", outcome
    installed = tmp_path / "work" / "installed"
    assert f"configured with --prefix={installed} --enable-x CC=gcc" in outcome.logs["configure"]
    assert f"built in {tmp_path}/work/build" in outcome.logs["update"]
    assert "checked" in outcome.logs["test"]


CMAKELISTS = text(
    """
    cmake_minimum_required(VERSION 3.20)
    project(hello C)
    add_executable(hello hello.c)
    install(TARGETS hello)
    enable_testing()
    add_test(NAME runs COMMAND hello)
    message(STATUS "flavour ${FLAVOUR}")
    """
)


def test_cmake(perform: Perform, tmp_path: Path) -> None:
    tree = {"CMakeLists.txt": CMAKELISTS, "hello.c": PROGRAM}
    operations = "config.bbot.operations=configure,update,test,install"
    outcome = perform(tree, f"{operations} FLAVOUR=sweet --log-level=STATUS")
    assert outcome.status == "success", outcome
    assert "-- flavour sweet" in outcome.logs["configure"]
    assert "100% tests passed" in outcome.logs["test"]
    assert (tmp_path / "work" / "installed" / "bin" / "hello").exists()


def test_an_operation_that_a_driver_lacks_is_an_error(perform: Perform) -> None:
    tree = {"CMakeLists.txt": CMAKELISTS, "hello.c": PROGRAM}
    outcome = perform(tree, "config.bbot.operations=configure,test-installed")
    assert outcome.statuses == {"configure": "success", "test-installed": "error"}
    assert "the cmake driver has no operation 'test-installed'" in outcome.logs["test-installed"]


SCRIPT = '#!/bin/sh\necho "$BBOT_NAME $BBOT_VERSION $BBOT_OPERATION: $*"\ntest $1 != test\n'


def test_a_script_of_the_package(perform: Perform) -> None:
    outcome = perform({"bbot-build": SCRIPT, "Makefile": ""}, "a=b 'c d'")
    assert outcome.statuses == {"configure": "success", "update": "success", "test": "error"}
    assert outcome.logs["update"].splitlines() == [
        "+ ./bbot-build update a=b 'c d'",
        "libhello 1.0.0 update: update a=b c d",
    ]


def test_a_script_elsewhere_with_operations_of_its_own(perform: Perform) -> None:
    files = {"ci/go": SCRIPT, "CMakeLists.txt": ""}
    outcome = perform(files, "config.bbot.script=ci/go config.bbot.operations=lint,bindist")
    assert outcome.statuses == {"lint": "success", "bindist": "success"}


def test_a_script_that_is_not_there(perform: Perform) -> None:
    outcome = perform({"a": ""}, "config.bbot.driver=script")
    assert outcome.statuses == {"configure": "error"}
    assert "the sources have no executable file 'bbot-build'" in outcome.logs["configure"]


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Stand-ins for tools that this host lacks: they note how they are called."""
    calls = tmp_path / "calls"
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    for tool in ("bpkg", "meson"):
        path = bin_directory / tool
        path.write_text(
            f"#!{sys.executable}\nimport json, sys\n"
            f"with open({str(calls)!r}, 'a') as file:\n"
            f"    file.write(json.dumps([{tool!r}, *sys.argv[1:]]) + '\\n')\n"
        )
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_directory}:/usr/bin:/bin")
    return lambda: [json.loads(line) for line in calls.read_text().splitlines()]


def test_meson(perform: Perform, recorded: Callable[[], list[list[str]]], tmp_path: Path) -> None:
    outcome = perform({"meson.build": ""}, "config.bbot.jobs=3 buildtype=release --werror")
    assert outcome.status == "success", outcome
    prefix, source = f"--prefix={tmp_path}/work/installed", f"{tmp_path}/work/source"
    assert recorded() == [
        ["meson", "setup", prefix, "-Dbuildtype=release", "--werror", ".", source],
        ["meson", "compile", "--jobs", "3"],
        ["meson", "test", "--print-errorlogs", "--num-processes", "3"],
    ]


def test_build2_with_sources(
    perform: Perform, recorded: Callable[[], list[list[str]]], tmp_path: Path
) -> None:
    files = {"manifest": ": 1\n", "buildfile": ""}
    outcome = perform(files, "config.bbot.jobs=2 config.cc.coptions=-O3")
    assert outcome.status == "success", outcome
    assert "driver: build2" in outcome.logs["configure"]
    root = f"config.install.root={tmp_path}/work/installed"
    assert recorded() == [
        ["bpkg", "create", "--wipe", "cc", root, "config.cc.coptions=-O3"],
        ["bpkg", "add", "--type", "dir", f"{tmp_path}/work/source"],
        ["bpkg", "fetch"],
        ["bpkg", "build", "--yes", "--configure-only", "libhello/1.0.0"],
        ["bpkg", "update", "--jobs", "2", "libhello"],
        ["bpkg", "test", "--jobs", "2", "libhello"],
    ]


def test_build2_from_a_repository(
    worker: ModuleType, recorded: Callable[[], list[list[str]]], tmp_path: Path
) -> None:
    print_ = "AB:" * 31 + "CD"
    pairs = [("name", "libhello"), ("version", "1.0.0"), ("trust", print_), ("trust", "yes")]
    pairs += [("repository-url", "https://pkg.example.org/1"), ("repository-type", "pkg")]
    pairs += [("target-config", "config.bbot.operations=configure")]
    result = worker.Result()
    work = str(tmp_path / "work")
    worker.perform(worker.Task(pairs), result, work, worker.Tftp(), worker.Progress())
    assert result.status == "success", result.operations
    trust = ["--trust", print_, "--trust-yes"]
    assert recorded()[1:] == [
        ["bpkg", "add", "--type", "pkg", "https://pkg.example.org/1"],
        ["bpkg", "fetch", *trust],
        ["bpkg", "build", "--yes", "--configure-only", *trust, "libhello/1.0.0"],
    ]


@pytest.mark.parametrize(
    ("files", "configuration", "message"),
    [
        ({"README": ""}, "", "no known build system in the sources"),
        ({"Makefile": ""}, "config.bbot.driver=scons", "unknown config.bbot.driver=scons"),
        ({"Makefile": ""}, "config.bbot.driver=cmake", "cmake failed with exit status 1"),
    ],
)
def test_no_driver(
    perform: Perform, files: dict[str, str], configuration: str, message: str
) -> None:
    outcome = perform(files, configuration)
    assert outcome.statuses == {"configure": "error"}
    assert message in outcome.logs["configure"]
