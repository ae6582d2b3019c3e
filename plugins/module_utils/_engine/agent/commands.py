# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What a person asks of `bbot-agent`: what goes on, logs, and machines that failed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import typing as t

from ..controller.journal import FILE, Journal, Row
from ..formats.png import encode_png
from ..host.diagnostics import Diagnostics
from ..host.host import HostError
from ..linux.process import Runner
from ..machine.suspended import Suspensions
from ..task.task_log import FILE as LOG
from .cancel import cancel
from .fetch import copy_out
from .job import CancelToken
from .options import PLACES, HelpFormatter, Parser, add_options, read_command
from .places import make_host
from .rfb import look
from .running import find_running
from .settings import Places
from .shell import find_shell, talk
from .status import collect, render

_FOLLOW_INTERVAL = 0.2
# Suspended machines are looked at with the limits of nobody: none is too many or too old.
_NO_LIMIT = 1 << 62


class _Site:
    """What the commands look at: the host as the options say where it is."""

    def __init__(self, options: argparse.Namespace, run: Runner, say: Diagnostics) -> None:
        self.options = options
        self.host = make_host(t.cast(Places, options), run, say.report)
        self.journal = Journal(os.path.join(options.state_dir, FILE))
        self.suspensions = Suspensions(self.host, _NO_LIMIT, float(_NO_LIMIT))


class _Command(t.NamedTuple):
    """A command: its help, what adds its own arguments, and what performs it."""

    help: str
    arguments: t.Callable[[argparse.ArgumentParser], object]
    perform: t.Callable[[_Site], int]


def run_command(name: str, arguments: t.Sequence[str], run: Runner, say: Diagnostics) -> int:
    """Do what the command `name`, one of COMMANDS, and its `arguments` ask for.

    Returns the exit status. Raises EngineError and OSError.
    """
    # Of the agent's options those that say where things are.
    options = read_command(make_command_parser(name), arguments, PLACES)
    return _COMMANDS[name].perform(_Site(options, run, say))


def make_command_parser(name: str) -> Parser:
    """Return the parser of the command `name`, one of COMMANDS but for `run`."""
    command = _COMMANDS[name]
    parser = Parser(
        prog=f"bbot-agent {name}",
        description=command.help,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(parser)
    parser.add_argument(
        "--options-file", metavar="FILE", action="append", help="a file of the agent's options"
    )
    add_options(parser)
    return parser


def _status(site: _Site) -> int:
    status = collect(site.host, site.journal, site.suspensions)
    _write(json.dumps(status, indent=2) + "\n" if site.options.json else render(status))
    return 0


def _log(site: _Site) -> int:
    entry = _find(site.journal, site.options.task)
    if entry.logs is None:
        raise HostError(f"task {entry.id}, {entry.title}, has no logs yet")
    path = os.path.join(entry.logs, LOG)
    wanted = CancelToken()
    signal.signal(signal.SIGINT, wanted.cancel)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            while True:
                # In this order: what was written before the end is read after it was seen.
                current = site.journal.get(entry.id)
                ended = current is None or current.state != "running"
                _write(file.read())
                if ended or not site.options.follow or not wanted():
                    break
                time.sleep(_FOLLOW_INTERVAL)
    except FileNotFoundError as error:
        raise HostError(f"the logs of task {entry.id}, {entry.title}, are gone: {path}") from error
    _write(f"-- {entry.title}: {current.status or current.state} --\n" if current else "")
    for name in sorted(os.listdir(entry.logs)):
        if name != LOG:
            _write(f"-- {os.path.join(entry.logs, name)}\n")
    return 0


def _find(journal: Journal, task: str) -> Row:
    """The task of this number, or the last one of this name, with or without its version."""
    if task.isascii() and task.isdigit() and int(task) < _NO_LIMIT:
        found: Row | None = journal.get(int(task))
        if found is not None:
            return found
    name, slash, version = task.partition("/")
    found = journal.find(name, version if slash else None)
    if found is not None:
        return found
    last = ", ".join(f"{row.id} ({row.title})" for row in journal.latest(5)) or "none"
    raise HostError(f"no task {task} in the journal; the last ones are: {last}")


def _suspended(site: _Site) -> int:
    for each in site.suspensions.all():
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.since))
        _write(
            f"{each.id}: machine {each.machine}, {each.what}: {each.reason}; since {since}, "
            f"{each.bytes >> 20} MiB, {each.hardware.directory}\n"
        )
    return 0


def _resume(site: _Site) -> int:
    suspended = site.suspensions.find(site.options.id)
    wanted = CancelToken()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, wanted.cancel)
    _write(f"machine {suspended.machine} goes on; Ctrl-C suspends it again\n")
    ended = site.suspensions.resume(suspended, wanted)
    _write("it has ended and is thrown away\n" if ended else "it is suspended again\n")
    return 0


def _discard(site: _Site) -> int:
    for name in site.options.ids:
        site.suspensions.discard(site.suspensions.find(name))
    return 0


def _cancel(site: _Site) -> int:
    for name in site.options.ids:
        _write(f"cancelled: task {cancel(site.host, site.journal, name)}\n")
    return 0


def _shell(site: _Site) -> int:
    talk(find_shell(site.host, site.options.id))
    return 0


def _screen(site: _Site) -> int:
    found = find_running(site.host, site.journal, site.options.task)
    runtime = found.record.get("runtime")
    if not runtime:
        raise HostError(f"task {found.title} has no machine yet, or none with a screen")
    picture = encode_png(*look(os.path.join(str(runtime), "vnc")))
    with open(site.options.file, "xb") as file:
        file.write(picture)
    _write(f"the screen of task {found.title} is in {site.options.file}\n")
    return 0


def _cp(site: _Site) -> int:
    task, colon, path = site.options.source.partition(":")
    if not (task and colon and path):
        raise HostError(f"{site.options.source}: what to copy is TASK:PATH")
    record: t.Mapping[str, t.Any] | None = site.host.leases.living().get(task)
    if record is None:
        found = find_running(site.host, site.journal, task)
        task, record = f"task {found.title}", found.record
    shell = record.get("shell")
    if not shell:
        raise HostError(
            f"{task} has no shell to copy files by: have it stop for you (interactive, hold)"
        )
    place, size = copy_out(str(shell), path, site.options.target)
    _write(f"{place}: {size} bytes\n")
    return 0


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _no_arguments(_parser: argparse.ArgumentParser) -> None:
    """None of its own."""


def _log_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="its number, or NAME[/VERSION]")
    parser.add_argument("--follow", action="store_true", help="go on until the task has ended")


def _screen_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", metavar="TASK", help="its number, or NAME[/VERSION]: see status")
    parser.add_argument("file", metavar="FILE", help="the new file for the picture, a PNG")


def _cp_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        metavar="TASK:PATH",
        help="the task, or a shell's id, and the file",
    )
    parser.add_argument("target", metavar="TARGET", help="the new file, or a folder for it")


_COMMANDS = {
    "status": _Command(
        "Show agents, machines, running tasks, results to be delivered, and the last tasks.",
        lambda parser: parser.add_argument("--json", action="store_true", help="for programs"),
        _status,
    ),
    "log": _Command("Show what a task does, or did.", _log_arguments, _log),
    "suspended": _Command("List the machines that failed.", _no_arguments, _suspended),
    "resume": _Command(
        "Let a suspended machine go on, to be looked into, until it ends or Ctrl-C.",
        lambda parser: parser.add_argument("id", metavar="ID", help="see: bbot-agent suspended"),
        _resume,
    ),
    "shell": _Command(
        "Talk to a shell in a machine: of an interactive task, or one that failed and is held.",
        lambda parser: parser.add_argument(
            "id", metavar="ID", nargs="?", help="as the task says; needless if there is but one"
        ),
        _shell,
    ),
    "screen": _Command(
        "Save a picture of the screen of a running task's machine.", _screen_arguments, _screen
    ),
    "cp": _Command(
        "Copy a file out of a machine that has a shell for you.",
        _cp_arguments,
        _cp,
    ),
    "cancel": _Command(
        "End running tasks at once, whoever performs them; they are aborted.",
        lambda parser: parser.add_argument(
            "ids", metavar="TASK", nargs="+", help="its number, or NAME[/VERSION]: see status"
        ),
        _cancel,
    ),
    "discard": _Command(
        "Throw suspended machines away.",
        lambda parser: parser.add_argument("ids", metavar="ID", nargs="+", help="see: suspended"),
        _discard,
    ),
}
