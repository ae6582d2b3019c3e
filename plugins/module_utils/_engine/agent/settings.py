# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The agent's options in one table: bbot's of 2017 under their names, some of later ones, ours.

The command line, files of options, the help and the defaults of modules are made of it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import typing as t

from ..controller.priority import ControllerUrl
from ..errors import EngineError
from ..formats.version import StandardVersion
from ..machine.toolchain import check_toolchain_name
from ..records.values import check_trust
from ..release import VERSION

_HOUR = 3600.0

Converter = t.Callable[[str], t.Any]


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


@dataclasses.dataclass(frozen=True)
class Option:
    """How an option is given and told.

    `kind` is `one` for an option with a value, `many` for one that may be given several times,
    `flag` for one without a value, `words` for the arguments that are no options. `convert` makes
    the value of a text, and raises ArgumentTypeError. `group` is its heading in the help, and
    `metavar` what stands there for the value.
    """

    help: str
    group: str
    metavar: str | None
    kind: t.Literal["one", "many", "flag", "words"]
    convert: Converter | None
    choices: tuple[str, ...] | None


def _option(
    default: t.Any,
    what: str,
    group: str,
    metavar: str | None = None,
    convert: Converter | None = None,
    *,
    kind: t.Literal["one", "many", "flag", "words"] = "one",
    choices: tuple[str, ...] | None = None,
) -> t.Any:
    metadata = {"option": Option(what, group, metavar, kind, convert, choices)}
    return dataclasses.field(default=default, metadata=metadata)


def _flag(what: str, group: str) -> t.Any:
    return _option(False, what, group, kind="flag")


def _many(what: str, group: str, metavar: str, convert: Converter | None = None) -> t.Any:
    return _option((), what, group, metavar, convert, kind="many")


_GENERAL, _TOOLCHAIN, _MACHINES = "", "toolchain", "machines"
_CONTROLLERS, _DEBUGGING = "controllers", "debugging"


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options, by their names, each with its default. Times are in seconds, `ram` is in KiB."""

    controllers: tuple[ControllerUrl, ...] = _option(
        (),
        "a controller; PRIORITY is [F]DCBA, see below",
        _GENERAL,
        "[PRIORITY=]URL",
        _checked(ControllerUrl.parse),
        kind="words",
    )
    verbose: int = _option(1, "how much to say", _GENERAL, "0-6", _number(0, 6))
    systemd_daemon: bool = _flag("run as a service: priorities in diagnostics", _GENERAL)
    toolchain_name: str = _option(
        "default", "its folder's name", _TOOLCHAIN, "NAME", _checked(check_toolchain_name)
    )
    toolchain_num: int = _option(
        1, "its number, the offset of its TFTP port", _TOOLCHAIN, "N", _number(1, 65535)
    )
    toolchain_ver: StandardVersion = _option(  # noqa: RUF009
        StandardVersion.parse(VERSION),
        "the version that controllers are told",
        _TOOLCHAIN,
        "VERSION",
        _checked(StandardVersion.parse),
    )
    toolchain_id: str = _option("", "its id, instead of the one it comes with", _TOOLCHAIN, "ID")
    instance_max: int = _option(1, "how many tasks at once", _MACHINES, "N", _number(1))
    cpu: int = _option(1, "CPUs of a machine", _MACHINES, "N", _number(1))
    ram: int = _option(1048576, "memory of a machine", _MACHINES, "KIB", _number(16384))
    warm: tuple[str, ...] = _many(
        "save the machines of these names, running, and resume them for tasks", _MACHINES, "PATTERN"
    )
    accelerator: str = _option(
        "auto", "how guests run", _MACHINES, None, choices=("auto", "kvm", "tcg")
    )
    machines: str = _option("/build/machines", "the machines", _MACHINES, "DIR")
    tftp: str = _option("/build/tftp", "what guests fetch and upload", _MACHINES, "DIR")
    state_dir: str = _option(
        "/var/lib/bbot-agent", "locks, leases, the journal, suspended machines", _MACHINES, "DIR"
    )
    runtime_dir: str = _option("/run/bbot-agent", "running machines' sockets", _MACHINES, "DIR")
    log_dir: str = _option("/var/log/bbot-agent", "a folder for each task", _MACHINES, "DIR")
    bridge: str = _option("br1", "the guests' bridge", _MACHINES, "NAME")
    user: str = _option("bbot", "whom QEMU runs as", _MACHINES, "NAME")
    tftp_port: int = _option(
        0,
        "base of the TFTP servers' ports, to which the toolchain's number is added, "
        "and 100 for each further task at once; 0 is a usual port of each machine",
        _MACHINES,
        "PORT",
        _number(0, 65535),
    )
    bootstrap_timeout: float = _option(
        _HOUR, "for a machine's bootstrap", _MACHINES, "S", _seconds(1)
    )
    bootstrap_retries: int = _option(
        2, "boots after one without a request", _MACHINES, "N", _number(0)
    )
    bootstrap_startup: float | None = _option(
        None, "until a bootstrap's first request: 300, emulated 900", _MACHINES, "S", _seconds(1)
    )
    build_timeout: float = _option(1.5 * _HOUR, "for a task", _MACHINES, "S", _seconds(1))
    build_retries: int = _option(2, "boots after one without a request", _MACHINES, "N", _number(0))
    build_startup: float | None = _option(
        None, "until a task's first request: 60, emulated 300", _MACHINES, "S", _seconds(1)
    )
    upload_limit: int = _option(
        256 << 20, "what a guest may upload in a task", _MACHINES, "BYTES", _number(1)
    )
    suspend_max: int = _option(
        3, "how many failed machines to keep suspended for inspection", _MACHINES, "N", _number(0)
    )
    suspend_age: float = _option(24 * _HOUR, "for how long", _MACHINES, "S", _seconds())
    log_age: float = _option(
        30 * 24 * _HOUR, "how long to keep logs; 0 is for ever", _MACHINES, "S", _seconds()
    )
    request_timeout: float = _option(300.0, "of an exchange", _CONTROLLERS, "S", _seconds(1))
    connect_timeout: float = _option(60.0, "of its beginning", _CONTROLLERS, "S", _seconds(1))
    poll_interval: float = _option(
        15.0,
        "between requests while there is no task, give or take a fifth",
        _CONTROLLERS,
        "S",
        _seconds(0.1),
    )
    result_timeout: float = _option(
        3 * _HOUR, "for how long a controller wants a result", _CONTROLLERS, "S", _seconds(1)
    )
    ca_cert: str | None = _option(
        None, "certificates to trust, instead of the host's", _CONTROLLERS, "FILE"
    )
    proxy: str | None = _option(None, "proxy, instead of the environment's", _CONTROLLERS, "URL")
    trust: tuple[str, ...] = _many(
        "trust these repository certificates instead of those of the task",
        _CONTROLLERS,
        "FINGERPRINT",
        _checked(check_trust),
    )
    auth_key: str | None = _option(
        None, "private key, PEM, to authenticate with", _CONTROLLERS, "FILE"
    )
    openssl: str = _option("openssl", "the program that uses the key", _CONTROLLERS, "PROGRAM")
    openssl_option: tuple[str, ...] = _many(
        "a further option for it, such as for an engine", _CONTROLLERS, "WORD"
    )
    fake_bootstrap: bool = _flag("do not boot machines to bootstrap them", _DEBUGGING)
    fake_build: bool = _flag("do not boot machines for tasks, but abort them", _DEBUGGING)
    fake_machine: str | None = _option(
        None,
        "offer just the machine of this header; its task waits in build/TOOLCHAIN/get of "
        "the TFTP folder for a result in build/TOOLCHAIN/put",
        _DEBUGGING,
        "FILE",
    )
    fake_request: str | None = _option(
        None,
        "perform the task of this manifest instead of asking for one, and exit",
        _DEBUGGING,
        "FILE",
    )
    dump_machines: bool = _flag("print the machines that would be offered, and exit", _DEBUGGING)
    dump_task: bool = _flag("print the task that a controller gave, and exit", _DEBUGGING)
    dump_result: bool = _flag("print the result of one task, and exit", _DEBUGGING)

    @property
    def dumps(self) -> bool:
        """Whether to print something and end, instead of being an agent."""
        return self.dump_machines or self.dump_task or self.dump_result


def options() -> dict[str, Option]:
    """Return the table: the options by the names they have in Settings."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(Settings)}
