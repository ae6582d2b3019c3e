#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cleanup
short_description: Clear away what dead processes have left on a build host
version_added: "0.1.0"
description:
  - Machines, snapshots, taps, redirections and folders of agents and plays that were killed are found and removed;
    what belongs to a living process is not touched. Tasks that were interrupted get a result for their controllers.
  - Every agent, and the modules that run machines, do the same before they begin.
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._attributes.actiongroup_agent
  - bbot.agent._host
attributes:
  check_mode:
    support: full
    details: Tells of whom something is left, and leaves it.
  diff_mode:
    support: none
    details: What is removed is not worth a comparison.
  idempotent:
    support: full
options:
  runtime_dir:
    description: The folder of the sockets of running machines.
    type: path
    default: /run/bbot-agent
  log_dir:
    description: The folder of the logs.
    type: path
    default: /var/log/bbot-agent
  log_age:
    description: Remove logs that are older than so many seconds; V(0) keeps them all.
    type: int
    default: 0
  suspend_max:
    description: How many suspended machines to keep; by default all.
    type: int
  suspend_age:
    description: For how many seconds suspended machines are kept; by default for ever.
    type: int
"""

EXAMPLES = r"""
---
- name: Clear away what is left of processes that were killed, and last year's logs
  bbot.agent.cleanup:
    log_age: 31536000
"""

RETURN = r"""
removed:
  description: What was, or would be, removed, a line each.
  returned: success
  type: list
  elements: str
  sample: [cleared away the dead task of process 4711 on machine debian_12]
errors:
  description: What could not be removed.
  returned: success
  type: list
  elements: str
  sample: []
"""

import dataclasses
import os
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils import _argspec
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.recovery import (
    recover,
    remove_leftovers,
    remove_old_logs,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.journal import (
    FILE,
    Journal,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    sentence,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.suspended import (
    Suspensions,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.sweep import describe_dead


def clean(module: AnsibleModule) -> dict[str, t.Any]:
    """Clear away, or in check mode see what is left; the result of the module."""
    params = module.params
    lines: list[str] = []
    host = dataclasses.replace(
        _argspec.make_host(module),
        runtime=params["runtime_dir"],
        report=lines.append,
    )
    if module.check_mode:
        left = [f"left by the dead {what}" for what in describe_dead(host)]
        return {"changed": bool(left), "removed": left, "errors": []}
    most, age = (
        sys.maxsize if params[name] is None else params[name]
        for name in ("suspend_max", "suspend_age")
    )
    suspensions = Suspensions(host, most, age)
    recover(host, Journal(os.path.join(host.state, FILE)), suspensions)
    remove_leftovers(host, suspensions, params["toolchain"])
    remove_old_logs(host, params["log_dir"], params["log_age"])
    told = [line.partition(": ") for line in lines]
    removed = [text for kind, _colon, text in told if kind in ("info", "warning")]
    errors = [text for kind, _colon, text in told if kind == "error"]
    return {"changed": bool(removed), "removed": removed, "errors": errors}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_argspec.HOST,
            "runtime_dir": _argspec.VM["runtime_dir"],
            "log_dir": _argspec.VM["log_dir"],
            "log_age": {"type": "int", "default": 0},
            "suspend_max": {"type": "int"},
            "suspend_age": {"type": "int"},
        },
        supports_check_mode=True,
    )
    for name in ("log_age", "suspend_max", "suspend_age"):
        if (module.params[name] or 0) < 0:
            module.fail_json(msg=f"{name} must be at least 0, not {module.params[name]}")
    try:
        result = clean(module)
    except (EngineError, OSError) as error:
        module.fail_json(msg=sentence(error))
    if result["errors"]:
        module.fail_json(msg="; ".join(result["errors"]), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
