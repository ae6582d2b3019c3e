# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The command `bbot-agent`: the agent itself, and what a person asks of it."""

from __future__ import annotations

import typing as t

from ..errors import EngineError, sentence
from ..host.diagnostics import Diagnostics
from ..linux.process import Runner

# Commands for people, who wait for an answer and not for the agent to be read.
COMMANDS = (
    "run",
    "cancel",
    "status",
    "log",
    "suspended",
    "resume",
    "discard",
    "shell",
    "screen",
    "cp",
    "web",
)


def main(arguments: t.Sequence[str], run: Runner) -> int:
    """Do what the command line `arguments` ask for. Returns the exit status."""
    # Of files of options nothing is known yet, and they may be what is wrong.
    say = Diagnostics(systemd="--systemd-daemon" in arguments)
    try:
        if arguments and arguments[0] == "run":
            from .run import run_task

            return run_task(arguments[1:], run, say)
        if arguments and arguments[0] == "web":
            from .web import serve

            return serve(arguments[1:], run, say)
        if arguments and arguments[0] in COMMANDS:
            from .commands import run_command

            return run_command(arguments[0], arguments[1:], run, say)
        from .loop import run_agent
        from .once import run_once
        from .options import read_settings

        settings = read_settings(arguments)
        say = Diagnostics(settings.verbose, systemd=settings.systemd_daemon)
        if settings.dumps or settings.fake_request:
            return run_once(settings, run, say)
        return run_agent(arguments, settings, run, say)
    except (EngineError, OSError) as error:
        say.fatal(sentence(error))
        return 1
