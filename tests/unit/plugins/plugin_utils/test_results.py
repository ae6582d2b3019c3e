# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What brings results home trusts nothing that the build host says or sends."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.bbot.agent.plugins.plugin_utils._results import (
    check_logs,
    unpack_results,
)

NAME = "hello-1.0-20261123T150102-4711"


def pack(*members: tarfile.TarInfo, content: bytes = b"updated\n") -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed


def member(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o600) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, "/etc/passwd"
    return info


def test_results_come_home_without_rights_of_their_own(tmp_path: Path) -> None:
    archive = pack(
        member(".", tarfile.DIRTYPE, 0o700),
        member("./machine", tarfile.DIRTYPE, 0o1777),
        member("./machine/console.log"),
        member("./update.log", mode=0o6755),
    )
    home = tmp_path / "results" / NAME
    unpack_results(archive, str(home))
    modes = {
        str(path.relative_to(home)): oct(path.stat().st_mode & 0o7777) for path in home.rglob("*")
    }
    assert modes == {"machine": "0o755", "machine/console.log": "0o644", "update.log": "0o755"}
    assert (home / "update.log").read_text() == "updated\n"


def test_a_name_is_one() -> None:
    assert check_logs(f"/var/log/{NAME}") == NAME


@pytest.mark.parametrize(
    "logs",
    ["/x/..", f"/x/{NAME}/..", f"/x/.{NAME}", f"/x/{NAME}\nx", f"{NAME}", "", None, 1, ["/x"]],
)
def test_a_strange_name_is_refused(logs: object) -> None:
    with pytest.raises(AnsibleActionFail, match="nothing was fetched from there"):
        check_logs(logs)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (member("link", tarfile.SYMTYPE), "neither a file nor a folder"),
        (member("link", tarfile.LNKTYPE), "neither a file nor a folder"),
        (member("pipe", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (member("device", tarfile.CHRTYPE), "neither a file nor a folder"),
        (member("../out"), "leads out of their folder"),
        (member("x/../../out"), "leads out of their folder"),
        (member("/etc/out"), "leads out of their folder"),
    ],
)
def test_what_is_no_result_keeps_all_of_it_out(
    tmp_path: Path, bad: tarfile.TarInfo, words: str
) -> None:
    home = tmp_path / "results" / NAME
    with pytest.raises(AnsibleActionFail, match=words):
        unpack_results(pack(member("update.log"), bad), str(home))
    assert not home.exists()


@pytest.mark.parametrize("damage", ["cut", "twice", "garbage"])
def test_a_damaged_archive_is_told(tmp_path: Path, damage: str) -> None:
    whole = pack(member("update.log"), content=bytes(range(256)) * 400)
    if damage == "cut":
        whole = io.BytesIO(whole.getvalue()[:-40])
    elif damage == "twice":
        whole = pack(member("update.log"), member("update.log"))
    else:
        whole = io.BytesIO(b"garbage" * 100)
    with pytest.raises(AnsibleActionFail, match="The results cannot be unpacked"):
        unpack_results(whole, str(tmp_path / "home"))
