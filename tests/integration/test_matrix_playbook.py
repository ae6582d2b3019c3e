# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""run-task.yml with several machines and configurations, on one host and on several."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep
from helpers import sources
from helpers.build_host import BuildHost
from helpers.plays import ROOT, playbook, run_playbook
from helpers.site import Site
from helpers.ssh import ssh_inventory
from helpers.waiting import until

PLAYBOOK = str(ROOT / "playbooks" / "run-task.yml")
SCRIPT = """\
[ "$1" = update ] || exit 0
case "$2" in
  bad) echo 'hello.c:3: error: cannot go on'; exit 3 ;;
  gated) until busybox tftp -g -r go -l /tmp/go 196.254.111.222 69; do sleep 0.2; done ;;
esac
"""


def index_of(tmp_path: Path) -> dict[str, t.Any]:
    """The index of the one matrix; empty as long as there is none."""
    for path in tmp_path.glob("results/matrix-*/index.json"):
        index: dict[str, t.Any] = json.loads(path.read_text())
        return index
    return {}


def states(tmp_path: Path) -> list[str]:
    entries = index_of(tmp_path).get("combinations", [])
    return [entry.get("status") or entry["state"] for entry in entries]


def told(tmp_path: Path, **variables: t.Any) -> list[str]:
    """Variables on the command line."""
    return ["-e", json.dumps({"bbot_results": str(tmp_path / "results"), **variables})]


def of_host(host: BuildHost) -> dict[str, t.Any]:
    return {"bbot_machine_options": {**host.options(), "retries": 0}}


@pytest.fixture
def pair(ready: BuildHost, bootstrapped: Machine) -> BuildHost:
    """A host with the machines tiny and tiny2."""
    ready.install_bootstrapped(bootstrapped, "tiny2")
    return ready


def test_a_matrix_on_one_host(pair: BuildHost, tmp_path: Path) -> None:
    source = str(sources.make_source(tmp_path / "hello", SCRIPT))
    asked = {"source": source, "machines": "tiny*", "configs": "fine: fine; broken: bad"}
    command = [*told(tmp_path, **asked, **of_host(pair)), PLAYBOOK]
    status, output = run_playbook(tmp_path / "home", "--check", *command)
    assert status == 0, output
    assert index_of(tmp_path) == {}

    status, output = run_playbook(tmp_path / "home", *command, ANSIBLE_SHOW_CUSTOM_STATS="1")
    assert status == 2, output
    assert states(tmp_path) == ["success", "success", "error", "error"]
    home = next((tmp_path / "results").iterdir())
    assert "[localhost] 4 combinations" in output
    assert "[localhost] 4/4 " in output
    assert "fails with config broken: 2 of 2" in output
    words = " ".join(output.split())
    assert f"Of the matrix failed broken_tiny, broken_tiny2; see {home}/report.html." in words
    stats = output[output.index("CUSTOM STATS") :]
    for each in ("bbot_matrix", "error: 2", "success: 2", "status: 1", str(home)):
        assert each in stats
    assert "hello.c:3: error: cannot go on" in (home / "broken_tiny" / "update.log").read_text()
    assert (home / "junit.xml").exists()
    assert list((tmp_path / "home").glob("**/*.tar.gz")) == []

    # Nothing is missing, so nothing is done again.
    status, output = run_playbook(
        tmp_path / "home", *told(tmp_path, resume=str(home), **of_host(pair)), PLAYBOOK
    )
    assert status == 2, output
    assert "[localhost] 0 combinations are to be done" in output
    assert states(tmp_path) == ["success", "success", "error", "error"]


def test_an_interrupted_play_is_gone_on_with(pair: BuildHost, tmp_path: Path) -> None:
    source = sources.make_source(tmp_path / "hello", SCRIPT)
    asked = {"source": str(source), "machines": "all", "configs": {"a": "fine", "b": "gated"}}
    command = [*told(tmp_path, **asked, **of_host(pair)), PLAYBOOK]
    with playbook(tmp_path / "home", *command) as process:
        assert process.stdout is not None
        until(lambda: states(tmp_path)[:2] == ["success", "success"], "two have ended")
        until(lambda: len(pair.qemus()) == 2, "two run")
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
        assert process.wait() != 0
    until(lambda: pair.leftovers() == [], "a clean host")
    assert states(tmp_path) == ["success", "success", "cancelled", "cancelled"]
    assert index_of(tmp_path)["ended"]

    sources.make_source(source)
    home = next((tmp_path / "results").iterdir())
    command = [*told(tmp_path, resume=str(home), **of_host(pair)), PLAYBOOK]
    status, output = run_playbook(tmp_path / "home", *command)
    assert status == 0, output
    assert "the source of hello has changed: 2 kept results are of the" in " ".join(output.split())
    assert states(tmp_path) == ["success"] * 4


@pytest.mark.long
def test_the_first_failure_ends_all(pair: BuildHost, tmp_path: Path) -> None:
    source = str(sources.make_source(tmp_path / "hello", SCRIPT))
    configs = {"a": "gated", "b": "bad", "c": "gated"}
    asked = {"source": source, "machines": "all", "configs": configs, "fail_fast": True}
    command = [*told(tmp_path, **asked, at_once=3, **of_host(pair)), PLAYBOOK]
    status, output = run_playbook(tmp_path / "home", *command)
    assert status == 2, output
    wanted = ["cancelled", "cancelled", "error", "cancelled", "cancelled", "cancelled"]
    assert states(tmp_path) == wanted

    sources.make_source(tmp_path / "hello")
    home = next((tmp_path / "results").iterdir())
    command = [*told(tmp_path, resume=str(home), **of_host(pair)), PLAYBOOK]
    status, output = run_playbook(tmp_path / "home", *command)
    assert status == 2, output
    assert states(tmp_path) == ["success", "success", "error", *["success"] * 3]


def test_what_is_asked_for_wrongly(pair: BuildHost, tmp_path: Path) -> None:
    source = str(sources.make_source(tmp_path / "hello"))
    command = [*told(tmp_path, source=source, machines="huge*", **of_host(pair)), PLAYBOOK]
    status, output = run_playbook(tmp_path / "home", *command)
    assert status == 2, output
    assert "no machine huge* on this host; there are: tiny, tiny2" in " ".join(output.split())
    assert not (tmp_path / "results").exists()


@pytest.mark.long
def test_a_matrix_by_ssh(pair: BuildHost, tmp_path: Path) -> None:
    """Sources go there once, and results come home."""
    source = str(sources.make_source(tmp_path / "hello", SCRIPT))
    asked = {"source": source, "machines": "all", "configs": {"a": "fine"}, "artifacts": "*.txt"}
    sources.make_source(tmp_path / "hello", "echo made > made.txt\n")
    with (
        tempfile.TemporaryDirectory(prefix="ssh-") as sockets,
        ssh_inventory(tmp_path, ansible_remote_tmp=str(tmp_path / "away" / "tmp")) as inventory,
    ):
        command = told(tmp_path, **asked, bbot_hosts="builders", **of_host(pair))
        status, output = run_playbook(
            tmp_path / "home",
            *("-i", str(inventory), *command, PLAYBOOK),
            ANSIBLE_SSH_CONTROL_PATH_DIR=sockets,
        )
    assert status == 0, output
    assert states(tmp_path) == ["success", "success"]
    home = next((tmp_path / "results").iterdir())
    assert (home / "tiny2" / "artifacts" / "made.txt").read_text() == "made\n"
    left = [*(tmp_path / "away").rglob("*.tar.gz"), *(tmp_path / "away").rglob("bbot-play.*")]
    assert left == []


@pytest.fixture
def several(site: Site, bootstrapped: Machine) -> t.Iterator[dict[str, BuildHost]]:
    """Two hosts that have tiny, of which one has tiny2, and the other tiny3 beside it."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(site.namespace.entered())
        made = {name: BuildHost(site) for name in ("one", "two")}
        for host, other in zip(made.values(), ("tiny2", "tiny3"), strict=True):
            host.install_bootstrapped(bootstrapped)
            host.install_bootstrapped(bootstrapped, other)
        yield made
        for host in made.values():
            host.assert_clean()


def inventory(hosts: dict[str, BuildHost], tmp_path: Path) -> list[str]:
    """An inventory of these and of a host that is down."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    down = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    content = {name: {**local, **of_host(host)} for name, host in hosts.items()}
    path = tmp_path / "hosts.json"
    path.write_text(json.dumps({"all": {"hosts": {**content, "down": down}}}))
    return ["-i", str(path)]


def test_several_hosts_share_it(several: dict[str, BuildHost], tmp_path: Path) -> None:
    source = str(sources.make_source(tmp_path / "hello", SCRIPT))
    asked = {"source": source, "machines": "all", "configs": {"a": "fine", "b": "fine"}}
    command = told(tmp_path, **asked, bbot_hosts="all", at_once=1)
    status, output = run_playbook(
        tmp_path / "home", *inventory(several, tmp_path), *command, PLAYBOOK
    )
    assert states(tmp_path) == ["success"] * 6, output
    assert status == 0, output
    where = {entry["id"]: entry["host"] for entry in index_of(tmp_path)["combinations"]}
    assert {where["a_tiny2"], where["b_tiny2"]} == {"one"}
    assert {where["a_tiny3"], where["b_tiny3"]} == {"two"}
    assert "6 combinations: 6 success" in output
    assert "down: " in output


def test_a_host_that_fails_leaves_it_to_the_other(
    several: dict[str, BuildHost], tmp_path: Path
) -> None:
    """What only it could have done is a fault of a host, and the rest goes on."""
    source = str(sources.make_source(tmp_path / "hello", SCRIPT))
    asked = {
        "source": source,
        "machines": ["tiny", "tiny3"],
        "configs": {"a": "fine", "b": "gated"},
    }
    command = [*inventory(several, tmp_path), *told(tmp_path, **asked, bbot_hosts="all", at_once=1)]
    with playbook(tmp_path / "home", *command, PLAYBOOK) as process:
        assert process.stdout is not None

        def at(host: str) -> list[str]:
            entries = index_of(tmp_path).get("combinations", [])
            return [
                entry["id"]
                for entry in entries
                if (entry["state"], entry.get("host")) == ("running", host)
            ]

        until(lambda: len(at("one")) + len(at("two")) == 2 and several["two"].qemus(), "both work")
        (pid,) = [
            pid
            for pid, record in (
                (record["pid"], record)
                for record in several["two"].engine().leases.living().values()
            )
            if record.get("what") == "task"
        ]
        # The module on the host, which is the parent of whoever performs its task.
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)

        def open_all() -> bool:
            for host in several.values():
                for place in (host.tftp / "build").glob("*/get"):
                    with contextlib.suppress(OSError):
                        (place / "go").write_text("now")
            return process.poll() is not None

        until(open_all, "the end of the play")
        output = process.stdout.read()
        assert process.returncode == 2, output
    # Whoever was killed has left it to the next one who comes by.
    sweep(several["two"].engine())
    entries = {entry["id"]: entry for entry in index_of(tmp_path)["combinations"]}
    ends = {key: entries[key].get("reason") or entries[key]["state"] for key in entries}
    assert [entries[key]["state"] for key in ("a_tiny", "b_tiny")] == ["done", "done"], ends
    lost = entries["b_tiny3"]
    assert (lost["state"], lost["culprit"]) == ("failed", "host")
    assert "two: its module died (" in lost["reason"]
