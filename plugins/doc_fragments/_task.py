# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is private to this collection and may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  task:
    description:
      - A manifest file, a YAML file, the text of either, or a mapping of a task's fields.
      - A list of these, or a folder of such files, is a matrix.
    type: raw
  tasks:
    description: More of these, each to be performed. They are a matrix.
    type: raw
    default: []
  machines:
    description:
      - The machines to use, as a list of patterns or a text of such with commas between; V(all) for all of them. They are
        a matrix, all combinations of which are performed.
    type: raw
    default: []
  configs:
    description:
      - Sets of words for the build's tool, each to be built with, as a mapping of their names to words. They are a matrix.
      - "A text is the same with semicolons between, such as C(release: CMAKE_BUILD_TYPE=Release; debug: -DX)."
    type: raw
    default: {}
  resume:
    description:
      - The folder with the results of a matrix that was interrupted. What has no result is performed, or was a fault of
        a machine or host.
    type: str
    default: ""
  matrix:
    description: Whether all combinations of the matrix in a C(bbot.yml) are performed, or the first only.
    type: bool
    default: true
  source:
    description:
      - What to build instead of the task's own repository. A local folder; an archive (tar of any compression, zip,
        crate, gem, whl); a C(.dsc) file with its files beside it; a commit, tag or branch of a local repository as
        C(FOLDER#NAME); or a URL of a git repository or an archive, which the guest fetches.
      - A list of several is a matrix.
    type: raw
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
  rerun:
    description:
      - The folder with the results of a task. It is performed once more, with the sources that are kept there and on the
        same machine, so nothing else can be asked for. What is not as it was then is told.
    type: str
    default: ""
  variables:
    description: Names of variables. One of the command line that is nearly one of these is refused.
    type: list
    elements: str
    default: []
"""
