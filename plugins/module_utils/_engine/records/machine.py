# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Typed manifests about machines and what they are bootstrapped with.

Sources: bbot's manual, brep, and the 2017 agent for the bootstrapped machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from ..formats.manifest.model import Manifest
from ..formats.version import StandardVersion
from .base import Field, Message, Record, no_more, nth_of
from .values import check_mac, check_some_words, one_of, split_words, to_uint64, to_version


@dataclass(frozen=True, kw_only=True)
class MachineHeader(Record):
    """A machine as it is offered to a controller."""

    KIND: ClassVar[str] = "machine header"
    SUBJECT: ClassVar[str] = "machine"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("id", required=True),
        Field("name", required=True),
        Field("summary", required=True),
        Field("role", one_of("build", "auxiliary")),
        Field("ram-minimum", to_uint64),
        Field("ram-maximum", to_uint64),
    )

    id: str
    """Changes whenever the machine may behave differently."""
    name: str
    summary: str
    role: Literal["build", "auxiliary"] | None = None
    ram_minimum: int | None = None
    """KiB."""
    ram_maximum: int | None = None
    """KiB."""

    @property
    def effective_role(self) -> Literal["build", "auxiliary"]:
        """The role, `build` unless said otherwise."""
        return self.role or "build"

    def ram_within(self, usual: int) -> int:
        """Return the memory of a machine where `usual` KiB are usual, within its own bounds."""
        ram = max(usual, self.ram_minimum or 0)
        return min(ram, self.ram_maximum or ram)

    @classmethod
    def read(cls, manifest: Manifest, strict: bool) -> dict[str, Any]:
        """Return the attributes; the RAM bounds must be in order. Raises `ManifestError`."""
        values = super().read(manifest, strict)
        low, high = values.get("ram_minimum"), values.get("ram_maximum")
        pair = manifest.find("ram-maximum")
        if pair is not None and low is not None and high is not None and low > high:
            raise manifest.error_at_value(
                pair, f"invalid machine ram maximum: {high} is less than the minimum of {low}"
            )
        return values


@dataclass(frozen=True, kw_only=True)
class MachineManifest(MachineHeader):
    """The file `manifest` of a machine: its header and how to start it.

    The header's fields are written first, as bbot wants them; they are read in any order.
    """

    KIND: ClassVar[str] = "machine"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        *MachineHeader.FIELDS,
        Field("type", one_of("kvm", "nspawn"), required=True),
        Field("mac", check_mac),
        Field("options", check_some_words),
        Field("changes", repeats=True, may_be_empty=True),
    )

    type: Literal["kvm", "nspawn"]
    mac: str | None = None
    """The Ethernet address, `xx:xx:xx:xx:xx:xx`. Without one the first bootstrap makes one up."""
    options: str | None = None
    """Replace our own options for network and disks; see `option_words`."""
    changes: tuple[str, ...] = ()
    """What changed with which version; for people."""

    @property
    def option_words(self) -> list[str]:
        """The options split at blanks and newlines, one level of quotes removed."""
        return split_words(self.options or "")

    @property
    def header(self) -> MachineHeader:
        """What a controller is told of this machine."""
        return MachineHeader(
            id=self.id,
            name=self.name,
            summary=self.summary,
            role=self.role,
            ram_minimum=self.ram_minimum,
            ram_maximum=self.ram_maximum,
        )


@dataclass(frozen=True)
class ToolchainManifest(Record):
    """What a machine is bootstrapped with."""

    KIND: ClassVar[str] = "toolchain"
    SUBJECT: ClassVar[str] = "toolchain"
    FIELDS: ClassVar[tuple[Field, ...]] = (Field("id", required=True),)

    id: str
    """Changes whenever machines are to be bootstrapped anew: the toolchain's checksum."""


@dataclass(frozen=True)
class BootstrapResult(Record):
    """What a machine's worker reports when it has bootstrapped itself."""

    KIND: ClassVar[str] = "bootstrap result"
    SUBJECT: ClassVar[str] = "bootstrap"
    FIELDS: ClassVar[tuple[Field, ...]] = (Field("*-version", to_version, attribute="versions"),)

    versions: Mapping[str, StandardVersion] = field(default_factory=dict)
    """Package name, such as `bbot` or `libbutl`, to its version."""


@dataclass(frozen=True)
class BootstrappedMachine(Message):
    """The file `manifest` of a bootstrapped machine: a stream of three."""

    KIND: ClassVar[str] = "bootstrapped machine"

    machine: MachineManifest
    """Its `mac` is there: whoever bootstrapped the machine has settled it."""
    toolchain: ToolchainManifest
    bootstrap: BootstrapResult

    @classmethod
    def from_manifests(cls, manifests: Sequence[Manifest], *, strict: bool = False) -> Self:
        """Read the three manifests. Raises `ManifestError`."""
        machine = nth_of(manifests, 0, MachineManifest.KIND)
        toolchain = nth_of(manifests, 1, ToolchainManifest.KIND)
        bootstrap = nth_of(manifests, 2, BootstrapResult.KIND)
        no_more(manifests, 3, cls.KIND)
        if "mac" not in machine:
            raise MachineManifest.missing(machine, "mac")
        return cls(
            MachineManifest.from_manifest(machine, strict=strict),
            ToolchainManifest.from_manifest(toolchain, strict=strict),
            BootstrapResult.from_manifest(bootstrap, strict=strict),
        )

    def to_manifests(self) -> list[Manifest]:
        """Return the three manifests."""
        return [
            self.machine.to_manifest(),
            self.toolchain.to_manifest(),
            self.bootstrap.to_manifest(),
        ]
