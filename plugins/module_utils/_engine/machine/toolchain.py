# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The toolchain that guests fetch at bootstrap."""

from __future__ import annotations

import dataclasses
import os
import re

from ..formats.manifest.model import ManifestError
from ..formats.manifest.parser import parse
from ..host.host import Host, HostError
from ..records.machine import BootstrapResult, ToolchainManifest

# What names the toolchain and lists the versions expected of a bootstrap.
MANIFEST = "toolchain.manifest"

# The id of a toolchain that has none (bbot's agent): it is not compared.
NO_ID = "bogus"

# No dashes: what belongs to a toolchain is called <machine>-<toolchain>-<rest>.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+.]*")


@dataclasses.dataclass(frozen=True)
class Toolchain:
    """A toolchain: its name, its id, and the versions a bootstrap must report.

    ``directory`` is what a guest may fetch from: the real directory, so that one
    that is replaced meanwhile does not change under a bootstrap.
    """

    name: str
    id: str
    expected: BootstrapResult
    directory: str


def check_toolchain_name(name: str) -> str:
    """Return ``name`` if a toolchain may be called so. Raises HostError if not."""
    if not _NAME.fullmatch(name):
        raise HostError(
            f"{name!r} cannot be a toolchain's name: it is made of a letter first, then letters, "
            "digits, '_', '+' and '.'",
            temporary=False,
        )
    return name


def load_toolchain(host: Host, name: str, *, given_id: str = "", bare: bool = False) -> Toolchain:
    """The toolchain ``name`` of ``host``; HostError if it is not there or not usable.

    ``given_id`` replaces its own id. A ``bare`` one need have no manifest: nothing is
    expected of its bootstraps then, and without a given id none is compared (bbot).
    """
    check_toolchain_name(name)
    directory = os.path.realpath(os.path.join(host.tftp, "toolchains", name))
    path = os.path.join(directory, MANIFEST)
    try:
        with open(path, "rb") as file:
            manifests = parse(file.read(), path)
        if len(manifests) != 2:
            raise HostError(
                f"{path} holds {len(manifests)} manifests, not the two of a toolchain: "
                "its id and its expected versions"
            )
        toolchain = ToolchainManifest.from_manifest(manifests[0])
        expected = BootstrapResult.from_manifest(manifests[1])
    except FileNotFoundError as error:
        if bare:
            return Toolchain(name, given_id or NO_ID, BootstrapResult(), directory)
        raise HostError(
            f"no toolchain {name} in {os.path.join(host.tftp, 'toolchains')}; "
            "assemble it with the role bbot.agent.toolchain"
        ) from error
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    except ManifestError as error:
        raise HostError(f"toolchain {name} is not usable: {error}") from error
    return Toolchain(name, given_id or toolchain.id, expected, directory)
