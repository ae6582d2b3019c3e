# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`bbot-agent run` with several machines and configurations, on real machines."""

from __future__ import annotations

import json
import signal
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from helpers import sources
from helpers.agents import entries, places, read_status, run_command
from helpers.build_host import BuildHost
from helpers.run_command import at_terminal, results, run, start
from helpers.waiting import until

# The words of the configuration say what a build does.
SCRIPT = """\
[ "$1" = update ] || exit 0
case "$2" in
  bad) echo 'hello.c:3: error: <script>alert(1)</script> is not declared'; exit 3 ;;
  gated)
    until busybox tftp -g -r go -l /tmp/go 196.254.111.222 69; do sleep 0.2; done ;;
  picky) ! grep -q "$3" /sys/class/net/eth0/address || { echo 'error: no such machine'; exit 4; } ;;
esac
"""


@pytest.fixture
def pair(ready: BuildHost, bootstrapped: Machine) -> BuildHost:
    """A host with the machines tiny and tiny2."""
    ready.install_bootstrapped(bootstrapped, "tiny2")
    return ready


def states(folder: Path) -> dict[str, str]:
    """What the index says of each combination; nothing as long as there is none."""
    for path in folder.glob("results/matrix-*/index.json"):
        found = json.loads(path.read_text())["combinations"]
        return {each["id"]: each.get("status") or each["state"] for each in found}
    return {}


def mac_of(host: BuildHost, name: str) -> str:
    manifest = host.machine(name).bootstrapped
    assert manifest is not None
    return str(manifest.machine.mac)


def test_one_of_four_is_broken(pair: BuildHost, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello", SCRIPT)
    configs = f"fine: fine; picky: picky {mac_of(pair, 'tiny2')}"
    done = run(pair, tmp_path, "hello", "--machine", "tiny*", "--configs", configs)
    assert done.returncode == 1, done.stdout + done.stderr
    home = results(tmp_path)
    assert states(tmp_path) == {
        "fine_tiny": "success",
        "fine_tiny2": "success",
        "picky_tiny": "success",
        "picky_tiny2": "error",
    }
    lines = done.stdout.splitlines()
    assert any(line.startswith("4/4 ") or line.startswith("1/4 ") for line in lines)
    assert "fails with config picky, machine tiny2: 1 of 1" in lines
    assert "4 combinations: 1 error, 3 success" in lines
    assert lines[-1] == f"results: {home}"
    assert "\x1b" not in done.stdout
    # Each has its usual results.
    names = {path.name for path in (home / "fine_tiny").iterdir()}
    assert names == {
        *("task.manifest", "result.manifest", "configure.log", "update.log", "test.log"),
        *("agent.log", "report.json", "machine", "origin.json", "sources"),
    }
    entry = json.loads((home / "index.json").read_text())["combinations"][3]
    assert entry["first_error"] == {"operation": "update", "line": "error: no such machine"}
    suites = ET.parse(home / "junit.xml").getroot()
    assert (len(suites), suites.get("failures")) == (4, "1")
    page = (home / "report.html").read_text()
    assert "1 of 4 failed" in page
    assert "It goes well with config fine or machine tiny instead." in page
    assert {row["status"] for row in read_status(pair)["history"]} == {"success", "error"}


def test_what_was_interrupted_is_gone_on_with(pair: BuildHost, tmp_path: Path) -> None:
    """Nothing runs after Ctrl-C, the index is true, and only what is missing is done."""
    source = sources.make_source(tmp_path / "hello", SCRIPT)
    words = ["--machine", "all", "--configs", "fine: fine; gated: gated"]
    with start(pair, tmp_path, "hello", *words) as process:
        wanted = ["success", "success", "running", "running"]
        until(lambda: list(states(tmp_path).values()) == wanted, "two have ended")
        until(lambda: len(pair.qemus()) == 2, "two run")
        other = run(pair, tmp_path, "--resume", str(results(tmp_path)))
        assert other.returncode == 2
        assert f"process {process.pid} is at the matrix in" in other.stderr
        process.send_signal(signal.SIGINT)
        output, _errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    pair.assert_clean()
    home = results(tmp_path)
    assert f"to go on: bbot-agent run --resume {home}" in output
    assert list(states(tmp_path).values()) == ["success", "success", "cancelled", "cancelled"]
    assert "It is not complete: 2 have no result." in (home / "report.html").read_text()
    kept = (home / "fine_tiny" / "result.manifest").stat().st_mtime_ns

    sources.make_source(source, SCRIPT.replace("gated)", "other)"))
    done = run(pair, tmp_path, "--resume", f"results/{home.name}", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 results are kept" in done.stderr
    changed = "warning: the source of hello has changed: 2 kept results are of the former one, "
    assert f"{changed}the 2 that are done now of the new one" in done.stderr
    assert list(states(tmp_path).values()) == ["success"] * 4
    assert (home / "fine_tiny" / "result.manifest").stat().st_mtime_ns == kept
    told = json.loads(done.stdout)
    assert told["matrix"] == str(home)
    assert [each["status"] for each in told["results"]] == ["success"] * 4
    assert len(entries(pair)) == 6, output


def test_the_first_failure_ends_all(pair: BuildHost, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello", SCRIPT)
    words = ["--machine", "all", "--fail-fast", "--configs"]
    done = run(pair, tmp_path, "hello", *words, "gated: gated; bad: bad; fine: fine", "--at-once=3")
    assert done.returncode == 1, done.stdout + done.stderr
    pair.assert_clean()
    assert states(tmp_path) == {
        "gated_tiny": "cancelled",
        "gated_tiny2": "cancelled",
        "bad_tiny": "error",
        "bad_tiny2": "cancelled",
        "fine_tiny": "cancelled",
        "fine_tiny2": "cancelled",
    }
    page = (results(tmp_path) / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; is not declared" in page


def test_what_bbot_yml_says(ready: BuildHost, tmp_path: Path) -> None:
    """Its matrix is expanded, on a terminal with a table that is gone in the end.

    The tiny machine cannot read the file: all of it fails, and the table says how.
    """
    (tmp_path / "hello").mkdir()
    declared = "matrix: {CC: [gcc, clang]}\nsteps: {update: 'echo $CC'}\n"
    (tmp_path / "hello" / "bbot.yml").write_text(declared)
    status, shown = at_terminal(ready, tmp_path, "hello")
    assert status == 1, shown
    assert "CC=gcc    running    in line\x1b[K" in shown
    last = shown.rpartition("\x1b[J")[2]
    assert last.startswith("CC=gcc    error")
    assert "configure: error: bbot.yml cannot be read: this machine's Python has no" in last
    manifest = (results(tmp_path) / "CC-clang" / "task.manifest").read_text()
    assert "target-config: config.bbot.matrix.CC=clang\n" in manifest
    done = run(ready, tmp_path, "hello", "--no-matrix", "--results", "alone")
    assert "hello 0.0.1 on tiny: error" in done.stdout


def test_one_of_them_is_cancelled(pair: BuildHost, tmp_path: Path) -> None:
    sources.make_source(tmp_path / "hello", SCRIPT)
    words = ["--machine", "all", "--config", "gated"]
    with start(pair, tmp_path, "hello", *words) as process:
        until(lambda: len(pair.qemus()) == 2, "two run")
        until(lambda: len(read_status(pair)["running"]) == 2, "two tasks")
        first, second = read_status(pair)["running"]
        done = run_command(pair, "cancel", str(first["id"]), *places(pair))
        assert done.returncode == 0, done.stderr
        until(lambda: sorted(states(tmp_path).values()) == ["cancelled", "running"], "one is left")
        (place,) = (pair.tftp / "build").glob("*/get")
        (place / "go").write_text("now")
        assert process.wait(120) == 0
    assert sorted(states(tmp_path).values()) == ["cancelled", "success"]
    assert second["machine"] in {"tiny", "tiny2"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hello", "--machine", "all", "--configs", "a: x; a: y"], "there are two sets 'a'"),
        (["hello", "--machine", "huge*"], "no machine huge* on this host; there are: tiny"),
        (["--tasks", "hello"], "there are no tasks in {cwd}/hello: no files *.yml"),
        (["--resume", "hello"], "{cwd}/hello has no results of a matrix"),
        (["--resume", "x", "hello"], "it cannot be with TASK|DIR"),
        (["hello", "--configs", "a: config.bbot.job=2; b: x"], "did you mean config.bbot.jobs?"),
        (["hello", "--configs", "a: 'x"], "configs: ''x' cannot be split into words"),
        (["hello", "hello", "--interactive", "error"], "--interactive is for one task"),
        (["hello", "--at-once", "0"], "--at-once must be at least 1, not 0"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    ready: BuildHost, tmp_path: Path, arguments: list[str], words: str
) -> None:
    sources.make_source(tmp_path / "hello")
    done = run(ready, tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert words.format(cwd=tmp_path) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()
