# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Bringing results home from a build host, which may be another's by now: nothing is believed."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
import typing as t

from ansible.errors import AnsibleActionFail

_LOGS = re.compile(r"/.*/[A-Za-z0-9][A-Za-z0-9_.+~-]*-[0-9]{8}T[0-9]{6}-[0-9]+")


def check_logs(logs: t.Any) -> str:
    """The name of the folder ``logs`` of results. Raises AnsibleActionFail if it has none."""
    if not isinstance(logs, str) or not _LOGS.fullmatch(logs):
        raise AnsibleActionFail(
            f"The build host says that its logs are in {json.dumps(logs)}, which is no name of "
            "such a folder; nothing was fetched from there."
        )
    return os.path.basename(logs)


def unpack_results(archive: t.IO[bytes], home: str) -> None:
    """Unpack results, a tar file, in the new folder ``home``.

    Only files and folders are unpacked, as ours and without rights of their own; of anything
    else there is nothing at all. Raises AnsibleActionFail.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r:*") as packed:
            members = packed.getmembers()
            for member in members:
                _check(member)
            os.makedirs(home, exist_ok=True)
            for member in members:
                _unpack(packed, member, os.path.normpath(os.path.join(home, member.name)))
    except (tarfile.TarError, EOFError, OSError) as error:
        raise AnsibleActionFail(f"The results cannot be unpacked in {home}: {error}") from error


def _check(member: tarfile.TarInfo) -> None:
    if not member.isreg() and not member.isdir():
        raise AnsibleActionFail(
            "The build host sent what is neither a file nor a folder among the results: "
            f"{member.name!r}"
        )
    if member.name.startswith("/") or ".." in member.name.split("/"):
        raise AnsibleActionFail(
            f"The build host sent a result that leads out of their folder: {member.name!r}"
        )


def _unpack(packed: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    if member.isdir():
        os.makedirs(path, exist_ok=True)
        return
    content = packed.extractfile(member)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # A name that was there before would be another file's.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    mode = 0o755 if member.mode & 0o111 else 0o644
    with open(os.open(path, flags, mode), "wb") as file:
        if content is not None:
            shutil.copyfileobj(content, file)
