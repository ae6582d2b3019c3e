#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot
short_description: Manage subvolumes and snapshots
version_added: "0.1.0"
description:
  - Creates, snapshots, renames and deletes the subvolumes that machines are kept in, and makes them read-only or
    writable. They are subvolumes of btrfs, or directories that this collection treats like them on any file system.
  - All paths are absolute paths in the mounted tree. The file system is asked by ioctl; the C(btrfs) command is not needed.
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._attributes.actiongroup_agent
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description: The subvolume.
    type: path
    required: true
  state:
    description:
      - V(present) makes O(path) a snapshot of O(source), or an empty subvolume without O(source).
      - V(absent) deletes the subvolume, a read-only one too. A directory that is no subvolume is refused.
      - V(renamed) gives O(path) the name O(dest), atomically. Where only O(dest) exists there is nothing left to do.
    type: str
    choices: [present, absent, renamed]
    default: present
  source:
    description:
      - The subvolume to snapshot.
      - An existing O(path) must be a snapshot of it, made at any time; otherwise the module fails.
    type: path
  dest:
    description: The new path of the subvolume, on the same file system. Must not exist.
    type: path
  read_only:
    description:
      - Whether the subvolume is to be read-only. Without this option an existing one is left as it is,
        and a new one is writable.
      - A directory is so by the permissions of its files, which C(root) is not held by.
    type: bool
  storage:
    description:
      - What the subvolumes are. V(btrfs) are those of that file system, V(directory) are directories on any file
        system, each with a mark in it; a snapshot of one is a copy, which shares its blocks where the file system can
        do that.
      - V(auto) takes what is there for what it is, and makes subvolumes on btrfs and directories elsewhere.
    type: str
    choices: [auto, btrfs, directory]
    default: auto
seealso:
  - module: bbot.agent.machine_info
"""

EXAMPLES = r"""
---
- name: Keep a copy of a machine revision before working on it
  bbot.agent.snapshot:
    path: /build/machines/default/debian_12/.debian_12-1.4.work
    source: /build/machines/default/debian_12/debian_12-1.3

- name: Publish it
  bbot.agent.snapshot:
    path: /build/machines/default/debian_12/.debian_12-1.4.work
    dest: /build/machines/default/debian_12/debian_12-1.4
    state: renamed
    read_only: true

- name: Delete the old one
  bbot.agent.snapshot:
    path: /build/machines/default/debian_12/debian_12-1.3
    state: absent
"""

RETURN = r"""
snapshot:
  description: The subvolume after the change; in check mode what is known of it beforehand.
  returned: success
  type: dict
  contains:
    path:
      description: Where the subvolume is, or was.
      type: str
      sample: /build/machines/default/debian_12/debian_12-1.4
    exists:
      description: Whether it exists.
      type: bool
      sample: true
    read_only:
      description: Whether it is read-only.
      type: bool
      sample: true
    uuid:
      description: Its UUID; empty where it does not exist.
      type: str
      sample: c89d8f1e-8cbd-9845-95a4-af529276bdd6
    parent_uuid:
      description: The UUID of the subvolume it is a snapshot of; empty for one that is no snapshot.
      type: str
      sample: bc9c68cd-a054-cf41-ba09-b244c4356cc3
actions:
  description: What was done, or would be done in check mode, in order.
  returned: success
  type: list
  elements: str
  sample:
    - rename /build/machines/default/debian_12/.debian_12-1.4.work to /build/machines/default/debian_12/debian_12-1.4
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import (
    KINDS,
    make_storage,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    Storage,
    StorageError,
    Subvolume,
)


class Change:
    """The way from what is to what is wanted, noted step by step and taken unless checking."""

    def __init__(self, storage: Storage, check_mode: bool) -> None:
        self.storage = storage
        self.check_mode = check_mode
        self.actions: list[str] = []

    def do(self, text: str, step: t.Callable[[], None]) -> None:
        self.actions.append(text)
        if not self.check_mode:
            step()

    def set_read_only(self, path: str, old: bool, new: bool | None) -> bool:
        if new is None or new == old:
            return old
        text = f"make {path} {'read-only' if new else 'writable'}"
        self.do(text, lambda: self.storage.set_read_only(path, new))
        return new


def describe(path: str, subvolume: Subvolume | None) -> dict[str, t.Any]:
    return {
        "path": path,
        "exists": subvolume is not None,
        "read_only": subvolume is not None and subvolume.read_only,
        "uuid": subvolume.uuid if subvolume else "",
        "parent_uuid": subvolume.parent_uuid if subvolume else "",
    }


def subvolume_or_nothing(storage: Storage, path: str) -> Subvolume | None:
    """What is at ``path``; StorageError if that is something other than a subvolume."""
    found = storage.info(path)
    if found is None and os.path.lexists(path):
        raise StorageError(f"{path} exists and is not a subvolume; move it away first")
    return found


def present(
    change: Change, path: str, source: str | None, read_only: bool | None
) -> dict[str, t.Any]:
    storage = change.storage
    origin = None
    if source is not None:
        origin = storage.info(source)
        if origin is None:
            raise StorageError(f"source {source} is not a subvolume")
    found = subvolume_or_nothing(storage, path)
    if found is not None:
        if origin is not None and found.parent_uuid != origin.uuid:
            raise StorageError(
                f"{path} exists and is not a snapshot of {source}; delete it or choose another path"
            )
        change.set_read_only(path, found.read_only, read_only)
    else:
        storage.check(os.path.dirname(path))
        if source is not None:
            change.do(
                f"snapshot {source} to {path}",
                lambda: storage.snapshot(source, path, read_only=bool(read_only)),
            )
        else:
            change.do(f"create {path}", lambda: storage.create(path))
            change.set_read_only(path, False, read_only)
    wanted = describe(path, found)
    wanted.update(exists=True)
    if read_only is not None:
        wanted.update(read_only=read_only)
    return wanted


def absent(change: Change, path: str) -> dict[str, t.Any]:
    if subvolume_or_nothing(change.storage, path) is not None:
        change.do(f"delete {path}", lambda: change.storage.delete(path))
    return describe(path, None)


def renamed(change: Change, path: str, dest: str, read_only: bool | None) -> dict[str, t.Any]:
    storage = change.storage
    found = subvolume_or_nothing(storage, path)
    there = subvolume_or_nothing(storage, dest)
    if found is not None and there is not None:
        raise StorageError(f"cannot rename {path}: {dest} exists already; delete one of them")
    if found is None and there is None:
        raise StorageError(f"cannot rename {path} to {dest}: neither exists")
    if found is not None:
        # Read-only first: under its final name it is never seen writable.
        change.set_read_only(path, found.read_only, read_only or None)
        change.do(f"rename {path} to {dest}", lambda: storage.rename(path, dest))
        if read_only is False:
            change.set_read_only(dest, found.read_only, False)
    elif there is not None:
        change.set_read_only(dest, there.read_only, read_only)
    wanted = describe(dest, found or there)
    if read_only is not None:
        wanted.update(read_only=read_only)
    return wanted


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {
                "type": "str",
                "choices": ["present", "absent", "renamed"],
                "default": "present",
            },
            "source": {"type": "path"},
            "dest": {"type": "path"},
            "read_only": {"type": "bool"},
            "storage": {"type": "str", "choices": list(KINDS), "default": "auto"},
        },
        required_if=[("state", "renamed", ["dest"])],
        supports_check_mode=True,
    )
    params = module.params
    state, path = params["state"], params["path"]
    for name in ("path", "source", "dest"):
        if params[name] is not None and not os.path.isabs(params[name]):
            module.fail_json(msg=f"{name} must be an absolute path, not {params[name]!r}")
    for name, only in (("source", "present"), ("dest", "renamed")):
        if params[name] is not None and state != only:
            module.fail_json(msg=f"{name} goes with state={only} only, not with state={state}")

    storage = make_storage(params["storage"])
    change = Change(storage, module.check_mode)
    final = params["dest"] if state == "renamed" else path
    try:
        before = [describe(name, storage.info(name)) for name in sorted({path, final})]
        if state == "present":
            wanted = present(change, path, params["source"], params["read_only"])
        elif state == "absent":
            wanted = absent(change, path)
        else:
            wanted = renamed(change, path, params["dest"], params["read_only"])
        if not module.check_mode:
            wanted = describe(final, storage.info(final))
    except StorageError as error:
        module.fail_json(msg=str(error))

    after = [wanted]
    if final != path:
        after = sorted([wanted, describe(path, None)], key=lambda one: one["path"])
    module.exit_json(
        changed=bool(change.actions),
        snapshot=wanted,
        actions=change.actions,
        diff={"before": {"subvolumes": before}, "after": {"subvolumes": after}},
    )


if __name__ == "__main__":
    main()
