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
import ipaddress
import math
import typing as t

from ..controller.artifacts import UPLOAD_LIMIT
from ..controller.priority import ControllerUrl
from ..errors import EngineError
from ..formats.version import StandardVersion
from ..host.scope import own_scope
from ..machine.toolchain import check_toolchain_name
from ..network.egress import EGRESS, check_address, check_network
from ..network.proxy import Proxy, to_port
from ..records.values import check_trust
from ..storage.choose import KINDS

_HOUR = 3600.0
# Where things are for who runs this.
_OWN = own_scope()

Converter = t.Callable[[str], t.Any]


class Places(t.Protocol):
    """Where things are, as the options of all commands say."""

    @property
    def machines(self) -> str: ...
    @property
    def storage(self) -> str: ...
    @property
    def tftp(self) -> str: ...
    @property
    def state_dir(self) -> str: ...
    @property
    def runtime_dir(self) -> str: ...
    @property
    def bridge(self) -> str | None: ...
    @property
    def egress(self) -> str: ...
    @property
    def egress_refused(self) -> t.Sequence[str]: ...
    @property
    def egress_proxy(self) -> str | None: ...
    @property
    def resolver(self) -> t.Sequence[str]: ...
    @property
    def disk_reserve(self) -> int: ...
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


def _endpoint(text: str) -> tuple[str, int]:
    """The address and port in `text`; ValueError if it is none."""
    address, _colon, port = text.rpartition(":")
    ipaddress.ip_address(address.strip("[]"))
    return address.strip("[]"), to_port(port)


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
    what: str,
    group: str,
    metavar: str | None = None,
    convert: Converter | None = None,
    *,
    kind: t.Literal["one", "many", "flag", "words"] = "one",
    choices: tuple[str, ...] | None = None,
) -> dict[str, Option]:
    return {"option": Option(what, group, metavar, kind, convert, choices)}


_GENERAL, _TOOLCHAIN, _MACHINES = "", "toolchain", "machines"
_CONTROLLERS, _DEBUGGING = "controllers", "debugging"


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options, by their names, each with its default. Times are in seconds, `ram` is in KiB."""

    controllers: tuple[ControllerUrl, ...] = dataclasses.field(
        default=(),
        metadata=_option(
            "a controller; PRIORITY is [F]DCBA, see below",
            _GENERAL,
            "[PRIORITY=]URL",
            _checked(ControllerUrl.parse),
            kind="words",
        ),
    )
    verbose: int = dataclasses.field(
        default=1, metadata=_option("how much to say", _GENERAL, "0-6", _number(0, 6))
    )
    systemd_daemon: bool = dataclasses.field(
        default=False,
        metadata=_option("run as a service: priorities in diagnostics", _GENERAL, kind="flag"),
    )
    toolchain_name: str = dataclasses.field(
        default="default",
        metadata=_option("its folder's name", _TOOLCHAIN, "NAME", _checked(check_toolchain_name)),
    )
    toolchain_num: int = dataclasses.field(
        default=1,
        metadata=_option(
            "its number, the offset of its TFTP port", _TOOLCHAIN, "N", _number(1, 65535)
        ),
    )
    toolchain_ver: StandardVersion | None = dataclasses.field(
        default=None,
        metadata=_option(
            "the version that controllers are told, instead of that of bbot in its manifest",
            _TOOLCHAIN,
            "VERSION",
            _checked(StandardVersion.parse),
        ),
    )
    toolchain_id: str = dataclasses.field(
        default="", metadata=_option("its id, instead of the one it comes with", _TOOLCHAIN, "ID")
    )
    instance_max: int = dataclasses.field(
        default=1, metadata=_option("how many tasks at once", _MACHINES, "N", _number(1))
    )
    cpu: int = dataclasses.field(
        default=1, metadata=_option("CPUs of a machine", _MACHINES, "N", _number(1))
    )
    ram: int = dataclasses.field(
        default=1048576, metadata=_option("memory of a machine", _MACHINES, "KIB", _number(16384))
    )
    auxiliary_ram: int | None = dataclasses.field(
        default=None,
        metadata=_option(
            "memory of a task's auxiliary machines together, by default what is left; with 0 none "
            "are offered",
            _MACHINES,
            "KIB",
            _number(0),
        ),
    )
    write_limit: int | None = dataclasses.field(
        default=None,
        metadata=_option(
            "what the machines of a task may write to their disks in all; by default there is no "
            "limit but the size of these",
            _MACHINES,
            "KIB",
            _number(1),
        ),
    )
    warm: tuple[str, ...] = dataclasses.field(
        default=(),
        metadata=_option(
            "save the machines of these names, running, and resume them for tasks",
            _MACHINES,
            "PATTERN",
            kind="many",
        ),
    )
    machine_order: tuple[str, ...] = dataclasses.field(
        default=(),
        metadata=_option(
            "offer the machines of these names first, those of an earlier pattern before those "
            "of a later one: a controller takes the first that will do; the others follow by name",
            _MACHINES,
            "PATTERN",
            kind="many",
        ),
    )
    nspawn: str = dataclasses.field(
        default="own",
        metadata=_option(
            "whose tasks machines of type nspawn take, whose walls are weaker: those of this "
            "host's own people, or those of controllers, too",
            _MACHINES,
            None,
            choices=("own", "all"),
        ),
    )
    accelerator: str = dataclasses.field(
        default="auto",
        metadata=_option("how guests run", _MACHINES, None, choices=("auto", "kvm", "tcg")),
    )
    machines: str = dataclasses.field(
        default=_OWN.machines, metadata=_option("the machines", _MACHINES, "DIR")
    )
    storage: str = dataclasses.field(
        default="auto",
        metadata=_option(
            "how machines are kept: as subvolumes of btrfs, as directories of any file system, "
            "or whichever the machines' file system can do",
            _MACHINES,
            None,
            choices=KINDS,
        ),
    )
    tftp: str = dataclasses.field(
        default=_OWN.tftp, metadata=_option("what guests fetch and upload", _MACHINES, "DIR")
    )
    state_dir: str = dataclasses.field(
        default=_OWN.state,
        metadata=_option("locks, leases, the journal, suspended machines", _MACHINES, "DIR"),
    )
    runtime_dir: str = dataclasses.field(
        default=_OWN.runtime, metadata=_option("running machines' sockets", _MACHINES, "DIR")
    )
    log_dir: str = dataclasses.field(
        default=_OWN.logs, metadata=_option("a folder for each task", _MACHINES, "DIR")
    )
    bridge: str | None = dataclasses.field(
        default=None,
        metadata=_option(
            "a bridge of this host to run guests on, one task at once on a machine, instead of "
            "a network of its own for each",
            _MACHINES,
            "NAME",
        ),
    )
    egress: str = dataclasses.field(
        default="none",
        metadata=_option(
            "what guests reach beside us: nothing, the world by this host's address, or a proxy",
            _MACHINES,
            None,
            choices=EGRESS,
        ),
    )
    egress_refused: tuple[str, ...] = dataclasses.field(
        default=(),
        metadata=_option(
            "a network that guests do not reach even so, instead of those that are private",
            _MACHINES,
            "NETWORK",
            _checked(check_network),
            kind="many",
        ),
    )
    egress_proxy: str | None = dataclasses.field(
        default=None,
        metadata=_option(
            "the HTTP proxy that guests reach then, as this host does",
            _MACHINES,
            "HOST:PORT",
            _checked(lambda text: str(Proxy.parse(text))),
        ),
    )
    resolver: tuple[str, ...] = dataclasses.field(
        default=(),
        metadata=_option(
            "whom to ask what names stand for, instead of this host's resolvers",
            _MACHINES,
            "ADDRESS",
            _checked(check_address),
            kind="many",
        ),
    )
    disk_reserve: int = dataclasses.field(
        default=1048576,
        metadata=_option(
            "how much to keep free on the disks of machines, TFTP folder and state, or a twentieth "
            "of a small one: nothing is begun while there is less",
            _MACHINES,
            "KIB",
            _number(0),
        ),
    )
    user: str = dataclasses.field(
        default=_OWN.user, metadata=_option("whom QEMU runs as", _MACHINES, "NAME")
    )
    tftp_port: int = dataclasses.field(
        default=0,
        metadata=_option(
            "on a bridge, the base of the TFTP servers' ports, to which the toolchain's number is "
            "added, and 100 for each further task at once; 0 is a usual port of each machine",
            _MACHINES,
            "PORT",
            _number(0, 65535),
        ),
    )
    bootstrap_timeout: float = dataclasses.field(
        default=_HOUR, metadata=_option("for a machine's bootstrap", _MACHINES, "S", _seconds(1))
    )
    bootstrap_retries: int = dataclasses.field(
        default=2, metadata=_option("boots after one without a request", _MACHINES, "N", _number(0))
    )
    bootstrap_startup: float | None = dataclasses.field(
        default=None,
        metadata=_option(
            "until a bootstrap's first request: 300, emulated 900", _MACHINES, "S", _seconds(1)
        ),
    )
    build_timeout: float = dataclasses.field(
        default=1.5 * _HOUR, metadata=_option("for a task", _MACHINES, "S", _seconds(1))
    )
    build_retries: int = dataclasses.field(
        default=2, metadata=_option("boots after one without a request", _MACHINES, "N", _number(0))
    )
    build_startup: float | None = dataclasses.field(
        default=None,
        metadata=_option(
            "until a task's first request: 60, emulated 300", _MACHINES, "S", _seconds(1)
        ),
    )
    upload_limit: int = dataclasses.field(
        default=UPLOAD_LIMIT,
        metadata=_option("what a guest may upload in a task", _MACHINES, "BYTES", _number(1)),
    )
    suspend_max: int = dataclasses.field(
        default=3,
        metadata=_option(
            "how many failed machines to keep suspended for inspection", _MACHINES, "N", _number(0)
        ),
    )
    suspend_age: float = dataclasses.field(
        default=24 * _HOUR, metadata=_option("for how long", _MACHINES, "S", _seconds())
    )
    log_age: float = dataclasses.field(
        default=30 * 24 * _HOUR,
        metadata=_option("how long to keep logs; 0 is for ever", _MACHINES, "S", _seconds()),
    )
    request_timeout: float = dataclasses.field(
        default=300.0, metadata=_option("of an exchange", _CONTROLLERS, "S", _seconds(1))
    )
    connect_timeout: float = dataclasses.field(
        default=60.0, metadata=_option("of its beginning", _CONTROLLERS, "S", _seconds(1))
    )
    poll_interval: float = dataclasses.field(
        default=15.0,
        metadata=_option(
            "between requests while there is no task, give or take a fifth",
            _CONTROLLERS,
            "S",
            _seconds(0.1),
        ),
    )
    result_timeout: float = dataclasses.field(
        default=3 * _HOUR,
        metadata=_option(
            "for how long a controller wants a result", _CONTROLLERS, "S", _seconds(1)
        ),
    )
    interactive: str = dataclasses.field(
        default="false",
        metadata=_option(
            "whether to ask for interactive builds, for these only, or for both kinds",
            _CONTROLLERS,
            None,
            choices=("false", "true", "both"),
        ),
    )
    interactive_login: str | None = dataclasses.field(
        default=None,
        metadata=_option(
            "what controllers tell people of how to look into their builds, by default the host "
            "and the port of --interactive-vnc",
            _CONTROLLERS,
            "TEXT",
        ),
    )
    interactive_vnc: tuple[str, int] | None = dataclasses.field(
        default=None,
        metadata=_option(
            "where to show the screen of an interactive build, by VNC",
            _CONTROLLERS,
            "ADDRESS:PORT",
            _checked(_endpoint),
        ),
    )
    interactive_password: str | None = dataclasses.field(
        default=None,
        metadata=_option(
            "a file with the password for that, of 8 characters at most", _CONTROLLERS, "FILE"
        ),
    )
    ca_cert: str | None = dataclasses.field(
        default=None,
        metadata=_option("certificates to trust, instead of the host's", _CONTROLLERS, "FILE"),
    )
    proxy: str | None = dataclasses.field(
        default=None, metadata=_option("proxy, instead of the environment's", _CONTROLLERS, "URL")
    )
    trust: tuple[str, ...] = dataclasses.field(
        default=(),
        metadata=_option(
            "trust these repository certificates instead of those of the task",
            _CONTROLLERS,
            "FINGERPRINT",
            _checked(check_trust),
            kind="many",
        ),
    )
    auth_key: str | None = dataclasses.field(
        default=None,
        metadata=_option("private key, PEM, to authenticate with", _CONTROLLERS, "FILE"),
    )
    openssl: str = dataclasses.field(
        default="openssl",
        metadata=_option("the program that uses the key", _CONTROLLERS, "PROGRAM"),
    )
    openssl_option: tuple[str, ...] = dataclasses.field(
        default=(),
        metadata=_option(
            "a further option for it, such as for an engine", _CONTROLLERS, "WORD", kind="many"
        ),
    )
    fake_bootstrap: bool = dataclasses.field(
        default=False,
        metadata=_option("do not boot machines to bootstrap them", _DEBUGGING, kind="flag"),
    )
    fake_build: bool = dataclasses.field(
        default=False,
        metadata=_option("do not boot machines for tasks, but abort them", _DEBUGGING, kind="flag"),
    )
    fake_machine: str | None = dataclasses.field(
        default=None,
        metadata=_option(
            "offer just the machine of this header; its task waits in build/TOOLCHAIN/get of "
            "the TFTP folder for a result in build/TOOLCHAIN/put",
            _DEBUGGING,
            "FILE",
        ),
    )
    fake_request: str | None = dataclasses.field(
        default=None,
        metadata=_option(
            "perform the task of this manifest instead of asking for one, and exit",
            _DEBUGGING,
            "FILE",
        ),
    )
    dump_machines: bool = dataclasses.field(
        default=False,
        metadata=_option(
            "print the machines that would be offered, and exit", _DEBUGGING, kind="flag"
        ),
    )
    dump_task: bool = dataclasses.field(
        default=False,
        metadata=_option(
            "print the task that a controller gave, and exit", _DEBUGGING, kind="flag"
        ),
    )
    dump_result: bool = dataclasses.field(
        default=False,
        metadata=_option("print the result of one task, and exit", _DEBUGGING, kind="flag"),
    )

    @property
    def dumps(self) -> bool:
        """Whether to print something and end, instead of being an agent."""
        return self.dump_machines or self.dump_task or self.dump_result


def options() -> dict[str, Option]:
    """Return the table: the options by the names they have in Settings."""
    return {field.name: field.metadata["option"] for field in dataclasses.fields(Settings)}
