# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Artifacts of a guest, packed by type and instance."""

from __future__ import annotations

import io
import tarfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.artifacts import (
    ArtifactError,
    repack,
)


def member(archive: tarfile.TarFile, name: str, text: str = "", **facts: t.Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(text)
    for fact, value in facts.items():
        setattr(info, fact, value)
    archive.addfile(info, io.BytesIO(text.encode()))


def test_artifacts_are_packed_by_instance(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    with tarfile.open(tmp_path / "artifacts" / "upload.tar", "w") as archive:
        member(archive, "upload/bindist/debian", type=tarfile.DIRTYPE, mode=0o4755)
        member(archive, "./upload/bindist/debian/hello.deb", "package", mode=0o644)
        member(archive, "upload/bindist/archive/hello.tar.gz", "archive")
        member(archive, "upload/other/x/y", "not asked for")
        member(archive, "upload/bindist/debian/../../../etc/passwd", "evil")
        member(archive, "upload/bindist/.hidden/x", "evil")
        member(archive, "stray", "stray")
    found = repack(str(tmp_path), ["bindist"])
    assert [(each.type, each.instance) for each in found] == [
        *(("bindist", "archive"), ("bindist", "debian")),
    ]
    with tarfile.open(found[1].path) as archive:
        assert archive.getnames() == ["debian", "debian/hello.deb"]
        content = archive.extractfile("debian/hello.deb")
        assert content is not None
        assert content.read() == b"package"
        assert archive.getmember("debian").mode == 0o755
    # The same bytes, however often they are asked for: the checksum must not change.
    checksum = found[1].sha256sum()
    assert repack(str(tmp_path), ["bindist"])[1].sha256sum() == checksum
    assert repack(str(tmp_path), []) == []
    assert repack(str(tmp_path / "none"), ["bindist"]) == []
    (tmp_path / "artifacts" / "upload.tar").write_bytes(b"garbage")
    with pytest.raises(ArtifactError, match="cannot unpack the artifacts"):
        repack(str(tmp_path), ["bindist"])
