# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Deletion of subvolumes, step by step: the kernel is played."""

from __future__ import annotations

import errno
import fcntl
import os
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage import btrfs as _btrfs
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.btrfs import Btrfs
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    StorageError,
    Subvolume,
)

DESTROY, SETFLAGS = "destroy", "set flags"
NAMES = {_btrfs._SNAP_DESTROY: DESTROY, _btrfs._SUBVOL_SETFLAGS: SETFLAGS}


@pytest.mark.parametrize(
    ("read_only", "failures", "steps", "error"),
    [
        # A quota that is full forbids to change flags, not to delete.
        (True, {SETFLAGS: errno.EDQUOT}, [DESTROY], ""),
        (False, {}, [DESTROY], ""),
        (True, {DESTROY: errno.EROFS}, [DESTROY, SETFLAGS, DESTROY], "Read-only|read-only"),
        (True, {DESTROY: errno.EPERM, SETFLAGS: errno.EDQUOT}, [DESTROY, SETFLAGS], "writable"),
        (False, {DESTROY: errno.EPERM}, [DESTROY], "not permitted"),
        (True, {DESTROY: errno.ENOTEMPTY}, [DESTROY], "it holds other subvolumes"),
    ],
)
def test_deletion_begins_with_nothing_that_is_not_needed(
    tmp_path: t.Any,
    monkeypatch: pytest.MonkeyPatch,
    read_only: bool,
    failures: dict[str, int],
    steps: list[str],
    error: str,
) -> None:
    done: list[str] = []

    def ioctl(_fd: int, number: int, buffer: bytearray) -> None:
        if (step := NAMES.get(number)) is None:
            buffer[:8] = (2).to_bytes(8, "little")
            return
        done.append(step)
        if step in failures:
            raise OSError(failures[step], os.strerror(failures[step]))

    path = str(tmp_path / "x")
    os.mkdir(path)
    storage = Btrfs()
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(storage, "info", lambda _path: Subvolume(path, "u", "", read_only, 1))
    if error:
        with pytest.raises(StorageError, match=error):
            storage.delete(path)
    else:
        storage.delete(path)
    assert done == steps
