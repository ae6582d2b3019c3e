# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A task that is performed while somebody looks into its machine, by our commands."""

from __future__ import annotations

import subprocess
import sys
import threading
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import Outcome

from .agents import COMMAND, engine, places, run_command
from .build_host import BuildHost, make_task
from .waiting import until

PATIENCE = 120


class Visit(threading.Thread):
    """Performs a task while somebody else looks into its machine."""

    def __init__(
        self, host: BuildHost, archive: Path | None = None, interactive: str = "", **running: t.Any
    ) -> None:
        super().__init__()
        self.outcome: Outcome | None = None
        self._host, self._running = host, running
        self._task = make_task(**({"interactive": interactive} if interactive else {}))
        self._files = {"source.tar.gz": str(archive)} if archive else {}

    def run(self) -> None:
        with self._host.site.namespace.entered():
            self.outcome = self._host.perform(self._task, files=self._files, **self._running)

    def __enter__(self) -> Visit:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def result(self) -> Outcome:
        self.join(PATIENCE)
        assert self.outcome is not None, self._host.lines
        return self.outcome


def shell(host: BuildHost, text: str) -> str:
    """What `bbot-agent shell` shows of a shell that is told `text`."""
    done = subprocess.run(
        [sys.executable, str(COMMAND), "shell", *places(host)],
        env=engine(host.root),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    return done.stdout + done.stderr


def leave_shell(host: BuildHost, text: str, last: str) -> str:
    """What it shows up to the line with `last`, at which its person leaves the shell as it is."""
    with subprocess.Popen(
        [sys.executable, str(COMMAND), "shell", *places(host)],
        env=engine(host.root),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text)
        process.stdin.flush()
        seen = ""
        for line in process.stdout:
            seen += line
            if last in line:
                break
        process.kill()
    return seen


def command(host: BuildHost, *words: str) -> str:
    """What the command says that succeeds."""
    done = run_command(host, *words, *places(host))
    assert done.returncode == 0, done.stderr
    return done.stdout


def stopped(host: BuildHost) -> None:
    until(lambda: host.reported(" breakpoint: ") > 0, "the task has stopped", PATIENCE)
