#!/usr/bin/python

# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tftp_serve
short_description: Serve files over TFTP until an upload has arrived
version_added: "0.1.0"
description:
  - Runs a TFTP server for as long as the task takes, and returns what was transferred.
  - Downloads come from O(get_root), uploads go to O(put_root). Nobody gets out of these directories, not by a symbolic link either.
  - An upload appears under its name when it is complete, replacing an older file, and leaves nothing if it fails.
  - Speaks RFC 1350 with the options C(blksize), C(tsize), C(timeout), C(utimeout), C(windowsize) and C(rollover). All answers come from
    the port that was asked, so that address translation needs no helper.
  - Needs no TFTP daemon, and no package beyond Python.
author:
  - The bbot.agent founders (@bbot)
extends_documentation_fragment:
  - bbot.agent._attributes
  - bbot.agent._attributes.actiongroup_agent
attributes:
  check_mode:
    support: partial
    details:
      - Checks addresses and directories and says what would be served, but opens no port.
        Which uploads would arrive is not known, so no change is predicted.
  diff_mode:
    support: none
    details:
      - What changes is up to the clients.
  idempotent:
    support: none
    details:
      - Serves again each time, and reports a change if something was uploaded.
options:
  address:
    description:
      - The IPv4 address of this host to listen on. V(0.0.0.0) stands for all of them.
      - TFTP knows no passwords, so listen only where all peers are trusted, or set O(peer).
    type: str
    default: 127.0.0.1
  port:
    description:
      - The UDP port to listen on. Clients have to know it beforehand, so it cannot be left to chance.
      - Ports below 1024 need root.
    type: int
    default: 69
  get_root:
    description:
      - The directory to download from.
      - Without this option downloads are refused.
    type: path
  put_root:
    description:
      - The directory to upload to. Subdirectories are made as needed.
      - Without this option uploads are refused.
    type: path
  until:
    description:
      - The name of an upload, relative to O(put_root). The task ends as soon as it is complete, and fails if it is not within O(timeout).
      - Without this option the task serves until O(timeout) has passed, and succeeds.
    type: str
  timeout:
    description: How long to serve at most, in seconds.
    type: int
    default: 300
  upload_limit:
    description:
      - The largest upload to accept, in bytes or with a unit as in V(500M).
      - All uploads together may have four times as much.
    type: bytes
    default: 4G
  peer:
    description: The one IPv4 address that is listened to. Datagrams of others are ignored.
    type: str
seealso:
  - module: bbot.agent.machine_bootstrap
  - module: bbot.agent.task_run
"""

EXAMPLES = r"""
---
- name: Hand a task to a machine and wait for its result
  bbot.agent.tftp_serve:
    address: 172.16.123.1
    port: 23401
    get_root: /build/tftp/build/default/get
    put_root: /build/tftp/build/default/put
    until: result.manifest
    timeout: 3600
    upload_limit: 200M
    peer: 172.16.123.17
  register: served

- name: Show how fast it was
  ansible.builtin.debug:
    msg: "{{ item.operation }} {{ item.name }}: {{ (item.bytes / item.seconds / 1e6) | round(1) }} MB/s"
  loop: "{{ served.transfers | rejectattr('error') }}"
  loop_control:
    label: "{{ item.name }}"

- name: Offer a directory for ten minutes
  bbot.agent.tftp_serve:
    address: 0.0.0.0
    get_root: /srv/tftp
    timeout: 600
"""

RETURN = r"""
transfers:
  description:
    - The transfers that ended, in that order, refused and failed ones included; of very many, the last 1000.
  returned: always, but for a bad option
  type: list
  elements: dict
  contains:
    operation:
      description: Either V(get) or V(put).
      type: str
      sample: put
    name:
      description: The file name as requested; empty if the request could not be read.
      type: str
      sample: result.manifest
    peer:
      description: The client's address and port.
      type: str
      sample: 172.16.123.17:40321
    bytes:
      description: How much was transferred.
      type: int
      sample: 18734
    seconds:
      description: How long it took, from the request on.
      type: float
      sample: 0.012
    error:
      description: Why it was refused or failed; empty if it succeeded.
      type: str
      sample: ''
complete:
  description: Whether the upload O(until) has arrived; false without O(until).
  returned: always, but for a bad option
  type: bool
  sample: true
actions:
  description: What was done, or would be done in check mode.
  returned: always, but for a bad option
  type: list
  elements: str
  sample:
    - serve downloads from /build/tftp/build/default/get on 172.16.123.1:23401
    - take uploads into /build/tftp/build/default/put on 172.16.123.1:23401
"""

import collections
import os
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.files import split_name
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import (
    Event,
    Limits,
    Server,
    TftpError,
)

# A guest may ask for nonsense as often as it likes; the result must stay printable.
MOST_TRANSFERS = 1000


class Record:
    """The transfers that ended, and whether the awaited one was among them."""

    def __init__(self, until: str | None) -> None:
        self._until = split_name(until) if until is not None else None
        self.transfers: collections.deque[dict[str, t.Any]] = collections.deque(
            maxlen=MOST_TRANSFERS
        )
        self.complete = False
        self.uploaded = False

    def note(self, event: Event) -> None:
        if event.kind not in ("done", "failed", "refused"):
            return
        self.transfers.append(
            {
                "operation": event.operation,
                "name": event.name,
                "peer": f"{event.peer[0]}:{event.peer[1]}",
                "bytes": event.bytes,
                "seconds": round(event.seconds, 6),
                "error": event.error,
            }
        )
        if event.kind == "done" and event.operation == "put":
            self.uploaded = True
            if split_name(event.name) == self._until:
                self.complete = True


def complaint(params: dict[str, t.Any]) -> str | None:
    """What is wrong with the options, as far as the argument spec cannot tell."""
    for option in ("address", "peer"):
        value = params[option]
        try:
            if value is not None:
                socket.inet_pton(socket.AF_INET, value)
        except OSError:
            return f"{option}: {value!r} is not an IPv4 address; give one like 172.16.123.1"
    if not 0 < params["port"] < 65536:
        return f"port: {params['port']} is not a number from 1 to 65535; TFTP's own is 69"
    if params["timeout"] < 0:
        return f"timeout: {params['timeout']} is negative; give a number of seconds"
    for option, mode, use in (("get_root", os.R_OK, "readable"), ("put_root", os.W_OK, "writable")):
        path = params[option]
        if path is None:
            continue
        if not os.path.isdir(path):
            return f"{option}: there is no directory {path} on this host; create it first"
        if not os.access(path, mode | os.X_OK):
            return f"{option}: the directory {path} is not {use} for this user; change its mode"
    return None


def plan(params: dict[str, t.Any]) -> list[str]:
    where = f"{params['address']}:{params['port']}"
    actions = []
    if params["get_root"] is not None:
        actions.append(f"serve downloads from {params['get_root']} on {where}")
    if params["put_root"] is not None:
        actions.append(f"take uploads into {params['put_root']} on {where}")
    return actions


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 69},
            "get_root": {"type": "path"},
            "put_root": {"type": "path"},
            "until": {"type": "str"},
            "timeout": {"type": "int", "default": 300},
            "upload_limit": {"type": "bytes", "default": "4G"},
            "peer": {"type": "str"},
        },
        required_one_of=[("get_root", "put_root")],
        required_by={"until": ["put_root"]},
        supports_check_mode=True,
    )
    params = module.params
    wrong = complaint(params)
    if wrong is not None:
        module.fail_json(msg=wrong)
    try:
        record = Record(params["until"])
    except TftpError as error:
        module.fail_json(msg=f"until: {params['until']!r} cannot be uploaded: {error}")
    actions = plan(params)
    if module.check_mode:
        module.exit_json(changed=False, actions=actions, transfers=[], complete=False)

    limit = params["upload_limit"]
    try:
        with Server(
            params["address"],
            params["port"],
            get_root=params["get_root"],
            put_root=params["put_root"],
            limits=Limits(upload_bytes=limit, total_upload_bytes=4 * limit),
            on_event=record.note,
            peer=params["peer"],
        ) as server:
            server.serve(params["timeout"], until=lambda: record.complete)
    except TftpError as error:
        module.fail_json(msg=str(error))
    result = {
        "changed": record.uploaded,
        "actions": actions,
        "transfers": list(record.transfers),
        "complete": record.complete,
    }
    if params["until"] is not None and not record.complete:
        module.fail_json(
            msg=f"no upload of {params['until']} was complete after {params['timeout']} s on"
            f" {params['address']}:{params['port']}; transfers says what did happen",
            **result,
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
