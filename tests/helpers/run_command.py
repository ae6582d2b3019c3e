# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`bbot-agent run`, as people call it in a folder of theirs."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import typing as t
from pathlib import Path

from .agents import COMMAND, engine, options
from .build_host import BuildHost

# Of the options of an agent, what the command does not have.
_FEWER = {"poll_interval": None, "verbose": None}


def start(host: BuildHost, folder: Path, *arguments: str, **more: t.Any) -> subprocess.Popen[str]:
    """The command with these arguments, called in ``folder``."""
    return subprocess.Popen(
        [sys.executable, str(COMMAND), "run", *options(host, **_FEWER), *arguments],
        cwd=folder,
        env={**engine(host.root), "PWD": str(folder), "COLUMNS": "100", "LINES": "30"},
        stdin=subprocess.DEVNULL,
        text=True,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more},
    )


def run(host: BuildHost, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The same to its end."""
    with start(host, folder, *arguments) as process:
        output, errors = process.communicate(timeout=300)
    return subprocess.CompletedProcess([], process.returncode, output, errors)


def results(folder: Path) -> Path:
    """The one folder of results that it has left."""
    (found,) = (folder / "results").iterdir()
    return found


def at_terminal(host: BuildHost, folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status of the command at a terminal, and all that it shows there."""
    ours, theirs = pty.openpty()
    with start(host, folder, *arguments, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):
            while data := os.read(ours, 65536):
                seen += data
        os.close(ours)
    return process.returncode, seen.decode()
