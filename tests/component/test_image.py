# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The images, built and lived in: boot stub, bootstrap, worker and our TFTP server together.

The network is QEMU's own: its gateway address leads to the host's loopback. No bridge, no rights.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    MachineManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Event, Server
from helpers import lone_machines
from helpers.images import debian_image
from helpers.lone_machines import PATIENCE, TASK, bootstrap, copy_image, machine, pack

ROLES = Path(__file__).parents[2] / "roles"
BUILDER = ROLES / "machine_image" / "files" / "builder"


def run_builder(destination: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BUILDER), *arguments, str(destination)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module", params=["tiny", "debian"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "debian":
        return debian_image()
    destination = tmp_path_factory.mktemp("images") / "tiny"
    facts = ["--name", "tiny", "--id", "tiny-1", "--summary", "A test", "--fingerprint", "f"]
    done = run_builder(destination, "--variant", "tiny", "--disk-size", "96", *facts)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in destination.parent.iterdir() if path.is_dir()] == ["tiny"]
    return destination


@pytest.fixture(scope="module")
def bootstrapped(image: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A bootstrapped copy of the image, and what was asked for meanwhile."""
    return bootstrap(image, tmp_path_factory.mktemp("bootstrapped"))


def test_the_manifest_describes_the_machine(image: Path) -> None:
    manifests = parse((image / "manifest").read_bytes())
    record = MachineManifest.from_manifest(manifests[0])
    variant = record.header.name
    assert image.name.startswith(variant)
    assert record.header.id == f"{variant}-1"
    assert record.type == "kvm"
    assert record.mac is None


def test_a_fresh_machine_bootstraps(bootstrapped: tuple[Path, list[Event]]) -> None:
    directory, events = bootstrapped
    names = [event.name for event in events if event.kind == "request"]
    assert names == ["bootstrap", "sha256sums", "bbot-worker", "bootstrap", "manifest"]
    manifest = parse((directory.parent / "manifest").read_bytes())[0]
    assert [pair.name for pair in manifest] == ["bbot-version"]


Perform = Callable[[dict[str, bytes]], tuple[dict[str, str], str]]

SCRIPT = """\
#!/bin/sh
echo "$1 as $(id -un) in $HOME"
[ "$1" != update ] || echo "hello.c:1: warning: unused"
"""


@pytest.fixture
def perform(bootstrapped: tuple[Path, list[Event]], tmp_path: Path) -> Perform:
    """Do a task in a copy of the bootstrapped machine: its result, and the progress port's text."""

    return lambda files: lone_machines.perform(bootstrapped[0], tmp_path, files)


def test_a_task_is_built_and_its_result_uploaded(
    perform: Perform,
) -> None:
    source = pack({"bbot-build": SCRIPT})
    values, progress = perform({"manifest": TASK.encode(), "source.tar": source})
    assert list(values) == [
        *("name", "version", "status"),
        *("configure-status", "update-status", "test-status"),
        *("configure-log", "update-log", "test-log"),
        *("dependency-checksum", "worker-checksum"),
        "report",
    ]
    assert (values["name"], values["version"]) == ("libhello", "1.2.3")
    assert values["status"] == values["update-status"] == "warning"
    assert values["configure-status"] == values["test-status"] == "success"
    assert "configure as build in /home/build" in values["configure-log"]
    assert values["update-log"].startswith("+ ./bbot-build update\n")
    assert progress.startswith("+configure\n ")
    assert re.search(r"^-update warning \d+\.\d\d$", progress, re.MULTILINE)
    assert "\n hello.c:1: warning: unused\n" in progress


def test_a_task_that_cannot_be_read_is_abnormal(
    perform: Perform,
) -> None:
    values, _dummy = perform({"manifest": b": 1\nname: x\nversion\n"})
    assert (values["name"], values["version"], values["status"]) == ("unknown", "0", "abnormal")
    assert "manifest:3: error: ':' expected after name" in values["configure-log"]


PROGRAM = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'

# A small project for each build system that the debian image brings.
PROJECTS = {
    "cmake": {
        "CMakeLists.txt": "cmake_minimum_required(VERSION 3.20)\nproject(hello C)\n"
        "add_executable(hello hello.c)\nenable_testing()\nadd_test(NAME runs COMMAND hello)\n"
        "install(TARGETS hello)\n",
    },
    "meson": {
        "meson.build": "project('hello', 'c')\n"
        "program = executable('hello', 'hello.c', install: true)\ntest('runs', program)\n",
    },
    "autotools": {
        "configure.ac": "AC_INIT([hello],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\n"
        "AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
        "Makefile.am": "bin_PROGRAMS = hello\nhello_SOURCES = hello.c\nTESTS = hello\n",
    },
    "make": {
        "Makefile": "hello: hello.c\n\tcc -o hello hello.c\ntest: hello\n\t./hello\n"
        "install:\n\tinstall -D hello $(PREFIX)/bin/hello\n",
    },
    "python": {
        "pyproject.toml": '[project]\nname = "hello"\nversion = "1"\n',
        "src/hello/__init__.py": "",
        "tests/test_hello.py": "import unittest\nimport hello\n\n"
        "class Test(unittest.TestCase):\n    def test(self):\n        hello\n",
    },
}


@pytest.mark.parametrize("image", ["debian"], indirect=True)
@pytest.mark.parametrize(
    "driver",
    [pytest.param(each, marks=() if each == "cmake" else pytest.mark.long) for each in PROJECTS],
)
def test_a_project_of_each_build_system(perform: Perform, driver: str) -> None:
    files = {"hello.c": PROGRAM, **PROJECTS[driver]} if driver != "python" else PROJECTS[driver]
    source = pack(files)
    task = TASK + "target-config: config.bbot.operations=configure,update,test,install\n"
    values, _dummy = perform({"manifest": task.encode(), "source.tar": source})
    assert values["status"] == "success", values
    assert f"driver: {driver}" in values["configure-log"]
    assert values["install-status"] == "success"


@pytest.mark.parametrize("image", ["tiny"], indirect=True)
def test_a_build_that_cannot_be_leaves_what_was_there(image: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in image.iterdir()}
    facts = ["--name", "tiny", "--id", "x", "--summary", "x", "--fingerprint", "x"]
    done = run_builder(image, "--variant", "tiny", "--disk-size", "8", *facts)
    assert done.returncode == 1
    assert "8 MB is too small" in done.stderr
    assert {path.name: path.stat().st_mtime_ns for path in image.iterdir()} == before
    assert [path.name for path in image.parent.iterdir() if path.is_dir()] == ["tiny"]


def test_the_power_button_ends_a_machine(image: Path, tmp_path: Path) -> None:
    directory = copy_image(image, tmp_path / "machine")
    monitor = tmp_path / "monitor"
    asked: list[Event] = []
    root = str(tmp_path)
    with Server("127.0.0.1", 0, get_root=root, put_root=None, on_event=asked.append) as server:
        devices = ("-monitor", f"unix:{monitor},server=on,wait=off")
        with machine(directory, server.port, *devices) as process:
            assert server.serve(PATIENCE, lambda: bool(asked))
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(monitor))
                connection.sendall(b"system_powerdown\n")
                assert process.wait(PATIENCE) == 0
