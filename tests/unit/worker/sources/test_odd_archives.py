# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever an archive is, it is unpacked or refused: within its folder, soon, and within bounds."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest
from bbot_worker.account import Account
from bbot_worker.errors import WorkerError
from bbot_worker.sources import archive, place
from odd.hostile import hostile
from odd.mutated import mutated

ROOM = 4 << 20
# Seconds for one archive, on a machine with other things to do.
SECONDS = 30
# How many damaged archives of each kind: at every run, and by -m long.
EACH = [150, pytest.param(1000, marks=pytest.mark.long)]


class Yard:
    """A folder to unpack in, beside one that is to stay as it is."""

    def __init__(self, folder: Path, account: Account) -> None:
        self.folder, self.account = folder, account
        self.verdicts: Counter[str] = Counter()
        (folder / "canary").mkdir()
        (folder / "canary/file").write_text("mine")
        os.utime(folder / "canary/file", (1, 1))
        self.before = self.look()

    def look(self) -> list[tuple[str, int, int, float]]:
        found = []
        for path in [self.folder, *self.folder.iterdir(), *(self.folder / "canary").iterdir()]:
            status = path.lstat()
            mtime = status.st_mtime if path.parent.name == "canary" else 0.0
            found.append((str(path), status.st_mode, status.st_nlink, mtime))
        return sorted(found)

    def unpack(self, data: bytes, what: str) -> str:
        """Return the error, empty if there is none."""
        path, tree = self.folder.parent / "archive", self.folder / "tree"
        path.write_bytes(data)
        started, error = time.monotonic(), ""
        try:
            project = archive.unpack(str(path), str(tree), self.account)
            assert Path(project).is_relative_to(tree), what
            self.verdicts["ok"] += 1
        except WorkerError as raised:
            assert raised.status == "error", what
            error = str(raised)
            assert error, what
            self.verdicts["error"] += 1
        assert time.monotonic() - started < SECONDS, what
        size = 0
        for parent, _folders, names in os.walk(os.fsencode(tree)):
            size += sum(os.lstat(os.path.join(parent, name)).st_size for name in names)
        assert size <= ROOM, what
        shutil.rmtree(os.fsencode(tree))
        assert self.look() == self.before, what
        return error


@pytest.fixture(name="yard")
def yard_fixture(tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch) -> Yard:
    for module in (place, archive):
        monkeypatch.setattr(module, "free", lambda _: (ROOM, 20_000))
    monkeypatch.setattr(archive, "_OVERHEAD", 16 << 20)
    (tmp_path / "yard").mkdir()
    return Yard(tmp_path / "yard", account)


@pytest.mark.parametrize("each", EACH)
@pytest.mark.parametrize("kind", ["tar", "gz", "bz2", "xz", "zip", "gem", "zst", "lz"])
def test_damaged_archives(yard: Yard, tmp_path: Path, kind: str, each: int) -> None:
    (tmp_path / "made").mkdir()
    for number, data in enumerate(mutated(kind, each, tmp_path / "made")):
        yard.unpack(data, f"{kind} {number}")
    assert sum(yard.verdicts.values()) == each
    # Neither is everything refused, nor nothing.
    assert min(yard.verdicts["ok"], yard.verdicts["error"]) > each // 100, yard.verdicts


def test_hostile_archives(yard: Yard) -> None:
    for what, data in hostile():
        error = yard.unpack(data, what)
        assert error or "bomb" not in what, what
        assert "memory" in error.lower() or what != "large dictionary", error
    assert sum(yard.verdicts.values()) >= 200
