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
    import tarfile

    from ..account import Account
    from ..task import Task
    from ..tftp import Tftp

_ARCHIVE = re.compile(r"\.(?:tar(?:\.\w+)?|tgz|tbz2?|txz)(?:[?#].*)?$", re.IGNORECASE)


def fetch_source(task: Task, work: str, tftp: Tftp, runner: Runner) -> str:
    """Bring the task's sources into a fresh tree; its directory. Raises WorkerError."""
    url, kind = task.repository
    if not url:
        raise WorkerError("no repository in the task manifest")
    source = os.path.join(work, "source")
    if kind == "git" or (not kind and re.search(r"^git[:@+]|\.git/?(#|$)", url)):
        _clone(url, source, work, runner)
        return source
    runner.account.make_directory(source)
    if url.startswith("tftp:"):
        name = url[5:].lstrip("/")
        runner.log.note(f"fetching {name}")
        archive = os.path.join(work, "source.tar")
        with open(archive, "wb") as file:
            tftp.get(name, file)
        unpack(archive, source, runner.account)
        os.unlink(archive)
    elif re.match("https?://", url) and _ARCHIVE.search(url):
        runner.log.note(f"fetching {url}")
        archive = os.path.join(work, "source.tar")
        _download(url, archive)
        unpack(archive, source, runner.account)
        os.unlink(archive)
    elif kind in ("", "dir") and "://" not in url.replace("file://", ""):
        path = url.replace("file://", "", 1)
        if not os.path.isdir(path):
            raise WorkerError(f"no directory {path} in this machine: it is the task's repository")
        runner.run(Command(["cp", "-R", "-P", "-p", f"{path}/.", f"{source}/"], work))
    else:
        raise WorkerError(
            f"cannot fetch {url}{f' (type {kind})' if kind else ''}: known are tftp:NAME, a tar "
            "archive by http or https, a git repository and a directory of this machine"
        )
    entries = os.listdir(source)
    inner = os.path.join(source, entries[0]) if len(entries) == 1 else ""
    # Most archives hold all they have in one directory.
    return inner if inner and os.path.isdir(inner) and not os.path.islink(inner) else source


def _clone(url: str, source: str, work: str, runner: Runner) -> None:
    url, _, fragment = url.partition("#")
    url = re.sub("^git[+]", "", url)
    # bpkg's fragments: a branch or tag, a commit, or <branch>@<commit>.
    reference = fragment.rpartition("@")[2]
    clone = ["git", "clone", "--quiet", "--recurse-submodules"]
    if not reference:
        clone += ["--depth=1", "--shallow-submodules"]
    runner.run(Command([*clone, "--", url, source], work))
    if reference:
        git = ["git", "-c", "advice.detachedHead=false"]
        if runner.ask(Command([*git, "rev-parse", "-q", "origin/" + reference], source)):
            reference = "origin/" + reference
        runner.run(Command([*git, "checkout", "--quiet", "--detach", reference], source))
        runner.run(Command([*git, "submodule", "--quiet", "update", "--init"], source))


def _download(url: str, path: str) -> None:
    import http.client
    import shutil
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(path, "wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, http.client.HTTPException) as error:
        raise WorkerError(f"cannot fetch {url}: {error}") from None


def unpack(path: str, directory: str, account: Account) -> None:
    """Unpack a tar archive, whatever its compression, never outside of the directory.

    Raises WorkerError for an unreadable archive and for members that point out of it, are
    devices, or hide behind symbolic links.
    """
    import lzma
    import tarfile
    import zlib

    top = os.path.realpath(directory)
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                _unpack_member(archive, member, top, account)
    except (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, UnicodeError) as error:
        raise WorkerError(f"the archive of the sources is unreadable: {error}") from None
    except OSError as error:
        raise WorkerError(f"cannot unpack the sources: {error}", "abort") from None


def _unpack_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, top: str, account: Account
) -> None:
    def inside(*parts: str) -> bool:
        path = os.path.realpath(os.path.join(top, *parts))
        return path == top or path.startswith(top + os.sep)

    name = os.path.normpath(member.name)
    parent = os.path.dirname(name)
    if os.path.isabs(name) or name == ".." or not inside(parent):
        raise WorkerError(f"the archive of the sources has '{member.name}', outside of its root")
    target = os.path.join(top, name)
    if member.isdir():
        if os.path.islink(target):
            raise WorkerError(f"the archive of the sources replaces a link by '{member.name}/'")
        account.make_directory(target)
        return
    missing = os.path.join(top, parent)
    if not os.path.isdir(missing):
        os.makedirs(missing)
        while missing != top:
            account.own(missing)
            missing = os.path.dirname(missing)
    if os.path.lexists(target) and not os.path.isdir(target):
        os.unlink(target)
    if member.isfile():
        stream = archive.extractfile(member)
        if stream is None:
            raise WorkerError(f"'{member.name}' cannot be read from the archive of the sources")
        with stream, open(target, "wb") as file:
            while data := stream.read(1 << 18):
                file.write(data)
        os.chmod(target, 0o755 if member.mode & 0o111 else 0o644)
        os.utime(target, (member.mtime, member.mtime))
    elif member.issym():
        if os.path.isabs(member.linkname) or not inside(parent, member.linkname):
            raise WorkerError(f"link '{member.name}' of the sources' archive leads out of it")
        os.symlink(member.linkname, target)
    elif member.islnk():
        if os.path.isabs(member.linkname) or not inside(member.linkname):
            raise WorkerError(f"link '{member.name}' of the sources' archive leads out of it")
        os.link(os.path.join(top, member.linkname), target, follow_symlinks=False)
    else:
        raise WorkerError(f"'{member.name}' of the sources' archive is no file, directory or link")
    account.own(target)
