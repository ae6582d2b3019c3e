# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first day of a new operator, by what docs/awx.md, web.md and task.md say.

Three fresh hosts, containers with a real systemd, are provisioned by jobs as AWX runs them. One of
their pages is opened in a browser, a task goes to the one host that is free, fails there, is found,
read and looked into, and the hosts are given back.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import tempfile
import threading
import typing as t
from pathlib import Path

import pytest
from helpers import sources
from helpers.awx import ROOT, Job, PrivateFolder, configure
from helpers.awx_api import Awx, Launch
from helpers.devtools import Browser
from helpers.fresh_hosts import FreshHost, fresh_host
from helpers.plays import run_playbook
from helpers.waiting import until

pytestmark = pytest.mark.long

NUMBERS = {"o1": 97, "o2": 98, "o3": 99}
FREE = "o2"
# Keeps its machine until somebody ends it.
BUSY = '[ "$1" != update ] || sleep 100000\n'
BROKEN = '[ "$1" != update ] || { echo "hello.c:3:1: error: no such thing"; exit 1; }\n'
# The task as the survey asks for it, beside its source.
TASK = 'name: hello\nversion: "1.0"\nmachine: tiny\ninteractive: error\n'


class Host(FreshHost):
    """One of the fresh hosts, as the operator sees it."""

    def variables(self) -> dict[str, t.Any]:
        return {**super().variables(), "machine_image_variant": "tiny", "agent_web": True}

    def files(self) -> set[str]:
        """What there is that tells of us."""
        find = "find / /run -xdev -iname '*bbot*' -not -path '/proc/*'"
        return set(self.ask(f"{find} -not -path '/root/.ansible/*'").splitlines())

    @contextlib.contextmanager
    def page(self) -> t.Iterator[str]:
        """The address of its page, by a tunnel as docs/web.md has it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        forward = f"{port}:127.0.0.1:8090"
        command = [*self.ssh[:-1], "-N", "-o", "ExitOnForwardFailure=yes", "-L", forward]
        with subprocess.Popen([*command, self.ssh[-1]]) as process:
            try:
                page = f"http://127.0.0.1:{port}/"
                until(lambda: answers(page), "the page answers")
                yield page
            finally:
                process.kill()

    @contextlib.contextmanager
    def busy(self) -> t.Iterator[None]:
        """Have a task performed there that does not end by itself, until it is cancelled."""
        self.ask("mkdir -p busy && cat > busy/bbot-build", f"#!/bin/sh\n{BUSY}")
        self.ask("chmod +x busy/bbot-build")
        at_work = re.compile(r"busy/\S+ +tiny +work ")
        with subprocess.Popen([*self.ssh, "bbot-agent run busy --machine tiny"]) as process:
            try:
                until(lambda: at_work.search(self.ask("bbot-agent status")), "it is at work", 300)
                yield
                self.ask("bbot-agent cancel busy")
                process.wait(120)
                self.ask("rm -r busy")
            finally:
                process.kill()


def answers(page: str) -> bool:
    done = subprocess.run(["curl", "-fsS", "-o", "/dev/null", page], check=False)
    return done.returncode == 0


@pytest.fixture
def hosts() -> t.Iterator[dict[str, Host]]:
    with contextlib.ExitStack() as stack:
        made = {}
        for name, number in NUMBERS.items():
            made[name] = Host(number, stack.enter_context(fresh_host(name, number)).key)
        yield made


class Jobs:
    """AWX, in which one job runs after another."""

    def __init__(self, awx: Awx, folder: str) -> None:
        self.awx = awx
        self._folder = Path(folder)
        self._number = 0

    def perform(self, launch: Launch) -> Job:
        self._number += 1
        private = PrivateFolder(self._folder / str(self._number), launch.inventory)
        return private.launch(launch, str(self._number))

    def succeed(self, template: str) -> Job:
        job = self.perform(self.awx.launch(template))
        assert job.status == "successful", job.stdout
        return job


def text(browser: Browser) -> str:
    return str(browser.ask("document.body.textContent"))


def follow(browser: Browser, words: str) -> None:
    """Go where the first link with these ``words`` leads."""
    find = f"[...document.links].find(each => each.textContent.includes({words!r}))"
    browser.go(browser.ask(f"{find}.href"))


def test_the_first_day(hosts: dict[str, Host], tmp_path: Path) -> None:
    before = {name: host.files() for name, host in hosts.items()}
    with Awx() as awx, tempfile.TemporaryDirectory(prefix="awx-") as folder:
        jobs = Jobs(awx, folder)
        told = {name: host.variables() for name, host in hosts.items()}
        configure(awx, tmp_path, bbot_awx_hosts=told)
        jobs.succeed("bbot provision")
        assert "changed=0" in jobs.succeed("bbot provision").stdout

        with contextlib.ExitStack() as stack:
            for name in set(hosts) - {FREE}:
                stack.enter_context(hosts[name].busy())
            look_around(jobs, hosts[FREE], tmp_path)

    inventory = tmp_path / "hosts.yml"
    lines = [f"    {name}: {variables}" for name, variables in told.items()]
    inventory.write_text("\n".join(["build_hosts:", "  hosts:", *lines, ""]))
    command = ["-i", str(inventory), str(ROOT / "playbooks" / "decommission.yml")]
    command += ["-e", "ansible_python_interpreter=/usr/bin/python3"]
    status, output = run_playbook(tmp_path / "home", *command)
    assert status == 0, output
    assert {name: host.files() for name, host in hosts.items()} == before


def look_around(jobs: Jobs, host: Host, folder: Path) -> None:
    """A task from AWX goes to the ``host``, and fails while somebody watches."""
    source = sources.make_source(folder / "hello", BROKEN)
    launch = jobs.awx.launch("bbot run task", task=TASK, source=str(source))
    done: list[Job] = []
    thread = threading.Thread(target=lambda: done.append(jobs.perform(launch)))
    thread.start()
    try:
        with host.page() as page, Browser(folder) as browser:
            browser.go(page)
            browser.wait("document.body.textContent.includes('bbot-agent shell')", 300)
            seen = host.ask("bbot-agent shell", "pwd; cat bbot-build; exit\n")
            assert "no such thing" in seen
            thread.join(300)
            browser.go(f"{page}history?outcome=bad")
            follow(browser, "hello")
            assert "hello.c:3:1: error: no such thing" in text(browser)
            follow(browser, "update.log")
            assert "hello.c:3:1: error: no such thing" in text(browser)
    finally:
        thread.join()
    (job,) = done
    assert job.status == "failed", job.stdout
    assert f"the task goes to {FREE}" in job.stdout
    (result,) = job.artifacts["bbot_results"].values()
    assert (result["host"], result["status"]) == (FREE, "error")
    assert "no such thing" in host.ask(f"cat {result['logs']}/update.log")
