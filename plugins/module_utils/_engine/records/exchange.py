# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What agent and controller send each other. Sources: brep, bbot's manual, the 2017 agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from ..formats import base64 as _base64
from ..formats.manifest.model import Manifest
from ..formats.version import StandardVersion
from .base import Field, Record, no_more, nth_of
from .machine import MachineHeader
from .result import Result
from .task import Task
from .values import check_sha256, check_url, one_of, to_uint64, to_version


@dataclass(frozen=True)
class TaskRequest(Record):
    """An agent asks a controller for a task: a header, then a manifest for each machine.

    A controller rejects fields that it does not know: set those newer than 2017 only if needed.
    """

    KIND: ClassVar[str] = "task request"
    SUBJECT: ClassVar[str] = "task request"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("agent", required=True),
        Field("toolchain-name", required=True),
        Field("toolchain-version", to_version, required=True),
        Field("interactive-mode", one_of("false", "true", "both")),
        Field("interactive-login"),
        Field("fingerprint", check_sha256),
        Field("auxiliary-ram", to_uint64),
    )

    agent: str
    """The agent's host name."""
    toolchain_name: str
    toolchain_version: StandardVersion
    machines: tuple[MachineHeader, ...]
    """One at least."""
    interactive_mode: Literal["false", "true", "both"] | None = field(default=None, kw_only=True)
    interactive_login: str | None = field(default=None, kw_only=True)
    fingerprint: str | None = field(default=None, kw_only=True)
    """SHA-256 of the agent's public key, 64 lower-case hexadecimal digits."""
    auxiliary_ram: int | None = field(default=None, kw_only=True)
    """KiB; None is no limit."""

    @classmethod
    def from_manifests(cls, manifests: Sequence[Manifest], *, strict: bool = False) -> Self:
        """Read the header and the machines. Raises `ManifestError`."""
        header = nth_of(manifests, 0, cls.KIND)
        values = cls.read(header, strict)
        if len(manifests) < 2:
            raise header.error_at_value(header.end, "no task request machines specified")
        machines = (MachineHeader.from_manifest(each, strict=strict) for each in manifests[1:])
        return cls(**values, machines=tuple(machines), origin=header.copy())

    @classmethod
    def read(cls, manifest: Manifest, strict: bool) -> dict[str, Any]:
        """Return the header's attributes. Raises `ManifestError`."""
        values = super().read(manifest, strict)
        interactive = values.get("interactive_mode", "false") != "false"
        if interactive and "interactive_login" not in values:
            raise cls.missing(manifest, "interactive-login")
        return values

    def to_manifests(self) -> list[Manifest]:
        """Return the header's manifest and the machines'."""
        return [self.to_manifest(), *(machine.to_manifest() for machine in self.machines)]


@dataclass(frozen=True)
class TaskResponse(Record):
    """A controller's answer to a task request: a header and, with a session, a task."""

    KIND: ClassVar[str] = "task response"
    SUBJECT: ClassVar[str] = "task response"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("session", required=True, may_be_empty=True),
        Field("challenge", check_sha256),
        Field("result-url", check_url),
        Field("*-upload-url", check_url, attribute="upload_urls"),
        Field("agent-checksum", may_be_empty=True),
    )

    session: str
    """Opaque; empty if there is no task."""
    task: Task | None = None
    challenge: str | None = field(default=None, kw_only=True)
    """What to sign; there if the controller authenticates agents."""
    result_url: str | None = field(default=None, kw_only=True)
    """Where to send the result; there if there is a task."""
    upload_urls: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """Type of artifact, such as `bindist`, to where to upload it."""
    agent_checksum: str | None = field(default=None, kw_only=True)

    @classmethod
    def from_manifests(cls, manifests: Sequence[Manifest], *, strict: bool = False) -> Self:
        """Read the header and the task. Raises `ManifestError`."""
        header = nth_of(manifests, 0, cls.KIND)
        values = cls.read(header, strict)
        if not values["session"]:
            no_more(manifests, 1, cls.KIND)
            return cls(**values, origin=header.copy())
        task = Task.from_manifest(nth_of(manifests, 1, Task.KIND), strict=strict)
        no_more(manifests, 2, Task.KIND)
        return cls(**values, task=task, origin=header.copy())

    @classmethod
    def read(cls, manifest: Manifest, strict: bool) -> dict[str, Any]:
        """Return the header's attributes: nothing but a session if that is empty."""
        values = super().read(manifest, strict)
        if values["session"]:
            if "result_url" not in values:
                raise cls.missing(manifest, "result-url")
            return values
        for pair in manifest:
            if pair.name != "session" and cls.field_of(pair.name) is not None:
                raise manifest.error_at_name(
                    pair, f"unexpected {cls.label(pair.name)} with an empty session"
                )
        return values

    def to_manifests(self) -> list[Manifest]:
        """Return the header's manifest and the task's, if there is one."""
        header = self.to_manifest()
        return [header] if self.task is None else [header, self.task.to_manifest()]


@dataclass(frozen=True)
class ResultRequest(Record):
    """An agent reports a result to a controller: a header, then the result."""

    KIND: ClassVar[str] = "result request"
    SUBJECT: ClassVar[str] = "result request"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("session", required=True),
        Field("challenge", _base64.decode, write=_base64.encode),
        Field("agent-checksum", may_be_empty=True),
    )

    session: str
    """As in the task response."""
    result: Result
    challenge: bytes | None = field(default=None, kw_only=True)
    """The signature of the response's challenge; on the wire in base64."""
    agent_checksum: str | None = field(default=None, kw_only=True)

    @classmethod
    def from_manifests(cls, manifests: Sequence[Manifest], *, strict: bool = False) -> Self:
        """Read the header and the result. Raises `ManifestError`."""
        header = nth_of(manifests, 0, cls.KIND)
        values = cls.read(header, strict)
        result = Result.from_manifest(nth_of(manifests, 1, Result.KIND), strict=strict)
        no_more(manifests, 2, Result.KIND)
        return cls(**values, result=result, origin=header.copy())

    def to_manifests(self) -> list[Manifest]:
        """Return the header's manifest and the result's."""
        return [self.to_manifest(), self.result.to_manifest()]
