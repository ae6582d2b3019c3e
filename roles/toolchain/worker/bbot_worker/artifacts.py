# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build has made, packed for the way home.

One tar, ``upload.tar``, in the form of bbot's workers: ``upload/<type>/<instance>/<path>``. The
type is ``bindist``, or ``report`` for what tells of tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import stat
import tarfile

from .errors import WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO, Any

    from .drivers.base import Driver, Job

FILE = "upload.tar"
INSTALL = "install"
# Of all together: the agent takes 256 MiB of a guest unless told otherwise.
SIZE_MOST = 192 << 20
FILES_MOST = 2000
_NAME_MOST = 200
# The folders of the work directory that drivers build in.
_OURS = ("build", "dist", "reports")


def collect(driver: Driver) -> dict[str, Any]:
    """Pack what the task, or else its driver, wants brought home, into the work directory.

    Returns it for the report: ``artifacts``, each with type, path, size and digest, and
    ``uploads``, the file to upload with the same facts; empty if there is nothing. What is too
    much, and patterns of the task's own without a file, are said in the log as warnings. All
    processes of the build must have ended.
    """
    job = driver.job
    setting = job.task.settings.get("artifacts", "")
    if setting == "none":
        return {}
    patterns = [word for word in setting.split(",") if word]
    staged = _stage(driver) if INSTALL in patterns else ""
    packer = _Packer(driver)
    for pattern in patterns or driver.artifacts:
        found = 0
        for place, path in _find(job, pattern, staged or job.prefix):
            found += 1
            packer.add(place, path)
        if not found and patterns:
            packer.warn(f"no artifact matches '{pattern}'")
    if not patterns and driver.brings_installed and os.path.isdir(job.prefix):
        for path in match(job.prefix, "**"):
            packer.add(job.prefix, path)
    return packer.finish()


def _stage(driver: Driver) -> str:
    """Where the driver has installed the build for us alone, if it had not been installed."""
    if os.path.isdir(driver.job.prefix):
        return driver.job.prefix
    place = driver.job.runner.account.make_directory(os.path.join(driver.job.work, "staging"))
    try:
        driver.stage(place)
    except WorkerError as error:
        driver.job.runner.log.warn(f"nothing is installed for the artifacts: {error}")
    finally:
        driver.job.runner.account.end_processes()
    # What respects DESTDIR puts the prefix below it.
    inner = place + driver.job.prefix
    return inner if os.path.isdir(inner) else place


def _find(job: Job, pattern: str, installed: str) -> Iterator[tuple[str, str]]:
    """The files that match in the sources, or below the work directory; places and paths."""
    if pattern == INSTALL:
        yield from ((installed, path) for path in match(installed, "**"))
        return
    yield from ((job.work, path) for path in match(job.work, pattern, _OURS))
    yield from ((job.source, path) for path in match(job.source, pattern))


def match(place: str, pattern: str, only: tuple[str, ...] = ()) -> Iterator[str]:
    """The files below *place* that match, relative to it; links to folders are not followed.

    With *only* no other folders in it are looked into.
    """
    expression = re.compile(translate(pattern))
    for folder, folders, names in os.walk(place):
        folders.sort()
        if folder == place and only:
            folders[:] = [name for name in folders if name in only]
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), place)
            if expression.fullmatch(path):
                yield path


def translate(pattern: str) -> str:
    """Return the regular expression for a pattern of shell in which ``**`` spans folders."""
    parts = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            parts.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            parts.append(".*")
            at += 2
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at])))
            at += 1
    return "(?s:" + "".join(parts) + ")"


def _new_file(path: str) -> IO[bytes]:
    """A new file at *path*, whatever the build has put there, such as a link to root's."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


class _Packer:
    """Writes the archive as the files are found."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        task = driver.job.task
        self._instance = re.sub("[^A-Za-z0-9_.+-]", "_", f"{task.name}-{task.version}")[:_NAME_MOST]
        self._path = os.path.join(driver.job.work, FILE)
        self._file: IO[bytes] | None = None
        self._archive: tarfile.TarFile | None = None
        self._size = 0
        self._entries: dict[str, dict[str, Any]] = {}
        self._refused = 0

    def warn(self, text: str) -> None:
        self._driver.job.runner.log.warn(text)

    def add(self, place: str, path: str) -> None:
        """Add a file of the build's, if it is one: links, devices and odd names stay behind."""
        kind = "report" if re.search(r"(?:^|/)reports/|\.xml$|coverage", path) else "bindist"
        name = f"upload/{kind}/{self._instance}/{path}"
        if name in self._entries or len(path) > _NAME_MOST or not path.isprintable():
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            descriptor = os.open(os.path.join(place, path), flags)
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    return
                if self._size + status.st_size > SIZE_MOST or len(self._entries) >= FILES_MOST:
                    self._refused += 1
                    return
                self._write(name, kind, path, file.read(), status.st_mode)

    def _write(self, name: str, kind: str, path: str, data: bytes, mode: int) -> None:
        if self._archive is None:
            self._file = _new_file(self._path)
            self._archive = tarfile.TarFile(fileobj=self._file, mode="w")
        member = tarfile.TarInfo(name)
        member.size = len(data)
        member.mode = 0o755 if mode & 0o111 else 0o644
        self._archive.addfile(member, io.BytesIO(data))
        self._size += len(data)
        digest = hashlib.sha256(data).hexdigest()
        self._entries[name] = {"type": kind, "path": path, "size": len(data), "sha256": digest}

    def finish(self) -> dict[str, Any]:
        """Close the archive; what to report of it."""
        if self._refused:
            self.warn(
                f"{self._refused} artifacts are left out: more than {FILES_MOST} files or "
                f"{SIZE_MOST >> 20} MiB in all"
            )
        if self._archive is None or self._file is None:
            return {}
        self._archive.close()
        self._file.close()
        digest = hashlib.sha256()
        with open(self._path, "rb") as file:
            while data := file.read(1 << 20):
                digest.update(data)
        upload = {"name": FILE, "size": os.path.getsize(self._path), "sha256": digest.hexdigest()}
        return {"artifacts": list(self._entries.values()), "uploads": [upload]}
