# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook run_task.yml, as people run it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from helpers import sources
from helpers.agents import COMMAND, engine, places, run_command
from helpers.build_host import BuildHost, make_task
from helpers.plays import ROOT, playbook, run_playbook

PLAYBOOKS = ROOT / "playbooks"
YAML = """\
# The fields of a task manifest.
name: hello
version: "1.0"
machine: tiny
repository_url: https://example.org/hello
target_config: config.bbot.operations=configure,update
"""


def arguments(host: BuildHost, tmp_path: Path, **variables: t.Any) -> list[str]:
    """The command line for a run on ``host``, results going to ``tmp_path``/results."""
    options = {**host.options(), "retries": 0}
    told = {
        "bbot_machine_options": options,
        "bbot_results": str(tmp_path / "results"),
        **variables,
    }
    return ["-e", json.dumps(told)]


def results(tmp_path: Path) -> Path:
    """The one folder of results."""
    (found,) = (tmp_path / "results").iterdir()
    return found


def summary(output: str) -> str:
    """What is said of the task in the end."""
    return output[output.index("TASK [Sum up]") :]


def test_a_yaml_task_with_a_source_live(ready: BuildHost, tmp_path: Path) -> None:
    source = sources.make_source(tmp_path / "hello", sources.GATED)
    task = tmp_path / "hello.yml"
    task.write_text(YAML)
    command = arguments(ready, tmp_path, task=str(task), source=str(source))
    lines = []
    with playbook(
        tmp_path / "home",
        *command,
        str(PLAYBOOKS / "run-task.yml"),
        ANSIBLE_SHOW_CUSTOM_STATS="1",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            # The guest waits for this file: had the line come late, this would never end.
            if "waiting for go" in line:
                (place,) = (ready.tftp / "build").glob("*/get")
                (place / "go").write_text("now")
        assert process.wait() == 0, "\n".join(lines)
    output = "\n".join(lines)
    order = [output.index(words) for words in ("waiting for go", "gone on", "TASK [Sum up]")]
    assert order == sorted(order)
    assert "hello 1.0 on tiny: success" in summary(output)

    home = results(tmp_path)
    assert f"results: {home}" in summary(output)
    assert {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()} == {
        *("task.manifest", "result.manifest", "configure.log", "update.log", "report.json"),
        *("agent.log", "machine/console.log", "machine/progress.log", "machine/qemu.log"),
        *("origin.json", "sources/source.tar.gz"),
    }
    told = run_command(ready, "log", "hello/1.0", *places(ready))
    assert " phase work\n" in told.stdout, told.stderr
    assert " |  gone on\n" in told.stdout
    assert "gone on" in (home / "update.log").read_text()
    manifest = (home / "task.manifest").read_text()
    assert "repository-url: tftp:source.tar.gz\n" in manifest
    assert "example.org" not in manifest

    stats = output[output.index("CUSTOM STATS") :]
    for words in ("bbot_results", "localhost", "success", "tiny", str(home), "culprit", "none"):
        assert words in stats
    # Neither the packed source nor the packed results are left.
    assert list((tmp_path / "home").glob("**/*.tar.gz")) == []
    assert list(ready.logs.glob("*.tar.gz")) == []


def test_just_a_source_that_fails_from_the_playbooks_folder(
    ready: BuildHost, tmp_path: Path
) -> None:
    source = sources.make_source(tmp_path / "my package", sources.FAILING)
    relative = Path("..", *[".."] * (len(PLAYBOOKS.parts) - 2), *source.parts[1:])
    command = arguments(ready, tmp_path, source=str(relative))
    status, output = run_playbook(tmp_path / "home", *command, "run_task.yml", cwd=PLAYBOOKS)
    assert status == 2, output
    home = results(tmp_path)
    assert "my-package 0.0.1 on tiny: error (update error)" in summary(output)
    words = f"my-package 0.0.1 has status error: update error; see {home}."
    assert words in " ".join(output.split())
    assert "hello.c:3: cannot go on" in (home / "update.log").read_text()
    assert "update: error" in summary(output)


def test_a_manifest_and_a_failure_that_is_not_to_fail(ready: BuildHost, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello", sources.FAILING)
    task = tmp_path / "task.manifest"
    task.write_text(f"# A comment.\n{make_task(machine='other').to_text()}")
    command = arguments(
        ready,
        tmp_path,
        task="task.manifest",
        source="hello",
        machine="tiny",
        bbot_fail_on="never",
    )
    status, output = run_playbook(
        tmp_path / "home",
        *command,
        str(PLAYBOOKS / "run-task.yml"),
        cwd=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache" / "collections"),
    )
    assert status == 0, output
    assert "hello 1.0 on tiny: error (update error)" in summary(output)
    assert "failed=0" in output
    assert "machine: tiny\n" in (results(tmp_path) / "task.manifest").read_text()


def test_check_mode_performs_nothing(ready: BuildHost, tmp_path: Path) -> None:
    source = sources.make_source(tmp_path / "hello")
    fields = {"name": "hello", "version": "1.0", "repository-url": "x", "machine": "tiny"}
    command = arguments(ready, tmp_path, task=fields, source=str(source))
    status, output = run_playbook(
        tmp_path / "home", "--check", *command, str(PLAYBOOKS / "run-task.yml")
    )
    assert status == 0, output
    assert "failed=0" in output
    assert not (tmp_path / "results").exists()
    assert list(ready.logs.iterdir()) == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "Say what to build: -e task=FILE for a task manifest or a YAML file, or -e source="),
        ({"task": "none.yml"}, "There is no task file {cwd}/none.yml to be read: "),
        ({"source": "none"}, "here is no folder or file {cwd}/none to build."),
        (
            {"task": {"name": "x", "version": "1", "repositry_url": "x", "machine": "tiny"}},
            "repositry-url",
        ),
        (
            {"task": {"name": "xyz", "version": "1", "repository_url": "x", "machine": "huge"}},
            "no machine huge on this host; there are: tiny",
        ),
        ({"task": "words.yml"}, "words.yml is neither a task manifest nor a YAML mapping"),
        ({"task": "bad.manifest"}, "bad.manifest:3:8: error: ':' expected after name"),
        ({"source": "plain"}, "no known build system in the sources: bring an executable"),
        ({"source": "plain", "driver": "cmke"}, "unknown driver 'cmke': did you mean 'cmake'?"),
        (
            {"source": "plain", "settings": "job=2"},
            "unknown setting config.bbot.job in the task's target-config: did you mean "
            "config.bbot.jobs?",
        ),
        ({"source": "plain", "settings": {"jobs": 0}}, "config.bbot.jobs=0: not a positive whole"),
        ({"source": "plain", "config": "'open"}, "''open' cannot be split into words"),
        ({"source": "plain", "operatons": "update"}, "unknown variable 'operatons': did you mean"),
        ({"source": "words.yml"}, "words.yml is neither a folder, nor an archive"),
        ({"source": "broken.dsc"}, "broken.dsc names hello.tar.gz, which is not beside it"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    ready: BuildHost, tmp_path: Path, variables: dict[str, t.Any], words: str
) -> None:
    (tmp_path / "words.yml").write_text("just some words\n")
    (tmp_path / "bad.manifest").write_text(": 1\nname: x\nversion\n")
    (tmp_path / "broken.dsc").write_text("Source: hello\nFiles:\n 0123 45 hello.tar.gz\n")
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "README").write_text("No build system.\n")
    status, output = run_playbook(
        tmp_path / "home",
        *arguments(ready, tmp_path, **variables),
        str(PLAYBOOKS / "run_task.yml"),
        cwd=tmp_path,
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache" / "collections"),
    )
    assert status == 2, output
    assert words.format(cwd=tmp_path) in " ".join(output.split())
    assert "Traceback" not in output
    if words == "repositry-url":
        assert "repository-url" in output
    # It is told before a machine is booted, and nothing stays.
    assert "[localhost] phase" not in output
    assert list((tmp_path / "home").glob("**/bbot-source.*")) == []
    assert not (tmp_path / "results").exists()


def test_options_without_a_task_file(ready: BuildHost, tmp_path: Path) -> None:
    """A real runner's tests are counted, and what was made comes home."""
    source = tmp_path / "été"
    (source / "tests").mkdir(parents=True)
    script = (
        "import unittest\nclass Test(unittest.TestCase):\n    def test_a(self): pass\n"
        "    def test_b(self): self.assertEqual(1, 2)\n"
    )
    (source / "tests" / "test_it.py").write_text(script)
    sources.make_source(source, 'echo made > made.txt; mkdir -p out; echo "$1" > out/x.log\n')
    command = arguments(
        ready,
        tmp_path,
        source=str(source),
        operations="update,test",
        test_command="python3 -m unittest discover -v tests",
        artifacts="made.txt,out/**",
        bbot_fail_on="never",
    )
    status, output = run_playbook(tmp_path / "home", *command, str(PLAYBOOKS / "run-task.yml"))
    assert status == 0, output
    told = " ".join(summary(output).split())
    assert "ete 0.0.1 on tiny: error (test error)" in told
    assert "test: error, 1 passed, 1 failed" in told
    assert "first failure: test_b" in told
    assert "artifact: made.txt (5 bytes, sha256 " in told
    home = results(tmp_path)
    assert (home / "artifacts" / "made.txt").read_text() == "made\n"
    assert (home / "artifacts" / "out" / "x.log").read_text() == "update\n"
    report = json.loads((home / "report.json").read_text())
    assert report["tests"]["test"]["failed"] == 1
    assert {each["path"] for each in report["artifacts"]} == {"made.txt", "out/x.log"}


def test_a_person_looks_into_the_machine(ready: BuildHost, tmp_path: Path) -> None:
    """The play says how, waits, and goes on."""
    source = sources.make_source(tmp_path / "hello", sources.FAILING)
    command = arguments(ready, tmp_path, source=str(source), interactive="error")
    seen = ""
    with playbook(tmp_path / "home", *command, str(PLAYBOOKS / "run-task.yml")) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "breakpoint: update has ended with status error" in line:
                shell = [sys.executable, str(COMMAND), "shell", *places(ready)]
                done = subprocess.run(
                    shell,
                    env=engine(ready.root),
                    input="ls; exit\n",
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=60,
                )
                seen = done.stdout
        assert process.wait() != 0
    output = "".join(lines)
    assert "interactive: for a shell: bbot-agent shell " in output
    assert "interactive: for the screen: VNC at unix:" in output
    assert "bbot-build" in seen
    assert "breakpoint: going on after" in output
    assert "update: error" in summary(output)


def test_a_machine_is_bootstrapped_first(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    source = sources.make_source(tmp_path / "hello")
    told = [*arguments(host, tmp_path, source=str(source)), str(PLAYBOOKS / "run-task.yml")]
    status, output = run_playbook(tmp_path / "home", "--check", *told)
    assert (status, host.machine().state) == (0, "missing"), output
    assert "changed=1" in output

    status, output = run_playbook(tmp_path / "home", *told)
    assert status == 0, output
    bootstrapping = "[localhost] bootstrapping machine tiny: not bootstrapped for toolchain default"
    order = [bootstrapping, "[localhost] task hello 0.0.1", "[localhost] | +update"]
    assert [output.count(words) for words in order] == [1, 1, 1]
    assert sorted(order, key=output.index) == order
    assert "hello 0.0.1 on tiny: success" in summary(output)


@pytest.mark.long
def test_large_results_come_in_pieces(ready: BuildHost, tmp_path: Path) -> None:
    """They are larger than what comes in one answer of the host."""
    script = "[ $1 != update ] || dd if=/dev/urandom of=big bs=1M count=14\n"
    source = sources.make_source(tmp_path / "hello", script)
    told = arguments(ready, tmp_path, source=str(source), artifacts="big")
    status, output = run_playbook(tmp_path / "home", *told, str(PLAYBOOKS / "run-task.yml"))
    assert status == 0, output
    made = results(tmp_path) / "artifacts" / "big"
    (artifact,) = json.loads((results(tmp_path) / "report.json").read_text())["artifacts"]
    assert made.stat().st_size == 14 << 20
    assert hashlib.sha256(made.read_bytes()).hexdigest() == artifact["sha256"]


def test_an_auxiliary_machine_that_is_not_there(ready: BuildHost, tmp_path: Path) -> None:
    source = sources.make_source(tmp_path / "hello")
    told = arguments(ready, tmp_path, source=str(source), auxiliary_machines="pg=x86_64-none")
    status, output = run_playbook(tmp_path / "home", *told, str(PLAYBOOKS / "run-task.yml"))
    assert status != 0
    assert "no machine x86_64-none on this host; there are: tiny" in " ".join(output.split())
