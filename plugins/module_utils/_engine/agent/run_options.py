# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What people say to `bbot-agent run`."""

from __future__ import annotations

import argparse
import contextlib
import os
import typing as t

from ..errors import EngineError
from ..matrix.asked import Asked, MatrixError, common_of, find_projects, read_configs
from ..records.values import Status
from .options import HelpFormatter, OptionsError, Parser, add_options, settings_of
from .settings import Settings

# The agent's options that matter here.
_OPTIONS = (
    *("toolchain_name", "cpu", "ram", "auxiliary_ram", "warm", "accelerator", "machines"),
    *("storage", "tftp", "state_dir", "runtime_dir", "log_dir", "bridge", "egress"),
    *("egress_refused", "egress_proxy", "resolver", "disk_reserve", "user", "tftp_port"),
    *("bootstrap_timeout", "bootstrap_retries", "bootstrap_startup", "build_timeout"),
    *("build_retries", "build_startup", "upload_limit", "write_limit"),
)
# Seconds: a month.
_LONGEST_HOLD = 31 * 86400.0

# What says what to build, and so is not for a matrix that is gone on with.
_WHAT = (
    *("what", "source", "tasks", "machine", "driver", "operations", "test_command", "subfolder"),
    *("artifacts", "config", "configs", "setting", "auxiliary_machine", "interactive"),
)


class UsageError(EngineError):
    """What was asked for is not there to be had."""


def make_run_parser() -> argparse.ArgumentParser:
    """Return the parser of the command `run`."""
    parser = Parser(
        prog="bbot-agent run",
        description="Have tasks performed in throw-away machines of this host, and bring their "
        "results here. Several tasks, sources, configurations or machines are a matrix: all "
        "combinations are performed, as many at once as there is room for. Exit status: 0 if it "
        "went well, 1 if not, 2 if it was asked for in a wrong way, 3 by a fault of the machine or "
        "of this host; of a matrix the worst.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    many: dict[str, t.Any] = {"action": "append", "default": []}
    add(
        "what",
        metavar="TASK|DIR",
        nargs="*",
        default=[],
        help="a task's manifest or YAML file; or a folder, an archive, a .dsc file, or a git "
        "reference to build; by default this folder",
    )
    add(
        "--source",
        metavar="SOURCE",
        **many,
        help="what to build instead of the task's own repository",
    )
    add("--tasks", metavar="DIR", **many, help="a folder of task files, each to be performed")
    add(
        "--machine",
        metavar="PATTERN",
        **many,
        help="the machines to use, or 'all', instead of the task's",
    )
    add("--driver", metavar="NAME", default="", help="how to build")
    add("--operations", metavar="NAME,...", default="", help="what to do")
    add("--test-command", metavar="COMMAND", default="", help="what tests, for the shell")
    add("--subfolder", metavar="DIR", default="", help="where in the sources the project is")
    add("--artifacts", metavar="PATTERN,...", default="", help="what to bring home")
    add("--config", metavar="WORDS", default="", help="words for the build's tool")
    add(
        "--configs",
        metavar="NAME: WORDS;...",
        **many,
        help="sets of such words by name, each to be built with",
    )
    add("--setting", metavar="NAME=VALUE", **many, help="one more of the worker's settings")
    add(
        "--auxiliary-machine",
        metavar="[NAME=]MACHINE",
        **many,
        help="a machine to be up beside it",
    )
    add(
        "--rerun",
        metavar="DIR",
        default="",
        help="the task whose results are in DIR, once more: with its sources and on its machine",
    )
    add("--interactive", metavar="WHERE", default="", help="where to stop for you to look in")
    add(
        "--hold",
        metavar="SEC",
        type=float,
        default=0,
        help="for how long to keep a machine that failed, for a shell in it; by default not at all",
    )
    add("--results", metavar="DIR", default="results", help="the folder for results")
    add(
        "--fail-on",
        default="error",
        choices=[*(str(status) for status in Status), "never"],
        help="the least status that is a failure",
    )
    add("--json", action="store_true", help="results for programs; the progress goes to stderr")
    group = parser.add_argument_group("matrix")
    group.add_argument("--no-matrix", action="store_true", help="leave that of bbot.yml alone")
    group.add_argument("--fail-fast", action="store_true", help="end all after the first failure")
    group.add_argument(
        "--at-once",
        metavar="NUM",
        type=int,
        help="how many at once, by default as many as can have CPUs of their own",
    )
    group.add_argument(
        "--resume",
        metavar="DIR",
        default="",
        help="go on with the matrix whose results are in DIR: do what has no result",
    )
    add("--options-file", metavar="FILE", action="append", help="a file of the agent's options")
    add_options(parser.add_argument_group("machines"), _OPTIONS)
    return parser


def read_options(arguments: t.Sequence[str]) -> tuple[argparse.Namespace, Settings]:
    """Return what the command line says. Raises OptionsError."""
    options, settings = settings_of(make_run_parser(), arguments, _OPTIONS)
    if options.at_once is not None and options.at_once < 1:
        raise OptionsError(f"--at-once must be at least 1, not {options.at_once}")
    if not 0 <= options.hold <= _LONGEST_HOLD:
        raise OptionsError(f"--hold must be from 0 to {_LONGEST_HOLD:g}, not {options.hold:g}")
    given = [name for name in _WHAT if getattr(options, name)]
    past = "--resume" if options.resume else "--rerun" if options.rerun else ""
    if options.resume and options.rerun:
        given.append("rerun")
    if past and given:
        names = ", ".join("TASK|DIR" if name == "what" else f"--{name}" for name in given)
        names = names.replace("_", "-")
        raise OptionsError(f"{past} does what was asked for then: it cannot be with {names}")
    return options, settings


def read_asked(options: argparse.Namespace, cwd: str) -> Asked:
    """Return what is to be built, in all combinations. Raises UsageError."""
    tasks: list[t.Any] = list(options.tasks)
    sources: list[str] = list(options.source)
    for what in options.what:
        path = os.path.join(cwd, os.path.expanduser(what))
        if os.path.isfile(path) and is_task(path):
            tasks.append(what)
        elif options.source:
            raise UsageError(f"{what} is no task, and there is a --source already")
        else:
            sources.append(what)
    if not tasks and not sources:
        sources = ["."]
    wish = {
        **vars(options),
        "settings": dict(_named(each) for each in options.setting),
        "auxiliary_machines": options.auxiliary_machine,
    }
    try:
        return Asked(
            projects=find_projects(tasks, sources, cwd),
            configs=read_configs(options.configs),
            machines=tuple(options.machine),
            directory=cwd,
            config=options.config,
            common=common_of(wish),
            variables=not options.no_matrix,
            fail_on=options.fail_on,
        )
    except MatrixError as error:
        raise UsageError(str(error)) from None


def is_task(path: str) -> bool:
    """Whether the file ``path`` is a task, and no source: a manifest, or YAML by its name."""
    if path.endswith((".yml", ".yaml", ".manifest")):
        return True
    with contextlib.suppress(OSError), open(path, "rb") as file:
        lines = file.read(4096).splitlines()
        return next((x for x in lines if x.strip() and x[:1] != b"#"), b"").lstrip()[:1] == b":"
    return False


def _named(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise UsageError(f"--setting: '{text}' is not NAME=VALUE")
    return name, value
