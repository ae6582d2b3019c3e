# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing a task's sources into the machine."""

from __future__ import annotations

import os
import re

from ..errors import WorkerError
from ..run import Command, Runner

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..task import Task
    from ..tftp import Tftp

_GIT = re.compile(r"git[:@+]|ssh://|[\w.-]+@[\w.-]+:|[^#]*\.git/?(?:#|$)")
_KINDS = (
    "tftp:NAME, an archive or .dsc file by http or https, a git repository, and a directory or "
    "archive of this machine"
)


def fetch_source(task: Task, work: str, tftp: Tftp, runner: Runner) -> str:
    """Bring the task's sources into a fresh tree below *work*; its directory.

    Raises WorkerError.
    """
    url, kind = task.repository
    if not url:
        raise WorkerError("no repository in the task manifest")
    source = os.path.join(work, "source")
    if kind == "git" or (not kind and _GIT.match(url)):
        from .git import clone

        _check_nothing(task, "a git repository: name a commit in its address's fragment")
        clone(url, source, work, runner)
        return source
    if kind in ("", "dir"):
        if re.match("tftp:|https?://", url):
            return _fetch_archive(task, source, work, tftp, runner)
        path = re.sub("^file://", "", url)
        if os.path.isfile(path):
            return _local_archive(task, path, source, work, runner)
        if "://" not in path:
            _check_nothing(task, "a directory")
            _copy(path, source, work, runner)
            return source
    raise WorkerError(f"cannot fetch {url}{f' (type {kind})' if kind else ''}: known are {_KINDS}")


def _check_nothing(task: Task, what: str) -> None:
    """Raise WorkerError if the task expects a checksum of what has none."""
    from .checksum import FIELD

    if task.value(FIELD):
        raise WorkerError(f"{FIELD} is for archives, and cannot be checked for {what}")


def _fetch_archive(task: Task, source: str, work: str, tftp: Tftp, runner: Runner) -> str:
    from . import checksum, debian
    from .archive import unpack
    from .transfer import deadline, fetch_file

    url, _hash, fragment = task.repository[0].partition("#")
    wanted = checksum.expected(task.value(checksum.FIELD), fragment)
    folder = runner.account.make_directory(os.path.join(work, "download"))
    path = os.path.join(folder, "archive")
    checksum.check(fetch_file(url, path, tftp, runner), wanted, url)
    if debian.is_dsc(path):
        place, _mark, rest = url.partition("?")
        base = place.rpartition("/")[0] + "/" if "/" in place else "tftp:"
        query = f"?{rest}" if rest else ""
        debian.unpack_package(
            path,
            source,
            lambda name, target: fetch_file(f"{base}{name}{query}", target, tftp, runner),
            runner,
        )
        return source
    with deadline(runner):
        directory = unpack(path, source, runner.account)
    os.unlink(path)
    return directory


def _local_archive(task: Task, path: str, source: str, work: str, runner: Runner) -> str:
    from . import checksum, debian
    from .archive import unpack
    from .transfer import copy_file, deadline

    wanted = checksum.expected(task.value(checksum.FIELD), "")
    if debian.is_dsc(path):
        folder = runner.account.make_directory(os.path.join(work, "download"))
        copy = os.path.join(folder, "archive")
        beside = os.path.dirname(path)
        checksum.check(copy_file(path, copy, runner), wanted, path)
        return debian.unpack_package(
            copy,
            source,
            lambda name, target: copy_file(os.path.join(beside, name), target, runner),
            runner,
        )
    with deadline(runner):
        if wanted:
            checksum.check(checksum.of_file(path), wanted, path)
        return unpack(path, source, runner.account)


def _copy(path: str, source: str, work: str, runner: Runner) -> None:
    if not os.path.isdir(path):
        raise WorkerError(f"no directory {path} in this machine: it is the task's repository")
    runner.account.make_directory(source)
    runner.run(Command(["cp", "-R", "-P", "-p", f"{path}/.", f"{source}/"], work))
