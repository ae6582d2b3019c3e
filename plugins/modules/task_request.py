#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: task_request
short_description: Ask controllers for a build task
version_added: "0.1.0"
description:
  - Offers the host's bootstrapped machines, those on which no task is performed, to bbot controllers, in order of
    their priorities, until one has a task.
  - The task is noted in the journal of the host, which also sees to it that its controller gets a result whatever
    happens. Perform it with M(bbot.agent.task_run) and its option O(bbot.agent.task_run#module:id).
  - A task whose result the controller would not take, as it wants a signature and there is no key, is not accepted.
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._attributes.actiongroup_agent
  - bbot.agent._host
  - bbot.agent._controller
attributes:
  check_mode:
    support: full
    details: Tells which machines would be offered, and asks nobody.
  diff_mode:
    support: none
    details: Nothing on the host differs afterwards but the journal.
  idempotent:
    support: none
    details: Each run may bring another task.
requirements:
  - python3-requests
  - openssl, for O(auth_key)
options:
  controllers:
    description: The controllers' URLs, each with an optional priority C([F]DCBA=) before it, as bbot-agent takes them.
    type: list
    elements: str
    required: true
  auth_key:
    description:
      - A file on the build host with the private key, an RSA key in PEM without a passphrase, that nobody else may
        read.
      - Its fingerprint tells controllers who asks, and it signs their challenges.
    type: path
  machine_order:
    description:
      - Patterns of names of machines to offer first, those of an earlier pattern before those of a later one. The
        others follow by name.
      - A controller takes the first that will do.
    type: list
    elements: str
    default: []
  nspawn:
    description:
      - Whose tasks machines of the type nspawn take, which are containers with weaker walls than virtual machines.
      - With V(own) that is nobody's but this host's own people's, and controllers are offered no such machines.
    type: str
    choices: [own, all]
    default: own
  toolchain_version:
    description:
      - The version of the toolchain that controllers are told; by default that of C(bbot) in the toolchain's manifest,
        and the one of this collection where there is none.
    type: str
  result_timeout:
    description: For how many seconds a controller wants the result. After that it is not delivered any more.
    type: int
    default: 10800
seealso:
  - module: bbot.agent.task_run
  - module: bbot.agent.result_upload
"""

EXAMPLES = r"""
---
- name: Ask for a task
  bbot.agent.task_request:
    controllers:
      - https://ci.example.org/?build-task
    auth_key: /etc/bbot-agent/agent.key
  register: asked

- name: Perform it
  bbot.agent.task_run:
    id: "{{ asked.id }}"
    fail_on: never
  when: asked.id is not none

- name: Deliver its result
  bbot.agent.result_upload:
"""

RETURN = r"""
id:
  description: The number of the task in the journal; null if no controller had a task.
  returned: success
  type: int
  sample: 17
task:
  description: The task, as a mapping of its fields; null if there is none.
  returned: success
  type: dict
  sample: {name: hello, version: 2.10.0, machine: debian_12, repository_url: 'https://pkg.example.org/1/stable'}
controller:
  description: The URL of the controller that gave the task; null if there is none.
  returned: success
  type: str
  sample: https://ci.example.org/?build-task
machines:
  description: The names of the machines that were, or would be, offered, in this order.
  returned: success
  type: list
  elements: str
  sample: [debian_12, debian_13]
waiting:
  description: How many results of this toolchain wait to be delivered (M(bbot.agent.result_upload)).
  returned: success
  type: int
  sample: 0
failures:
  description: What went wrong with controllers that were asked; the module fails if that was all of them.
  returned: success
  type: list
  elements: dict
  contains:
    controller:
      description: Its URL.
      type: str
      sample: https://old.example.org/?build-task
    msg:
      description: What went wrong.
      type: str
      sample: "unable to request task from https://old.example.org/?build-task: HTTP 501: building disabled"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils import _argspec, _duties
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import OptionsError
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.priority import (
    questions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    sentence,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task


def request(module: AnsibleModule) -> dict[str, t.Any]:
    """Ask, or in check mode see what would be offered; the result of the module."""
    params = module.params
    arguments = ["--result-timeout", str(params["result_timeout"]), "--nspawn", params["nspawn"]]
    if params["auth_key"] is not None:
        arguments += ["--auth-key", params["auth_key"]]
    for pattern in params["machine_order"]:
        arguments += ["--machine-order", pattern]
    if params["toolchain_version"] is not None:
        arguments += ["--toolchain-ver", params["toolchain_version"]]
    duties = _duties.make_duties(module, [*arguments, *params["controllers"]])
    room = duties.room()
    headers = duties.offers(machine for machine in duties.machines() if duties.free(machine, room))
    result: dict[str, t.Any] = {
        "changed": False,
        "machines": list(headers),
        **dict.fromkeys(("id", "task", "controller")),
        "waiting": len(duties.journal.queue(params["toolchain"])),
        "failures": [],
    }
    asked = questions(duties.settings.controllers, list(headers), [], 1)
    if module.check_mode or not asked:
        return result
    answer = duties.ask(asked, headers)
    if answer.obstacle is not None:
        raise HostError(answer.obstacle)
    result["failures"] = [{"controller": url, "msg": msg} for url, msg in answer.failures]
    entry = duties.journal.get(answer.entry) if answer.entry is not None else None
    if entry is None:
        return result
    task = Task.parse(entry.task, "task").to_mapping()
    found = {"id": entry.id, "task": task, "controller": entry.controller}
    return {**result, **found, "changed": True}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_argspec.HOST,
            **_argspec.CONTROLLER,
            "controllers": {"type": "list", "elements": "str", "required": True},
            "auth_key": {"type": "path", "no_log": False},
            "machine_order": {"type": "list", "elements": "str", "default": []},
            "nspawn": {"type": "str", "choices": ["own", "all"], "default": "own"},
            "toolchain_version": {"type": "str"},
            "result_timeout": {"type": "int", "default": 10800},
        },
        supports_check_mode=True,
    )
    try:
        result = request(module)
    except (EngineError, OptionsError, OSError) as error:
        module.fail_json(msg=sentence(error))
    failures = [failure["msg"] for failure in result["failures"]]
    if failures and len(failures) >= len(module.params["controllers"]):
        module.fail_json(msg="; ".join(failures), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
