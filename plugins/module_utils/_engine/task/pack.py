# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Packing a local folder for a task, as git sees it.

Of a git repository that is what git tracks and what it does not ignore. Of any folder, what a
build on this machine has made stays behind: a pristine machine is to make it anew. A file
`.bbotignore`, in the format of `.gitignore`, names more to leave out, or with `!` to keep.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
import tarfile
import tempfile
import typing as t

from ..errors import EngineError
from ..linux.program import run_program

IGNORE_FILE = ".bbotignore"

# What builds, tools and environments of this machine leave, in the format of .gitignore.
PRODUCTS = """\
.hg/
.svn/
.bzr/
.venv/
.tox/
.nox/
.eggs/
*.egg-info/
__pycache__/
*.py[cod]
.pytest_cache/
.mypy_cache/
.ruff_cache/
node_modules/
*.o
*.lo
*.la
*.obj
*.gch
*.class
.libs/
.deps/
.dirstamp
autom4te.cache/
config.status
config.log
config.cache
CMakeCache.txt
CMakeFiles/
cmake_install.cmake
.ninja_log
.ninja_deps
meson-private/
meson-logs/
.gradle/
.sconsign.dblite
blib/
pm_to_blib
"""
# Folders that are products if this stands in them, and what stands beside them.
_PRODUCT_FOLDERS = (
    *("CMakeCache.txt", "meson-private", "pyvenv.cfg", "CACHEDIR.TAG"),
    # Results of ours.
    ".bbot-matrix",
)

# Build files that ask git for the version, or for the list of files.
_ASKS_GIT = re.compile(
    r"setuptools[-_.]scm|hatch-vcs|pdm.*\bscm\b|versioneer|versioningit|dynamic-versioning|vcs_tag"
    r"|\bgit['\", ]+(?:describe|ls-files|rev-parse|log|show)\b|git-version-gen|use_scm_version"
)
_BUILD_FILES = re.compile(
    r"(?i)pyproject\.toml|setup\.(?:py|cfg)|CMakeLists\.txt|meson\.build|configure(?:\.ac)?"
    r"|(?:GNU)?Makefile|.*\.gemspec|.*\.rockspec|build\.gradle(?:\.kts)?|build\.rs|bbot-build"
    r"|bbot\.yml|Rakefile|dist\.ini|autogen\.sh|version\.(?:sh|py)"
)
_SHOWN = 5


class SourceError(EngineError):
    """A source that cannot be packed; the text says which and why."""

    culprit = "task"
    temporary = False


@dataclasses.dataclass
class Packed:
    """A packed source: what was packed as, what stayed behind, and what people should know."""

    kind: t.Literal["git", "folder"]
    files: int = 0
    left: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)

    def describe(self) -> str:
        """Return one line about it."""
        text = f"{self.files} files of the {'git repository' if self.kind == 'git' else 'folder'}"
        if self.left:
            shown = ", ".join(self.left[:_SHOWN])
            more = f" and {len(self.left) - _SHOWN} more" if len(self.left) > _SHOWN else ""
            text += f", without products of builds on this machine ({shown}{more})"
        return text


def pack_folder(folder: str, target: str) -> Packed:
    """Pack ``folder`` into the file ``target``, a tar compressed by gzip. Raises SourceError."""
    repository = _is_repository(folder)
    packed = Packed("git" if repository else "folder")
    names = _git_files(folder, packed) if repository else _all_files(folder, packed)
    try:
        with tarfile.open(target, "w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
            for name in names:
                _add(archive, folder, name, packed)
            if repository and asks_git(folder):
                try:
                    _add_history(archive, folder, packed)
                except SourceError as error:
                    packed.warnings.append(f"the build asks git, but: {error}")
    except OSError as error:
        raise SourceError(f"cannot pack {folder}: {error}") from error
    return packed


def asks_git(folder: str) -> bool:
    """Whether a build file at the top of ``folder`` asks git for something."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if _BUILD_FILES.fullmatch(name) and os.path.isfile(path):
            with open(path, encoding="utf-8", errors="replace") as file:
                if _ASKS_GIT.search(file.read(1 << 20)):
                    return True
    return False


def git(folder: str, *arguments: str, environment: t.Mapping[str, str] | None = None) -> str:
    """Run git on the repository in ``folder``; its output. Raises SourceError.

    Nothing that the repository's own configuration names is run, and it may be another user's.
    """
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false"]
    command += ["-c", "core.quotePath=false", "-C", folder, *arguments]
    try:
        status, output, errors = run_program(
            command,
            environment={
                **os.environ,
                "LC_ALL": "C.UTF-8",
                "GIT_OPTIONAL_LOCKS": "0",
                **(environment or {}),
            },
        )
    except OSError as error:
        raise SourceError(f"cannot run git: {error.strerror}") from error
    if status:
        reason = os.fsdecode(errors).strip().splitlines()[-1:] or ["no reason given"]
        raise SourceError(f"git {arguments[0]} fails in {folder}: {reason[0]}")
    return os.fsdecode(output)


def _is_repository(folder: str) -> bool:
    """Whether git tracks something in the folder."""
    try:
        return bool(git(folder, "ls-files", "-z", "--cached", "--", "."))
    except SourceError:
        return False


def _git_files(folder: str, packed: Packed, below: str = "") -> list[str]:
    """What git tracks and what it does not ignore, of submodules, too."""
    place = os.path.join(folder, below)
    own = _own_ignores(folder)
    tracked = _split(git(place, "ls-files", "-z", "--cached"))
    # Git insists on something to ignore.
    ignored = _split(git(place, "ls-files", "-z", "--cached", "--ignored", *own)) if own else []
    others = ["ls-files", "-z", "--others", "--exclude-standard"]
    kept = set(_split(git(place, *others)))
    with _products() as products:
        new = set(_split(git(place, *others, products, *own)))
    new -= {name for name in new if _is_program(os.path.join(place, name))}
    packed.left += [os.path.join(below, name) for name in sorted(kept - new)]
    names = []
    for name in sorted((set(tracked) - set(ignored)) | new):
        path = os.path.join(place, name)
        if os.path.isdir(path) and not os.path.islink(path):
            # A submodule, or a repository within this one.
            if os.path.exists(os.path.join(path, ".git")):
                names += _git_files(folder, packed, os.path.join(below, name.rstrip("/")))
        elif os.path.lexists(path):
            names.append(os.path.join(below, name))
    return names


def _all_files(folder: str, packed: Packed) -> list[str]:
    """All files, links and empty folders but for products and what is ignored."""
    left = _ignored(folder, packed)
    names: list[str] = []
    for place, folders, files in os.walk(folder):
        here = os.path.relpath(place, folder)
        for name in sorted(folders):
            path = os.path.normpath(os.path.join(here, name))
            full = os.path.join(place, name)
            if name == ".git" or path in left or _is_product_folder(full):
                folders.remove(name)
                packed.left.append(f"{path}/")
            elif os.path.islink(full):
                folders.remove(name)
                names.append(path)
        if not folders and not files and here != ".":
            names.append(here)
        configured = "config.status" in files
        for name in sorted(files):
            path = os.path.normpath(os.path.join(here, name))
            made = configured and f"{name}.in" in files
            if path in left or made or _is_program(os.path.join(place, name)):
                packed.left.append(path)
            else:
                names.append(path)
    if packed.left:
        _keep_wanted(folder, packed, names)
    return names


def _keep_wanted(folder: str, packed: Packed, names: list[str]) -> None:
    """Take back what a line of the ignore file wants to be kept: one that begins with `!`."""
    path = os.path.join(folder, IGNORE_FILE)
    if not os.path.isfile(path):
        return
    with open(path, encoding="utf-8", errors="replace") as file:
        wanted = {line[1:].strip().strip("/") for line in file if line.startswith("!")}
    kept = [name for name in packed.left if name.rstrip("/") in wanted]
    for name in kept:
        packed.left.remove(name)
        names.append(name.rstrip("/"))


def _ignored(folder: str, packed: Packed) -> set[str]:
    """What our list and the folder's own ignore file leave out, as git understands them."""
    with tempfile.TemporaryDirectory(prefix="bbot-ignore.") as place, _products() as products:
        try:
            git(place, "init", "--quiet", "--bare", ".")
            listed = git(
                folder,
                *(f"--git-dir={place}", f"--work-tree={folder}", "ls-files", "-z", "--others"),
                *("--ignored", "--directory", products, *_own_ignores(folder)),
            )
        except SourceError as error:
            if os.path.exists(os.path.join(folder, IGNORE_FILE)):
                raise SourceError(f"{IGNORE_FILE} needs git on this machine: {error}") from error
            packed.warnings.append(f"products of builds are packed, too: {error}")
            return set()
    return {os.path.normpath(name) for name in _split(listed)}


def _own_ignores(folder: str) -> list[str]:
    path = os.path.join(folder, IGNORE_FILE)
    return [f"--exclude-from={path}"] if os.path.isfile(path) else []


class _products:
    """The list of products in a file, as an option of git, for the length of a with statement."""

    def __enter__(self) -> str:
        self._file = tempfile.NamedTemporaryFile("w", prefix="bbot-products.", encoding="utf-8")
        self._file.write(PRODUCTS)
        self._file.flush()
        return f"--exclude-from={self._file.name}"

    def __exit__(self, *_facts: object) -> None:
        self._file.close()


def _split(text: str) -> list[str]:
    return [name for name in text.split("\0") if name]


def _is_product_folder(path: str) -> bool:
    return any(os.path.exists(os.path.join(path, mark)) for mark in _PRODUCT_FOLDERS)


def _is_program(path: str) -> bool:
    """Whether a file is a program or library that was linked here: it would not be linked anew."""
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
            return False
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _add(archive: tarfile.TarFile, folder: str, name: str, packed: Packed) -> None:
    """Add a file, link or empty folder; a file that changes meanwhile is a warning."""
    path = os.path.join(folder, name)
    status = os.lstat(path)
    info = tarfile.TarInfo(f"./{name}")
    info.mode, info.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
    if stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
        archive.addfile(info)
    elif stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    elif stat.S_ISREG(status.st_mode):
        info.size = status.st_size
        with open(path, "rb") as file:
            content = _Steady(file, info.size)
            archive.addfile(info, t.cast(t.IO[bytes], content))
            if content.missing or os.fstat(file.fileno()).st_size != info.size:
                packed.warnings.append(f"{name} changed while it was packed")
    else:
        packed.warnings.append(f"{name} is no file, folder or link, and was left out")
        return
    packed.files += 1


class _Steady:
    """As many bytes of a file as it had; what is missing is made up with zeros."""

    def __init__(self, file: t.IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self.missing = False

    def read(self, size: int) -> bytes:
        data = self._file.read(min(size, self._left))
        if len(data) < min(size, self._left):
            self.missing = True
            data = data.ljust(min(size, self._left), b"\0")
        self._left -= len(data)
        return data


def _add_history(archive: tarfile.TarFile, folder: str, packed: Packed) -> None:
    """Add a clone of the repository's history, with none of its configuration and hooks."""
    top = git(folder, "rev-parse", "--show-toplevel").rstrip("\n")
    if os.path.realpath(top) != os.path.realpath(folder):
        packed.warnings.append(
            f"the build asks git, and {folder} is a part of the repository {top}: its history is "
            "left out"
        )
        return
    with tempfile.TemporaryDirectory(prefix="bbot-history.") as place:
        clone = os.path.join(place, "clone")
        git(place, "clone", "--quiet", "--no-checkout", "--no-hardlinks", "--local", top, clone)
        git(clone, "remote", "remove", "origin")
        git(clone, "reset", "--quiet")
        archive.add(os.path.join(clone, ".git"), "./.git", filter=_anonymous)


def _anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info
