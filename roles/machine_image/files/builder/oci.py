# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of containers in files: OCI's image layout, and what `docker save` writes.

Whatever is named by its digest is checked against it before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from typing import TypeVar

from layers import Layers
from programs import BuildError
from streams import Budget, opened
from target import Architecture
from tree import Tree

_T = TypeVar("_T")

_LONGEST_JSON = 4 << 20
_MOST_LAYERS = 256
_MOST_IMAGES = 256
_DEEPEST = 4
_INDICES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# What images call Debian's architectures, and the variants of these that will do.
_PLATFORMS = {
    "amd64": ("amd64", ("", "v1")),
    "arm64": ("arm64", ("", "v8")),
    "armhf": ("arm", ("", "v7")),
    "ppc64el": ("ppc64le", ("",)),
    "riscv64": ("riscv64", ("",)),
    "s390x": ("s390x", ("",)),
}


@dataclass(frozen=True)
class Layer:
    """One layer of an image: its file, and the SHA-256 of its archive, uncompressed."""

    path: str
    name: str
    digest: str


def is_layout(tree: Tree) -> bool:
    """Whether there is an image of a container in the *tree*, not a root file system."""
    here = set(os.listdir(tree.root))
    return {"oci-layout", "index.json"} <= here or (
        "manifest.json" in here and not here & {"bin", "etc", "usr"}
    )


def unpack(layout: Tree, architecture: Architecture, root: Tree, budget: Budget) -> Layers:
    """Lay out the image of the *architecture* in *root*. Raises BuildError."""
    layers = Layers(root, budget)
    for layer in _Layout(layout).layers(architecture):
        with opened(layer.path, layer.name, budget) as stream:
            layers.apply(stream, whiteouts=True)
            if stream.digest() != layer.digest:
                raise BuildError(
                    f"{layer.name} is damaged: its archive is not the one of SHA-256 {layer.digest}"
                )
    return layers


class _Layout:
    """The files of an image."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._images = 0

    def layers(self, architecture: Architecture) -> list[Layer]:
        """The layers of the image for the *architecture*, the lowest first. Raises BuildError."""
        if self._there("index.json"):
            version = self._object(self._read("oci-layout"), "oci-layout").get("imageLayoutVersion")
            if not isinstance(version, str) or not version.startswith("1."):
                raise BuildError(f"oci-layout is of a version {version!r}, which is not known here")
            return self._of_manifest(architecture)
        return self._of_archive(architecture)

    # OCI's layout.

    def _of_manifest(self, architecture: Architecture) -> list[Layer]:
        index = self._object(self._read("index.json"), "index.json")
        name, manifest = self._choose(self._manifests(index, "index.json", 0), architecture)
        layers = self._list(manifest, "layers", name)
        config = self._described(self._field(manifest, "config", dict, name), name)
        digests = self._diff_ids(self._object(*config), config[1], len(layers))
        made = []
        for descriptor, digest in zip(layers, digests, strict=True):
            path, blob = self._blob(self._is_object(descriptor, name), name)
            made.append(Layer(path, f"layer {blob}", digest))
        return made

    def _manifests(self, index: dict[str, object], name: str, depth: int) -> list[_Found]:
        """All images that an index leads to."""
        if depth > _DEEPEST:
            raise BuildError(f"{name}: there are more than {_DEEPEST} indices in one another")
        found: list[_Found] = []
        for entry in self._list(index, "manifests", name):
            self._images += 1
            if self._images > _MOST_IMAGES:
                raise BuildError(f"there are more than {_MOST_IMAGES} images in this layout")
            descriptor = self._is_object(entry, name)
            kind = descriptor.get("mediaType")
            if kind in _INDICES:
                below, blob = self._described(descriptor, name)
                found += self._manifests(self._object(below, blob), blob, depth + 1)
            elif kind in _MANIFESTS:
                platform = descriptor.get("platform")
                data, blob = self._described(descriptor, name)
                found.append(_Found(blob, self._object(data, blob), platform))
        return list({each.name: each for each in found}.values())

    def _choose(
        self, found: list[_Found], architecture: Architecture
    ) -> tuple[str, dict[str, object]]:
        wanted, variants = _PLATFORMS[architecture.name]
        fitting, others = [], []
        for each in found:
            platform = each.platform
            if not isinstance(platform, dict):
                # An image that stands alone says it in its configuration only.
                config = self._field(each.manifest, "config", dict, each.name)
                platform = self._object(*self._described(config, each.name))
            system, cpu = platform.get("os"), platform.get("architecture")
            variant = platform.get("variant") or ""
            if (system, cpu) == ("linux", wanted) and variant in variants:
                fitting.append(each)
            else:
                others.append(f"{system}/{cpu}{'/' if variant else ''}{variant}")
        if not fitting:
            raise BuildError(
                f"no image for linux/{wanted} in this layout; there are: "
                f"{', '.join(sorted(set(others))) or 'none'}"
            )
        if len(fitting) > 1:
            raise BuildError(
                f"there are {len(fitting)} images for linux/{wanted} in this layout: copy the one "
                "that is meant to a layout of its own ('skopeo copy oci:THIS:TAG oci:OTHER')"
            )
        return fitting[0].name, fitting[0].manifest

    def _described(self, descriptor: dict[str, object], where: str) -> tuple[bytes, str]:
        """The bytes that a descriptor means, and what to call them."""
        path, name = self._blob(descriptor, where)
        if os.path.getsize(path) > _LONGEST_JSON:
            raise BuildError(f"{name} has more than {_LONGEST_JSON} bytes")
        with open(path, "rb") as file:
            return file.read(), name

    def _blob(self, descriptor: dict[str, object], where: str) -> tuple[str, str]:
        """The file that a descriptor means, which is what it says, and what to call it."""
        digest = self._field(descriptor, "digest", str, where)
        size = self._field(descriptor, "size", int, where)
        match = re.fullmatch("sha256:([0-9a-f]{64})", digest)
        if not match:
            raise BuildError(f"{where}: {digest[:80]!r} is no digest of the kind sha256")
        path = self._there(f"blobs/sha256/{match[1]}")
        if not path:
            raise BuildError(f"{where} names the blob {digest}, which is not in this layout")
        if os.path.getsize(path) != size or _sha256(path) != match[1]:
            raise BuildError(f"the blob {digest} is damaged: its bytes are not those of its name")
        return path, digest

    # What docker saves.

    def _of_archive(self, architecture: Architecture) -> list[Layer]:
        name = "manifest.json"
        images = self._json(self._read(name), name)
        if not isinstance(images, list) or len(images) != 1:
            raise BuildError(f"{name} is not of one image: save the one that is meant alone")
        image = self._is_object(images[0], name)
        place = self._field(image, "Config", str, name)
        data = self._read(place)
        named = re.search("[0-9a-f]{64}", place)
        if named and hashlib.sha256(data).hexdigest() != named[0]:
            raise BuildError(f"{place} is damaged: its bytes are not those of its name")
        config = self._object(data, place)
        wanted = _PLATFORMS[architecture.name][0]
        system, cpu = config.get("os"), config.get("architecture")
        if (system, cpu) != ("linux", wanted):
            raise BuildError(f"this image is for {system}/{cpu}, not for linux/{wanted}")
        layers = self._list(image, "Layers", name)
        made = []
        for each, digest in zip(layers, self._diff_ids(config, place, len(layers)), strict=True):
            path = self._there(each) if isinstance(each, str) else None
            if not path:
                raise BuildError(f"{name} names the layer {each!r}, which is not in this archive")
            made.append(Layer(path, f"layer {each}", digest))
        return made

    # What both have.

    def _diff_ids(self, config: dict[str, object], name: str, count: int) -> list[str]:
        root = self._field(config, "rootfs", dict, name)
        digests = self._list(root, "diff_ids", name)
        if len(digests) != count or count > _MOST_LAYERS:
            raise BuildError(
                f"{name}: {count} layers with {len(digests)} digests; there have to be as many, "
                f"and {_MOST_LAYERS} at most"
            )
        made = []
        for digest in digests:
            match = (
                re.fullmatch("sha256:([0-9a-f]{64})", digest) if isinstance(digest, str) else None
            )
            if not match:
                raise BuildError(f"{name}: a diff_id is no digest of the kind sha256")
            made.append(match[1])
        return made

    def _there(self, path: str) -> str | None:
        """Where the file of the layout is on this host, if there is one."""
        place = self._tree.resolve(path)
        return place if os.path.isfile(place) else None

    def _read(self, path: str) -> bytes:
        data = self._tree.read(path, _LONGEST_JSON)
        if data is None:
            raise BuildError(f"{path[:200]} is not in this layout, or too long")
        return data

    def _json(self, data: bytes, name: str) -> object:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BuildError(f"{name} is no JSON: {error}") from error

    def _object(self, data: bytes, name: str) -> dict[str, object]:
        return self._is_object(self._json(data, name), name)

    def _is_object(self, value: object, name: str) -> dict[str, object]:
        if not isinstance(value, dict):
            raise BuildError(
                f"{name} is not what an image has: there is no object where one belongs"
            )
        return value

    def _list(self, value: dict[str, object], field: str, name: str) -> list[object]:
        return self._field(value, field, list, name)

    def _field(self, value: dict[str, object], field: str, kind: type[_T], name: str) -> _T:
        found = value.get(field)
        if not isinstance(found, kind):
            raise BuildError(f"{name} has no field {field}, or one of another kind")
        return found


@dataclass(frozen=True)
class _Found:
    """An image of a layout: the name of its manifest, that, and what it is said to be for."""

    name: str
    manifest: dict[str, object]
    platform: object


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
