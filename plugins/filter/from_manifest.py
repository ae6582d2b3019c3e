# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter `from_manifest`; its documentation lies beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from ansible.errors import AnsibleFilterError
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)


def from_manifest(
    text: str | bytes,
    shape: Literal["pairs", "mapping"] = "pairs",
    single: bool = False,
    name: str = "<input>",
) -> Any:
    """Return the manifests of a text as plain data. Raises `AnsibleFilterError`."""
    if not isinstance(text, (str, bytes)):
        raise AnsibleFilterError(f"text is wanted, not a value of type {type(text).__name__}")
    if shape not in ("pairs", "mapping"):
        raise AnsibleFilterError(f"shape is {shape!r}: choose 'pairs' or 'mapping'")
    try:
        manifests = parse(text, name)
    except ManifestError as exc:
        raise AnsibleFilterError(str(exc)) from exc
    shaped = [_pairs(each) if shape == "pairs" else _mapping(each) for each in manifests]
    if not single:
        return shaped
    if len(shaped) != 1:
        raise AnsibleFilterError(
            f"{name} holds {len(shaped)} manifests, and single=true wants exactly one"
        )
    return shaped[0]


def _pairs(manifest: Manifest) -> list[dict[str, str]]:
    return [{"name": pair.name, "value": pair.value} for pair in manifest]


def _mapping(manifest: Manifest) -> dict[str, str | list[str]]:
    mapping: dict[str, str | list[str]] = {}
    for name in manifest.names():
        values = manifest.getall(name)
        mapping[name] = values if len(values) > 1 else values[0]
    return mapping


class FilterModule:
    """Where Ansible finds the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"from_manifest": from_manifest}
