#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: task_run
short_description: Perform a build task in a throw-away virtual machine
version_added: "0.1.0"
description:
  - Snapshots a bootstrapped machine, boots the snapshot, hands the task to the worker in it, collects the result and
    the logs, and deletes the snapshot.
  - A task of which no result arrives in time has the status V(abort), as in bbot.
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
    details: Tells which machine the task would be performed on, and performs nothing.
  diff_mode:
    support: none
    details: Nothing on the host differs afterwards but the logs that were added.
  idempotent:
    support: none
    details: Each run performs the task again.
requirements:
  - qemu-system-x86_64
  - nft
options:
  id:
    description:
      - The number in the journal of a task that M(bbot.agent.task_request) got. Its result is kept there, before the
        machine goes, until M(bbot.agent.result_upload) or an agent has delivered it.
    type: int
  task:
    description:
      - The task, as a manifest's text or as a mapping of the field names of bbot's task manifest, in which dashes may
        be written as underscores and fields that may repeat are lists.
    type: raw
  machine:
    description:
      - Perform the task on this machine instead of the one that it names.
      - It may be left out as well if the task is a mapping that names none, and the host has just one.
    type: str
  trust:
    description:
      - Certificate fingerprints that replace the task's own C(trust) values, as bbot's C(--trust) does.
    type: list
    elements: str
    default: []
  files:
    description:
      - Files on the build host that the guest may fetch, by name. A repository C(tftp:NAME) in the task refers to them.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name that the guest asks for.
        type: str
        required: true
      path:
        description: The file on the build host.
        type: path
        required: true
  startup_timeout:
    description:
      - For how many seconds to wait for the machine's first request.
      - By default 60 under KVM and 300 under emulation.
    type: int
  timeout:
    description: For how many seconds to wait for the result, counted from the first request.
    type: int
    default: 1800
  retries:
    description:
      - How often a machine that appears to have mis-booted is booted again.
        As in bbot the first of these is not counted, so that it is booted up to this number plus two times.
    type: int
    default: 2
  upload_limit:
    description: How many bytes the guest may upload, in one file and in all.
    type: int
    default: 268435456
  nspawn:
    description:
      - Whose tasks machines of the type nspawn take, which are containers with weaker walls than virtual machines.
      - With V(own) that is nobody's but this host's own people's, and a task of a controller (O(id)) fails on them.
    type: str
    choices: [own, all]
    default: own
  write_limit:
    description:
      - How many KiB the machines of the task may write to their disks, in all; what is written twice counts twice.
      - A task that writes more is ended as one that takes too long is. By default the sizes of the disks are the limit.
      - Where it is given, machines beside each other wait until there is room for what all of them may write.
    type: int
  auxiliary_ram:
    description:
      - What the auxiliary machines of the task may have together, in KiB. By default each has O(ram), within its own
        bounds.
    type: int
  lock_timeout:
    description:
      - For how many seconds to wait in line where other machines have the host's memory, where too little of its disks
        is free, or, with O(bridge), where somebody else performs a task on the machine.
    type: int
    default: 3600
  fail_on:
    description:
      - The least status with which the module fails. The result is returned all the same.
    type: str
    choices: [warning, error, abort, abnormal, never]
    default: error
  log_tail:
    description:
      - How many bytes of the log of each operation to return, at least 256.
        The whole logs are files on the build host.
    type: int
    default: 4096
  unready:
    description:
      - What to do where a machine of the task is to be bootstrapped first, or saved for warm starts by O(warm).
      - With V(fail) a machine that is not bootstrapped is an error, and one that is not saved is booted.
      - With V(tell) nothing is done, and RV(unready) says which machines M(bbot.agent.machine_bootstrap) is for.
    type: str
    choices: [fail, tell]
    default: fail
  fake:
    description: Do without booting and return the result of an aborted task, as bbot's C(--fake-build) does.
    type: bool
    default: false
seealso:
  - module: bbot.agent.machine_bootstrap
"""

EXAMPLES = r"""
---
- name: Build a package from a source archive on the build host
  bbot.agent.task_run:
    task:
      name: hello
      version: "2.10"
      repository-url: tftp:hello.tar.gz
      repository-type: dir
      machine: debian_12
    files:
      - name: hello.tar.gz
        path: /srv/src/hello-2.10.tar.gz
  register: built

- name: Perform a task that was handed over as a manifest, on another machine
  bbot.agent.task_run:
    task: "{{ lookup('ansible.builtin.file', 'task.manifest') }}"
    machine: debian_13
    fail_on: never
"""

RETURN = r"""
result:
  description: The result, as the worker reported it or as an aborted task's.
  returned: when the task was performed
  type: dict
  contains:
    name:
      description: The package.
      type: str
      sample: hello
    version:
      description: Its version.
      type: str
      sample: "2.10"
    status:
      description: The worst of the operations' statuses.
      type: str
      sample: success
    operations:
      description: The operations, in order of execution.
      type: list
      elements: dict
      sample:
        - operation: test
          status: success
          log: "PASS: tests/hello-1\n"
          path: /var/log/bbot-agent/hello-2.10-20261123T150102-4711/test.log
manifest:
  description: The result manifest, with the logs cut as said by O(log_tail).
  returned: when the task was performed
  type: str
  sample: ": 1\nname: hello\nversion: 2.10\nstatus: success\n"
culprit:
  description: Who is to blame if it did not go well, one of V(none), V(task), V(machine).
  returned: when the task was performed
  type: str
  sample: none
reason:
  description: Why it did not go well; empty if it did.
  returned: when the task was performed
  type: str
  sample: ""
report:
  description: What our worker tells beside its result; empty values if another worker performed the task.
  returned: when the task was performed
  type: dict
  contains:
    driver:
      description: The driver by which it was built.
      type: str
      sample: cmake
    tests:
      description:
        - For each operation that ran tests how many passed, failed and were skipped, and the first that failed.
      type: dict
      sample:
        test:
          passed: 412
          failed: 1
          skipped: 7
          first_failure: {name: "tests.test_url::test_port", text: "assert 80 == 8080"}
    warnings:
      description: For each operation with warnings the first line that made it one.
      type: dict
      sample: {update: "hello.c:3:5: warning: unused variable 'x'"}
    artifacts:
      description:
        - What was built and brought home. The files are in C(artifacts) in the folder RV(logs), by these paths.
      type: list
      elements: dict
      sample:
        - path: dist/hello-1.0-py3-none-any.whl
          type: bindist
          size: 4711
          sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    uploads:
      description: The files in which they came.
      type: list
      elements: dict
      sample: []
start:
  description: How the machine came up; null if it did not.
  returned: when the task was performed
  type: dict
  contains:
    how:
      description: V(warm) if it was resumed from a saved state, V(cold) if it was booted.
      type: str
      sample: warm
    seconds:
      description: The time from QEMU's start to the first sign of the machine's worker.
      type: float
      sample: 0.166
    reason:
      description: Why a machine that O(warm) names was booted; else empty.
      type: str
      sample: ""
phases:
  description: Seconds by phase. Instead of C(start) there is C(resume) for a machine that was resumed.
  returned: when the task was performed
  type: dict
  sample: {snapshot: 0.001, start: 0.079, first request: 3.013, work: 0.301, upload: 0.013, down: 0.046, delete: 0.014}
files:
  description: The files that were written on the build host, by name.
  returned: when the task was performed
  type: dict
  sample:
    result.manifest: /var/log/bbot-agent/hello-2.10-20261123T150102-4711/result.manifest
    machine/console.log: /var/log/bbot-agent/hello-2.10-20261123T150102-4711/machine/console.log
logs:
  description: The folder of these files.
  returned: when the task was performed
  type: str
  sample: /var/log/bbot-agent/hello-2.10-20261123T150102-4711
unready:
  description: The machines that are to be bootstrapped, or saved, first.
  returned: when there are some and O(unready) is V(tell)
  type: list
  elements: str
  sample: [debian_12]
machine:
  description: The machine, with all that M(bbot.agent.machine_info) tells of it.
  returned: when the task was performed, or would be
  type: dict
  sample:
    name: debian_12
    state: current
accelerator:
  description: How the machine was run, and why so.
  returned: when the task was performed
  type: dict
  sample:
    name: tcg
    reason: the CPU offers no hardware virtualisation (no vmx or svm flag)
"""

import dataclasses
import os
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils import _argspec
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    FILE,
    Entry,
    Journal,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    Interrupted,
    sentence,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host, HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.auxiliary import (
    companions_of,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import (
    RESUMED,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.describe import (
    describe_accelerator,
    describe_machine,
    describe_start,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import plan
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    Machine,
    enumerate_machines,
    find_machine,
    only_machine,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import sweep
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import (
    Toolchain,
    load_toolchain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.names import (
    TASK,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result_size import shorten
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.logs import (
    log_names,
    logs_name,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.own import (
    OwnTask,
    perform_own,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import (
    STARTUP,
    Booking,
    Outcome,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import choose


def read_task(params: t.Mapping[str, t.Any], host: Host) -> Task:
    """The task as the options say it; ManifestError if it is none."""
    given = params["task"]
    if isinstance(given, t.Mapping):
        fields = {str(name).replace("_", "-"): value for name, value in given.items()}
        if params["machine"]:
            fields["machine"] = params["machine"]
        if not fields.get("machine"):
            toolchain = load_toolchain(host, params["toolchain"])
            fields["machine"] = only_machine(enumerate_machines(host, toolchain))
        task = Task.from_mapping(fields, "task")
    else:
        task = Task.parse(str(given), "task")
        if params["machine"]:
            task = dataclasses.replace(task, machine=params["machine"])
    return task.with_trust(params["trust"]) if params["trust"] else task


def find_entry(journal: Journal, number: int) -> Entry:
    """The task of this number in the journal; HostError if it is not to be performed."""
    entry = journal.get(number)
    if entry is None:
        raise HostError(f"id: there is no task {number} in the journal {journal.path}")
    if entry.state != "running":
        raise HostError(f"id: task {number} has a result already, {entry.status}")
    return entry


def ready_machine(host: Host, toolchain: Toolchain, name: str) -> Machine:
    """The machine ``name``, bootstrapped; HostError with the reasons if it is not."""
    machine = find_machine(enumerate_machines(host, toolchain), name)
    if machine.state != "current":
        raise HostError(
            f"machine {name} is not ready for tasks ({'; '.join(machine.reasons)}); "
            "bootstrap it with bbot.agent.machine_bootstrap"
        )
    return machine


def unready_machines(
    module: AnsibleModule, host: Host, toolchain: Toolchain, task: Task
) -> list[str]:
    """The machines of ``task`` that are to be bootstrapped, or saved for warm starts, first."""
    params = module.params
    machines = enumerate_machines(host, toolchain)
    running = None
    if params["warm"]:
        running = _argspec.make_running(module, host, choose(host, params["accelerator"]))
    names = [task.machine, *task.auxiliary_machines, *task.named_auxiliary_machines.values()]
    return [
        name
        for name in dict.fromkeys(names)
        if plan(host, find_machine(machines, name), toolchain, running) != "none"
    ]


def check_files(files: list[dict[str, str]]) -> dict[str, str]:
    """Paths by name; HostError if a name or a file is not usable."""
    paths = {}
    for file in files:
        name, path = file["name"], file["path"]
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name) or name in (*TASK, RESUMED):
            raise HostError(f"files: {name!r} cannot be the name of a file for the guest")
        if not os.path.isfile(path):
            raise HostError(f"files: there is no file {path} on the build host")
        paths[name] = path
    return paths


def describe_result(result: Result, logs: str) -> dict[str, t.Any]:
    described = result.to_mapping()
    names = log_names(result)
    for operation in described["operations"]:
        operation["path"] = os.path.join(logs, names[operation["operation"]])
    return described


def run(module: AnsibleModule) -> tuple[dict[str, t.Any], Outcome | None]:
    """Perform the task, or in check mode see that it could be; the result of the module."""
    params = module.params
    host = _argspec.make_host(module)
    if not module.check_mode:
        sweep(host)
    if params["id"] is None:
        return perform_task(module, host, read_task(params, host), None)
    journal = Journal(os.path.join(host.state, FILE))
    entry = find_entry(journal, params["id"])
    booking = Booking(journal, entry.id)
    task = read_task({**params, "task": entry.task}, host)
    try:
        return perform_task(module, host, task, booking)
    except (EngineError, OSError) as error:
        if not module.check_mode:
            booking.give_up(task, "host", sentence(error))
        raise


def perform_task(
    module: AnsibleModule, host: Host, task: Task, given: Booking | None
) -> tuple[dict[str, t.Any], Outcome | None]:
    """Perform ``task``, or in check mode see that it could be; the result of the module."""
    params = module.params
    files = check_files(params["files"])
    toolchain = load_toolchain(host, params["toolchain"])
    if params["unready"] == "tell":
        unready = unready_machines(module, host, toolchain, task)
        if unready:
            return {"changed": False, "unready": unready}, None
    machine = ready_machine(host, toolchain, task.machine)
    companions = companions_of(task, enumerate_machines(host, toolchain))
    accelerator = choose(host, params["accelerator"])
    found = {
        "changed": True,
        "machine": describe_machine(machine),
        "accelerator": describe_accelerator(accelerator.on(machine.name)),
    }
    if module.check_mode:
        return found, None

    logs = os.path.join(params["log_dir"], logs_name(f"{task.name}-{task.version}"))
    limit = params["upload_limit"]
    own = OwnTask(
        task,
        machine,
        toolchain,
        _argspec.make_running(module, host, accelerator),
        _argspec.make_waits(module, STARTUP[accelerator.on(machine.name).name]),
        Limits(upload_bytes=limit, total_upload_bytes=limit),
        logs,
        files,
        companions,
        booking=given,
        fake=params["fake"],
    )
    outcome, made = perform_own(host, own)
    shown = shorten(outcome.result, params["log_tail"])
    return {
        **found,
        "files": made,
        "logs": logs,
        "result": describe_result(shown, logs),
        "manifest": shown.to_text(),
        "culprit": outcome.culprit,
        "reason": outcome.reason,
        "report": outcome.report.to_mapping(),
        "start": describe_start(outcome.start),
        "phases": outcome.phases,
    }, outcome


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_argspec.HOST,
            **_argspec.VM,
            "id": {"type": "int"},
            "task": {"type": "raw"},
            "machine": {"type": "str"},
            "trust": {"type": "list", "elements": "str", "default": []},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "path": {"type": "path", "required": True},
                },
            },
            "startup_timeout": {"type": "int"},
            "timeout": {"type": "int", "default": 1800},
            "retries": {"type": "int", "default": 2},
            "upload_limit": {"type": "int", "default": 268435456},
            "nspawn": {"type": "str", "choices": ["own", "all"], "default": "own"},
            "write_limit": {"type": "int"},
            "auxiliary_ram": {"type": "int"},
            "lock_timeout": {"type": "int", "default": 3600},
            "fail_on": {
                "type": "str",
                "choices": ["warning", "error", "abort", "abnormal", "never"],
                "default": "error",
            },
            "log_tail": {"type": "int", "default": 4096},
            "unready": {"type": "str", "choices": ["fail", "tell"], "default": "fail"},
            "fake": {"type": "bool", "default": False},
        },
        mutually_exclusive=[("id", "task"), ("id", "machine")],
        required_one_of=[("id", "task")],
        supports_check_mode=True,
    )
    _argspec.check_vm(module)
    with _argspec.Progress(module.params["progress_file"]):
        try:
            result, outcome = run(module)
        except (EngineError, Interrupted, OSError) as error:
            _argspec.fail(module, error)
        fail_on = module.params["fail_on"]
        if outcome is not None and fail_on != "never":
            status = outcome.result.status
            if status >= Status[fail_on.upper()]:
                module.fail_json(
                    msg=f"task {outcome.result.name} {outcome.result.version} has status {status}: "
                    f"{outcome.reason or 'see its logs'}; the logs are in {result['logs']}",
                    **result,
                )
        module.exit_json(**result)


if __name__ == "__main__":
    main()
