# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""One virtual machine: a QEMU process, in the network of its guest, with its logs.

QEMU dies with its owner (PR_SET_PDEATHSIG); what else a machine uses is noted in
the owner's lease before it is made, so that a sweep can clear it away.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pwd
import select
import shutil
import signal
import socket
import typing as t

from ...host.host import Host
from ...host.locks import Lease, process_start
from ...linux.private import make_private
from ...linux.spawn import SpawnError, spawn
from ...network.attachment import Attachment
from ...storage.overlay import overlays
from ..accelerator import Accelerator, qemu_program
from ..child import Child
from ..limits import Limits
from ..protocol import Hardware, VmError
from .drives import over
from .migration import SavedState, load, save
from .qmp import Qmp, QmpError

# The name of the virtio-serial port that our worker tells its progress on.
PROGRESS_PORT = "bbot.progress"

# That of the port at which our worker has a shell for a person, in an interactive build.
SHELL_PORT = "bbot.shell"

# That of the port at which our images have a root shell for who holds a machine that failed.
INSPECTION_PORT = "bbot.inspect"

# MiB for the code that an emulator has translated, without which it takes a GiB.
_TRANSLATIONS = 256

# What QEMU may take beside the machine's memory, in KiB, and how many threads: for CPUs, disks,
# screen and connections.
_OVERHEAD = (_TRANSLATIONS + 512) << 10
_THREADS = 512


def devices(hardware: Hardware) -> t.Sequence[str]:
    """The options for network and disk, with `?` for the tap and the MAC address."""
    if hardware.options is not None:
        return hardware.options
    # What a machine has where its manifest gives no options (bbot's agent).
    bus = hardware.architecture.bus
    return [
        *("-netdev", "tap,id=net0,ifname=?,script=no,downscript=no"),
        *("-device", f"virtio-net-{bus},netdev=net0,mac=?"),
        *("-drive", "if=none,id=disk0,file=disk.img,format=raw"),
        *("-device", f"virtio-blk-{bus},drive=disk0"),
    ]


def _device_options(hardware: Hardware, tap: int) -> list[str]:
    """The options for network and disk, with the tap's descriptor and the MAC address."""
    options = devices(hardware)
    return [_with_tap(option, tap).replace("mac=?", f"mac={hardware.mac}") for option in options]


def _as_it_lies(hardware: Hardware) -> Hardware:
    """``hardware`` with the formats that its disks have in its directory.

    Not so from the beginning: what a saved state fits does not depend on it.
    """
    over_others = overlays(hardware.directory)
    if not over_others:
        return hardware
    return dataclasses.replace(hardware, options=over(devices(hardware), over_others))


def _with_tap(option: str, tap: int) -> str:
    """``option`` with `ifname=?` and what goes with it replaced by the descriptor ``tap``.

    QEMU need not be able to open taps then, and a tap of its own ends with it.
    """
    parts = option.split(",")
    if "ifname=?" not in parts:
        return option
    opened = ("ifname=", "script=", "downscript=", "vnet_hdr=")
    return ",".join([part for part in parts if not part.startswith(opened)] + [f"fd={tap}"])


@dataclasses.dataclass(frozen=True)
class Ram:
    """RAM that is mapped from a file, given by its descriptor.

    What the guest writes goes to the file if ``shared``, else to memory of its own.
    """

    fd: int
    shared: bool


def _ram_object(hardware: Hardware, ram: Ram | None) -> str:
    # Pages that the kernel shares between machines tell one what another has.
    size = f"id=ram,size={hardware.ram // 1024}M,merge=off,dump=off"
    if ram is None:
        return f"memory-backend-ram,{size}"
    share = "on" if ram.shared else "off"
    return f"memory-backend-file,{size},mem-path=/proc/self/fd/{ram.fd},share={share}"


def streams(hardware: Hardware) -> list[str]:
    """Return what sockets connect QEMU with its owner, by the names of QEMU's character devices."""
    return ["qmp", "console", "progress", *(["inspection"] if hardware.inspect else [])]


def qemu_arguments(
    hardware: Hardware,
    accelerator: Accelerator,
    tap: int,
    vnc: str,
    channels: t.Mapping[str, int],
    ram: Ram | None = None,
) -> list[str]:
    """QEMU's arguments for ``hardware``.

    ``tap`` is the descriptor of the tap, ``channels`` are those of connected
    sockets, see streams(); ``vnc`` is the path of the socket
    for the one who investigates, whose shell is beside it.
    """
    devices = _device_options(hardware, tap)
    architecture, accelerator = hardware.architecture, accelerator.on(hardware.name)
    bus = architecture.bus
    arguments = ["-name", hardware.name, "-no-user-config", "-nodefaults", "-display", "none"]
    # By this name a saved state knows the RAM, whatever it is made of.
    backend = "memory-backend=ram"
    own = {"-machine", "-M"} & set(devices)
    arguments += ["-machine", backend if own else f"{architecture.machine},{backend}"]
    arguments += ["-object", _ram_object(hardware, ram)]
    emulated = f"tcg,thread=multi,tb-size={_TRANSLATIONS}"
    arguments += ["-accel", "kvm" if accelerator.hardware else emulated]
    if "-cpu" not in devices:
        arguments += ["-cpu", "host" if accelerator.hardware else architecture.cpu]
    cpu = hardware.cpu
    arguments += ["-smp", f"{cpu},sockets=1,cores={cpu},threads=1"]
    arguments += ["-m", f"{hardware.ram // 1024}M", "-boot", "c", "-no-reboot"]
    refused = ("obsolete", "elevateprivileges", "spawn", "resourcecontrol")
    arguments += ["-sandbox", ",".join(["on", *(f"{each}=deny" for each in refused)])]
    arguments += ["-object", "rng-random,id=rng0,filename=/dev/urandom"]
    arguments += ["-device", f"virtio-rng-{bus},rng=rng0", *architecture.devices]
    password = ",password=on" if hardware.password else ""
    arguments += ["-vnc", f"unix:{vnc}{password}"]
    for name, fd in channels.items():
        arguments += ["-chardev", f"socket,id={name},fd={fd}"]
    arguments += ["-mon", "chardev=qmp,mode=control", "-serial", "chardev:console"]
    arguments += ["-device", f"virtio-serial-{bus}"]
    arguments += ["-device", f"virtserialport,chardev=progress,name={PROGRESS_PORT}"]
    if hardware.shell:
        shell = os.path.join(os.path.dirname(vnc), "shell")
        arguments += ["-chardev", f"socket,id=shell,path={shell},server=on,wait=off"]
        arguments += ["-device", f"virtserialport,chardev=shell,name={SHELL_PORT}"]
    if hardware.inspect:
        arguments += ["-device", f"virtserialport,chardev=inspection,name={INSPECTION_PORT}"]
    return arguments + devices


def state_key(hardware: Hardware, accelerator: Accelerator) -> str:
    """What a saved state depends on: all that QEMU is told, and a CPU that is the host's."""
    channels = dict.fromkeys(streams(hardware), -1)
    facts = qemu_arguments(hardware, accelerator, -1, "", channels)
    if accelerator.on(hardware.name).hardware:
        with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
            facts += sorted({line for line in cpuinfo if line.startswith(("model name", "flags"))})
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _own(file: os.DirEntry[str], account: pwd.struct_passwd) -> None:
    """Have ``file`` be of use to ``account`` only; each change costs the file system something."""
    stat = file.stat(follow_symlinks=False)
    if stat.st_nlink > 1 and not stat.st_mode & 0o222:
        # Other machines have it, too, and none may write to it.
        return
    if (stat.st_uid, stat.st_gid) != (account.pw_uid, account.pw_gid):
        os.chown(file.path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    if stat.st_mode & 0o077:
        os.chmod(file.path, 0o600)


class Vm(Child):
    """A machine, from start() to close().

    ``logs`` is an existing directory for `qemu.log`. ``lease`` is the owner's.
    The sockets ``console`` and ``progress`` are non-blocking; whoever runs the
    machine reads them, and calls listen() when ``monitor`` is readable. ``out_of_space``
    tells whether QEMU has stopped the machine because the host's disk is full.
    """

    def __init__(
        self,
        host: Host,
        lease: Lease,
        hardware: Hardware,
        accelerator: Accelerator,
        logs: str,
    ) -> None:
        super().__init__(os.path.join(host.runtime, lease.id))
        self.hardware = hardware
        self.console: socket.socket
        self.progress: socket.socket
        self.monitor: socket.socket
        self.inspection: socket.socket | None = None
        # QEMU itself lets people in.
        self.talk: socket.socket | None = None
        self.out_of_space = False
        self.log = os.path.join(logs, "qemu.log")
        self.accelerator = accelerator.on(hardware.name)
        self._host = host
        self._lease = lease
        self._qmp: Qmp | None = None
        self._ram: Ram | None = None
        self._limits: Limits | None = None

    def start(
        self,
        network: Attachment,
        *,
        state: SavedState | None = None,
        ram: int | None = None,
    ) -> None:
        """Start the machine at the tap of ``network``, which has to outlive it.

        With ``state`` it does not boot but is as it was saved, suspended until
        resume(). ``ram`` is the descriptor of a file to map the RAM from: to write
        it there, or with a state to begin with what it holds and leave it alone.

        Raises VmError, CommandError and HostError; nothing is left running then, and
        close() clears the rest away.
        """
        if state is not None:
            self._check(state, ram)
        account = self._host.account(self._lease.record.get("place"))
        hardware, host = _as_it_lies(self.hardware), self._host
        program = qemu_program(hardware.architecture)
        self._lease.note(runtime=self._runtime)
        # QEMU's user passes through, and sees its own folder only.
        make_private(host.runtime, 0o711)
        os.mkdir(self._runtime, mode=0o700)
        os.chown(self._runtime, account.pw_uid, account.pw_gid)
        self._own_disks(account)
        self._ram = None if ram is None else Ram(ram, shared=state is None)

        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.log, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.chown(self.log, account.pw_uid, account.pw_gid)
        self._limits = limits = Limits.make(
            self._lease, hardware, overhead=_OVERHEAD, processes=_THREADS, quota=False
        )
        with contextlib.ExitStack() as theirs:
            channels = {}
            ours = {}
            for name in streams(hardware):
                ours[name], other = socket.socketpair()
                channels[name] = theirs.enter_context(other).fileno()
            self.console, self.progress = ours["console"], ours["progress"]
            self.monitor, self.inspection = ours["qmp"], ours.get("inspection")
            log = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
            theirs.callback(os.close, log)
            arguments = qemu_arguments(
                hardware, self.accelerator, network.tap, self.vnc, channels, self._ram
            )
            try:
                pid = spawn(
                    program,
                    arguments + (["-incoming", "defer"] if state else []),
                    directory=hardware.directory,
                    output=log,
                    keep=[network.tap, *channels.values(), *([] if ram is None else [ram])],
                    account=account,
                    namespace=network.namespace,
                )
            except SpawnError as error:
                raise VmError(f"machine {hardware.name} did not start: {error}") from error
        self.watch(pid)
        self._lease.note(qemu=self.pid, qemu_start=process_start(self.pid))
        limits.adopt(pid)
        try:
            self._qmp = Qmp(self.monitor)
            if state is not None:
                self._load(self._qmp, state)
        except QmpError as error:
            self.force_down()
            raise VmError(f"machine {hardware.name} did not start: {self._words()}") from error
        except BaseException:
            self.force_down()
            raise
        self.console.setblocking(False)
        self.progress.setblocking(False)

    def _own_disks(self, account: pwd.struct_passwd) -> None:
        """Let QEMU's user write to the disks, whoever installed them."""
        if os.geteuid() != 0:
            return
        with os.scandir(self.hardware.directory) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    _own(entry, account)

    def _check(self, state: SavedState, ram: int | None) -> None:
        """Refuse a state that is not of this machine."""
        name = self.hardware.name
        if state.key != state_key(self.hardware, self.accelerator):
            raise VmError(f"{state.path} is the state of another machine than {name}")
        if state.ram_apart and ram is None:
            raise VmError(f"{state.path} needs the RAM of machine {name} in a file of its own")

    def _load(self, qmp: Qmp, state: SavedState) -> None:
        if state.qemu != qmp.build:
            raise VmError(
                f"{state.path} was saved by QEMU {state.qemu}, which QEMU {qmp.build} cannot load"
            )
        try:
            load(qmp, state)
        except OSError as error:
            raise VmError(f"cannot read {state.path}: {error.strerror}") from error

    def _words(self) -> str:
        """The last line that QEMU said on its way out."""
        with contextlib.suppress(OSError), open(self.log, errors="replace") as log:
            lines = [line.strip() for line in log if line.strip()]
            if lines:
                return lines[-1]
        return "QEMU said nothing"

    @property
    def vnc(self) -> str:
        """The socket at which a person can see the machine's screen."""
        return os.path.join(self._runtime, "vnc")

    def want_password(self, password: str) -> None:
        """Let see the screen who knows ``password``, of 8 characters at most. Raises VmError.

        The hardware has to say so; until then nobody is let in.
        """
        with self._trouble():
            self._monitored().execute("set_password", protocol="vnc", password=password)

    def let_in(self, client: socket.socket) -> None:
        """Show the screen to ``client``, who has connected to a socket of ours. Raises VmError."""
        with self._trouble():
            qmp = self._monitored()
            qmp.hand_over("viewer", client.fileno())
            qmp.execute("add_client", protocol="vnc", fdname="viewer", skipauth=False)

    @contextlib.contextmanager
    def _trouble(self) -> t.Iterator[None]:
        try:
            yield
        except QmpError as error:
            raise VmError(f"cannot show machine {self.hardware.name}: {error}") from error

    def power_down(self) -> None:
        """Press the power button: ask the guest to shut down."""
        if self.hardware.architecture.key:
            self._control("send-key", keys=[{"type": "qcode", "data": "power"}])
        else:
            self._control("system_powerdown")

    def suspend(self) -> None:
        """Stop the guest's CPUs; memory and devices stay as they are."""
        self._control("stop")

    def resume(self) -> None:
        """Undo suspend()."""
        self._control("cont")

    def save(self, path: str) -> SavedState:
        """Write the machine's state to the new file ``path``.

        The machine is suspended; what it has on its disks and, where that is
        mapped from a file, in its RAM belongs to the state: have it forced down
        before these are touched. VmError if that fails, with no file left.
        """
        self.suspend()
        qmp, name = self._monitored(), self.hardware.name
        apart = self._ram is not None and self._ram.shared
        try:
            save(qmp, path, ram_apart=apart)
        except QmpError as error:
            raise VmError(f"cannot save machine {name}: {error}") from error
        except OSError as error:
            raise VmError(f"cannot save machine {name} to {path}: {error.strerror}") from error
        return SavedState(path, state_key(self.hardware, self.accelerator), qmp.build, apart)

    def _monitored(self) -> Qmp:
        if self._qmp is None:
            raise VmError(f"machine {self.hardware.name} has not been started")
        return self._qmp

    def _control(self, command: str, **arguments: t.Any) -> None:
        """Execute ``command``; a machine that is ending on its own is no error."""
        qmp = self._monitored()
        try:
            qmp.execute(command, **arguments)
        except QmpError as error:
            if not self.wait(timeout=1):
                raise VmError(f"cannot control machine {self.hardware.name}: {error}") from error

    def listen(self) -> bool:
        """Take in what QEMU says on its own; False if it says no more. Never waits."""
        try:
            more = self._monitored().listen()
        except QmpError:
            return False
        self._note_events()
        return more

    def _note_events(self) -> None:
        for event in self._monitored().events():
            data = event.get("data")
            if event.get("event") == "BLOCK_IO_ERROR" and isinstance(data, dict):
                self.out_of_space |= data.get("action") == "stop" and bool(data.get("nospace"))

    def go_on(self) -> None:
        """Let a machine that was stopped for lack of disk go on; it may stop again."""
        self._monitored().events()
        self.out_of_space = False
        self.resume()
        self._note_events()

    def tend(self, now: float) -> None:
        """The guest's own kernel sees to what it has."""

    def written(self) -> int:
        """Return how many bytes the guest has written to its disks; 0 of one that has ended.

        Raises VmError.
        """
        try:
            devices = self._monitored().execute("query-blockstats")
            return sum(int(each["stats"]["wr_bytes"]) for each in devices)
        except QmpError as error:
            if self.wait(timeout=1):
                return 0
            raise VmError(f"cannot watch machine {self.hardware.name}: {error}") from error
        except (TypeError, KeyError, ValueError) as error:
            raise VmError(f"QEMU tells nothing of the disks of {self.hardware.name}") from error

    def force_down(self) -> None:
        """End the machine at once, as if by pulling its plug."""
        if self.running():
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def info(self) -> list[str]:
        """Lines that help a person to look into the machine (bbot's print_info)."""
        return [
            f"qemu pid: {self.pid}",
            f"vnc socket: {self.vnc}",
            f"qemu log: {self.log}",
        ]

    def close(self) -> None:
        """Force the machine down and remove what it used of the host."""
        self.force_down()
        self.close_streams()
        self.forget()
        if self._limits is not None:
            self._limits.end()
        release(self._lease.record)
        self._lease.note(qemu=None, runtime=None)


def release(record: t.Mapping[str, t.Any]) -> None:
    """Remove what a lease's ``record`` says a machine used; all of it may be gone already."""
    pid, start = record.get("qemu"), record.get("qemu_start")
    if pid and start:
        _kill(pid, start)
    if record.get("runtime"):
        # QEMU's user may have made anything in there.
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(record["runtime"])


def _kill(pid: int, start: int) -> None:
    """Kill the process of this id that was started at ``start``, and wait for it to be gone.

    Until then it has its tap and disk. Nothing happens to another one of the same id.
    """
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        # What the descriptor stands for stays the same from here on.
        if process_start(pid) == start:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            select.select([fd], [], [], 10)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
    finally:
        os.close(fd)
