# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloning git repositories."""

from __future__ import annotations

import re

from ..run import Command, Runner


def clone(url: str, source: str, work: str, runner: Runner) -> None:
    """Clone the repository, with what its address's fragment names checked out."""
    url, _, fragment = url.partition("#")
    url = re.sub("^git[+]", "", url)
    # bpkg's fragments: a branch or tag, a commit, or <branch>@<commit>.
    reference = fragment.rpartition("@")[2]
    command = ["git", "clone", "--quiet", "--recurse-submodules"]
    if not reference:
        command += ["--depth=1", "--shallow-submodules"]
    runner.run(Command([*command, "--", url, source], work))
    if reference:
        git = ["git", "-c", "advice.detachedHead=false"]
        if runner.ask(Command([*git, "rev-parse", "-q", "origin/" + reference], source)):
            reference = "origin/" + reference
        runner.run(Command([*git, "checkout", "--quiet", "--detach", reference], source))
        runner.run(Command([*git, "submodule", "--quiet", "update", "--init"], source))
