# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of tar and images of containers, made by hand: good ones and bad ones."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import typing as t
from pathlib import Path


def entry(name: str, content: bytes | str | None = None, **facts: t.Any) -> tuple[t.Any, bytes]:
    """A member of an archive: a file with ``content``, else what ``type`` says, else a folder."""
    member = tarfile.TarInfo(name)
    data = content.encode() if isinstance(content, str) else content or b""
    member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    member.mode = 0o755 if content is None else 0o644
    member.size = len(data)
    for key, value in facts.items():
        setattr(member, key, value)
    return member, data


def link(name: str, target: str) -> tuple[t.Any, bytes]:
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def hard(name: str, target: str) -> tuple[t.Any, bytes]:
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


def archive(*entries: tuple[t.Any, bytes]) -> bytes:
    """An archive of these members, in their order."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as opened:
        for member, data in entries:
            opened.addfile(member, io.BytesIO(data))
    return made.getvalue()


INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Layout:
    """OCI's image layout in ``folder``, which grows by what is put into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes | object, media: str = "x") -> dict[str, t.Any]:
        """The descriptor of a new blob: bytes, or what becomes JSON."""
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        digest = hashlib.sha256(content).hexdigest()
        self.path(digest).write_bytes(content)
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(content)}

    def path(self, digest: str) -> Path:
        return self.folder / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def image(self, *layers: bytes, cpu: str = "amd64", **more: t.Any) -> dict[str, t.Any]:
        """The descriptor of an image of these layers; ``more`` is of its configuration."""
        sums = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
        config = {"os": "linux", "architecture": cpu, "rootfs": {"diff_ids": sums}, **more}
        manifest = {"config": self.blob(config), "layers": [self.blob(layer) for layer in layers]}
        return self.blob(manifest, MANIFEST)

    def index(self, *descriptors: dict[str, t.Any]) -> None:
        """Have these in the index."""
        text = json.dumps({"schemaVersion": 2, "manifests": descriptors})
        (self.folder / "index.json").write_text(text)


def docker_archive(*layers: bytes, cpu: str = "amd64") -> bytes:
    """What `docker save` writes of an image of these layers."""
    sums = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = {"os": "linux", "architecture": cpu, "rootfs": {"diff_ids": sums}}
    data = json.dumps(config).encode()
    name = f"{hashlib.sha256(data).hexdigest()}.json"
    places = [f"{number}/layer.tar" for number, _layer in enumerate(layers)]
    index = json.dumps([{"Config": name, "RepoTags": ["x:y"], "Layers": places}])
    files = [entry(place, layer) for place, layer in zip(places, layers, strict=True)]
    return archive(entry("manifest.json", index), entry(name, data), *files)
