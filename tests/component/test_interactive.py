# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""People who look into the real machine of a task."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.look_in import LookIn
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import sources
from helpers.agents import RunningAgent
from helpers.build_host import BuildHost, make_task
from helpers.controller import Controller
from helpers.ports import free_port
from helpers.visits import PATIENCE, Visit, command, shell, stopped
from helpers.waiting import until

# What a person types, after a look at the folder and what the build is told.
VISIT = 'id -un; ls; echo "op=$BBOT_OPERATION"; touch /tmp/visited; exit\n'
ONCE = '[ "$1" != test ] || [ -e /tmp/visited ]\n'


@pytest.mark.parametrize(
    ("script", "interactive", "operation"),
    [
        (sources.FAILING, "error", "update"),
        pytest.param(sources.WARNING, "warning", "update", marks=pytest.mark.long),
        pytest.param("true\n", "test", "test", marks=pytest.mark.long),
    ],
)
def test_a_task_stops_for_a_person_and_goes_on(
    ready: BuildHost, tmp_path: Path, script: str, interactive: str, operation: str
) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", script)
    with Visit(ready, archive, interactive, hold=600) as visit:
        stopped(ready)
        picture = tmp_path / "screen.png"
        command(ready, "screen", "hello", str(picture))
        copy = tmp_path / "copy"
        command(ready, "cp", "hello/1.0:bbot-build", str(copy))
        command(ready, "cp", "hello:/bin/busybox", str(tmp_path))
        seen = shell(ready, VISIT)
        outcome = visit.result()
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert copy.read_text().endswith(script)
    assert (tmp_path / "busybox").read_bytes()[:4] == b"\x7fELF"
    assert "build" in seen.split()
    assert "bbot-build" in seen
    assert f"op={operation}" in seen
    log = outcome.result.logs[operation]
    assert "breakpoint: " in log
    assert "breakpoint: going on after" in log
    assert ready.reported("for a shell: bbot-agent shell ") == 1
    ready.assert_clean()


def test_nothing_to_stop_for_is_no_stop(ready: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz")
    with Visit(ready, archive, "error") as visit:
        assert visit.result().result.status is Status.SUCCESS


def test_an_unknown_breakpoint_is_an_error_of_the_task(ready: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz")
    with Visit(ready, archive, "b.test.test") as visit:
        outcome = visit.result()
    assert (outcome.result.status, outcome.culprit) == (Status.ERROR, "task")
    words = "no breakpoint b.test.test: there are error, warning and configure, update, test"
    assert words in outcome.result.logs["configure"]


def test_a_person_may_end_the_machine(ready: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz")
    with Visit(ready, archive, "update") as visit:
        stopped(ready)
        (pid,) = ready.qemus()
        os.kill(pid, signal.SIGTERM)
        outcome = visit.result()
    assert (outcome.result.status, outcome.culprit) == (Status.ABORT, "none")
    assert outcome.reason == "the one who looked into the machine has ended it"
    ready.assert_clean()


def answer_of(password: str, challenge: bytes) -> bytes:
    """The answer to VNC's challenge, by a DES that mirrors the bits of its keys (RFC 6143)."""
    key = password.encode().ljust(8, b"\0")
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    command = [
        "openssl",
        "enc",
        "-des-ecb",
        "-nopad",
        "-provider",
        "legacy",
        "-provider",
        "default",
    ]
    done = subprocess.run(
        [*command, "-K", mirrored.hex()], input=challenge, capture_output=True, check=True
    )
    return done.stdout


def see_screen(port: int, password: str) -> bool:
    """Whether who knows `password` is let in, by VNC authentication and nothing else."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock, sock.makefile("rwb") as file:
        assert file.read(12) == b"RFB 003.008\n"
        file.write(b"RFB 003.008\n")
        file.flush()
        assert file.read(file.read(1)[0]) == b"\2"
        file.write(b"\2")
        file.flush()
        file.write(answer_of(password, file.read(16)))
        file.flush()
        return file.read(4) == bytes(4)


def test_the_screen_is_there_for_who_knows_the_password(ready: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz")
    port = free_port()
    look_in = LookIn("127.0.0.1", port, "pa55word")
    with Visit(ready, archive, "update", look_in=look_in) as visit:
        stopped(ready)
        assert not see_screen(port, "password")
        assert see_screen(port, "pa55word")
        assert "op=update" in shell(ready, VISIT)
        visit.result()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    ready.assert_clean()


def test_controllers_are_told_of_the_way_in_and_one_comes_at_a_time(
    ready: BuildHost, tmp_path: Path
) -> None:
    port = free_port()
    password = tmp_path / "password"
    password.write_text("pa55word\n")
    failing = make_task(interactive="configure", **{"repository-url": "tftp:none.tar.gz"})
    with Controller() as controller:
        controller.tasks += [dataclasses.replace(failing, name=f"hello-{n}") for n in (1, 2)]
        with RunningAgent(
            ready,
            controller,
            interactive="both",
            interactive_vnc=f"127.0.0.1:{port}",
            interactive_password=password,
            instance_max=2,
        ) as agent:
            until(lambda: len(controller.arrivals) == 2, "both results have arrived", PATIENCE)
            agent.says("interactive: for the screen: VNC at 127.0.0.1:")
    first = controller.requests[0]
    assert first.interactive_mode == "both"
    assert first.interactive_login == f"{socket.gethostname()}:{port}"
    assert controller.refused == []
    ready.assert_clean()
