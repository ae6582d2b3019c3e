# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build host of a test's own: machines, toolchain, folders, and a look at what is left over."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import socket
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.scope import Scope
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.auxiliary import (
    companions_of,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import (
    Ensured,
    ensure,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
    Machine,
    enumerate_machines,
    look,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import (
    Toolchain,
    load_toolchain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import Redirect
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import (
    Outcome,
    perform,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.accelerator import Accelerator

from . import guest
from .site import Site
from .toolchains import install_toolchain

# Whom QEMU runs as.
USER = "nobody"
# In KiB.
RAM = 262144
TCG = Accelerator("tcg", "as the tests want it")


def run(args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
    """The tests' runner of programs."""
    done = subprocess.run(args, input=data, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


class BuildHost:
    """One build host.

    ``lines`` collects what the engine reports; ``changes`` are facts to tell it otherwise.
    ``kind`` is that of its storage, in the folder ``place`` or on the site's btrfs. ``scope`` is
    where things are, instead of there and in a folder of the site's.
    """

    def __init__(
        self,
        site: Site,
        kind: str = "btrfs",
        place: Path | None = None,
        *,
        scope: Scope | None = None,
    ) -> None:
        self.site = site
        name = site.next_name()
        self.root = site.root / name
        self.machines = Path(scope.machines) if scope else (place or site.btrfs) / name
        self.volume = self.machines / "default"
        self.tftp = Path(scope.tftp) if scope else self.root / "tftp"
        self.state = Path(scope.state) if scope else self.root / "state"
        self.runtime = Path(scope.runtime) if scope else self.root / "run"
        self.logs = Path(scope.logs) if scope else self.root / "logs"
        self.lines: list[str] = []
        self.changes: dict[str, t.Any] = {}
        for folder in (self.volume, self.tftp, self.logs):
            folder.mkdir(parents=True)
        self.kind = kind
        self.storage = make_storage(kind)
        self.toolchain_id = install_toolchain(self.tftp)

    def engine(self, **changes: t.Any) -> Host:
        """The host as the engine sees it."""
        facts: dict[str, t.Any] = {
            "run": run,
            "storage": self.storage,
            "machines": str(self.machines),
            "tftp": str(self.tftp),
            "state": str(self.state),
            "runtime": str(self.runtime),
            "user": USER,
            "report": self.lines.append,
        }
        return Host(**{**facts, **self.changes, **changes})

    def paths(self) -> dict[str, str]:
        """The options of modules that only look."""
        folders = {"machines": self.machines, "tftp": self.tftp, "state_dir": self.state}
        return {name: str(path) for name, path in folders.items()}

    def options(self) -> dict[str, t.Any]:
        """The options of modules that run machines."""
        return {
            **self.paths(),
            "runtime_dir": str(self.runtime),
            "log_dir": str(self.logs),
            "user": USER,
            "accelerator": "tcg",
            "ram": RAM,
            "storage": self.kind,
        }

    def toolchain(self, name: str = "default") -> Toolchain:
        return load_toolchain(self.engine(), name)

    def install(self, name: str = "tiny", revision: int = 1, *, source: Path | None = None) -> Path:
        """Install ``source``, or an empty machine with just a manifest, as a revision."""
        directory = self.volume / name
        directory.mkdir(exist_ok=True)
        path = directory / f"{name}-1.{revision}"
        if source is not None:
            self.storage.snapshot(str(source), str(path))
        else:
            self.storage.create(str(path))
            text = f": 1\nid: {name}-{revision}\nname: {name}\nsummary: A test\ntype: kvm\n"
            (path / "manifest").write_text(text)
        self.storage.set_read_only(str(path), True)
        self.link(name, revision)
        return path

    def link(self, name: str, revision: int) -> None:
        """Make this revision the current one."""
        link = self.volume / name / f"{name}-1"
        new = link.with_name(f"{link.name}.new")
        new.symlink_to(f"{name}-1.{revision}")
        os.replace(new, link)

    def install_bootstrapped(self, source: Machine, name: str = "tiny") -> Path:
        """Install the bootstrapped machine ``source`` of another host; where it is bootstrapped.

        Under another ``name`` than its own it gets another MAC address, too.
        """
        if source.revision is None:
            raise AssertionError(f"machine {source.name} has no revision")
        revision = self.install(name, source=Path(source.revision))
        path = self.volume / name / f"{name}-default"
        self.storage.snapshot(source.bootstrapped_path, str(path), read_only=True)
        if name != source.name:
            mac = f"02:{hashlib.sha256(name.encode()).digest()[:5].hex(':')}"
            for place in (revision, path):
                self._edit_manifest(place, {"name": name, "mac": mac})
        return path

    def _edit_manifest(self, path: Path, changes: dict[str, str]) -> None:
        """Change the values of fields of a machine's manifest that are there."""
        self.storage.set_read_only(str(path), False)
        text = (path / "manifest").read_text()
        for name, value in changes.items():
            text = re.sub(rf"^{name}: .*$", f"{name}: {value}", text, count=1, flags=re.MULTILINE)
        (path / "manifest").write_text(text)
        self.storage.set_read_only(str(path), True)

    def install_scripted(self, source: Machine, script: str, name: str = "tiny") -> Path:
        """Like install_bootstrapped, with ``script`` in place of the worker."""
        self.install_bootstrapped(source, name)
        return self.script(name, script)

    def script(self, name: str, script: str) -> Path:
        """Have the bootstrapped machine ``name`` run ``script`` in place of its worker."""
        path = self.volume / name / f"{name}-default"
        self.storage.set_read_only(str(path), False)
        if (path / "tree").is_dir():
            guest.replace_container_worker(path, script)
        else:
            guest.replace_worker(path / "disk.img", script)
        self.storage.set_read_only(str(path), True)
        return path

    def install_copy(self, source: Machine) -> None:
        """Install ``source`` of another host with another store, revision and bootstrapped."""
        if source.revision is None:
            raise AssertionError(f"machine {source.name} has no revision")
        places = {source.revision: "1.1", source.bootstrapped_path: "default"}
        (self.volume / source.name).mkdir()
        for place, last in places.items():
            self.copy(place, self.volume / source.name / f"{source.name}-{last}")
        self.link(source.name, 1)

    def copy(self, source: str | Path, path: Path, *, read_only: bool = True) -> None:
        """Make ``path`` a subvolume with the files of a folder anywhere else."""
        self.storage.create(str(path))
        command = ["cp", "--sparse=always", "--reflink=auto", "-a", f"{source}/.", str(path)]
        subprocess.run(command, check=True)
        if read_only:
            self.storage.set_read_only(str(path), True)

    def machine(self, name: str = "tiny", toolchain: str = "default") -> Machine:
        return look(self.engine(), "default", name, self.toolchain(toolchain))

    def ensure(
        self,
        name: str = "tiny",
        waits: Waits | None = None,
        running: t.Mapping[str, t.Any] | None = None,
        **options: t.Any,
    ) -> Ensured:
        """Have a machine bootstrapped."""
        return ensure(
            self.engine(),
            self.machine(name),
            self.toolchain(),
            Running(TCG, **{"ram": RAM, "progress": self.lines.append, **(running or {})}),
            waits or Waits(startup=120, total=120, retries=0, shutdown=60),
            str(self.logs / "bootstrap"),
            **options,
        )

    def perform(
        self,
        task: Task | None = None,
        *,
        waits: Waits | None = None,
        limits: Limits | None = None,
        files: t.Mapping[str, str] | None = None,
        **running: t.Any,
    ) -> Outcome:
        """Perform a task on its machine, tiny unless it says so."""
        task = task or make_task()
        machines = enumerate_machines(self.engine(), self.toolchain())
        return perform(
            self.engine(),
            task,
            self.machine(task.machine),
            self.toolchain(),
            Running(TCG, **{"ram": RAM, "progress": self.lines.append, **running}),
            waits or Waits(startup=120, total=120, retries=0),
            limits or Limits(upload_bytes=64 << 20, total_upload_bytes=64 << 20),
            str(self.logs / "task"),
            files or {},
            companions=companions_of(task, machines),
        )

    def leftovers(self) -> list[str]:
        """What a finished use of the host should not have left, in words."""
        found = [f"process {pid}" for pid in self.qemus()]
        found += [f"dnsmasq {pid}" for pid in self.helpers()]
        found += [f"container {pid}" for pid in self.containers()]
        found += [f"process {pid} of a guest" for pid in self.guests()]
        found += [f"control group {path}" for path in groups_of_ours()]
        found += [f"loop device {each}" for each in self.loops()]
        found += [f"descriptor {fd}" for fd in taps_of_ours()]
        found += [f"link {name}" for _dummy, name in socket.if_nameindex() if name.startswith("bb")]
        found += [f"redirect {key}" for key in Redirect(run).elements()]
        for path in self.machines.glob("*/*/*"):
            if re.fullmatch(rf"{re.escape(path.parent.name)}-[A-Za-z][^-]*-.*", path.name):
                found.append(f"snapshot {path}")
            if path.name.endswith(".half"):
                found.append(f"half of a snapshot {path}")
        places = [self.state / "leases", self.state / "locks", self.runtime]
        places += [self.tftp / "build", self.tftp / "bootstrap"]
        found += [str(path) for place in places if place.is_dir() for path in place.iterdir()]
        mounts = Path("/proc/mounts").read_text()
        return found + [line for line in mounts.splitlines() if f" {self.root}" in line]

    def leftovers_of_others(self) -> list[str]:
        """The same while an agent is there that has nothing to do."""
        kept = re.compile(r".*\.lease")
        return [line for line in self.leftovers() if not kept.fullmatch(line)]

    def qemus(self) -> list[int]:
        """The processes of this host's machines."""
        return processes(f"unix:{self.runtime}/".encode())

    def containers(self) -> list[int]:
        """The processes of systemd-nspawn, and of what starts it, for this host's machines."""
        return processes(f"--directory={self.machines}/".encode())

    def guests(self) -> list[int]:
        """The processes of the guests of this host's containers, by users and mounts."""
        found = []
        mark = f"/{self.root.name}/default/"
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if (
                    entry.name.isdigit()
                    and 0x60000000 <= entry.stat().st_uid < 0x70000000
                    and mark in (entry / "mountinfo").read_text()
                ):
                    found.append(int(entry.name))
        return found

    def loops(self) -> list[str]:
        """The loop devices over this host's machines."""
        return loops_over(self.machines)

    def survivors(self) -> list[str]:
        """What has to end with the owner of its machine, with nobody there to clear away."""
        return [str(pid) for pid in self.qemus() + self.helpers() + self.containers()]

    def helpers(self) -> list[int]:
        """The processes that tell this host's guests their addresses, and that let them out."""
        return processes(f" of {self.runtime}/".encode())

    def assert_clean(self) -> None:
        """Fail with a list of what is left over, if anything is."""
        if found := self.leftovers():
            raise AssertionError(f"left over: {', '.join(found)}; reported: {self.lines}")

    def reported(self, text: str) -> int:
        """In how many reported lines ``text`` is."""
        return sum(text in line for line in self.lines)


def processes(mark: bytes) -> list[int]:
    """The processes with ``mark`` in their command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


def groups_of_ours(pid: int | None = None) -> list[Path]:
    """The control groups of containers that a process, by default this one, has run."""
    # Not by Path.glob(), which fails where a group of somebody else goes meanwhile.
    place = f"/sys/fs/cgroup/*/**/bbot-{os.getpid() if pid is None else pid}-*"
    return [Path(each) for each in glob.glob(place, recursive=True)]


def loops_over(folder: Path) -> list[str]:
    """The loop devices over files in ``folder``."""
    found = []
    for each in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            # Its path may begin where the file system does.
            if re.search(rf"/{folder.name}/default/.*/tree/disk\.img", each.read_text()):
                found.append(each.parts[3])
    return found


def taps_of_ours() -> list[str]:
    """The descriptors of taps that this process has."""
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if entry.readlink() == Path("/dev/net/tun"):
                found.append(entry.name)
    return found


def make_task(**fields: t.Any) -> Task:
    """A task for the machine tiny, to be built from source.tar.gz."""
    return Task.from_mapping(
        {
            "name": "hello",
            "version": "1.0",
            "repository-url": "tftp:source.tar.gz",
            "repository-type": "dir",
            "machine": "tiny",
            **fields,
        }
    )
