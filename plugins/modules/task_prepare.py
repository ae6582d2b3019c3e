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
  task:
    description: A manifest file, a YAML file, the text of either, or a mapping of a task's fields.
    type: raw
  source:
    description:
      - What to build instead of the task's own repository. A local folder; an archive (tar of any compression, zip,
        crate, gem, whl); a C(.dsc) file with its files beside it; a commit, tag or branch of a local repository as
        C(FOLDER#NAME); or a URL of a git repository or an archive, which the guest fetches.
    type: str
    default: ""
  directory:
    description: The folder that relative paths begin at.
    type: path
    default: .
  driver:
    description: How to build, instead of what the sources look like.
    type: str
    default: ""
  operations:
    description: What to do, with commas between.
    type: str
    default: ""
  test_command:
    description: A command for the shell that tests, instead of the driver's.
    type: str
    default: ""
  subfolder:
    description: Where in the sources the project is.
    type: str
    default: ""
  artifacts:
    description: What to bring home. Patterns with commas between, V(install), or V(none).
    type: str
    default: ""
  config:
    description: Words for the build's tool, added to the task's target-config.
    type: str
    default: ""
  settings:
    description: More settings of the worker, as a mapping or as words C(name=value).
    type: raw
    default: {}
  auxiliary_machines:
    description:
      - Auxiliary machines to be up beside the task's own, as a mapping of names to machines, or as words C(NAME=MACHINE).
        The variables of a machine with a name get that as a prefix; C(MACHINE) alone has none.
    type: raw
    default: ""
  interactive:
    description:
      - Where the build stops for a person, who has a shell in the machine then. V(error) and V(warning) are after an
        operation that ends so; the name of an operation is before that.
    type: str
    default: ""
  foreign:
    description: Whether another worker than ours will build it, of which nothing is known.
    type: bool
    default: false
  variables:
    description: Names of variables. One of the command line that is nearly one of these is refused.
    type: list
    elements: str
    default: []
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
