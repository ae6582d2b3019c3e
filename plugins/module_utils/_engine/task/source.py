# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What people name as the source of a task: a folder, an archive, a `.dsc`, or a git reference."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import tempfile
import unicodedata

from ..records.values import check_package_name
from .pack import Packed, SourceError, git, pack_folder

# What guests fetch a packed folder as.
PACKED = "source.tar.gz"

_ARCHIVE = re.compile(
    r"(?i).*\.(?:tar(?:\.(?:gz|bz2|xz|zst|lz|lzma))?|tgz|tbz2?|txz|zip|crate|gem|whl)"
)
_REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*://|[\w.-]+@[\w.-]+:)\S+")
_FIELD = re.compile(r"(?m)^(Files|Checksums-Sha256):[ \t]*\n((?:[ \t]+\S.*\n?)+)")


@dataclasses.dataclass
class TaskSource:
    """Where a task's sources come from.

    ``fields`` are those of the task, ``files`` what its guest may fetch, by name, ``tree`` a
    folder or archive to be looked into, if there is one, ``name`` and ``version`` are for a task
    that has none, ``notes`` and ``warnings`` lines for people.
    """

    name: str
    fields: dict[str, str]
    version: str = "0.0.1"
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    tree: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


def find_source(text: str, cwd: str, work: str) -> TaskSource:
    """Return the source that ``text`` names, packed in the folder ``work``. Raises SourceError."""
    if _REMOTE.fullmatch(text):
        return _remote(text)
    path, _hash, reference = text.partition("#")
    whole = os.path.realpath(os.path.join(cwd, os.path.expanduser(text)))
    if os.path.exists(whole):
        path, reference = whole, ""
    else:
        path = os.path.realpath(os.path.join(cwd, os.path.expanduser(path)))
    if os.path.isdir(path):
        return _reference(path, reference, work) if reference else _folder(path, work)
    if not os.path.isfile(path):
        raise SourceError(f"there is no folder or file {path} to build")
    if path.endswith(".dsc"):
        return _debian(path)
    if _ARCHIVE.fullmatch(os.path.basename(path)):
        return _archive(path)
    raise SourceError(
        f"{path} is neither a folder, nor an archive (tar, zip, crate, gem, whl), nor a .dsc file"
    )


def _remote(url: str) -> TaskSource:
    place, _hash, _fragment = url.partition("#")
    name = re.sub(r"(?:\.git)?/?$", "", place.rstrip("/").rpartition("/")[2])
    is_git = place.endswith((".git", ".git/")) or url.startswith(("git", "ssh://")) or "@" in place
    archive = _ARCHIVE.fullmatch(place.rpartition("/")[2]) or place.endswith(".dsc")
    if archive and not is_git:
        return TaskSource(make_name(name), {"repository-url": url, "repository-type": "dir"})
    return TaskSource(make_name(name), {"repository-url": url, "repository-type": "git"})


def _folder(path: str, work: str) -> TaskSource:
    target = os.path.join(work, PACKED)
    packed = pack_folder(path, target)
    return _packed(path, target, packed, path)


def _packed(path: str, target: str, packed: Packed, tree: str) -> TaskSource:
    return TaskSource(
        name=make_name(os.path.basename(path)),
        fields={"repository-url": f"tftp:{PACKED}", "repository-type": "dir"},
        files={PACKED: target},
        tree=tree,
        notes=[f"packed {packed.describe()}"],
        warnings=packed.warnings,
    )


def _reference(path: str, reference: str, work: str) -> TaskSource:
    """A commit, tag or branch of a local repository, as a clean checkout."""
    if reference.startswith("-"):
        raise SourceError(f"'{reference}' is no name of a commit, tag or branch")
    clone = os.path.join(work, "checkout")
    git(work, "clone", "--quiet", "--no-checkout", "--no-hardlinks", "--local", path, clone)
    found = ""
    for name in (f"origin/{reference}", reference):
        try:
            found = git(clone, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
            break
        except SourceError:
            continue
    if not found:
        raise SourceError(f"the repository {path} has no commit, tag or branch '{reference}'")
    git(clone, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", found)
    target = os.path.join(work, PACKED)
    source = _packed(path, target, pack_folder(clone, target), clone)
    source.notes = [f"packed commit {found[:12]} ({reference}) of {path}"]
    return source


def _archive(path: str) -> TaskSource:
    name = safe_file_name(os.path.basename(path))
    stem = re.sub(r"(?i)(?:\.tar)?\.\w+$", "", os.path.basename(path))
    versioned = re.fullmatch(r"(.+?)[-_]v?(\d[A-Za-z0-9.+]*)", stem)
    return TaskSource(
        name=make_name(versioned[1] if versioned else stem),
        version=versioned[2] if versioned else TaskSource.version,
        fields={"repository-url": f"tftp:{name}", "repository-type": "dir"},
        files={name: path},
        tree=path,
        notes=[f"source: {path}"],
    )


def _debian(path: str) -> TaskSource:
    """A Debian source package: its `.dsc`, and the files that it names beside it."""
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read(1 << 20)
    names = sorted(
        {
            line.split()[-1]
            for _field, block in _FIELD.findall(text)
            for line in block.splitlines()
            if len(line.split()) == 3
        }
    )
    if not names:
        raise SourceError(f"{path} names no files: is it a Debian source package's .dsc?")
    files = {os.path.basename(path): path}
    for name in names:
        beside = os.path.join(os.path.dirname(path), name)
        if "/" in name or not os.path.isfile(beside):
            raise SourceError(f"{path} names {name}, which is not beside it")
        files[name] = beside
    package = re.search(r"(?m)^Source: *(\S+)", text)
    return TaskSource(
        name=make_name(package[1] if package else os.path.basename(path)),
        fields={"repository-url": f"tftp:{os.path.basename(path)}", "repository-type": "dir"},
        files=files,
        notes=[f"source: {path} with {', '.join(names)}"],
    )


def safe_file_name(name: str) -> str:
    """Return a name like that which a guest can ask for."""
    text = re.sub(r"[^A-Za-z0-9_.+-]", "_", name)
    return text if re.match("[A-Za-z0-9_]", text) and text != "manifest" else f"source_{text}"


def make_name(text: str) -> str:
    """Return a package name like ``text``, whatever that is (libbpkg's rules)."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub("[^A-Za-z0-9_+.-]+", "-", plain).strip("-_.")
    candidates = [name, f"project-{name}", "project"]
    for candidate in candidates:
        try:
            return check_package_name(candidate)
        except ValueError:
            continue
    raise AssertionError("the last candidate is a name")


def new_folder(place: str | None = None) -> str:
    """Make a folder for what is packed, for us alone; the caller removes it.

    It is in ``place``, by default where temporary files are.
    """
    return tempfile.mkdtemp(prefix="bbot-source.", dir=place)


def remove_folder(path: str) -> None:
    """Remove the folder and all in it."""
    shutil.rmtree(path, ignore_errors=True)
