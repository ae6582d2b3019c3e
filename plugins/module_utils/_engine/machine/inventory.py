# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The machines of a build host: what is there, what is current, and why not.

The layout is bbot's (its 2017 agent):

    <machines>/<volume>/<name>/<name>-<P>.<R>      a revision, P the bootstrap protocol
    <machines>/<volume>/<name>/<name>-<P>          the link to the current revision
    <machines>/<volume>/<name>/<name>-<toolchain>  the bootstrapped machine

Volumes and machines may be links to directories (bbot, too). Anybody may add, relink and
remove revisions at any time. Unlike bbot we compare first and snapshot only what must be
bootstrapped, then look at the link again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ..formats.manifest.model import ManifestError
from ..host.host import Host, HostError
from ..records.machine import BootstrappedMachine, MachineManifest
from ..vm.machines import objection
from .toolchain import NO_ID, Toolchain

# The version of the bootstrap protocol, the P above.
PROTOCOL = "1"

# In this order they are compared; the first difference decides (bbot's agent).
_PACKAGES = ("bbot", "libbbot", "libbpkg", "libbutl")

State = t.Literal["current", "obsolete", "missing", "newer", "unlinked", "broken"]

# One of these may have a name for itself. The others may be called the same, but nobody means
# them by the name as long as there is a better one; the earlier here the better.
_CLAIMING = ("current", "obsolete", "missing")
_YIELDING = ("newer", "broken", "unlinked")


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine, as it is on disk, seen for one toolchain.

    ``name`` is the one in its manifest, by which controllers, tasks and people call it, or
    that of its folder as long as there is no manifest to be read.
    ``directory`` holds its revisions; ``revision`` is the one its link names and
    ``bootstrapped_path`` where the bootstrapped one is or would be. ``state``:

    - `current`: bootstrapped and fit for tasks
    - `obsolete`: to be bootstrapped anew
    - `missing`: not bootstrapped yet
    - `newer`: bootstrapped by newer software than this toolchain's, to be left alone
    - `unlinked`: it has no current revision; what was bootstrapped of it is to go
    - `broken`: its manifest, or a link, is not usable, or nothing on the host can emulate it

    ``reasons`` say why, for people; there is none for a current one.
    """

    volume: str
    name: str
    directory: str
    bootstrapped_path: str
    state: State
    reasons: tuple[str, ...] = ()
    revision: str | None = None
    manifest: MachineManifest | None = None
    bootstrapped: BootstrappedMachine | None = None

    @property
    def folder(self) -> str:
        """The name of its folder, with which those of its revisions begin."""
        return os.path.basename(self.directory)

    @property
    def kind(self) -> str | None:
        """The type that its tasks find, or its bootstrap if there is none yet; None if unknown."""
        manifest = self.bootstrapped.machine if self.bootstrapped else self.manifest
        return manifest.type if manifest else None

    @property
    def to_bootstrap(self) -> bool:
        """Whether the machine has to be bootstrapped before it can be used."""
        return self.state in ("missing", "obsolete")


def enumerate_machines(host: Host, toolchain: Toolchain) -> list[Machine]:
    """Every machine of ``host``, in order of volume and name; reads only.

    Raises HostError if there is no folder of machines.
    """
    try:
        volumes = _folders(host.machines, links=True)
    except OSError as error:
        raise HostError(
            f"cannot read the folder of machines {host.machines}: {error.strerror}; "
            "make it with the role bbot.agent.host or name another one"
        ) from error
    machines = []
    for volume in volumes:
        with contextlib.suppress(FileNotFoundError):
            for name in _folders(os.path.join(host.machines, volume), links=True):
                machines.append(look(host, volume, name, toolchain))
    return _told_apart(machines)


def _told_apart(machines: t.Sequence[Machine]) -> list[Machine]:
    """Return ``machines``, of which each name has but one that is not broken.

    That is the first that was bootstrapped, since tasks are performed on it, or else the first.
    """
    owners: dict[str, Machine] = {}
    for machine in machines:
        if machine.state in _CLAIMING:
            owner = owners.setdefault(machine.name, machine)
            if owner.bootstrapped is None and machine.bootstrapped is not None:
                owners[machine.name] = machine
    found = []
    for machine in machines:
        if machine.state in _CLAIMING and (owner := owners[machine.name]) is not machine:
            reason = f"the machine in {owner.directory} has the same name, {machine.name}"
            machine = dataclasses.replace(machine, state="broken", reasons=(reason,))
        found.append(machine)
    return found


def find_machine(machines: t.Sequence[Machine], name: str) -> Machine:
    """The machine ``name``; HostError, with what there is, if there is none.

    Of several it is the one that is fit for tasks, or can become so.
    """
    order = (*_CLAIMING, *_YIELDING)
    named = [machine for machine in machines if machine.name == name]
    if named:
        return min(named, key=lambda machine: order.index(machine.state))
    known = ", ".join(sorted({machine.name for machine in machines})) or "none"
    raise HostError(f"no machine {name} on this host; there are: {known}")


def taking_tasks(machines: t.Sequence[Machine]) -> list[str]:
    """The names of the machines that tasks can be for, once they are bootstrapped."""
    names = [
        machine.name
        for machine in machines
        if machine.state not in ("unlinked", "broken")
        and not (machine.manifest and machine.manifest.effective_role == "auxiliary")
    ]
    return list(dict.fromkeys(names))


def only_machine(machines: t.Sequence[Machine]) -> str:
    """The name of the one machine that tasks can be for. Raises HostError if there are more."""
    names = taking_tasks(machines)
    if len(names) == 1:
        return names[0]
    known = ", ".join(machine.name for machine in machines) or "none: provision it first"
    raise HostError(
        f"say which machine to use (machine=NAME); this host has {known}", temporary=False
    )


def _folders(path: str, links: bool) -> list[str]:
    """Names of the folders in ``path``, with ``links`` of links to folders, too."""
    with os.scandir(path) as entries:
        return sorted(
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and _is_folder(entry, links)
        )


def _is_folder(entry: os.DirEntry[str], links: bool) -> bool:
    # A link that leads nowhere, or in a circle, keeps nobody from seeing the rest.
    try:
        return entry.is_dir(follow_symlinks=links)
    except OSError:
        return False


def subfolders(directory: str, *, links: bool = False) -> list[str]:
    """Paths of the folders in ``directory``, hidden ones left out; none if it cannot be read.

    With ``links`` those of links to folders, too: for volumes and machines, not for what is to
    be removed.
    """
    try:
        return [os.path.join(directory, name) for name in _folders(directory, links)]
    except OSError:
        return []


def look(host: Host, volume: str, name: str, toolchain: Toolchain) -> Machine:
    """The machine in the folder ``name`` of ``volume`` as it is now."""
    directory = os.path.join(host.machines, volume, name)
    link = os.path.join(directory, f"{name}-{PROTOCOL}")
    path = os.path.join(directory, f"{name}-{toolchain.name}")

    def seen(state: State, *reasons: str, **facts: t.Any) -> Machine:
        described = facts.get("manifest")
        called = described.name if described is not None else name
        return Machine(volume, called, directory, path, state, reasons, **facts)

    # A broken one is told by all that could be read of it.
    facts: dict[str, t.Any] = {}
    try:
        facts["revision"] = revision = resolve(link)
        facts["manifest"] = manifest = read_machine(revision)
        facts["bootstrapped"] = bootstrapped = _read_bootstrapped(path)
    except FileNotFoundError:
        if not os.path.lexists(link):
            return seen("unlinked", f"there is no link {name}-{PROTOCOL} to a revision of it")
        words = f"what the link {link} names is not there or has no manifest"
        return seen("broken", words, **facts)
    except ManifestError as error:
        return seen("broken", str(error), **facts)
    except OSError as error:
        return seen("broken", f"cannot read {error.filename}: {error.strerror}", **facts)

    options = manifest.option_words if manifest.options is not None else None
    if words := objection(manifest.type, manifest.name, options):
        return seen("broken", words, **facts)
    if bootstrapped is None:
        return seen("missing", f"not bootstrapped for toolchain {toolchain.name}", **facts)
    state, *reasons = compare(manifest, bootstrapped, toolchain)
    return seen(t.cast(State, state), *reasons, **facts)


def resolve(link: str) -> str:
    """The revision that the link names; FileNotFoundError if there is no such link."""
    try:
        target = os.readlink(link)
    except OSError as error:
        if error.errno is not None and not os.path.lexists(link):
            raise FileNotFoundError(error.errno, error.strerror, link) from error
        raise
    return os.path.join(os.path.dirname(link), target)


def read_machine(directory: str) -> MachineManifest:
    """The machine manifest in ``directory``; OSError or ManifestError if it is not usable."""
    return _read(os.path.join(directory, "manifest"), MachineManifest)


def _read_bootstrapped(directory: str) -> BootstrappedMachine | None:
    try:
        return _read(os.path.join(directory, "manifest"), BootstrappedMachine)
    except FileNotFoundError:
        return None


_Record = t.TypeVar("_Record", MachineManifest, BootstrappedMachine)

# What was read last from a file, and what the file looked like then. Whoever looks again and
# again at hundreds of machines, of which none has changed, parses nothing.
_known: dict[str, tuple[tuple[int, ...], MachineManifest | BootstrappedMachine]] = {}
_MOST_KNOWN = 2000


def _read(path: str, kind: type[_Record]) -> _Record:
    # What is replaced between this and the reading is read again the next time.
    stat = os.stat(path)
    mark = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    former, known = _known.get(path, ((), None))
    if former == mark and isinstance(known, kind):
        return known
    with open(path, "rb") as file:
        record = kind.parse(file.read(), path)
    if len(_known) >= _MOST_KNOWN:
        _known.clear()
    _known[path] = (mark, record)
    return record


def compare(
    manifest: MachineManifest, bootstrapped: BootstrappedMachine, toolchain: Toolchain
) -> tuple[str, ...]:
    """The state that follows from the manifests, and the reasons.

    Nothing of the toolchain is in an auxiliary machine.
    """
    reasons = []
    old = bootstrapped.machine.id
    if old != manifest.id:
        reasons.append(f"the machine's id is {manifest.id}, it was bootstrapped as {old}")
    if manifest.role == "auxiliary":
        return ("obsolete", *reasons) if reasons else ("current",)
    old = bootstrapped.toolchain.id
    if toolchain.id != NO_ID and old != toolchain.id:
        reasons.append(f"the toolchain's id is {toolchain.id}, it was bootstrapped with {old}")
    for package in _PACKAGES:
        expected = toolchain.expected.versions.get(package)
        present = bootstrapped.bootstrap.versions.get(package)
        if expected is None or present == expected:
            continue
        if present is not None and present > expected:
            return (
                "newer",
                f"it was bootstrapped with {package} {present}, newer than our {expected}",
            )
        reasons.append(f"it was bootstrapped with {package} {present}, we have {expected}")
        break
    return ("obsolete", *reasons) if reasons else ("current",)
