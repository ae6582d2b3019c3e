#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: result_upload
short_description: Deliver results of build tasks to their controllers
version_added: "0.1.0"
description:
  - Uploads the results that wait in the journal of the host, artifacts first, each to the controller that gave the
    task. A result leaves the queue only when its controller has acknowledged it.
  - Results that their controllers do not want any more are taken from the queue and kept for reading.
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
  diff_mode:
    support: none
    details: Nothing on the host differs afterwards but the journal.
  idempotent:
    support: full
requirements:
  - python3-requests
options:
  id:
    description: Deliver only the result of the task of this number in the journal.
    type: int
seealso:
  - module: bbot.agent.task_request
"""

EXAMPLES = r"""
---
- name: Deliver what could not be delivered yet
  bbot.agent.result_upload:
"""

RETURN = r"""
delivered:
  description: The numbers of the tasks whose results were, or would be, delivered.
  returned: always
  type: list
  elements: int
  sample: [17]
expired:
  description: The numbers of the tasks whose results nobody wants any more.
  returned: always
  type: list
  elements: int
  sample: []
failures:
  description: Results that could not be delivered; they stay in the queue, and the module fails.
  returned: always
  type: list
  elements: dict
  contains:
    id:
      description: The number of the task.
      type: int
      sample: 16
    msg:
      description: What went wrong.
      type: str
      sample: "unable to upload result to https://ci.example.org/?build-result: Connection refused"
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils import _argspec, _duties
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import OptionsError
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.delivery import (
    Delivery,
    deliver_all,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import (
    EngineError,
    sentence,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError


def upload(module: AnsibleModule) -> dict[str, t.Any]:
    """Deliver, or in check mode see what would be delivered; the result of the module."""
    duties = _duties.make_duties(module)
    journal, number = duties.journal, module.params["id"]
    if number is not None and journal.get(number) is None:
        raise HostError(f"id: there is no task {number} in the journal {journal.path}")
    expired = (
        []
        if module.check_mode
        else [entry.id for entry in journal.expire(module.params["toolchain"])]
    )
    queue = journal.queue(module.params["toolchain"])
    chosen = [entry for entry in queue if number is None or entry.id == number]
    done = {entry.id: Delivery("delivered") for entry in chosen}
    if not module.check_mode:
        done = deliver_all(duties.host, journal, chosen, duties.transport)
    delivered = [number for number, each in done.items() if each.outcome == "delivered"]
    return {
        "changed": bool(delivered or expired),
        "delivered": delivered,
        "expired": expired,
        "failures": [
            {"id": number, "msg": each.reason}
            for number, each in done.items()
            if each.outcome != "delivered"
        ],
    }


def main() -> None:
    module = AnsibleModule(
        argument_spec={**_argspec.HOST, **_argspec.CONTROLLER, "id": {"type": "int"}},
        supports_check_mode=True,
    )
    try:
        result = upload(module)
    except (EngineError, OptionsError, OSError) as error:
        module.fail_json(msg=sentence(error))
    if result["failures"]:
        words = "; ".join(failure["msg"] for failure in result["failures"])
        module.fail_json(msg=f"{words}; kept in the queue", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
