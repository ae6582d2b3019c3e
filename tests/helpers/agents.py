# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command bbot-agent, run as people and systemd run it: as a process."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    FILE,
    Entry,
    Journal,
)

from .build_host import RAM, BuildHost
from .controller import Controller
from .users_host import UsersHost

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / "roles" / "agent" / "files" / "bbot-agent"


def engine(folder: Path) -> dict[str, str]:
    """The environment in which the command finds the engine of this checkout."""
    place = folder / "engine"
    place.mkdir(parents=True, exist_ok=True)
    link = place / "bbot_agent"
    if not link.is_symlink():
        link.symlink_to(ROOT / "plugins" / "module_utils" / "_engine")
    return {**os.environ, "BBOT_AGENT_ENGINE": str(place), "PYTHONUNBUFFERED": "1"}


def options(host: BuildHost, **changes: t.Any) -> list[str]:
    """The options for an agent on ``host``; None leaves one out, True makes it a flag."""
    values: dict[str, t.Any] = {
        **host.options(),
        "poll_interval": 0.3,
        "build_startup": 120,
        "bootstrap_startup": 120,
        "build_retries": 0,
        "bootstrap_retries": 0,
        "verbose": 2,
        **changes,
    }
    words = []
    for name, value in values.items():
        if value is None:
            continue
        option = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, list) else [value]:
            words += [option] if each is True else [option, str(each)]
    return words


def run_command(host: BuildHost, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, str(COMMAND), *arguments],
        env=engine(host.root),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def places(host: BuildHost) -> list[str]:
    """The options of the commands for people."""
    names = ("machines", "tftp", "state_dir", "runtime_dir", "log_dir", "user")
    given = host.options()
    return [word for name in names for word in (f"--{name.replace('_', '-')}", str(given[name]))]


def read_status(host: BuildHost) -> dict[str, t.Any]:
    """What `bbot-agent status --json` says."""
    done = run_command(host, "status", "--json", *places(host))
    assert done.returncode == 0, done.stderr
    status: dict[str, t.Any] = json.loads(done.stdout)
    return status


def journal(host: BuildHost) -> Journal:
    return Journal(str(host.state / FILE))


def entries(host: BuildHost) -> list[Entry]:
    """What is in the journal, the oldest first."""
    return journal(host).latest(1000)[::-1]


class RunningAgent:
    """An agent, for the length of a with statement; ``lines`` is what it has said.

    That of a host of a user is run by the user.
    At the end it is told to end, and has to do so in time with ``status``.
    """

    def __init__(
        self,
        host: BuildHost,
        *controllers: Controller | str,
        environment: t.Mapping[str, str] | None = None,
        **changes: t.Any,
    ) -> None:
        urls = [each if isinstance(each, str) else each.url for each in controllers]
        if isinstance(host, UsersHost):
            program, own = host.program(), host.user.environment
        else:
            program, own = [sys.executable, str(COMMAND)], engine(host.root)
        self.command = [*program, *options(host, **changes), *urls]
        self.lines: list[str] = []
        self._environment = {**own, **(environment or {})}
        self._changed = threading.Condition()

    def __enter__(self) -> RunningAgent:
        self.process = subprocess.Popen(
            self.command, env=self._environment, stderr=subprocess.PIPE, text=True
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._changed:
                self.lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def says(self, pattern: str, timeout: float = 60, count: int = 1) -> str:
        """Wait until so many lines match ``pattern``; the last of them."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [line for line in self.lines if re.search(pattern, line)]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or not self._reader.is_alive():
                    raise AssertionError(f"it never said {pattern!r}, but {self.lines}")
                self._changed.wait(min(left, 0.5))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, timeout: float = 15) -> int:
        """Tell it to end; its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        finally:
            self._cleanup()

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self._cleanup()

    def _cleanup(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        self._reader.join(10)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        ended = self.process.poll() is not None
        status = self.end()
        if kind is None and not ended and status != 0:
            raise AssertionError(f"it ended with status {status}: {self.lines}")


__all__ = ["RAM", "RunningAgent"]
