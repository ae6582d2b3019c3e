#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: machine_info
short_description: List the machines of a build host
version_added: "0.1.0"
description:
  - Tells which machines there are, which are bootstrapped for a toolchain,
    and which would be bootstrapped anew and why, and how much room there is to run them.
  - Reads only.
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._attributes.actiongroup_agent
  - bbot.agent._host
attributes:
  check_mode:
    support: full
  diff_mode:
    support: N/A
    details: This module changes nothing.
  idempotent:
    support: full
options:
  name:
    description: List this machine only, and fail if there is none of the name.
    type: str
seealso:
  - module: bbot.agent.machine_bootstrap
"""

EXAMPLES = r"""
---
- name: See what is there
  bbot.agent.machine_info:
  register: found

- name: Name the machines that are not ready for tasks, with the reasons
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.reasons | join('; ') }}"
  loop: "{{ found.machines | rejectattr('state', 'eq', 'current') }}"
"""

RETURN = r"""
machines:
  description: The machines, in order of volume and name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description:
        - The name in the machine's manifest, or that of its folder where none can be read.
        - Where several have one name, all but one are V(broken). That one is the first that is bootstrapped, or else
          the first.
      type: str
      sample: debian_12
    volume:
      description: The volume it is on.
      type: str
      sample: default
    directory:
      description: Its folder, which holds its revisions.
      type: str
      sample: /build/machines/default/debian_12
    state:
      description:
        - V(current) is bootstrapped and fit for tasks.
        - V(missing) is not bootstrapped yet, V(obsolete) is to be bootstrapped anew.
        - V(newer) was bootstrapped by newer software and is left alone.
        - V(unlinked) has no current revision, V(broken) has no usable
          manifest, a name that another one has, or an architecture that the host cannot emulate.
      type: str
      sample: obsolete
    reasons:
      description: Why it is in this state; empty for a current one.
      type: list
      elements: str
      sample:
        - the machine's id is debian_12-4, it was bootstrapped as debian_12-3
    revision:
      description: The current revision; null without one.
      type: str
      sample: /build/machines/default/debian_12/debian_12-1.4
    id:
      description: The id in the machine's manifest; null without one.
      type: str
      sample: debian_12-4
    summary:
      description: The summary in the machine's manifest; null without one.
      type: str
      sample: Debian 12 with GCC 12
    type:
      description:
        - V(kvm), or V(nspawn) for a container, whose walls are weaker and which never starts warm; null without a
          manifest.
      type: str
      sample: kvm
    role:
      description: V(build), or V(auxiliary) for one that is up beside others; null without a manifest.
      type: str
      sample: build
    bootstrapped:
      description: The bootstrapped machine; null without one.
      type: str
      sample: /build/machines/default/debian_12/debian_12-default
    mac:
      description: The Ethernet address of the bootstrapped machine; null without one.
      type: str
      sample: 02:4a:11:9c:00:7e
    warm:
      description:
        - What was saved of the machine, so that it need not boot; null if nothing was.
        - Whether it fits is seen by the one who resumes it. See O(bbot.agent.task_run#module:warm).
      type: dict
      contains:
        path:
          description: Its subvolume. The memory is in another one beside it.
          type: str
          sample: /build/machines/default/debian_12/.debian_12-default.warm
        made:
          description: When it was saved, in UTC.
          type: str
          sample: "2026-11-23T15:02:11Z"
        bytes:
          description: What its memory and state take of the disk.
          type: int
          sample: 140509184
        seconds:
          description: How long the boot took that a resumption saves.
          type: float
          sample: 4.153
        reason:
          description: Why the machine has to be booted all the same; empty if it can be resumed.
          type: str
          sample: ""
room:
  description: The memory of the host for machines, and who has it.
  returned: success
  type: dict
  contains:
    left:
      description: How much of it no running machine has, in KiB. One machine runs in any case.
      type: int
      sample: 6291456
    machines:
      description: How many machines run.
      type: int
      sample: 2
    waiting:
      description: How many wait for memory.
      type: int
      sample: 0
toolchain:
  description: The toolchain the machines were looked at for.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: default
    id:
      description: Its id.
      type: str
      sample: 3211b5ad8281ffe8b8fd5451e099ddf1352ee2061318a3eb27a3d641e36aee4e
    versions:
      description: The versions that a bootstrap must report, by package.
      type: dict
      sample:
        bbot: 0.1.0
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils import _argspec
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import HostError
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.room import Room
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.describe import (
    describe_machine,
    describe_toolchain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    enumerate_machines,
    find_machine,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import (
    load_toolchain,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={**_argspec.HOST, "name": {"type": "str"}}, supports_check_mode=True
    )
    host = _argspec.make_host(module)
    try:
        toolchain = load_toolchain(host, module.params["toolchain"])
        machines = enumerate_machines(host, toolchain)
        if module.params["name"] is not None:
            machines = [find_machine(machines, module.params["name"])]
    except HostError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=False,
        machines=[describe_machine(machine) for machine in machines],
        room=Room(host).describe(),
        toolchain=describe_toolchain(toolchain),
    )


if __name__ == "__main__":
    main()
