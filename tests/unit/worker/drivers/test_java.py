# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Maven and Gradle are called, and what they say of what they miss; they are not run here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import account
from bbot_worker.drivers.base import Job
from bbot_worker.drivers.dependencies import Complaint
from bbot_worker.drivers.gradle import Gradle, NoSource
from bbot_worker.drivers.java import Java
from bbot_worker.drivers.maven import Maven
from bbot_worker.errors import WorkerError
from bbot_worker.log import Log
from bbot_worker.run import CommandFailed, Runner
from bbot_worker.scanners import Scanner
from bbot_worker.task import Task


@pytest.mark.parametrize(
    ("driver", "line", "name"),
    [
        (
            Maven,
            "[ERROR] Failed to execute goal on project x: Could not resolve dependencies for "
            "project org.example:x:jar:1.0: Cannot access central in offline mode and the artifact "
            "org.example:nosuch:jar:1.0 has not been downloaded from it before. -> [Help 1]",
            "org.example:nosuch:jar:1.0",
        ),
        (
            Maven,
            "[ERROR] Plugin org.example:nosuch-maven-plugin:1.0 or one of its dependencies could "
            "not be resolved: ...",
            "org.example:nosuch-maven-plugin:1.0",
        ),
        (
            Maven,
            "[ERROR] Could not transfer artifact org.example:nosuch:jar:1.0 from/to index",
            "org.example:nosuch:jar:1.0",
        ),
        (
            Gradle,
            "   > No cached version of junit:junit:4.13.2 available for offline mode.",
            "junit:junit:4.13.2",
        ),
        (Gradle, "> Could not resolve junit:junit:4.13.2.", "junit:junit:4.13.2"),
        (
            Gradle,
            "* What went wrong: Plugin [id: 'org.example.x', version: '1'] was not found in any",
            "org.example.x",
        ),
    ],
)
def test_what_is_missing_is_found_in_the_output(driver: type[Java], line: str, name: str) -> None:
    complaint = Complaint(driver.missing)
    complaint.feed(line)
    assert [found.rstrip(".") for found in complaint.missing] == [name]


@pytest.mark.parametrize("driver", [Maven, Gradle])
def test_failing_tests_are_nothing_missing(driver: type[Java]) -> None:
    complaint = Complaint(driver.missing)
    for line in (
        "[ERROR] Failed to execute goal org.apache.maven.plugins:maven-surefire-plugin:2.22.3:test",
        "[ERROR] There are test failures.",
        "Execution failed for task ':test'.",
        "> There were failing tests. See the report at: file:///x/index.html",
    ):
        complaint.feed(line)
    assert complaint.missing == []


class Tool(Java):
    """A tool that lacks something, or not, without a network and with one."""

    name = "tool"
    missing = "lacks (.*)"

    def __init__(self, job: Job, offline: str, online: str) -> None:
        super().__init__(job)
        self._said = {True: offline, False: online}
        self.calls: list[bool] = []

    def call(self, *goals: str, scanner: Scanner, offline: bool) -> None:
        self.calls.append(offline)
        said = self._said[offline]
        if said:
            scanner.feed(said)
            raise CommandFailed("tool failed", 1)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(account.os, "getuid", lambda: 1000)
    runner = Runner(Log(), account.Account(str(tmp_path)))
    return Job(Task([("name", "x"), ("version", "1")]), str(tmp_path), str(tmp_path), runner)


@pytest.mark.parametrize(
    ("offline", "online", "calls", "said"),
    [
        ("", "", [True], ""),
        ("it does not compile", "", [True], "tool failed"),
        ("lacks a", "", [True, False], ""),
        ("lacks a", "it does not compile", [True, False], "tool failed"),
        ("lacks a", "lacks b", [True, False], "cannot have b: have them in the image"),
    ],
)
def test_the_network_is_asked_for_what_is_missing(
    job: Any, offline: str, online: str, calls: list[bool], said: str
) -> None:
    tool = Tool(job, offline, online)
    try:
        tool.build("test")
        found = ""
    except WorkerError as error:
        found = str(error)
    assert tool.calls == calls
    assert found.startswith(said) if said else not found


def test_gradle_tells_of_no_tests() -> None:
    none = NoSource()
    none.feed(":compileTestJava NO-SOURCE")
    assert none.reason == ""
    none.feed(":test NO-SOURCE")
    assert none.reason == "the project has no sources of tests"


Perform = Callable[..., Any]
Fake = Callable[[str, str], None]

REPORT = '<testsuite><testcase name="answers"/></testsuite>'


@pytest.fixture(name="fake")
def fake_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put a script in the place of a tool."""
    place = tmp_path / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")

    def make(name: str, text: str) -> None:
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)

    make("java", "")
    return make


def test_maven_is_asked_offline_first(perform: Perform, fake: Fake) -> None:
    place = "module/target/surefire-reports"
    fake(
        "mvn",
        'case "$*" in\n'
        '*--offline*) echo "the artifact org.example:a:jar:1 has not been downloaded"; exit 1 ;;\n'
        f"*verify*) mkdir -p {place}; echo '{REPORT}' > {place}/TEST-a.xml ;;\n"
        "esac",
    )
    outcome = perform({"pom.xml": "<project>\n"}, "'config.bbot.index=http://index/?a&b' -Pfast")
    assert outcome.status == "success", outcome
    commands = [line for line in outcome.logs["update"].split("\n") if line.startswith("+ mvn")]
    offline, online = commands
    assert "--offline -Pfast package -DskipTests" in offline
    assert "settings.xml -Pfast package -DskipTests" in online
    assert "--offline" not in online + outcome.logs["test"]
    assert outcome.report["tests"]["test"]["passed"] == 1


def test_maven_asks_the_index_of_the_task(perform: Perform, fake: Fake, tmp_path: Path) -> None:
    fake("mvn", "")
    outcome = perform({"pom.xml": "<project>\n"}, "'config.bbot.index=http://index/?a&b'")
    assert outcome.statuses["test"] == "warning"
    assert "no tests were run: Maven has found none" in outcome.logs["test"]
    settings = (tmp_path / "work" / "build" / "settings.xml").read_text()
    assert "<url>http://index/?a&amp;b</url>" in settings


def test_the_wrapper_is_used_if_it_can_be(perform: Perform, fake: Fake) -> None:
    fake("gradle", "echo by the machine: $*")
    files = {"build.gradle": "", "gradlew": "#!/bin/sh\necho by the wrapper: $*\n"}
    outcome = perform(files)
    assert "by the wrapper: --no-daemon --console=plain" in outcome.logs["update"], outcome
    outcome = perform({**files, "gradlew": "#!/bin/sh\nexit 1\n"})
    assert "the machine's is used" in outcome.logs["configure"]
    assert "by the machine: --no-daemon --console=plain" in outcome.logs["update"], outcome


def test_a_machine_without_gradle(
    perform: Perform, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, *more: None if name == "gradle" else find(name, *more)
    )
    outcome = perform({"build.gradle": "", "gradlew": "#!/bin/sh\nexit 1\n"})
    assert outcome.statuses["configure"] == "error"
    assert "error: this machine has no gradle, which the gradle driver" in outcome.logs["configure"]
