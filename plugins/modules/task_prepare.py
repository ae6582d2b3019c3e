#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: task_prepare
short_description: Read a task and pack its source on the control node
version_added: "0.1.0"
description:
  - Reads a task as people write it, packs the source that they name, and finds out how our worker would build that,
    before a machine is booted for it.
  - Of a git repository it packs what git tracks and what is not ignored. What builds on the control node have made
    stays behind, such as objects, virtual environments and C(node_modules). A file C(.bbotignore) in the folder, in
    the format of C(.gitignore), names more to leave out, or with C(!) to keep.
  - Where a build file asks git for the version, a clone of the history goes along, without its configuration.
  - It runs on the control node; nothing of the source is run there.
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._task
attributes:
  check_mode:
    support: full
    details: The source is packed to see that it can be, and the file is removed again.
  diff_mode:
    support: none
    details: Nothing of the user's is changed.
  idempotent:
    support: full
options:
  foreign:
    description: Whether another worker than ours will build it, of which nothing is known.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Prepare a folder of the project
  bbot.agent.task_prepare:
    source: "{{ playbook_dir }}/hello"
    operations: configure,update,test,install
  register: prepared

- name: Build it
  bbot.agent.task_run:
    task: "{{ prepared.task }}"
    machine: debian
    files: "{{ prepared.files }}"
"""

RETURN = r"""
matrix:
  description: Whether it is a matrix. Of one that the options ask for there is nothing else.
  returned: success
  type: bool
  sample: false
task:
  description: The fields of the task.
  returned: success
  type: dict
  sample:
    name: hello
    version: 0.0.1
    repository-url: tftp:source.tar.gz
    repository-type: dir
driver:
  description: The driver that the worker will choose; empty if the sources are not here, or the worker is not ours.
  returned: success
  type: str
  sample: cmake
others:
  description: Other drivers that are possible, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - driver: make
      reason: Makefile
auxiliary_machines:
  description: The names of the auxiliary machines that the task wants.
  returned: success
  type: list
  elements: str
  sample: [x86_64-linux_debian-postgresql]
files:
  description: The files that the task's guest has to be offered, on the control node. None in check mode.
  returned: success
  type: list
  elements: dict
  sample:
    - name: source.tar.gz
      path: /tmp/bbot-source.x2k4/source.tar.gz
folder:
  description: The folder to remove when they are not needed any more.
  returned: when a source was packed
  type: str
  sample: /tmp/bbot-source.x2k4
warnings:
  description: What people should know of the packed source.
  returned: success
  type: list
  elements: str
  sample: ["build.log changed while it was packed"]
"""
