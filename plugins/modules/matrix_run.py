#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: matrix_run
short_description: Perform tasks of a matrix on a build host, as they are handed over
version_added: "0.1.0"
description:
  - The half of M(bbot.agent.task_perform) that is on the build host while a matrix is performed. It is not for plays of
    your own.
  - Says which machines there are and how many tasks the host has room for, performs each task that is put into
    O(orders_dir), several at once, bootstraps machines that need it, and says what has become of each.
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._attributes.actiongroup_agent
  - bbot.agent._host
  - bbot.agent._host.vm
attributes:
  check_mode:
    support: full
    details: Tells which machines there are, and performs nothing.
  diff_mode:
    support: none
    details: Nothing on the host differs afterwards but the logs that were added.
  idempotent:
    support: none
    details: Each run performs the tasks again.
options:
  orders_dir:
    description:
      - The folder on the build host for the tasks. One is a file C(*.json) with C(key), C(fields), C(files) and
        C(auxiliary). A file C(end) says that no more will come, and C(stop) that none is wanted any more.
    type: path
    required: true
  at_once:
    description: How many tasks to perform at once. By default as many as can have CPUs of their own.
    type: int
  trust:
    description: Certificate fingerprints that replace the C(trust) values of tasks.
    type: list
    elements: str
    default: []
  startup_timeout:
    description: For how many seconds to wait for a machine's first request. By default 60 under KVM, 300 under emulation.
    type: int
  timeout:
    description: For how many seconds to wait for a result, counted from the first request.
    type: int
    default: 1800
  retries:
    description: How often a machine that appears to have mis-booted is booted again; the first time is not counted.
    type: int
    default: 2
  upload_limit:
    description: How many bytes a guest may upload, in one file and in all.
    type: int
    default: 268435456
  write_limit:
    description: How many KiB the machines of a task may write to their disks, in all.
    type: int
  auxiliary_ram:
    description: What the auxiliary machines of a task may have together, in KiB.
    type: int
  fake:
    description: Do without booting, as O(bbot.agent.task_run#module:fake) does.
    type: bool
    default: false
  lock_timeout:
    description: For how many seconds a task waits in line for memory and disks.
    type: int
    default: 3600
seealso:
  - module: bbot.agent.task_perform
"""

EXAMPLES = r"""
---
- name: Have a matrix performed, which runs this module on each host
  bbot.agent.task_perform:
    source: hello
    machines: "debian*"
"""

RETURN = r"""
offer:
  description: The machines that tasks can be for, and how many at once.
  returned: success
  type: dict
  sample: {machines: [debian_12, debian_13], at_once: 4, accelerator: tcg, reason: no KVM here}
"""

import dataclasses
import json
import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils import _argspec
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.crew import (
    Crew,
    default_at_once,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.performer import (
    Order,
    Performer,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.settings import Settings
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    Interrupted,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.process import module_runner
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    enumerate_machines,
    taking_tasks,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep

# Seconds between two looks at what is there to do.
_TURN = 0.1
# Options of the module, and the settings of the command that they are.
_SETTINGS = {
    **{
        name: name
        for name in ("machines", "storage", "tftp", "state_dir", "runtime_dir", "log_dir")
    },
    **{name: name for name in ("bridge", "egress", "disk_reserve", "user", "tftp_port")},
    **{name: name for name in ("cpu", "ram", "accelerator", "upload_limit", "write_limit")},
    "auxiliary_ram": "auxiliary_ram",
    "egress_proxy": "egress_proxy",
    "toolchain": "toolchain_name",
    "startup_timeout": "build_startup",
    "timeout": "build_timeout",
    "retries": "build_retries",
}
_LISTS = {"egress_refused": "egress_refused", "resolvers": "resolver", "warm": "warm"}
_ABOUT = ("phase ", "warning: ", "error: ", "waiting ", "bootstrapping ", "saving ")


def make_settings(params: t.Mapping[str, t.Any]) -> Settings:
    """The module's options as the command's."""
    values: dict[str, t.Any] = {there: params[here] for here, there in _SETTINGS.items()}
    values |= {there: tuple(params[here]) for here, there in _LISTS.items()}
    values |= dict.fromkeys(("fake_build", "fake_bootstrap"), params["fake"])
    return Settings(**values)


class Post:
    """Performs what is handed over, and tells of it."""

    def __init__(self, module: AnsibleModule, progress: _argspec.Progress) -> None:
        params = module.params
        self._module = module
        self._progress = progress
        self._orders = params["orders_dir"]
        self._alive = _argspec.make_alive(module)
        run = module_runner(module)
        settings = make_settings(params)
        performer = Performer(settings, run, progress, self._alive)
        self._host = performer.host
        names = taking_tasks(enumerate_machines(self._host, performer.toolchain))
        accelerator = performer.accelerator
        at_once = params["at_once"] or default_at_once(settings)
        self.offer = {
            "machines": names,
            "at_once": at_once,
            "accelerator": accelerator.name,
            "reason": accelerator.reason,
        }
        self._crew = Crew(
            settings,
            run,
            accelerator,
            at_once,
            self._hear,
            patience=params["lock_timeout"],
            hold=params["hold"],
        )
        self._waiting: list[tuple[str, Order]] = []
        self._free = -1

    def work(self) -> None:
        """Do so until there is nothing more to come. Raises Interrupted if nobody waits."""
        sweep(self._host)
        self._progress.tell(event="offer", **self.offer)
        try:
            while self._alive():
                over, stopped = self._look()
                if stopped:
                    self._waiting.clear()
                    self._crew.cancel()
                self._begin()
                if over and not self._waiting and not len(self._crew):
                    return
                for key, done in self._crew.turn(_TURN):
                    facts = dataclasses.asdict(done)
                    self._progress.tell(event="done", key=key, seconds=done.seconds, **facts)
            raise Interrupted
        finally:
            self._crew.close()

    def _look(self) -> tuple[bool, bool]:
        """Take new orders; whether no more will come, and whether none is wanted any more."""
        names = sorted(os.listdir(self._orders))
        for name in names:
            if name.endswith(".json") and not name.startswith("."):
                path = os.path.join(self._orders, name)
                with open(path, encoding="utf-8") as file:
                    given = json.load(file)
                os.unlink(path)
                self._waiting.append((given["key"], self._order(given)))
        return "end" in names or "stop" in names, "stop" in names

    def _order(self, given: t.Mapping[str, t.Any]) -> Order:
        fields = dict(given["fields"])
        if self._module.params["trust"]:
            fields["trust"] = self._module.params["trust"]
        return Order(fields, given["files"], given["auxiliary"])

    def _begin(self) -> None:
        """Begin what there is room for, and tell how much more there would be."""
        free = self._crew.free()
        while self._waiting and (free > 0 or not len(self._crew)):
            key, order = self._waiting.pop(0)
            self._crew.start(key, order)
            free -= 1
        free = max(0, free - len(self._waiting))
        if free != self._free:
            self._free = free
            self._progress.tell(event="free", count=free)

    def _hear(self, key: str, line: str) -> None:
        if line.startswith(_ABOUT):
            self._progress.tell(event="line", key=key, text=line)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_argspec.HOST,
            **_argspec.VM,
            "orders_dir": {"type": "path", "required": True},
            "at_once": {"type": "int"},
            "trust": {"type": "list", "elements": "str", "default": []},
            "startup_timeout": {"type": "int"},
            "timeout": {"type": "int", "default": 1800},
            "retries": {"type": "int", "default": 2},
            "upload_limit": {"type": "int", "default": 268435456},
            "write_limit": {"type": "int"},
            "auxiliary_ram": {"type": "int"},
            "fake": {"type": "bool", "default": False},
            "lock_timeout": {"type": "int", "default": 3600},
        },
        supports_check_mode=True,
    )
    _argspec.check_vm(module)
    with _argspec.Progress(module.params["progress_file"]) as progress:
        try:
            post = Post(module, progress)
            if not module.check_mode:
                post.work()
        except (EngineError, Interrupted, OSError, ValueError, KeyError) as error:
            _argspec.fail(module, error)
        module.exit_json(changed=True, offer=post.offer)


if __name__ == "__main__":
    main()
