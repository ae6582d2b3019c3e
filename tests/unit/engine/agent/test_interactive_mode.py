# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What controllers are told of interactive builds, and how people get in."""

from __future__ import annotations

import contextlib
import socket
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.interactive import (
    lock,
    login,
    look_in,
    mode_now,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import read_settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.settings import Settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.shell import (
    find_shell,
    talk,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host, HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.look_in import LookIn


@pytest.fixture
def host(tmp_path: Path) -> Host:
    none = t.cast("t.Any", None)
    return Host(run=none, storage=none, state=str(tmp_path / "state"))


def settings(*words: str) -> Settings:
    return read_settings([*words, "http://127.0.0.1:9/"])


@pytest.mark.parametrize("mode", ["false", "true", "both"])
def test_one_interactive_build_at_a_time(host: Host, mode: str) -> None:
    given = settings("--interactive", mode)
    assert mode_now(host, given) == mode
    with lock(host, "perform a task"):
        assert mode_now(host, given) == "false"
    assert mode_now(host, given) == mode


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], socket.gethostname()),
        (["--interactive-vnc", "10.0.0.1:5901"], f"{socket.gethostname()}:5901"),
        (["--interactive-vnc", "[::1]:5901", "--interactive-login", "ask me"], "ask me"),
    ],
)
def test_the_login(words: list[str], told: str) -> None:
    assert login(settings(*words)) == told


@pytest.mark.parametrize("text", ["5901", "host:5901", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536"])
def test_what_is_no_place_for_a_screen(text: str) -> None:
    with pytest.raises(EngineError, match="interactive-vnc"):
        settings("--interactive-vnc", text)


@pytest.mark.parametrize(
    ("password", "words"),
    [
        (None, "name a file with a password"),
        ("", "passwords of 1 to 8 ASCII characters"),
        ("123456789", "passwords of 1 to 8 ASCII characters"),
        ("gr\u00fcn", "passwords of 1 to 8 ASCII characters"),
    ],
)
def test_a_screen_without_a_usable_password(
    tmp_path: Path, password: str | None, words: str
) -> None:
    given = ["--interactive-vnc", "[::1]:5901"]
    if password is not None:
        (tmp_path / "password").write_text(password)
        given += ["--interactive-password", str(tmp_path / "password")]
    with pytest.raises(HostError, match=words):
        look_in(settings(*given))


def test_a_way_in(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("12345678\n")
    given = ["--interactive-vnc", "[::1]:5901", "--interactive-password", f"{tmp_path}/password"]
    found = look_in(settings(*given))
    assert found == LookIn("::1", 5901, "12345678")
    assert "12345678" not in repr(found)
    assert look_in(settings()) == LookIn()


def test_a_password_that_cannot_be_read(tmp_path: Path) -> None:
    given = ["--interactive-vnc", "[::1]:1", "--interactive-password", str(tmp_path / "none")]
    with pytest.raises(HostError, match=r"cannot read .*none"):
        look_in(settings(*given))


def test_the_shell_of_a_task_is_found(host: Host) -> None:
    with pytest.raises(HostError, match=r"and none that is held; .*: none"):
        find_shell(host, None)
    first = host.leases.take(what="task", shell="/run/a")
    assert find_shell(host, None) == "/run/a"
    second = host.leases.take(what="task", shell="/run/b")
    assert find_shell(host, second.id) == "/run/b"
    for name in (None, "1-0"):
        with pytest.raises(HostError, match=rf"which machine: .*{first.id}, {second.id}"):
            find_shell(host, name)
    first.end()
    second.end()


@contextlib.contextmanager
def machine_says(
    monkeypatch: pytest.MonkeyPatch,
    place: Path,
    typed: str,
    answer: t.Callable[[socket.socket], None],
) -> t.Iterator[str]:
    """The socket of a shell that does as ``answer``; what is ``typed`` is our standard input."""
    path = str(place / "shell")
    with socket.socket(socket.AF_UNIX) as server, (place / "input").open("w+") as text:
        server.bind(path)
        server.listen()

        def serve() -> None:
            client, _dummy = server.accept()
            with client:
                answer(client)

        thread = threading.Thread(target=serve)
        thread.start()
        text.write(typed)
        text.seek(0)
        monkeypatch.setattr("sys.stdin", text)
        yield path
        thread.join()


def test_a_shell_is_talked_to(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    def answer(client: socket.socket) -> None:
        heard.append(client.recv(100))
        client.sendall(b"two\n")

    with machine_says(monkeypatch, tmp_path, "one\n", answer) as path:
        talk(path)
        with pytest.raises(HostError, match="cannot reach the shell at"):
            talk(str(tmp_path / "none"))
    assert heard == [b"one\n"]
    assert capfd.readouterr().out == "two\n"


def test_a_machine_that_goes_while_somebody_types(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(client: socket.socket) -> None:
        client.recv(1)
        client.sendall(b"bye\n")
        # What was typed has not been read: whoever typed it is reset.

    with machine_says(monkeypatch, tmp_path, "one\n" * 100000, answer) as path:
        talk(path)
    assert capfd.readouterr().out == "bye\n"
