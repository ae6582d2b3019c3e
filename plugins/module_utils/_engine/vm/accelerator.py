# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""KVM where it works, TCG elsewhere.

A readable /dev/kvm proves nothing: there are hosts where it opens and a guest
hangs under it for ever. So KVM is used only where the CPU offers it and a tiny
*canary* guest has come through in time, once per kernel and QEMU. One that has not
is sent again after an hour.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
import time

from ..host.host import Host
from ..linux.process import CommandError, find_program
from .architecture import USUAL, Architecture, architecture_of

# A boot sector that enters 64-bit mode with paging, loops a million times,
# writes its token to the first serial port and ends QEMU by isa-debug-exit.
# Where there is hardware virtualisation that takes a fraction of a second.
_CANARY = bytes.fromhex(
    "fa"  # cli
    "31c08ed88ec08ed0bc007c"  # ax = ds = es = ss = 0, sp = 0x7c00
    "bf0010b90018fcf3ab"  # clear 0x1000..0x3fff
    "c70600100320c70600200330c70600308300"  # PML4, PDPT, PD: 2 MiB, identity
    "66b8a00000000f22e0"  # cr4 = PAE | PGE
    "66b8001000000f22d8"  # cr3 = 0x1000
    "66b9800000c00f32660d000100000f30"  # EFER |= LME
    "0f20c0660d010000800f22c0"  # cr0 |= PG | PE
    "660f0116787cea7e7c0800"  # lgdt [0x7c78]; far jump to 8:0x7c7e
    "0000000000000000ffff0000009aaf00ffff00000092af00"  # GDT: null, code, data
    "1700607c0000"  # GDT register: 24 bytes at 0x7c60
    "66b810008ed8b940420f00480fafc1e2fa"  # ds = 16; a million multiplications
    "488d351600000066baf803ac84c07403eeebf8"  # write the token to port 0x3f8
    "66baf400b010eef4ebfd"  # port 0xf4 = 0x10: end of QEMU; else halt
    "62626f742063616e6172790a00"  # the token
)
_TOKEN = "bbot canary"
_CANARY_SECONDS = "3"

# Seconds after which KVM is tried again where it has failed.
RETRY_INTERVAL = 3600.0


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """How guests run: ``name`` is kvm or tcg, ``reason`` says why in words.

    One that is a ``makeshift`` should be chosen anew after a while: KVM failed its canary,
    perhaps only because the host had too much to do.
    """

    name: str
    reason: str
    makeshift: bool = dataclasses.field(default=False, compare=False)

    @property
    def hardware(self) -> bool:
        """Whether guests run at the hardware's speed."""
        return self.name == "kvm"

    def on(self, machine: str) -> Accelerator:
        """Return how the machine that is called ``machine`` runs: a foreign one is emulated."""
        architecture = architecture_of(machine)
        if architecture.native:
            return self
        native = os.uname().machine
        return Accelerator("tcg", f"a machine of {architecture.name} is emulated on {native}")


def qemu_program(architecture: Architecture = USUAL) -> str:
    """Absolute path of QEMU for ``architecture``; CommandError if it is not installed."""
    return find_program(architecture.program, architecture.package)


def objection(machine: str) -> str:
    """Return why the machine that is called ``machine`` cannot be emulated; empty if it can.

    Without the QEMU of the host's own architecture nothing runs: that is the host's fault.
    """
    architecture = architecture_of(machine)
    if not architecture.native:
        try:
            qemu_program(architecture)
        except CommandError as error:
            return f"it is a machine of {architecture.name}: {error}"
    return ""


def choose(host: Host, wanted: str = "auto") -> Accelerator:
    """The accelerator for guests on ``host``: ``wanted``, or what works for `auto`.

    Raises CommandError if there is no QEMU.
    """
    program = qemu_program()
    if wanted != "auto":
        return Accelerator(wanted, "as asked for")
    reason = _obstacle()
    if reason:
        return Accelerator("tcg", reason)
    if _canary_passes(host, program):
        return Accelerator("kvm", "a canary guest ran under it")
    reason = f"a canary guest did not come through KVM in {_CANARY_SECONDS} s"
    return Accelerator("tcg", reason, makeshift=True)


def _obstacle() -> str:
    """Why KVM need not even be tried; empty if it may work."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        flags = {flag for line in cpuinfo if line.startswith("flags") for flag in line.split()}
    if not flags & {"vmx", "svm"}:
        return "the CPU offers no hardware virtualisation (no vmx or svm flag)"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is missing or may not be opened"
    return ""


def _canary_passes(host: Host, program: str) -> bool:
    """Return whether the canary comes through.

    A success is remembered per kernel and QEMU, a failure for an hour: it may be due to what
    else the host had to do.
    """
    stat = os.stat(program)
    key = f"{os.uname().release} {program} {stat.st_size} {stat.st_mtime_ns}"
    path = os.path.join(host.state, "canary.json")
    known = _remembered(path, key)
    if known is not None:
        return known

    passed = run_canary(host, program, "kvm")
    if not passed:
        host.report(
            f"warning: a canary guest did not come through KVM in {_CANARY_SECONDS} s: guests are "
            "emulated, about ten times slower; KVM is tried again in an hour"
        )
    finding = {"key": key, "passed": passed, "at": time.time()}
    with contextlib.suppress(OSError):
        os.makedirs(host.state, exist_ok=True)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump(finding, file)
        os.replace(f"{path}.new", path)
    return passed


def _remembered(path: str, key: str) -> bool | None:
    """Return what was found out for `key`, or None if it has to be found out."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        if not isinstance(known, dict) or known.get("key") != key:
            return None
        if known.get("passed") is True:
            return True
        at = known.get("at")
        if known.get("passed") is False and isinstance(at, int | float):
            return False if 0 <= time.time() - at < RETRY_INTERVAL else None
    return None


def run_canary(host: Host, program: str, accelerator: str) -> bool:
    """Whether the canary guest comes through under ``accelerator`` in time."""
    timeout = find_program("timeout", "coreutils")
    with tempfile.NamedTemporaryFile(prefix="bbot-canary-") as image:
        image.write(_CANARY.ljust(510, b"\0") + b"\x55\xaa")
        image.flush()
        command = [timeout, "--signal=KILL", _CANARY_SECONDS, program]
        command += ["-accel", accelerator, "-nodefaults", "-no-reboot", "-display", "none"]
        command += ["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4"]
        command += ["-drive", f"if=ide,format=raw,snapshot=on,file={image.name}"]
        with contextlib.suppress(CommandError):
            output = host.run(command)[1]
            return _TOKEN in output
    return False
