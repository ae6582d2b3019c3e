# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real auxiliary machines beside the real machine of a task."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.auxiliary import (
    AuxiliaryError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.environment import (
    EnvironmentFault,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest, sources
from helpers.agents import RunningAgent
from helpers.build_host import RAM, BuildHost, make_task
from helpers.controller import Controller
from helpers.images import client_image, postgresql_image, service_image
from helpers.waiting import until

NAME = "x86_64-linux-web"
# A web server, which says where it is.
WEB = """\
#!/bin/sh
[ "$1" = start ] || exit 0
mkdir /run/web
echo "served by $BBOT_ADDRESS" > /run/web/index.html
busybox httpd -p 8080 -h /run/web
echo "# where it is"
echo "URL = http://$BBOT_ADDRESS:8080/"
"""
ASKING = """\
[ "$1" != test ] || for url in "$URL" "$PG_SQL_URL"; do
  busybox wget -q -O - "$url" || exit 1
done
"""


# A worker that needs no source.
WORKER = (
    guest.GET_TASK
    + "for url in $(sed -n -e 's/^URL=//p' -e 's/^PG_SQL_URL=//p' /run/task); do\n"
    + "  busybox wget -q -O - $url >> /run/got || echo nothing >> /run/got\ndone\n"
    + "{ printf ': 1\\nname: hello\\nversion: 1.0\\nstatus: success\\ntest-status: success\\n'\n"
    + "  printf 'test-log:\\\\\\n'; cat /run/got; printf '\\\\\\n'; } > /run/result\n"
    + guest.put("/run/result")
    + guest.SLEEP
)


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    script = tmp_path_factory.mktemp("service") / "service"
    script.write_text(WEB)
    return service_image(script)


def install(host: BuildHost, image: Path, service: str = "", name: str = NAME) -> None:
    """Install a machine, an auxiliary one, under the name that tasks call it by."""
    source = host.volume / "image"
    host.copy(image, source, read_only=False)
    manifest = source / "manifest"
    text = re.sub("^name: .*$", f"name: {name}", manifest.read_text(), count=1, flags=re.MULTILINE)
    manifest.write_text(text)
    if service:
        guest.replace_worker(source / "disk.img", service, guest.SERVICE)
    host.install(name, source=source)
    host.storage.delete(str(source))


def task_with(*names: str) -> Task:
    """A task that wants an auxiliary machine for each of the names, which may be empty."""
    fields: dict[str, t.Any] = {f"auxiliary-machine-{name}": NAME for name in names if name}
    if "" in names:
        fields["auxiliary-machine"] = NAME
    return make_task(**fields)


@pytest.fixture
def served(ready: BuildHost, web: Path) -> BuildHost:
    install(ready, web)
    done = ready.ensure(NAME)
    assert (done.failure, done.changed, done.machine.state) == (None, True, "current")
    return ready


def test_a_build_reaches_all_its_machines(served: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", ASKING)
    outcome = served.perform(task_with("", "pg-sql"), files={"source.tar.gz": str(archive)})
    assert outcome.result.status is Status.SUCCESS, outcome.result.logs
    lines = outcome.result.logs["test"].splitlines()
    assert [line for line in lines if line.startswith("served by")] == [
        "served by 172.30.254.3",
        "served by 172.30.254.4",
    ]
    assert next(iter(outcome.phases)) == "auxiliary"
    for number in (1, 2):
        log = served.logs / "task" / "machine" / f"auxiliary-{number}" / "console.log"
        assert "starting the service" in log.read_text()
    served.assert_clean()


def test_what_it_was_bootstrapped_with_does_not_matter(served: BuildHost) -> None:
    machine = served.machine(NAME)
    assert machine.bootstrapped is not None
    assert not machine.bootstrapped.bootstrap.versions
    (served.tftp / "toolchains" / "default" / "more").write_text("of another toolchain")
    manifest = served.tftp / "toolchains" / "default" / "toolchain.manifest"
    manifest.write_text(manifest.read_text().replace(served.toolchain_id, "another"))
    assert served.machine().state == "obsolete"
    assert served.machine(NAME).state == "current"
    assert not served.ensure(NAME).changed


def test_one_that_fails_says_so(host: BuildHost, web: Path) -> None:
    install(host, web, "#!/bin/sh\necho no licence >&2\nexit 3\n")
    with pytest.raises(EnvironmentFault, match="the service has failed with exit status 3"):
        host.ensure(NAME)
    assert "no licence" in (host.logs / "bootstrap" / "console.log").read_text()
    assert host.machine(NAME).state == "missing"
    host.assert_clean()


def test_one_that_tells_nothing_of_use_is_not_bootstrapped(host: BuildHost, web: Path) -> None:
    install(host, web, "#!/bin/sh\necho no assignment\n")
    with pytest.raises(EnvironmentFault, match=f"{NAME} has uploaded .*: line 1 is no NAME=value"):
        host.ensure(NAME)
    assert host.machine(NAME).state == "missing"
    host.assert_clean()


def test_one_that_ends_ends_the_task_and_is_to_blame(served: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", sources.GATED)
    killed = []

    def kill() -> None:
        until(lambda: served.reported("waiting for go") > 0, "the build runs", 120)
        for record in served.engine().leases.living().values():
            if record.get("what") == "auxiliary":
                killed.append(record["qemu"])
                os.kill(record["qemu"], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(AuxiliaryError, match="which the task needs beside its own") as caught:
        served.perform(task_with("db"), files={"source.tar.gz": str(archive)})
    thread.join()
    assert len(killed) == 1
    assert (caught.value.machine, caught.value.culprit) == (NAME, "machine")
    served.assert_clean()


def test_nothing_is_left_of_a_task_that_is_killed(served: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", sources.GATED)
    pid = os.fork()
    if pid == 0:
        try:
            served.perform(task_with("db"), files={"source.tar.gz": str(archive)})
        finally:
            os._exit(1)
    until(lambda: len(served.qemus()) == 2, "both machines run", 120)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    until(lambda: not served.qemus(), "the machines have ended", 10)
    sweep(served.engine())
    served.assert_clean()


def test_a_controller_gets_them_offered_and_has_its_task_performed(
    served: BuildHost, bootstrapped: Machine
) -> None:
    served.install_scripted(bootstrapped, WORKER, "asking")
    with Controller() as controller:
        controller.tasks.append(dataclasses.replace(task_with("", "pg-sql"), machine="asking"))
        with RunningAgent(served, controller, auxiliary_ram=2 * RAM) as agent:
            until(lambda: controller.arrivals, "the result has arrived", 120)
            agent.says("on machine asking: success")
    request = controller.requests[0]
    assert request.auxiliary_ram == 2 * RAM
    offered = [each for each in request.machines if each.role == "auxiliary"]
    assert [(each.name, each.ram_minimum) for each in offered] == [(NAME, 128 << 10)] * 4
    (arrival,) = controller.arrivals
    assert arrival.result.status is Status.SUCCESS
    assert arrival.result.logs["test"].split("\n") == [
        "served by 172.30.254.3",
        "served by 172.30.254.4",
    ]
    assert controller.refused == []
    served.assert_clean()


def test_a_memory_of_none_offers_none(served: BuildHost) -> None:
    with Controller() as controller:
        controller.tasks.append(task_with("db"))
        with RunningAgent(served, controller, auxiliary_ram=0):
            until(lambda: controller.requests, "a request", 60)
    assert [each.name for each in controller.requests[0].machines] == ["tiny"]
    assert controller.requests[0].auxiliary_ram is None
    assert len(controller.tasks) == 1


# Talks to both servers, as whoever is told of them.
TALKING = """\
[ "$1" != test ] && exit
set -e
psql -c 'CREATE TABLE first (number int)'
export PGHOST="$PG_SQL_PGHOST" PGPASSWORD="$PG_SQL_PGPASSWORD" PGUSER="$PG_SQL_PGUSER"
psql -c 'CREATE TABLE second (number int)' -c '\\dt' -c 'SELECT version()'
PGPASSWORD=guessed psql -c 'SELECT 1' && exit 1
echo "all said"
"""


@pytest.fixture(scope="session")
def images() -> tuple[Path, Path]:
    """Images of a server and of its client; it takes minutes to build them."""
    return postgresql_image(), client_image()


@pytest.mark.long
def test_tests_of_a_build_talk_to_postgresql(
    images: tuple[Path, Path], host: BuildHost, tmp_path: Path
) -> None:
    install(host, images[0])
    install(host, images[1], name="client")
    for name in (NAME, "client"):
        done = host.ensure(name, Waits(startup=900, total=900), {"ram": 524288})
        assert (done.failure, done.machine.state) == (None, "current"), host.lines
    archive = sources.pack(tmp_path / "source.tar.gz", TALKING)
    task = dataclasses.replace(task_with("", "pg-sql"), machine="client")
    for _round in range(2):
        outcome = host.perform(
            task,
            waits=Waits(startup=900, total=900),
            files={"source.tar.gz": str(archive)},
            ram=524288,
        )
        assert outcome.result.status is Status.SUCCESS, outcome.result.logs
        log = outcome.result.logs["test"]
        assert "| second | table | build" in log
        assert "| first " not in log
        assert "PostgreSQL 1" in log
        assert 'password authentication failed for user "build"' in log
        assert log.splitlines()[-1] == "all said"
        host.assert_clean()
