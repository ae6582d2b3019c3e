# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs that are run to their end: what they say, and how that ends."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.program import run_program


def test_what_it_says_and_how_it_ends() -> None:
    script = "cat; printf 'out\\377'; echo err >&2; exit 7"
    assert run_program(["sh", "-c", script]) == (7, b"out\xff", b"err\n")
    assert run_program(["sh", "-c", "kill -9 $$"])[0] == -signal.SIGKILL


def test_more_than_a_pipe_holds() -> None:
    script = "head -c 1000000 /dev/zero >&2; head -c 1000000 /dev/zero"
    status, output, errors = run_program(["sh", "-c", script])
    assert (status, len(output), len(errors)) == (0, 1_000_000, 1_000_000)


def test_an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BBOT_TEST", "ours")
    command = ["sh", "-c", "echo $BBOT_TEST"]
    assert run_program(command)[1] == b"ours\n"
    assert run_program(command, environment={"BBOT_TEST": "its"})[1] == b"its\n"


def test_one_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError):
        run_program(["git"])


def test_one_that_is_no_program(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
    status, output, errors = run_program([str(path)])
    assert (status, output, errors) == (127, b"", f"{path}: Exec format error\n".encode())


def test_one_that_takes_too_long() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"it took longer than 0.2 s"):
        run_program(["sleep", "60"], timeout=0.2)
    assert time.monotonic() - began < 30
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_nothing_is_left_when_the_waiting_ends() -> None:
    class Ended(BaseException):
        pass

    def end(_number: int, _frame: object) -> None:
        raise Ended

    former = signal.signal(signal.SIGALRM, end)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(Ended):
            run_program(["sleep", "60"])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


# Who runs programs for the engine: itself, and the command for what Ansible runs for modules.
_ROOT = Path(__file__).parents[4]
_COMMAND = _ROOT / "roles" / "agent" / "files" / "bbot-agent"
_LOADER = importlib.machinery.SourceFileLoader("bbot_agent_command", str(_COMMAND))
_SPEC = importlib.util.spec_from_loader(_LOADER.name, _LOADER)
assert _SPEC is not None
_MODULE = importlib.util.module_from_spec(_SPEC)
_LOADER.exec_module(_MODULE)
RUNNERS = [run_program, _MODULE.run]


def _awaited(look: t.Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not look() and time.monotonic() < until:
        time.sleep(0.01)
    return look()


def _runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("run", RUNNERS, ids=["the engine", "the command"])
def test_it_dies_with_who_runs_it(
    run: t.Callable[[list[str]], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the command finds the engine that is installed beside it.
    (tmp_path / "bbot_agent").symlink_to(_ROOT / "plugins" / "module_utils" / "_engine")
    monkeypatch.syspath_prepend(str(tmp_path))
    told = tmp_path / "pid"
    pid = os.fork()
    if pid == 0:
        try:
            run(["/bin/sh", "-c", f"echo $$ > {told}; exec sleep 60"])
        finally:
            os._exit(1)
    assert _awaited(lambda: told.exists() and told.read_text().endswith("\n"))
    program = int(told.read_text())
    assert _runs(program)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert _awaited(lambda: not _runs(program))
