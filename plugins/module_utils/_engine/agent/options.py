# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The agent's options: bbot's of 2017 under their names, some of later ones, and our own."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import shlex
import sys
import typing as t

from ..controller.priority import ControllerUrl, ControllerUrlError
from ..errors import EngineError
from ..formats.version import StandardVersion
from ..machine.toolchain import check_toolchain_name
from ..records.values import check_trust
from ..release import VERSION

_HOUR = 3600.0


class OptionsError(EngineError):
    """Options that are not usable; the text says which, where, and why."""

    temporary = False


class Places(t.Protocol):
    """Where things are, as the options of all commands say."""

    @property
    def machines(self) -> str: ...
    @property
    def tftp(self) -> str: ...
    @property
    def state_dir(self) -> str: ...
    @property
    def runtime_dir(self) -> str: ...
    @property
    def bridge(self) -> str: ...
    @property
    def user(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options, by their names. Times are in seconds, ``ram`` is in KiB."""

    controllers: tuple[ControllerUrl, ...]
    verbose: int
    systemd_daemon: bool
    toolchain_name: str
    toolchain_num: int
    toolchain_ver: StandardVersion
    toolchain_id: str
    instance_max: int
    cpu: int
    ram: int
    warm: tuple[str, ...]
    accelerator: str
    machines: str
    tftp: str
    tftp_port: int
    bridge: str
    user: str
    state_dir: str
    runtime_dir: str
    log_dir: str
    log_age: float
    bootstrap_startup: float | None
    bootstrap_timeout: float
    bootstrap_retries: int
    build_startup: float | None
    build_timeout: float
    build_retries: int
    upload_limit: int
    suspend_max: int
    suspend_age: float
    request_timeout: float
    connect_timeout: float
    poll_interval: float
    result_timeout: float
    ca_cert: str | None
    proxy: str | None
    trust: tuple[str, ...]
    auth_key: str | None
    openssl: str
    openssl_option: tuple[str, ...]
    fake_bootstrap: bool
    fake_build: bool
    fake_machine: str | None
    fake_request: str | None
    dump_machines: bool
    dump_task: bool
    dump_result: bool

    @property
    def dumps(self) -> bool:
        """Whether to print something and end, instead of being an agent."""
        return self.dump_machines or self.dump_task or self.dump_result


class Parser(argparse.ArgumentParser):
    """A parser that raises OptionsError."""

    def error(self, message: str) -> t.NoReturn:
        raise OptionsError(f"{message}; see bbot-agent --help")


class HelpFormatter(argparse.HelpFormatter):
    """Tells the defaults, where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str:
        default = action.default
        if default in (None, "", False, argparse.SUPPRESS) or default == []:
            return action.help or ""
        shown = f"{default:.0f}" if isinstance(default, float) else default
        return f"{action.help} (default: {shown})"


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> t.NoReturn:
        sys.stdout.write(
            f"bbot-agent {VERSION}\n"
            "Copyright (c) 2026, The bbot.agent founders\n"
            "This is free software released under the GPL, version 3 or later.\n"
        )
        parser.exit()


def _number(least: int, most: int | None = None) -> t.Callable[[str], int]:
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {least}")
        if most is not None and int(text) > most:
            raise argparse.ArgumentTypeError(f"{text} is more than {most}")
        return int(text)

    return number


def _seconds(least: float = 0) -> t.Callable[[str], float]:
    def seconds(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a time of at least {least:g} s")
        return value

    return seconds


def _checked(check: t.Callable[[str], t.Any]) -> t.Callable[[str], t.Any]:
    def convert(text: str) -> t.Any:
        try:
            return check(text)
        except (ValueError, EngineError) as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _controller(text: str) -> ControllerUrl:
    try:
        return ControllerUrl.parse(text)
    except ControllerUrlError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def make_parser() -> argparse.ArgumentParser:
    """The parser of the agent's own command line."""
    parser = Parser(
        prog="bbot-agent",
        usage="bbot-agent [OPTION...] [PRIORITY=]URL...\n"
        "       bbot-agent status|log|suspended|resume|discard [--help]",
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
    add = parser.add_argument
    suppress = argparse.SUPPRESS
    add("controllers", nargs="*", type=_controller, metavar="[PRIORITY=]URL", default=suppress,
        help="a controller; PRIORITY is [F]DCBA, see below")  # fmt: skip
    add("--help", action="help", default=suppress, help="show this and exit")
    add("--version", action=_Version, nargs=0, default=suppress, help="show the version and exit")
    add("--options-file", metavar="FILE", default=suppress, help="read options from this file, too")
    add("--verbose", type=_number(0, 6), default=1, metavar="0-6", help="how much to say")
    add("--systemd-daemon", action="store_true", default=suppress,
        help="run as a service: priorities in diagnostics")  # fmt: skip
    _add_toolchain(parser.add_argument_group("toolchain"))
    _add_machines(parser.add_argument_group("machines"))
    _add_controllers(parser.add_argument_group("controllers"))
    _add_debugging(parser.add_argument_group("debugging"))
    return parser


# The names of what add_places() adds.
PLACES = ("machines", "tftp", "state_dir", "runtime_dir", "log_dir", "bridge", "user")


def add_places(group: argparse._ActionsContainer) -> None:
    """The options that say where things are, which all commands have."""
    add = group.add_argument
    add("--machines", default="/build/machines", metavar="DIR", help="the machines")
    add("--tftp", default="/build/tftp", metavar="DIR", help="what guests fetch and upload")
    add("--state-dir", default="/var/lib/bbot-agent", metavar="DIR",
        help="locks, leases, the journal, suspended machines")  # fmt: skip
    add("--runtime-dir", default="/run/bbot-agent", metavar="DIR", help="running machines' sockets")
    add("--log-dir", default="/var/log/bbot-agent", metavar="DIR", help="a folder for each task")
    add("--bridge", default="br1", metavar="NAME", help="the guests' bridge")
    add("--user", default="bbot", metavar="NAME", help="whom QEMU runs as")


def _add_toolchain(group: argparse._ActionsContainer) -> None:
    add = group.add_argument
    add("--toolchain-name", type=_checked(check_toolchain_name), default="default",
        metavar="NAME", help="its folder's name")  # fmt: skip
    add("--toolchain-num", type=_number(1, 65535), default=1, metavar="N",
        help="its number, the offset of its TFTP port")  # fmt: skip
    add("--toolchain-ver", type=_checked(StandardVersion.parse), default=VERSION,
        metavar="VERSION", help="the version that controllers are told")  # fmt: skip
    add("--toolchain-id", default="", metavar="ID", help="its id, instead of the one it comes with")


def _add_machines(group: argparse._ActionsContainer) -> None:
    add = group.add_argument
    add("--instance-max", type=_number(1), default=1, metavar="N", help="how many tasks at once")
    add("--cpu", type=_number(1), default=1, metavar="N", help="CPUs of a machine")
    add("--ram", type=_number(16384), default=1048576, metavar="KIB", help="memory of a machine")
    add("--warm", action="append", default=[], metavar="PATTERN",
        help="save the machines of these names, running, and resume them for tasks")  # fmt: skip
    add("--accelerator", choices=("auto", "kvm", "tcg"), default="auto", help="how guests run")
    add_places(group)
    add("--tftp-port", type=_number(0, 65535), default=0, metavar="PORT",
        help="base of the TFTP servers' ports, to which the toolchain's number is added, "
        "and 100 for each further task at once; 0 is a usual port of each machine")  # fmt: skip
    add("--bootstrap-timeout", type=_seconds(1), default=_HOUR, metavar="S",
        help="for a machine's bootstrap")  # fmt: skip
    add("--bootstrap-retries", type=_number(0), default=2, metavar="N",
        help="boots after one without a request")  # fmt: skip
    add("--bootstrap-startup", type=_seconds(1), default=None, metavar="S",
        help="until a bootstrap's first request: 300, emulated 900")  # fmt: skip
    add("--build-timeout", type=_seconds(1), default=1.5 * _HOUR, metavar="S", help="for a task")
    add("--build-retries", type=_number(0), default=2, metavar="N",
        help="boots after one without a request")  # fmt: skip
    add("--build-startup", type=_seconds(1), default=None, metavar="S",
        help="until a task's first request: 60, emulated 300")  # fmt: skip
    add("--upload-limit", type=_number(1), default=256 << 20, metavar="BYTES",
        help="what a guest may upload in a task")  # fmt: skip
    add("--suspend-max", type=_number(0), default=3, metavar="N",
        help="how many failed machines to keep suspended for inspection")  # fmt: skip
    add("--suspend-age", type=_seconds(), default=24 * _HOUR, metavar="S", help="for how long")
    add("--log-age", type=_seconds(), default=30 * 24 * _HOUR, metavar="S",
        help="how long to keep logs; 0 is for ever")  # fmt: skip


def _add_controllers(group: argparse._ActionsContainer) -> None:
    add = group.add_argument
    add("--request-timeout", type=_seconds(1), default=300.0, metavar="S", help="of an exchange")
    add("--connect-timeout", type=_seconds(1), default=60.0, metavar="S", help="of its beginning")
    add("--poll-interval", type=_seconds(0.1), default=15.0, metavar="S",
        help="between requests while there is no task, give or take a fifth")  # fmt: skip
    add("--result-timeout", type=_seconds(1), default=3 * _HOUR, metavar="S",
        help="for how long a controller wants a result")  # fmt: skip
    add(
        "--ca-cert",
        default=None,
        metavar="FILE",
        help="certificates to trust, instead of the host's",
    )
    add("--proxy", default=None, metavar="URL", help="proxy, instead of the environment's")
    add("--trust", action="append", default=[], type=_checked(check_trust), metavar="FINGERPRINT",
        help="trust these repository certificates instead of those of the task")  # fmt: skip
    add("--auth-key", default=None, metavar="FILE", help="private key, PEM, to authenticate with")
    add("--openssl", default="openssl", metavar="PROGRAM", help="the program that uses the key")
    add("--openssl-option", action="append", default=[], metavar="WORD",
        help="a further option for it, such as for an engine")  # fmt: skip


def _add_debugging(group: argparse._ActionsContainer) -> None:
    add = group.add_argument
    for name, what in (
        ("--fake-bootstrap", "do not boot machines to bootstrap them"),
        ("--fake-build", "do not boot machines for tasks, but abort them"),
    ):
        add(name, action="store_true", default=argparse.SUPPRESS, help=what)
    add("--fake-machine", default=None, metavar="FILE",
        help="offer just the machine of this header; its task waits in build/TOOLCHAIN/get of "
        "the TFTP folder for a result in build/TOOLCHAIN/put")  # fmt: skip
    add("--fake-request", default=None, metavar="FILE",
        help="perform the task of this manifest instead of asking for one, and exit")  # fmt: skip
    for name, what in (
        ("--dump-machines", "print the machines that would be offered, and exit"),
        ("--dump-task", "print the task that a controller gave, and exit"),
        ("--dump-result", "print the result of one task, and exit"),
    ):
        add(name, action="store_true", default=argparse.SUPPRESS, help=what)


_FLAGS = (
    "systemd_daemon",
    "fake_bootstrap",
    "fake_build",
    "dump_machines",
    "dump_task",
    "dump_result",
)


def read_settings(arguments: t.Sequence[str]) -> Settings:
    """The settings by the command line ``arguments`` and the files that these name.

    Raises OptionsError.
    """
    parsed = vars(_parse(expand(arguments)))
    parsed.pop("options_file", None)
    values = {**dict.fromkeys(_FLAGS, False), "controllers": [], **parsed}
    for name in ("controllers", "warm", "trust", "openssl_option"):
        values[name] = tuple(values[name])
    if isinstance(values["toolchain_ver"], str):
        values["toolchain_ver"] = StandardVersion.parse(values["toolchain_ver"])
    settings = Settings(**values)
    if not settings.controllers and not (settings.dump_machines or settings.fake_request):
        raise OptionsError("controller url expected; see bbot-agent --help")
    return settings


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
