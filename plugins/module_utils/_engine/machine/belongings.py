# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Whether what a lease names is its own: it is removed as root, wherever it lies."""

from __future__ import annotations

import os
import re
import typing as t

from ..controller.journal import FILE
from ..errors import EngineError
from ..host.host import Host
from ..host.locks import Lease
from ..network.bridge import NetworkError, check_mac
from ..vm.limits import HIERARCHIES as GROUPS

_ID = re.compile(r"\d+-\d+")
# As the kernel has it, but for what has a meaning to nft.
_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")


class LeaseError(EngineError):
    """A lease that names what cannot be its own; the text says what."""

    temporary = False


def is_below(path: str, folder: str, depth: int) -> bool:
    """Whether `path` is a plain one that lies `depth` levels below `folder`."""
    base = os.path.normpath(folder).rstrip("/") + "/"
    if os.path.normpath(path) != path or not path.startswith(base):
        return False
    return path.removeprefix(base).count("/") == depth - 1


def check_belongings(host: Host, lease: Lease) -> None:
    """Raise LeaseError if `lease` names what its owner cannot have made, or not here."""
    record, own = lease.record, lease.id
    if not _ID.fullmatch(own):
        raise LeaseError(f"{own!r} is no name of a lease")
    for what, path, right in _claims(host, own, record):
        if not right:
            raise LeaseError(f"its {what} {path!r} is not its own")


def _claims(
    host: Host, own: str, record: t.Mapping[str, t.Any]
) -> t.Iterator[tuple[str, str, bool]]:
    """What the record names, where, and whether that can be."""
    if runtime := record.get("runtime"):
        yield "runtime folder", runtime, runtime == os.path.join(host.runtime, own)
    for group in record.get("groups") or []:
        right = os.path.normpath(group) == group and group.startswith(f"{GROUPS}/")
        yield "control group", group, right and os.path.basename(group) == f"bbot-{own}"
    for folder in record.get("folders") or []:
        place = os.path.basename(os.path.dirname(folder))
        right = is_below(folder, host.tftp, 2) and place in ("build", "bootstrap")
        yield "folder", folder, right and folder.endswith(f"-{own}")
    for snapshot in [record.get("snapshot"), *(record.get("snapshots") or [])]:
        if snapshot:
            right = is_below(snapshot, host.machines, 3)
            yield "snapshot", snapshot, right and snapshot.endswith((f"-{own}", f"-{own}.ram"))
    if journal := record.get("journal"):
        yield "journal", journal[0], journal[0] == os.path.join(host.state, FILE)
    if delivery := record.get("delivery"):
        right = delivery.endswith("/put/manifest") and is_below(delivery, host.tftp, 4)
        # Its folders may be gone already.
        yield "result", delivery, right and f"-{own}/" in delivery
    if mac := record.get("mac"):
        bridge = record.get("bridge")
        yield "bridge", str(bridge), bool(bridge and _INTERFACE.fullmatch(bridge))
        yield "MAC address", mac, _is_mac(mac)


def _is_mac(text: str) -> bool:
    try:
        return check_mac(text) == text.lower()
    except NetworkError:
        return False
