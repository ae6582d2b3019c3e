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
  - Several tasks, sources, configurations or machines are a matrix. All combinations are performed, as many at once as
    each host has room for, by all O(hosts) that have their machines (M(bbot.agent.matrix_run)). One folder of results
    has an index, reports, and the usual results of each.
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
  fail_fast:
    description: End a matrix after the first failure. What runs is cancelled, and what waits is not begun.
    type: bool
    default: false
  at_once:
    description: How many combinations of a matrix at once on a host; V(0) for as many as can have CPUs of their own.
    type: int
    default: 0
  hosts:
    description: All hosts that work at the matrix. Without any it is this one alone.
    type: list
    elements: str
    default: []
  offers:
    description: The machines of all these hosts, as M(bbot.agent.machine_info) returns them. Of one host it need not be.
    type: list
    elements: dict
    default: []
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

- name: Build it on all machines of Debian, in two ways
  bbot.agent.task_perform:
    source: "{{ playbook_dir }}/hello"
    machines: debian*
    configs:
      release: CMAKE_BUILD_TYPE=Release
      debug: CMAKE_BUILD_TYPE=Debug
    results: "{{ playbook_dir }}/results"

- name: Fail if it does not build
  ansible.builtin.assert:
    that: built.failure | length == 0
    fail_msg: "{{ built.failure }}"
"""

RETURN = r"""
home:
  description: The folder with the results on the control node; of a matrix that of all.
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
matrix:
  description: What a matrix has come to, returned by the host that was the last at it.
  returned: when a matrix was performed
  type: dict
  contains:
    status:
      description: The worst of it, V(0) if all is well, V(1) if tasks have failed, V(3) if machines or hosts have.
      type: int
      sample: 1
    counts:
      description: How many combinations have become what.
      type: dict
      sample: {error: 1, success: 11}
    failed:
      description: The ids of those that have failed.
      type: list
      elements: str
      sample: [debian_13_clang]
    results:
      description: The folder with the results.
      type: str
      sample: /home/joe/results/matrix-20261123T150102-4711
combinations:
  description: The ids of the combinations that would be performed.
  returned: in check mode, of a matrix
  type: list
  elements: str
  sample: [debian_12_gcc, debian_12_clang]
trouble:
  description: Why the host did not stay at the matrix to its end; empty if it did.
  returned: when a matrix was performed
  type: str
  sample: ""
result:
  description: The result, as M(bbot.agent.task_run) returns it. What else that returns is there, too.
  returned: when the task was performed
  type: dict
  sample: {name: hello, version: "2.10", status: success}
"""
