# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The options that the modules share, and the engine's view of them.

The texts are in the documentation fragment of the name _host.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import time
import typing as t

from ._engine.agent.job import CancelToken
from ._engine.agent.settings import Settings
from ._engine.errors import Interrupted, sentence
from ._engine.host.bounded_file import BoundedFile
from ._engine.host.host import Host
from ._engine.linux.process import module_runner
from ._engine.machine.bootstrap import Running
from ._engine.machine.conversation import Waits
from ._engine.network.egress import EGRESS, check_address, check_network, choose_egress
from ._engine.network.proxy import Proxy
from ._engine.storage.choose import KINDS, make_storage
from ._engine.vm.accelerator import Accelerator

# The defaults are those of the command bbot-agent.
_DEFAULTS = Settings()

HOST: dict[str, dict[str, t.Any]] = {
    "machines": {"type": "path", "default": _DEFAULTS.machines},
    "storage": {"type": "str", "choices": list(KINDS), "default": _DEFAULTS.storage},
    "tftp": {"type": "path", "default": _DEFAULTS.tftp},
    "state_dir": {"type": "path", "default": _DEFAULTS.state_dir},
    "toolchain": {"type": "str", "default": _DEFAULTS.toolchain_name},
}

VM: dict[str, dict[str, t.Any]] = {
    "bridge": {"type": "str"},
    "egress": {"type": "str", "choices": list(EGRESS), "default": _DEFAULTS.egress},
    "egress_refused": {"type": "list", "elements": "str", "default": []},
    "egress_proxy": {"type": "str", "default": ""},
    "resolvers": {"type": "list", "elements": "str", "default": []},
    "disk_reserve": {"type": "int", "default": _DEFAULTS.disk_reserve},
    "user": {"type": "str", "default": _DEFAULTS.user},
    "runtime_dir": {"type": "path", "default": _DEFAULTS.runtime_dir},
    "log_dir": {"type": "path", "default": _DEFAULTS.log_dir},
    "accelerator": {
        "type": "str",
        "choices": ["auto", "kvm", "tcg"],
        "default": _DEFAULTS.accelerator,
    },
    "cpu": {"type": "int", "default": _DEFAULTS.cpu},
    "ram": {"type": "int", "default": _DEFAULTS.ram},
    "tftp_port": {"type": "int", "default": _DEFAULTS.tftp_port},
    "hold": {"type": "int", "default": 0},
    "warm": {"type": "list", "elements": "str", "default": []},
    "progress_file": {"type": "path"},
    "lease_file": {"type": "path"},
    "lease_timeout": {"type": "int", "default": 120},
    "scratch_dir": {"type": "path"},
}

CONTROLLER: dict[str, dict[str, t.Any]] = {
    "request_timeout": {"type": "int", "default": 300},
    "connect_timeout": {"type": "int", "default": 60},
    "ca_cert": {"type": "path"},
    "proxy": {"type": "str"},
}


# Tells the one who reads the progress file that no more will come.
_END = "=== end"


# A module is a process of its own, which has one outcome.
_CANCELLED = CancelToken()


class Progress:
    """Appends lines to the file that the one who waits reads; to nothing without a file.

    The file is limited in size, so that a guest cannot fill the host's disk with it.
    """

    def __init__(self, path: str | None) -> None:
        self._file = BoundedFile(path) if path else None

    def __call__(self, line: str) -> None:
        if self._file is not None:
            self._file.write(line)

    def tell(self, **facts: t.Any) -> None:
        """Append facts for the program that reads, as JSON on one line, beyond the limit, too."""
        if self._file is not None:
            self._file.write(json.dumps(facts), always=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.write(_END, always=True)
            self._file.close()


def check_vm(module: t.Any) -> None:
    """Refuse numbers that no machine can be run with."""
    least = {
        "cpu": 1,
        "ram": 16384,
        "hold": 0,
        "tftp_port": 0,
        "disk_reserve": 0,
        "lease_timeout": 1,
        "at_once": 1,
    }
    least |= {"timeout": 1, "startup_timeout": 1, "shutdown_timeout": 1, "retries": 0}
    least |= {"lock_timeout": 0, "upload_limit": 1, "write_limit": 1, "log_tail": 256}
    for name, value in module.params.items():
        if name in least and value is not None and value < least[name]:
            module.fail_json(msg=f"{name} must be at least {least[name]}, not {value}")
    for name, check in (("egress_refused", check_network), ("resolvers", check_address)):
        for text in module.params[name]:
            try:
                check(text)
            except ValueError as error:
                module.fail_json(msg=f"{name}: {error}")
    if module.params["egress"] == "proxy":
        try:
            Proxy.parse(module.params["egress_proxy"])
        except ValueError as error:
            module.fail_json(msg=f"egress_proxy: {error}")
    if module.params["tftp_port"] > 65535:
        module.fail_json(msg=f"tftp_port must be at most 65535, not {module.params['tftp_port']}")


def make_host(module: t.Any) -> Host:
    """The build host as ``module``'s options describe it."""
    params = module.params
    host = Host(
        run=module_runner(module),
        storage=make_storage(params["storage"]),
        machines=params["machines"],
        tftp=params["tftp"],
        state=params["state_dir"],
    )
    if "user" not in params:
        return host
    return dataclasses.replace(
        host,
        runtime=params["runtime_dir"],
        bridge=params["bridge"],
        egress=choose_egress(
            params["egress"],
            params["egress_refused"],
            params["resolvers"],
            params["egress_proxy"],
        ),
        reserve=params["disk_reserve"],
        user=params["user"],
        report=Progress(params["progress_file"]),
    )


def make_alive(module: t.Any) -> t.Callable[[], bool]:
    """Whether the outcome is still wanted, by the options for the lease file.

    SIGTERM says that it is not (bbot-agent cancel).
    """
    path, timeout = module.params["lease_file"], module.params["lease_timeout"]
    signal.signal(signal.SIGTERM, _CANCELLED.cancel)
    if path is None:
        return _CANCELLED

    seen: tuple[float, float] = (0.0, 0.0)

    def alive() -> bool:
        # The clock of the wall may jump: what counts is how long the stamp has stood still.
        nonlocal seen
        if not _CANCELLED():
            return False
        try:
            stamp = os.stat(path).st_mtime
        except FileNotFoundError:
            return False
        if stamp != seen[0]:
            seen = (stamp, time.monotonic())
        return time.monotonic() - seen[1] < timeout

    return alive


def fail(module: t.Any, error: BaseException) -> t.NoReturn:
    """End the module by ``error``, told in a sentence.

    Where nobody waits any more, nobody else removes the files of this run.
    """
    scratch = module.params.get("scratch_dir")
    if isinstance(error, Interrupted) and not _CANCELLED():
        module.fail_json(msg="it was cancelled: the machine was thrown away")
    if isinstance(error, Interrupted) and scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    module.fail_json(msg=sentence(error))
    raise AssertionError("unreachable")


def make_running(module: t.Any, host: Host, accelerator: Accelerator) -> Running:
    """How ``module``'s options want machines to be run."""
    params = module.params
    return Running(
        accelerator,
        cpu=params["cpu"],
        ram=params["ram"],
        port=params["tftp_port"],
        hold=params["hold"],
        patience=params.get("lock_timeout", 0),
        alive=make_alive(module),
        progress=host.report,
        warm=params["warm"],
        writes=params.get("write_limit"),
        auxiliary_ram=params.get("auxiliary_ram"),
        trusts_containers=params.get("nspawn") == "all",
    )


def make_waits(module: t.Any, startup: float) -> Waits:
    """How long ``module``'s options want to wait; ``startup`` is the default for that."""
    params = module.params
    return Waits(
        startup=params["startup_timeout"] or startup,
        total=params["timeout"],
        retries=params["retries"],
        shutdown=params.get("shutdown_timeout", 0),
    )
