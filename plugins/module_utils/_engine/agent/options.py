# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The command line: what it and files of options say, as settings."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import typing as t

from ..errors import EngineError
from ..release import VERSION
from .settings import Option, Settings, options


class OptionsError(EngineError):
    """Options that are not usable; the text says which, where, and why."""

    temporary = False


class Parser(argparse.ArgumentParser):
    """A parser that raises OptionsError."""

    def error(self, message: str) -> t.NoReturn:
        raise OptionsError(f"{message}; see {self.prog} --help")


class HelpFormatter(argparse.HelpFormatter):
    """Tells the defaults, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str:
        default = action.default
        if default in (None, "", False, argparse.SUPPRESS) or default == []:
            return action.help or ""
        shown = f"{default:.0f}" if isinstance(default, float) else default
        return f"{action.help} (default: {shown})"


_PARTS = ("bbot-agent", "libbbot", "libbpkg", "libbutl")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> t.NoReturn:
        sys.stdout.write(
            # Programs that watch bbot's agent look for all four.
            "".join(f"{name} {VERSION}\n" for name in _PARTS)
            + "Copyright (c) 2026, The bbot.agent founders\n"
            "libbbot, libbpkg and libbutl are parts of this program, written anew for it.\n"
            "This is free software released under the GPL, version 3 or later.\n"
        )
        parser.exit()


def make_parser() -> argparse.ArgumentParser:
    """The parser of the agent's own command line."""
    parser = Parser(
        prog="bbot-agent",
        usage="bbot-agent [OPTION...] [PRIORITY=]URL...\n"
        "       bbot-agent run|cancel|status|log|web|shell|screen|cp|suspended|resume|discard "
        "[--help]",
        description="Ask controllers for build tasks, perform each in a throw-away virtual "
        "machine, and hand back the results.",
        epilog="Of PRIORITY the higher one is asked first (A), keeps lower ones from being asked "
        "while its task runs (B), interrupts one lower task if need be (C), or all (D); F is 1 for "
        "all CPUs. Times are in seconds. A file of options has one option, or one URL, a line: "
        "`--ram 2097152`; what follows a # is a comment. "
        "Signals: SIGTERM ends the agent at once, SIGUSR1 when the running tasks have ended; "
        "SIGHUP has it read its options again then.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    add, suppress = parser.add_argument, argparse.SUPPRESS
    add("--help", action="help", default=suppress, help="show this and exit")
    add("--version", action=_Version, nargs=0, default=suppress, help="show the version and exit")
    add("--options-file", metavar="FILE", default=suppress, help="read options from this file, too")
    groups: dict[str, argparse._ActionsContainer] = {"": parser}
    for name, option in options().items():
        if option.group not in groups:
            groups[option.group] = parser.add_argument_group(option.group)
        _add(groups[option.group], name, option)
    return parser


# The options that say where things are, which all commands have.
PLACES = (
    *("machines", "storage", "tftp", "state_dir", "runtime_dir", "log_dir"),
    *("bridge", "egress", "egress_refused", "egress_proxy", "resolver", "disk_reserve", "user"),
)


def add_options(group: argparse._ActionsContainer, names: t.Iterable[str] = PLACES) -> None:
    """Add the agent's options of these names to those of another command."""
    table = options()
    for name in names:
        _add(group, name, table[name])


def read_command(
    parser: argparse.ArgumentParser, arguments: t.Sequence[str], names: t.Sequence[str]
) -> argparse.Namespace:
    """Return what ``arguments`` say to a command that has the agent's options ``names``.

    Those have the values of the files that `--options-file` names as defaults. Raises
    OptionsError.
    """
    files = parser.parse_known_args(arguments)[0].options_file
    if files:
        words = expand([word for file in files for word in ("--options-file", file)])
        given = vars(make_parser().parse_intermixed_args(words))
        parser.set_defaults(**{name: given[name] for name in names})
    return parser.parse_args(arguments)


def settings_of(
    parser: argparse.ArgumentParser, arguments: t.Sequence[str], names: t.Sequence[str]
) -> tuple[argparse.Namespace, Settings]:
    """The same, and the settings by these names."""
    parsed = read_command(parser, arguments, names)
    values: dict[str, t.Any] = {}
    for name in names:
        value = getattr(parsed, name)
        values[name] = tuple(value) if isinstance(value, list) else value
    return parsed, Settings(**values)


def _add(group: argparse._ActionsContainer, name: str, option: Option) -> None:
    more: dict[str, t.Any] = {"help": option.help, "default": getattr(_DEFAULTS, name)}
    if option.kind == "flag":
        more |= {"action": "store_true"}
    else:
        more |= {"metavar": option.metavar, "type": option.convert or str}
    if option.choices:
        more |= {"choices": option.choices}
    if option.kind == "many":
        # Of its own: argparse would add to the default.
        more |= {"action": "append", "default": []}
    if option.kind == "words":
        group.add_argument(name, nargs="*", **{**more, "default": argparse.SUPPRESS})
    else:
        group.add_argument(f"--{name.replace('_', '-')}", **more)


_DEFAULTS = Settings()


def read_settings(arguments: t.Sequence[str]) -> Settings:
    """Return the settings by the command line `arguments` and the files that these name.

    Raises OptionsError, for a command that nobody would be asked for a task by as well.
    """
    settings = parse_settings(arguments)
    if not settings.controllers and not (settings.dump_machines or settings.fake_request):
        raise OptionsError("controller url expected; see bbot-agent --help")
    return settings


def parse_settings(arguments: t.Sequence[str]) -> Settings:
    """Return what `arguments` and the files that these name say. Raises OptionsError."""
    parsed = vars(_parse(expand(arguments)))
    parsed.pop("options_file", None)
    values: dict[str, t.Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in parsed.items()
    }
    return Settings(**values)


def _parse(words: t.Sequence[str]) -> argparse.Namespace:
    parser = make_parser()
    known = {option for action in parser._actions for option in action.option_strings}
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("--") and option not in known:
            raise OptionsError(f"unknown option {option}; see bbot-agent --help")
    # URLs may stand anywhere.
    return parser.parse_intermixed_args(words)


def expand(arguments: t.Sequence[str]) -> list[str]:
    """``arguments`` with each `--options-file` replaced by what the file holds.

    Raises OptionsError.
    """
    expanded: list[str] = []
    words = iter(arguments)
    for word in words:
        option, equals, value = word.partition("=")
        if option != "--options-file":
            expanded.append(word)
            continue
        path = value if equals else next(words, "")
        if not path:
            raise OptionsError("argument --options-file: expected a file")
        expanded += _read_file(path)
    return expanded


def _read_file(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OptionsError(
            f"cannot read the options in {os.path.abspath(path)}: {reason}"
        ) from error
    found: list[str] = []
    for number, line in enumerate(lines, 1):
        place = f"{path}:{number}"
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise OptionsError(f"{place}: {str(error).lower()}") from error
        if words and words[0].startswith("--options-file"):
            raise OptionsError(f"{place}: a file of options cannot name another one")
        limit = 2 if words and words[0].startswith("-") and "=" not in words[0] else 1
        if len(words) > limit:
            raise OptionsError(f"{place}: one option, or one URL, is expected on a line")
        try:
            _parse(words)
        except OptionsError as error:
            raise OptionsError(f"{place}: {error}") from error
        found += words
    return found
