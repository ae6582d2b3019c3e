# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All of it by an ordinary account, from a clone to a result, and back to nothing."""

from __future__ import annotations

import glob
import re
import typing as t

import pytest
from helpers import sources
from helpers.ordinary_user import User, ordinary_user
from helpers.waiting import until

# Where a user may leave something outside of the home.
SHARED = ("/tmp", "/var/tmp", "/run", "/dev/shm")
PROGRAM_AND_PLAY = (".venv/bin/ansible-playbook", "playbooks/machines.yml")
TINY = ("-e", "machine_image_variant=tiny")


@pytest.fixture(scope="module")
def user() -> t.Iterator[User]:
    with ordinary_user("bbot-ordinary") as made:
        made.run("scripts/setup.sh")
        yield made


def changed(output: str) -> int:
    """How often a play has changed something."""
    found = re.search(r"changed=(\d+) .*failed=0", output)
    assert found, output
    return int(found[1])


def refused(output: str) -> str:
    """What a play says that has refused to go on, its line breaks left out."""
    assert "failed=1" in output, output
    return " ".join(output.split())


def test_what_takes_root_is_refused_before_anything_is_changed(user: User) -> None:
    there = user.files(user.home)
    output = user.play("provision", "-e", "host_bridge=br7", "--tags", "host", fails=True)
    assert "host_bridge: br7 takes root on localhost" in refused(output)
    output = user.play("provision", "-e", "bbot_scope=none", fails=True)
    assert "bbot_scope is system or user, not none." in refused(output)
    assert user.files(user.home) - there <= user.files(user.clone)


def test_from_a_clone_to_a_result_and_back(user: User) -> None:
    source = user.home / "package"
    sources.make_source(source, sources.GATED + "mkdir -p dist; echo made > dist/made.txt\n")
    quick = sources.make_source(user.home / "quick")
    for each in (source, quick):
        user.own(each)
    outside, home = user.files(*SHARED), set(user.home.iterdir())

    assert changed(user.play("provision", *TINY)) > 0
    share = user.home / ".local" / "share" / "bbot"
    assert (share / "machines" / "default" / "tiny" / "tiny-default" / "manifest").is_file()
    assert user.foreign_files() == []
    # From here on nothing that sudo or a setuid program could help with.
    assert changed(user.play("provision", *TINY, privileges=False)) == 0
    # From any folder.
    program, play = (str(user.clone / each) for each in PROGRAM_AND_PLAY)
    assert "tiny" in user.run("env", "-C", "/", program, play, privileges=False)

    task = (".venv/bin/ansible-playbook", "playbooks/run-task.yml", "-e", f"source={source}")
    with user.start(*task, "-e", "artifacts=dist/*", privileges=False) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "waiting for go" in line:
                # Guest and network are the user's.
                running = "\n".join(user.processes())
                assert "qemu-system-x86_64 " in running
                assert "dnsmasq" in running
                (place,) = (share / "tftp" / "build").glob("*/get")
                (place / "go").write_text("now")
        assert process.wait() == 0, "".join(lines)
    (results,) = (user.clone / "results").iterdir()
    assert "status: success\n" in (results / "result.manifest").read_text()
    assert (results / "artifacts" / "dist" / "made.txt").read_text() == "made\n"
    assert user.foreign_files() == []

    command = str(user.home / ".local" / "bin" / "bbot-agent")
    assert "tiny" in user.run(command, "status", privileges=False)
    told = user.run(command, "run", str(quick), "--results", "quick", privileges=False)
    assert "quick 0.0.1 on tiny: success" in told
    (results,) = (user.clone / "quick").iterdir()
    assert "status: success\n" in (results / "result.manifest").read_text()
    # And several at once.
    configs = "a: x; b: y"
    words = (str(quick), "--configs", configs, "--results", "several")
    assert "2 combinations: 2 success" in user.run(command, "run", *words, privileges=False)
    told = ("-e", f"source={quick}", "-e", f"configs='{configs}'", "-e", "bbot_results=several")
    assert "2 combinations: 2 success" in user.play("run-task", *told, privileges=False)
    assert len(list((user.clone / "several").glob("matrix-*/report.html"))) == 2
    assert user.foreign_files() == []
    assert changed(user.play("cleanup", privileges=False)) == 0
    assert "tiny" in user.play("bootstrap", privileges=False)

    assert changed(user.play("decommission", privileges=False)) > 0
    until(lambda: user.processes() == [], "the end of all processes")
    assert set(user.home.iterdir()) == home
    assert user.files(*SHARED) == outside
    assert glob.glob("/var/tmp/bbot-image-*") == []


@pytest.mark.long
def test_an_agent_is_configured_where_no_service_manager_is(user: User) -> None:
    controllers = ("-e", "bbot_controllers=https://ci.example.org/?build-task", "--tags", "agent")
    there = set(user.home.iterdir())
    output = user.play("provision", *controllers)
    assert "has no service manager on localhost" in " ".join(output.split())
    options = user.home / ".config" / "bbot-agent" / "default.options"
    assert "https://ci.example.org/?build-task" in options.read_text()
    assert changed(user.play("provision", *controllers)) == 0
    user.play("decommission")
    assert set(user.home.iterdir()) == there


@pytest.mark.long
def test_an_image_with_packages_is_built(user: User) -> None:
    image = user.clone / ".cache" / "image"
    builder = user.clone / "roles" / "machine_image" / "files" / "builder"
    facts = ["--name", "debian", "--id", "debian-1", "--summary", "-", "--fingerprint", "-"]
    command = ["/usr/bin/python3", "-I", str(builder), "--variant", "debian", *facts]
    user.run(*command, "--disk-size", "2048", "--package", "iputils-ping", str(image))
    home = user.run("debugfs", "-R", "ls -l /home", str(image / "disk.img"))
    assert re.search(r" 1000 +1000 .* build$", home, re.MULTILINE), home
    # What a program may do by its capabilities comes along.
    assert "security.capability" in user.run(
        "debugfs", "-R", "ea_list /usr/bin/ping", str(image / "disk.img")
    )
    assert glob.glob("/var/tmp/bbot-image-*") == []
