# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The engine's objects as the plain data that modules return."""

from __future__ import annotations

import time
import typing as t

from ..vm.accelerator import Accelerator
from . import template as _template
from .conversation import Start
from .inventory import Machine
from .toolchain import Toolchain


def describe_machine(machine: Machine) -> dict[str, t.Any]:
    """A machine; the keys are documented at the module machine_info."""
    manifest, bootstrapped = machine.manifest, machine.bootstrapped
    return {
        "name": machine.name,
        "volume": machine.volume,
        "directory": machine.directory,
        "state": machine.state,
        "reasons": list(machine.reasons),
        "revision": machine.revision,
        "id": manifest.id if manifest else None,
        "summary": manifest.summary if manifest else None,
        "type": machine.kind,
        "role": manifest.effective_role if manifest else None,
        "bootstrapped": machine.bootstrapped_path if bootstrapped else None,
        "mac": bootstrapped.machine.mac if bootstrapped else None,
        "warm": _describe_template(machine),
    }


def _describe_template(machine: Machine) -> dict[str, t.Any] | None:
    template = _template.look(machine)
    if template is None:
        return None
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(template.made))
    return {
        "path": template.path,
        "made": made,
        "bytes": template.bytes,
        "seconds": round(template.seconds, 3),
        "reason": template.reason,
    }


def describe_start(start: Start | None) -> dict[str, t.Any] | None:
    """How a machine came up; the keys are documented at the module task_run."""
    if start is None:
        return None
    how = "warm" if start.warm else "cold"
    return {"how": how, "seconds": start.seconds, "reason": start.reason}


def describe_toolchain(toolchain: Toolchain) -> dict[str, t.Any]:
    """A toolchain; the keys are documented at the module machine_info."""
    versions = toolchain.expected.versions
    return {
        "name": toolchain.name,
        "id": toolchain.id,
        "versions": {package: str(version) for package, version in versions.items()},
    }


def describe_accelerator(accelerator: Accelerator) -> dict[str, t.Any]:
    """How guests run, and why so."""
    return {"name": accelerator.name, "reason": accelerator.reason}
