#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_bootstrap
short_description: Bootstrap the machines of a build host for a toolchain
version_added: "0.1.0"
description:
  - Boots each machine that is not bootstrapped for the toolchain, or no longer in the right way, lets it fetch and
    install the toolchain, and keeps the outcome as the snapshot that tasks start from.
  - What is bootstrapped, and what not, is seen from the manifests on disk; see M(bbot.agent.machine_info).
  - Before that, clears away what dead processes have left on the host.
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
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - qemu-system-x86_64
  - nft
options:
  name:
    description: Bootstrap this machine only, and fail if there is none of the name.
    type: str
  startup_timeout:
    description:
      - For how many seconds to wait for a machine's first request.
      - By default 300 under KVM and 900 under emulation.
    type: int
  timeout:
    description: For how many seconds to wait for the end of a bootstrap, counted from the first request.
    type: int
    default: 600
  shutdown_timeout:
    description: For how many seconds to wait for a bootstrapped machine to shut down.
    type: int
    default: 300
  retries:
    description:
      - How often a machine that appears to have mis-booted is booted again.
        As in bbot the first of these is not counted, so that it is booted up to this number plus two times.
    type: int
    default: 2
  lock_timeout:
    description:
      - For how many seconds to wait while somebody else bootstraps the same machine, and in line where other machines
        have the host's memory.
    type: int
    default: 3600
  fake:
    description:
      - Do without booting, as bbot's C(--fake-bootstrap) does. The outcome is of no use for tasks but for faked ones.
    type: bool
    default: false
seealso:
  - module: bbot.agent.machine_info
  - module: bbot.agent.task_run
"""

EXAMPLES = r"""
---
- name: Have all machines bootstrapped
  bbot.agent.machine_bootstrap:

- name: Have one machine bootstrapped, with more memory than others
  bbot.agent.machine_bootstrap:
    name: debian_12
    ram: 2097152
    timeout: 3600
"""

RETURN = r"""
machines:
  description: The machines after the change; in check mode as they are.
  returned: success or failure of a machine
  type: list
  elements: dict
  contains:
    name:
      description: The machine, with all that M(bbot.agent.machine_info) tells of it.
      type: str
      sample: debian_12
    state:
      description: As in M(bbot.agent.machine_info).
      type: str
      sample: current
    action:
      description: What was done, or would be done in check mode, one of V(none), V(bootstrap), V(delete), V(save).
          A bootstrap of a machine that O(warm) names saves it, too; V(save) is for one that need not be bootstrapped.
      type: str
      sample: bootstrap
    changed:
      description: Whether that succeeded, or in check mode is to be done.
      type: bool
      sample: true
    why:
      description: The reasons for that.
      type: list
      elements: str
      sample: [not bootstrapped for toolchain default]
    failure:
      description: Why it could not be bootstrapped; null if it could, or need not be.
      type: str
      sample: "bootstrap startup timeout: no request within 300 s"
    phases:
      description: Seconds by phase.
      type: dict
      sample: {snapshot: 0.002, prepare: 0.0, start: 0.111, first request: 4.042, work: 1.602, upload: 0.006, shutdown: 0.087, down: 0.015, publish: 0.007}
    logs:
      description: The folder of its logs on the build host; null if there are none.
      type: str
      sample: /var/log/bbot-agent/bootstrap-debian_12-default-20261123T150102-4711
accelerator:
  description: How the machines were run; null where none was.
  returned: success or failure of a machine
  type: dict
  contains:
    name:
      description: Either V(kvm) or V(tcg).
      type: str
      sample: tcg
    reason:
      description: Why.
      type: str
      sample: the CPU offers no hardware virtualisation (no vmx or svm flag)
"""

import os
import time
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils import _argspec
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    Interrupted,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import (
    STARTUP,
    Running,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.describe import (
    describe_accelerator,
    describe_machine,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import (
    Ensured,
    ensure,
    plan,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    Machine,
    enumerate_machines,
    find_machine,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import (
    Toolchain,
    load_toolchain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import choose


def explain(machine: Machine, action: str) -> list[str]:
    """Why ``action`` is to be done."""
    if action == "save":
        return ["nothing is saved of it that fits, and it is to start warm"]
    return list(machine.reasons) if action != "none" else []


def describe(machine: Machine, action: str, why: list[str], ensured: Ensured | None) -> dict:
    return {
        **describe_machine(machine),
        "action": action,
        "changed": ensured.changed if ensured else action != "none",
        "why": why,
        "failure": ensured.failure.message if ensured and ensured.failure else None,
        "phases": ensured.phases if ensured else {},
        "logs": ensured.logs if ensured else None,
    }


def label(machine: Machine, machines: list[Machine]) -> str:
    """What ``machine`` is called among ``machines``, of which others may have its name."""
    meant = find_machine(machines, machine.name) is machine
    return machine.name if meant else machine.directory


def choose_running(module: AnsibleModule, host: Host) -> Running:
    """How machines are run."""
    accelerator = choose(host, module.params["accelerator"])
    host.report(f"accelerator {accelerator.name}: {accelerator.reason}")
    return _argspec.make_running(module, host, accelerator)


def bootstrap_all(
    module: AnsibleModule, host: Host, toolchain: Toolchain, machines: list[Machine]
) -> dict[str, t.Any]:
    """Have every one of ``machines`` bootstrapped; the result of the module."""
    params = module.params
    running = choose_running(module, host) if params["warm"] else None
    plans = [(machine, plan(host, machine, toolchain, running)) for machine in machines]
    outcomes = []
    for machine, action in plans:
        ensured = None
        why = explain(machine, action)
        if action != "none" and not module.check_mode:
            running = running or choose_running(module, host)
            stamp = time.strftime("%Y%m%dT%H%M%S")
            name = f"bootstrap-{machine.folder}-{toolchain.name}-{stamp}-{os.getpid()}"
            ensured = ensure(
                host,
                machine,
                toolchain,
                running,
                _argspec.make_waits(module, STARTUP[running.accelerator.on(machine.name).name]),
                os.path.join(params["log_dir"], name),
                fake=params["fake"],
                lock_timeout=params["lock_timeout"],
            )
        outcomes.append(describe(ensured.machine if ensured else machine, action, why, ensured))
    return {
        "machines": outcomes,
        "accelerator": describe_accelerator(running.accelerator) if running else None,
        "changed": any(one["changed"] for one in outcomes),
        "diff": {
            "before": {label(machine, machines): machine.state for machine in machines},
            "after": {
                label(machine, machines): {"bootstrap": "current", "delete": "gone"}.get(
                    action, machine.state
                )
                for machine, action in plans
            },
        },
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_argspec.HOST,
            **_argspec.VM,
            "name": {"type": "str"},
            "startup_timeout": {"type": "int"},
            "timeout": {"type": "int", "default": 600},
            "shutdown_timeout": {"type": "int", "default": 300},
            "retries": {"type": "int", "default": 2},
            "lock_timeout": {"type": "int", "default": 3600},
            "fake": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    _argspec.check_vm(module)
    with _argspec.Progress(module.params["progress_file"]):
        host = _argspec.make_host(module)
        try:
            if not module.check_mode:
                sweep(host)
            toolchain = load_toolchain(host, module.params["toolchain"])
            machines = enumerate_machines(host, toolchain)
            if module.params["name"] is not None:
                machines = [find_machine(machines, module.params["name"])]
            result = bootstrap_all(module, host, toolchain, machines)
        except (EngineError, Interrupted, OSError) as error:
            _argspec.fail(module, error)
        failed = [one for one in result["machines"] if one["failure"]]
        if failed:
            words = "; ".join(f"{one['name']}: {one['failure']}" for one in failed)
            module.fail_json(msg=f"cannot bootstrap {words}; see logs of each machine", **result)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
