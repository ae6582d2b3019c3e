# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Boot a machine and talk to it over TFTP until the file it owes us has arrived.

Bootstrap and task are two uses of this. Waits, retries and outcomes are bbot's
(its 2017 agent), with three differences: an upload is complete when its file
appears, so nobody waits for a quiet second; a guest that ends on its own is
noticed at once; a machine that failed softly is held for inspection only when
that was asked for, and for a limited time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import time
import typing as t

from ..host.attach import attach
from ..host.guest_lines import GuestLines, Refusals, cut
from ..host.host import Host
from ..host.locks import Lease
from ..host.phases import Phases
from ..host.room import NoRoom, claim
from ..network.attachment import Attachment
from ..records.names import arrived_in
from ..tftp.packets import parse_request
from ..tftp.server import Event, HeldRequest, Limits
from ..vm.accelerator import Accelerator
from ..vm.machines import make_vm
from ..vm.protocol import Hardware, Vm, VmError
from .boot import Boot
from .hold import hold
from .look_in import LookIn, looked_into
from .template import Clone, TemplateError

# What our worker asks for first. Only a machine that was resumed is given it: the time and
# random bytes, which it cannot have of its own. bbot knows nothing of it and offers no such file.
RESUMED = "resumed"
# How long, in seconds, a resumed machine may take to the first sign of life.
_RESUME = 30.0
# So many attempts at the upload of the awaited file are told apart as phases.
_MOST_UPLOADS = 10
# A machine that fills the disk is not kept.
_FILLED = ("startup write limit", "write limit")


class _Astray(Exception):
    """A clone asks for something else than RESUMED: it does not know that it was resumed."""


@dataclasses.dataclass(frozen=True)
class Waits:
    """How long to wait, in seconds, and how often to try again.

    ``startup`` is for the first request, ``total`` for the file, ``shutdown``
    for a clean shutdown; ``retries`` counts the boots after a mis-boot as bbot
    does: a machine is booted up to retries + 2 times.
    """

    startup: float
    total: float
    retries: int = 2
    shutdown: float = 300


@dataclasses.dataclass(frozen=True)
class SoftFailure:
    """A machine that did not do its part.

    ``kind`` is one of `startup timeout`, `startup write limit`, `timeout`, `write limit`,
    `terminated abnormally`, `ended early`, `shutdown timeout` and `wrong versions`; ``message``
    is for people.
    """

    kind: str
    message: str

    @property
    def at_will(self) -> bool:
        """Whether what runs in a sound machine can bring it about, by a power-off for example."""
        return self.kind in ("ended early", "terminated abnormally")


@dataclasses.dataclass(frozen=True)
class Start:
    """How a machine came up: ``warm`` if it was resumed, else it was booted.

    ``seconds`` are those from QEMU's start to the first sign of its guest.
    ``reason`` is why it was booted although it was to be resumed, else empty.
    """

    warm: bool
    seconds: float
    reason: str


@dataclasses.dataclass
class Talk:
    """What a conversation is about.

    ``what`` is `bootstrap` or `build`. ``prepare`` makes the machine's directory
    ready for the attempt of the given number and returns its hardware.
    ``awaited`` are the names of the files in ``put_root`` of which any ends the talk;
    ``judge`` looks at it while the machine still runs and returns a SoftFailure or None.
    With ``clean`` the guest is asked to shut down, else its plug is pulled. ``alive`` says whether
    the outcome is still wanted. ``park`` suspends a machine that failed softly to
    disk, for inspection; without it ``hold`` is for how many seconds to keep it, see hold().
    ``resume`` makes a clone to resume instead of booting, or raises TemplateError; ``started`` is
    told how the machine came up. ``ram`` is what the machine has, in KiB, ``writes`` what it may
    write to its disks, None for no limit, and ``patience`` for how many seconds to wait for room
    for that. ``network`` is one that is there already, else each attempt makes its own;
    ``companions`` are machines that are up in there and have to stay so. ``look_in`` is how a
    person may look in.
    """

    what: str
    prepare: t.Callable[[int], Hardware]
    get_root: str
    put_root: str
    awaited: tuple[str, ...]
    waits: Waits
    limits: Limits
    logs: str
    judge: t.Callable[[], SoftFailure | None]
    clean: bool
    port: int = 0
    hold: float = 0
    park: t.Callable[[Vm, SoftFailure], None] | None = None
    alive: t.Callable[[], bool] = lambda: True
    progress: t.Callable[[str], None] = lambda _line: None
    resume: t.Callable[[], Clone] | None = None
    started: t.Callable[[Start], None] = lambda _start: None
    ram: int = 0
    writes: int | None = None
    patience: float = 0
    network: Attachment | None = None
    companions: t.Sequence[Boot] = ()
    look_in: LookIn | None = None

    def awaits(self, name: str) -> bool:
        """Whether a file of this name ends the talk."""
        return not self.awaited or name in self.awaited


def converse(
    host: Host, lease: Lease, accelerator: Accelerator, talk: Talk, phases: Phases
) -> SoftFailure | None:
    """Have the talk; None once the awaited file has arrived, been judged and the machine is down.

    A SoftFailure is an outcome, not an exception. Nothing of the machine is left
    either way but the directory that ``talk.prepare`` made. Raises VmError,
    NetworkError, CommandError, TftpError, HostError, LockError, CompanionError and Interrupted.
    """
    claim(
        host, lease, talk.ram, talk.patience, talk.alive, lambda: phases.begin("wait"), talk.writes
    )
    reason = ""
    if talk.resume is not None:
        phases.begin("snapshot")
        failure = _resume(host, lease, accelerator, talk, phases, talk.resume)
        if failure is None or failure.kind != "mis-boot":
            phases.end()
            return failure
        reason = failure.message
        host.report(f"warning: the machine is booted, not resumed: {reason}")
    attempt = 0
    while True:
        phases.begin("snapshot" if talk.what == "build" else "prepare")
        hardware = talk.prepare(attempt)
        failure = _attempt(host, lease, accelerator, talk, phases, hardware, attempt, reason)
        if failure is None or failure.kind != "mis-boot":
            phases.end()
            return failure
        host.report(
            f"warning: machine {hardware.name} appears to have mis-booted "
            f"({failure.message}), retrying"
        )
        attempt += 1


def _resume(
    host: Host,
    lease: Lease,
    accelerator: Accelerator,
    talk: Talk,
    phases: Phases,
    make_clone: t.Callable[[], Clone],
) -> SoftFailure | None:
    """Resume a clone and talk; a failure of kind `mis-boot` asks for a boot instead."""
    try:
        clone = make_clone()
    except TemplateError as error:
        return SoftFailure("mis-boot", str(error))
    try:
        hurried = dataclasses.replace(talk.waits, startup=min(talk.waits.startup, _RESUME))
        talk = dataclasses.replace(talk, waits=hurried)
        return _attempt(host, lease, accelerator, talk, phases, clone.hardware, 0, clone=clone)
    finally:
        os.close(clone.ram)


def _attempt(
    host: Host,
    lease: Lease,
    accelerator: Accelerator,
    talk: Talk,
    phases: Phases,
    hardware: Hardware,
    attempt: int,
    reason: str = "",
    clone: Clone | None = None,
) -> SoftFailure | None:
    """Boot once, or resume, and talk; a failure of kind `mis-boot` asks for another attempt."""
    heard = False
    uploads = 0
    refusals = Refusals(host.report)
    lines = GuestLines(talk.progress)
    phases.begin("resume" if clone else "start")
    began = time.monotonic()

    def note(event: Event) -> None:
        nonlocal heard, uploads
        name = event.name.lstrip("/")
        if event.kind == "request":
            # Nobody but this machine has a business here from now on.
            server.peer = event.peer[0]
            if clone and name == RESUMED:
                _write_resumed(talk.get_root)
            elif clone and not heard:
                asked = cut(event.name, 100)
                raise _Astray(f"its worker asks for {asked!r} before it has {RESUMED!r}")
        # The request of a clone is an old one: it lives when it has taken the answer.
        lives = (event.kind, name) == ("done", RESUMED) if clone else event.kind == "request"
        if lives and not heard:
            heard = True
            lease.note(address=event.peer[0])
            seconds = round(time.monotonic() - began, 3)
            talk.started(Start(warm=bool(clone), seconds=seconds, reason=reason))
        ours = event.operation == "put" and talk.awaits(name)
        if ours and event.kind == "request":
            uploads += 1
        # A guest may begin and fail as often as it likes: that makes no phases without end.
        timed = ours and uploads <= _MOST_UPLOADS
        if timed and event.kind == "request":
            phases.begin("upload")
        if event.kind in ("failed", "refused") and name != RESUMED:
            refusals.tell(event.operation, event.name, event.error)
            if timed:
                phases.begin("work")

    with contextlib.ExitStack() as stack:
        network = stack.enter_context(
            contextlib.closing(talk.network or attach(host, lease, hardware.mac, talk.port))
        )
        server = stack.enter_context(
            network.serve(
                get_root=talk.get_root,
                put_root=talk.put_root,
                limits=talk.limits,
                on_event=note,
            )
        )
        vm = make_vm(host, lease, hardware, accelerator, talk.logs)
        stack.push(lambda kind, *_: _close(host, vm, failed=kind is not None))
        if clone is None:
            vm.start(network)
        else:
            try:
                vm.start(network, state=clone.state, ram=clone.ram)
            except VmError as error:
                return SoftFailure("mis-boot", str(error))
        stack.callback(refusals.close)
        stack.callback(lines.close)
        boot = Boot(host, vm, network, server, lines.say, talk.alive)
        stack.callback(boot.close)
        boot.listen(talk.logs)
        boot.accompany(talk.companions)
        boot.limit(talk.writes)
        for way_in in stack.enter_context(looked_into(host, lease, vm, talk.look_in)):
            boot.watch(way_in)
        if clone is not None:
            vm.resume()
            server.release(clone.held)
        try:
            failure = _talk(boot, talk, phases, lambda: heard, attempt)
        except _Astray as error:
            failure = SoftFailure("mis-boot", str(error))
        if failure is not None and failure.kind not in ("mis-boot", *_FILLED):
            _keep(host, lease, boot, talk, phases, failure)
        phases.begin("down")
    return failure


def _write_resumed(directory: str) -> None:
    """Write what a machine that was resumed cannot have of its own; see RESUMED."""
    text = f": 1\ntime: {time.time():.6f}\nseed: {secrets.token_hex(64)}\n"
    path = os.path.join(directory, RESUMED)
    with open(path, "w", encoding="utf-8", opener=_open_private) as file:
        file.write(text)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def hold_first_request(
    host: Host,
    lease: Lease,
    accelerator: Accelerator,
    hardware: Hardware,
    ram: int,
    logs: str,
    *,
    startup: float,
    port: int,
    alive: t.Callable[[], bool],
) -> t.Iterator[tuple[Vm, HeldRequest]]:
    """Boot ``hardware``, its RAM in the file ``ram``, up to its first request: it stays unanswered.

    The machine goes down at the end of the with statement. Raises TemplateError if the
    guest does not ask for RESUMED first, and what converse() does.
    """
    try:
        claim(host, lease, hardware.ram, 0, alive)
    except NoRoom as error:
        raise TemplateError(str(error)) from error
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(contextlib.closing(attach(host, lease, hardware.mac, port)))
        server = stack.enter_context(
            network.serve(get_root=None, put_root=None, hold=lambda _event: True)
        )
        vm = make_vm(host, lease, hardware, accelerator, logs)
        stack.push(lambda kind, *_: _close(host, vm, failed=kind is not None))
        vm.start(network, ram=ram)
        boot = Boot(host, vm, network, server, lambda _line: None, alive)
        stack.callback(boot.close)
        boot.listen(logs)
        outcome = boot.serve(lambda: bool(server.held), startup)
        if outcome == "timeout":
            raise VmError(f"it sent no request within {startup:g} s that it can be saved at")
        if outcome == "ended":
            raise VmError("it ended before the request that it is to be saved at")
        held = server.held[0]
        name = parse_request(held.datagram).name
        if name.lstrip("/") != RESUMED:
            raise TemplateError(
                f"its worker asks for {cut(name, 100)!r} first and not for {RESUMED!r}, so it "
                "would not notice that it was resumed"
            )
        yield vm, held


def _talk(
    boot: Boot, talk: Talk, phases: Phases, requested: t.Callable[[], bool], attempt: int
) -> SoftFailure | None:
    """The talk proper: first request, file, judgement, shutdown."""
    what, waits = talk.what, talk.waits

    def arrived() -> bool:
        return arrived_in(talk.put_root, talk.awaited) is not None

    phases.begin("first request")
    outcome = boot.serve(requested, waits.startup)
    if outcome == "writes":
        # Another boot would write as much.
        return SoftFailure("startup write limit", _filled(talk, " before its first request"))
    if outcome != "done":
        reason = (
            f"no request within {waits.startup:g} s"
            if outcome == "timeout"
            else f"it ended with status {boot.vm.exit_status} before its first request"
        )
        if said := boot.last_words():
            reason += f"; the last line of its console is {said!r}"
        if attempt > waits.retries:
            return SoftFailure("startup timeout", f"{what} startup timeout: {reason}")
        return SoftFailure("mis-boot", reason)

    phases.begin("work")
    outcome = boot.serve(arrived, waits.total)
    if outcome == "timeout":
        return SoftFailure("timeout", f"{what} timeout: no result within {waits.total:g} s")
    if outcome == "writes":
        return SoftFailure("write limit", _filled(talk))
    if outcome == "ended":
        reason = f"{what} machine ended before it sent a result"
        if said := boot.last_words():
            reason += f"; the last line of its console is {said!r}"
        return SoftFailure("ended early", reason)
    failure = talk.judge()
    if failure is not None:
        return failure

    if talk.clean:
        phases.begin("shutdown")
        boot.vm.power_down()
        if boot.serve(lambda: not boot.vm.running(), waits.shutdown) != "done":
            return SoftFailure(
                "shutdown timeout",
                f"{what} shutdown timeout: still running after {waits.shutdown:g} s",
            )
        if boot.vm.exit_status != 0:
            # What the guest has written last may be lost, and nobody would notice.
            raise VmError(
                f"QEMU ended with status {boot.vm.exit_status} while machine "
                f"{boot.vm.hardware.name} was shut down, so its disk cannot be trusted"
            )
    return None


def _filled(talk: Talk, when: str = "") -> str:
    most = f"{(talk.writes or 0) >> 10} MiB"
    return f"{talk.what} machine has written more than {most} to its disks{when} (write-limit)"


def _keep(
    host: Host, lease: Lease, boot: Boot, talk: Talk, phases: Phases, failure: SoftFailure
) -> None:
    """Keep a machine that failed for inspection, if that is wanted."""
    if not boot.vm.running():
        return
    if talk.park is not None:
        phases.begin("suspend")
        talk.park(boot.vm, failure)
    elif talk.hold:
        phases.begin("hold")
        hold(host, lease, boot, talk.hold, failure.message)


def _close(host: Host, vm: Vm, *, failed: bool) -> None:
    """Close the machine; what cannot be removed now is left to the lease's end."""
    if failed and vm.running():
        host.report(f"trying to force machine {vm.hardware.directory} down")
    vm.close()
