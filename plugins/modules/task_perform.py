#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: task_perform
short_description: Have something built in a throw-away virtual machine, from its source to the results at home
version_added: "0.1.0"
description:
  - Reads a task as people write it and packs its source on the control node (M(bbot.agent.task_prepare)), hands it
    over, has its machines bootstrapped where that is needed (M(bbot.agent.machine_bootstrap)), has it performed
    (M(bbot.agent.task_run)), shows the progress of both live, and brings the results home.
  - That takes one step of a play, and one module on the build host if the machines are bootstrapped.
  - A play that is interrupted ends the machine at once, and leaves nothing on either host.
  - It does not fail because of the status of the task, but says whether one should (RV(failure)).
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._task
attributes:
  check_mode:
    support: full
    details:
      - The source is packed to see that it can be, and the machine is looked at. Nothing is handed over or performed.
  diff_mode:
    support: none
    details: Nothing on the host differs afterwards but the logs that were added.
  idempotent:
    support: none
    details: Each run performs the task again.
options:
  machine:
    description: The machine to use instead of the task's. It may be left out if the host has just one.
    type: str
    default: ""
  toolchain:
    description: The toolchain. Of another one than V(default) it is not known how it builds.
    type: str
    default: default
  machine_options:
    description: Options of both M(bbot.agent.machine_bootstrap) and M(bbot.agent.task_run).
    type: dict
    default: {}
  task_options:
    description: More options of M(bbot.agent.task_run).
    type: dict
    default: {}
  results:
    description:
      - The folder on the control node in which the results get a folder of their own. A relative one begins at
        O(directory).
    type: path
    default: results
  fail_on:
    description: The least status with which the task counts as failed.
    type: str
    choices: [skip, success, warning, error, abort, abnormal, interrupt, never]
    default: error
seealso:
  - module: bbot.agent.task_run
"""

EXAMPLES = r"""
- name: Build a folder of the project
  bbot.agent.task_perform:
    source: "{{ playbook_dir }}/hello"
    machine: debian
    results: "{{ playbook_dir }}/results"
  register: built

- name: Fail if it does not build
  ansible.builtin.assert:
    that: built.failure | length == 0
    fail_msg: "{{ built.failure }}"
"""

RETURN = r"""
home:
  description: The folder with the results on the control node.
  returned: when the task was performed
  type: str
  sample: /home/joe/results/hello-2.10-20261123T150102-4711
summary:
  description: What became of it, in lines for people.
  returned: when the task was performed
  type: list
  elements: str
  sample: ["hello 2.10 on debian: success", "configure: success"]
stats:
  description: The same as data, for what comes after.
  returned: when the task was performed
  type: dict
  sample: {name: hello, version: "2.10", status: success, machine: debian, results: /home/joe/results/hello-2.10}
failure:
  description: Why the task counts as failed by O(fail_on); empty if it does not.
  returned: when the task was performed
  type: str
  sample: ""
result:
  description: The result, as M(bbot.agent.task_run) returns it. What else that returns is there, too.
  returned: when the task was performed
  type: dict
  sample: {name: hello, version: "2.10", status: success}
"""
