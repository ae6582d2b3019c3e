# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real machines that failed and are held: a person has a root shell in them, and nobody else."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from helpers import guest
from helpers.agents import places, run_command
from helpers.build_host import BuildHost
from helpers.containers import host_with_container
from helpers.images import nspawn_image
from helpers.site import Site
from helpers.visits import PATIENCE, Visit, command, leave_shell, shell
from helpers.waiting import until

FAILING = (
    guest.GET_TASK + "echo kept > /root/kept\n" + guest.result("status: abnormal") + guest.SLEEP
)
SAID = "for a shell in it: bbot-agent shell "


@pytest.fixture(params=["kvm", "nspawn"])
def failing(request: pytest.FixtureRequest, site: Site) -> t.Iterator[BuildHost]:
    """A host with a machine whose tasks all fail by its fault."""
    with contextlib.ExitStack() as stack:
        if request.param == "kvm":
            # First: images are built where packages can be had.
            bootstrapped = request.getfixturevalue("bootstrapped")
            host: BuildHost = request.getfixturevalue("host")
            host.install_scripted(bootstrapped, FAILING)
        else:
            host = stack.enter_context(host_with_container(site, nspawn_image()))
            host.script("tiny", FAILING)
        yield host


def held(host: BuildHost) -> str:
    """The id of the shell of the machine that is held."""
    until(lambda: host.reported(SAID) > 0, "the machine is held", PATIENCE)
    (line,) = (line for line in host.lines if SAID in line)
    return line.rpartition(" ")[2]


def test_a_person_has_a_root_shell_and_ends_it(failing: BuildHost, tmp_path: Path) -> None:
    with Visit(failing, hold=3600) as visit:
        name = held(failing)
        # One after the other comes and goes, and the shell stays.
        assert "A shell of root" in leave_shell(failing, "exit\n", "The shell has ended")
        command(failing, "cp", f"{name}:/root/kept", str(tmp_path))
        assert (tmp_path / "kept").read_text() == "kept\n"
        command(failing, "cp", "hello:/root/kept", str(tmp_path / "again"))
        seen = shell(failing, "id -u; tty; echo sum=$((40 + 2)); busybox poweroff -f\n")
        outcome = visit.result()
    assert "sum=42" in seen
    assert "/dev/pts/" in seen
    assert "0" in seen.split()
    assert outcome.failure is not None
    assert outcome.failure.kind == "terminated abnormally"
    failing.assert_clean()


def test_a_visit_keeps_it(failing: BuildHost) -> None:
    with Visit(failing, hold=1) as visit:
        held(failing)
        # Longer than it is held for nobody.
        seen = shell(failing, "sleep 4; echo one=$((20 + 1)); busybox poweroff -f\n")
        visit.result()
    assert "one=21" in seen
    assert failing.reported("resuming after machine suspension") == 1
    failing.assert_clean()


def test_there_is_no_shell_before_and_after(failing: BuildHost) -> None:
    failing.script("tiny", FAILING.replace("echo", "sleep 8; echo", 1))
    with Visit(failing, hold=1) as visit:
        until(lambda: failing.reported("phase work") > 0, "it works", PATIENCE)
        done = run_command(failing, "shell", *places(failing))
        assert done.returncode != 0
        assert "and none that is held" in done.stderr
        visit.result()
    failing.assert_clean()


def test_a_socket_that_cannot_be_made_is_said(failing: BuildHost) -> None:
    with pytest.raises(HostError, match=r"cannot make the socket .*/held: "):
        failing.changes["report"] = _block(failing)
        failing.perform(hold=3600)
    failing.assert_clean()


def _block(host: BuildHost) -> t.Callable[[str], None]:
    """Put a folder where the socket is to be, once the machine runs."""

    def report(line: str) -> None:
        host.lines.append(line)
        if line == "phase hold":
            (folder,) = (path for path in host.runtime.iterdir() if (path / "..").is_dir())
            (folder / "held").mkdir()

    return report
