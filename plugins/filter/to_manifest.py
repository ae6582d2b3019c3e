# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter `to_manifest`; its documentation lies beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.writer import (
    Style,
    serialize,
)


def to_manifest(data: Any, style: Style = "old", long_lines: bool = False) -> str:
    """Return the text of the manifests in plain data. Raises `AnsibleFilterError`."""
    try:
        manifests = [_manifest(each) for each in _manifests(data)]
        return serialize(manifests, long_lines, style)
    except ValueError as exc:
        raise AnsibleFilterError(str(exc)) from exc


def _manifests(data: Any) -> list[Any]:
    """Return the manifests, each in one of its shapes, that the data holds."""
    if isinstance(data, Mapping):
        return [data]
    if not isinstance(data, (list, tuple)):
        raise ValueError(f"a mapping or a list is wanted, not a value of type {_type(data)}")
    return [data] if data and all(map(_is_pair, data)) else list(data)


def _manifest(data: Any) -> Manifest:
    manifest = Manifest()
    if isinstance(data, Mapping):
        for name, value in data.items():
            for one in value if isinstance(value, (list, tuple)) else [value]:
                manifest.append(str(name), _text(name, one))
    elif isinstance(data, (list, tuple)):
        for item in data:
            if not _is_pair(item):
                raise ValueError(f"{item!r} is no pair: a mapping of 'name' and 'value' is wanted")
            manifest.append(str(item["name"]), _text(item["name"], item["value"]))
    else:
        raise ValueError(f"a manifest is a mapping or a list of pairs, not {_type(data)}")
    return manifest


def _is_pair(item: Any) -> bool:
    return isinstance(item, Mapping) and set(item) == {"name", "value"}


def _text(name: Any, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    raise ValueError(f"the value of '{name}' is of type {_type(value)}: put it in quotes")


def _type(value: Any) -> str:
    return type(value).__name__


class FilterModule:
    """Where Ansible finds the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file by name."""
        return {"to_manifest": to_manifest}
