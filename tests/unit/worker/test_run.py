# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands, what they may open, and what they leave behind."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bbot_worker.account import Account
from bbot_worker.errors import WorkerError
from bbot_worker.log import Log
from bbot_worker.run import Command, CommandFailed, Runner

# Far less than what is left behind would take, far more than a slow machine needs.
SOON = 20.0

Shell = Callable[..., str]


# Of this process alone: all that an account has left is killed.
NOBODY = 100000 + os.getpid()


class NoBody(Account):
    """An account that is not ours: we may become it, being root."""

    def __init__(self, home: str) -> None:
        super().__init__(home)
        self.name, self.ids = "nobody", (NOBODY, NOBODY)


@pytest.fixture(params=["another", "ourselves"])
def account(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: Any) -> Account:
    """Whom commands run as; the tests run as root."""
    assert os.getuid() == 0
    if request.param == "another":
        # Pytest's folders are for its user alone.
        for folder in [tmp_path, *tmp_path.parents]:
            if folder.stat().st_mode & 0o001 == 0:
                folder.chmod(0o755)
        chosen: Account = NoBody(str(tmp_path))
        chosen.make_directory(str(tmp_path / "work"))
    else:
        monkeypatch.setattr(os, "getuid", lambda: 1000)
        chosen = Account(str(tmp_path))
        (tmp_path / "work").mkdir()
    return chosen


@pytest.fixture
def shell(account: Account, tmp_path: Path) -> Shell:
    def shell(text: str, timeout: float | None = None, pty: bool = False) -> str:
        log = Log()
        runner = Runner(log, account, timeout, pty)
        try:
            runner.run(Command(["/bin/sh", "-c", text], str(tmp_path / "work")))
        finally:
            shown = log.close()
        return shown.partition("\n")[2]

    return shell


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("echo x > /dev/stdout", "x"),
        ("echo x > /dev/stderr", "x"),
        ("echo x | tee /dev/stderr", "x\nx"),
        ("cat /dev/stdin; echo $?", "0"),
        ("cat < /dev/stdin; test -t 0; echo $?", "1"),
        ("echo x > /proc/self/fd/1", "x"),
        ("echo ${TERM-unset}", "unset"),
        ("umask", "0022"),
    ],
)
def test_what_commands_find(shell: Shell, text: str, output: str) -> None:
    assert shell(text) == output


def test_a_terminal_on_request(shell: Shell) -> None:
    assert shell("test -t 0 && test -t 1 && echo $TERM && : < /dev/tty && stty size", pty=True) == (
        "xterm\n24 80"
    )
    assert shell("echo x > /dev/stderr", pty=True) == "x"


def test_all_output_arrives(shell: Shell) -> None:
    assert shell("seq 100000 | tail -n 3; printf end") == "99998\n99999\n100000\nend"
    assert len(shell("head -c 300000 /dev/zero | tr '\\0' x | fold -w 100").split("\n")) == 3000


def test_the_rest_of_the_group_may_finish_its_sentence(shell: Shell) -> None:
    """A pipeline whose last part prints when the first command has ended already."""
    assert shell("(sleep 0.5; echo late) & echo soon") == "soon\nlate"


@pytest.mark.parametrize(
    "orphan",
    [
        "while :; do echo chatter; done",
        "while :; do echo chatter; sleep 0.1; done",
        "sleep 300",
        "exec > /dev/null 2>&1; while :; do :; done",
    ],
    ids=["loud", "talking", "silent", "busy"],
)
@pytest.mark.parametrize("session", ["", "setsid "], ids=["group", "session"])
def test_what_is_left_running_ends_and_holds_up_nothing(
    shell: Shell, account: Account, tmp_path: Path, orphan: str, session: str
) -> None:
    started = time.monotonic()
    output = shell(f"{session}sh -c 'echo $$ > pid; {orphan}' & sleep 0.3; echo done; exit 0")
    account.end_processes()
    assert time.monotonic() - started < SOON
    # The loud one's chatter fills the log, and what is cut of that is in its middle.
    assert "done" in output.split("\n") or "of this log are not shown" in output
    assert not Path(f"/proc/{int((tmp_path / 'work/pid').read_text())}").exists()


def test_a_fork_bomb_ends(shell: Shell, account: Account) -> None:
    started = time.monotonic()
    # Bounded in itself: the test's machine is not the guest.
    bomb = "f() { [ $1 -eq 0 ] && sleep 60 || { f $(($1-1)) & f $(($1-1)) & wait; }; }; "
    shell(f"{bomb} setsid sh -c '{bomb} f 6' & sleep 0.3; echo done")
    account.end_processes()
    assert time.monotonic() - started < SOON
    left = subprocess.run(["pgrep", "-u", str(NOBODY)], capture_output=True, check=False).stdout
    assert left == b""


def test_a_port_is_free_for_the_next_operation(shell: Shell, account: Account) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = (
        f"import socket,time; s=socket.socket(); s.bind(('127.0.0.1',{port})); s.listen(); "
        "open('up','w'); time.sleep(300)"
    )
    python = "/usr/bin/python3"
    shell(f'setsid {python} -c "{server}" > /dev/null 2>&1 & until [ -e up ]; do sleep 0.05; done')
    account.end_processes()
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours that was there before."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def test_others_are_left_alone(
    other: subprocess.Popen[bytes], account: Account, shell: Shell
) -> None:
    shell("setsid sleep 60 & echo")
    account.end_processes()
    assert other.poll() is None


def test_an_orphan_is_no_excuse_for_a_failure(shell: Shell) -> None:
    with pytest.raises(CommandFailed) as caught:
        shell("setsid sh -c 'while :; do echo x; done' & sleep 0.2; exit 3")
    assert caught.value.code == 3
    assert caught.value.status == "error"


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("exit 7", "error", "/bin/sh failed with exit status 7"),
        ("kill -9 $$", "error", "/bin/sh was killed by signal SIGKILL"),
        ("kill -40 $$", "error", "/bin/sh was killed by signal 40"),
        ("exec sleep 60", "abort", "/bin/sh was ended after 0.5 seconds"),
        ("exec > /dev/null 2>&1; exec sleep 60", "abort", "/bin/sh was ended after 0.5 seconds"),
    ],
)
def test_how_commands_fail(shell: Shell, text: str, status: str, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(WorkerError) as caught:
        shell(text, timeout=0.5 if status == "abort" else None)
    assert (caught.value.status, str(caught.value)) == (status, message)
    assert time.monotonic() - started < SOON


@pytest.mark.parametrize(
    ("arguments", "folder", "message"),
    [
        (
            ["/no/such/program"],
            "work",
            "cannot run /no/such/program: this machine does not have it",
        ),
        (["/bin/true"], "none", "there is no directory"),
        (["/etc/passwd"], "work", "cannot run /etc/passwd: "),
        (["/bin/true", "a\0b"], "work", "cannot run /bin/true: embedded null byte"),
    ],
)
def test_what_cannot_be_run(
    account: Account, tmp_path: Path, arguments: list[str], folder: str, message: str
) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(WorkerError) as caught:
        Runner(Log(), account).run(Command(arguments, str(tmp_path / folder)))
    assert caught.value.status == "error"
    assert str(caught.value).startswith(message)
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_question_leaves_no_trace_and_is_bounded(account: Account, tmp_path: Path) -> None:
    log = Log()
    runner = Runner(log, account, 60)
    work = str(tmp_path / "work")
    assert runner.ask(Command(["/bin/sh", "-c", "echo yes"], work)).output == "yes\n"
    assert not runner.ask(Command(["/bin/sh", "-c", "echo no; exit 4"], work))
    assert runner.ask(Command(["/no/such/tool"], work)).code == 127
    loud = "head -c 5000000 /dev/zero"
    assert len(runner.ask(Command(["/bin/sh", "-c", loud], work)).output) == 1 << 20
    assert log.close() == ""


def test_descriptors_do_not_leak(shell: Shell) -> None:
    shell("true")
    before = set(os.listdir("/proc/self/fd"))
    for pty in (False, True):
        for text in ("true", "sleep 0.1 & exit 0"):
            shell(text, pty=pty)
    with pytest.raises(CommandFailed):
        shell("false")
    assert set(os.listdir("/proc/self/fd")) == before
