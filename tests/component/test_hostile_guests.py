# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guests that do not do their part, or more than that: every one ends in a verdict and no trace."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    channel as _channel,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits
from helpers.build_host import BuildHost
from helpers.guest import GET_TASK, SLEEP, put, result
from helpers.toolchains import install_toolchain

POWER_OFF = "busybox poweroff -f\n"
PANIC = "echo c > /proc/sysrq-trigger\n"
REBOOT = "busybox reboot -f\n"
GARBAGE = "dd if=/dev/urandom of=/run/result bs=1k count=4\n" + put("/run/result")
SUCCESS = result("status: success")


@dataclasses.dataclass
class Case:
    """What the guest does, how long it is waited for, and what becomes of the task."""

    script: str
    kind: str
    status: Status
    culprit: str
    reason: str
    startup: float = 120
    total: float = 120
    boots: int = 1


CASES = {
    "never asks": Case(
        SLEEP,
        kind="startup timeout",
        status=Status.ABORT,
        culprit="machine",
        reason="build startup timeout: no request within 4 s",
        startup=4,
        boots=2,
    ),
    "ends before it asks": Case(
        POWER_OFF,
        kind="startup timeout",
        status=Status.ABORT,
        culprit="machine",
        reason="it ended with status 0 before its first request",
        boots=2,
    ),
    "panics before it asks": Case(
        PANIC,
        kind="startup timeout",
        status=Status.ABORT,
        culprit="machine",
        reason="it ended with status 0 before its first request",
        boots=2,
    ),
    "hangs": Case(
        GET_TASK + SLEEP,
        kind="timeout",
        status=Status.ABORT,
        culprit="task",
        reason="build timeout: no result within 2 s",
        total=2,
    ),
    "ends without a result": Case(
        GET_TASK + POWER_OFF,
        kind="ended early",
        status=Status.ABORT,
        culprit="task",
        reason="build machine ended before it sent a result",
    ),
    "panics while it works": Case(
        GET_TASK + PANIC,
        kind="ended early",
        status=Status.ABORT,
        culprit="task",
        reason="the last line of its console is '",
    ),
    "reboots while it works": Case(
        GET_TASK + REBOOT,
        kind="ended early",
        status=Status.ABORT,
        culprit="task",
        reason="build machine ended before it sent a result",
    ),
    "sends garbage": Case(
        GET_TASK + GARBAGE + SLEEP,
        kind="terminated abnormally",
        status=Status.ABNORMAL,
        culprit="machine",
        reason="the result cannot be used: result:1:",
    ),
    "sends an empty result": Case(
        GET_TASK + ": > /run/result\n" + put("/run/result") + SLEEP,
        kind="terminated abnormally",
        status=Status.ABNORMAL,
        culprit="machine",
        reason="the result cannot be used: result:",
    ),
    "sends the result of another task": Case(
        GET_TASK + result("status: success", version="1.1") + SLEEP,
        kind="terminated abnormally",
        status=Status.ABNORMAL,
        culprit="machine",
        reason="the result cannot be used: result: error: it is of hello 1.1, not of hello 1.0",
    ),
    "makes up operations": Case(
        GET_TASK
        + result(
            "status: success",
            *(f"x{number}-status: success" for number in range(101)),
            *(f"x{number}-log:" for number in range(101)),
        )
        + SLEEP,
        kind="terminated abnormally",
        status=Status.ABNORMAL,
        culprit="machine",
        reason="the result cannot be used: result: error: it has 101 operations",
    ),
    "makes the result a folder": Case(
        GET_TASK + put("/run/task", "manifest/x") + SUCCESS + SLEEP,
        kind="timeout",
        status=Status.ABORT,
        culprit="task",
        reason="build timeout: no result within 4 s",
        total=4,
    ),
    "is abnormal": Case(
        GET_TASK + result("status: abnormal") + SLEEP,
        kind="terminated abnormally",
        status=Status.ABNORMAL,
        culprit="machine",
        reason="build terminated abnormally",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_guest_that_fails_to_do_its_part(
    host: BuildHost, bootstrapped: Machine, case: Case
) -> None:
    host.install_scripted(bootstrapped, case.script)
    waits = Waits(startup=case.startup, total=case.total, retries=0)
    outcome = host.perform(waits=waits)

    assert outcome.failure is not None
    assert outcome.failure.kind == case.kind, host.lines
    assert (outcome.result.name, outcome.result.version) == ("hello", "1.0")
    assert outcome.result.status is case.status
    assert outcome.culprit == case.culprit
    assert case.reason in outcome.reason
    # bbot's count: the first retry is free.
    assert host.reported("phase start") == case.boots
    assert host.reported("appears to have mis-booted") == case.boots - 1
    host.assert_clean()


def test_an_upload_without_end_is_refused(host: BuildHost, bootstrapped: Machine) -> None:
    host.install_scripted(bootstrapped, GET_TASK + put("/dev/zero") + SLEEP)
    before = os.statvfs(host.root).f_bavail
    outcome = host.perform(
        waits=Waits(startup=120, total=6, retries=0),
        limits=Limits(upload_bytes=1 << 20, total_upload_bytes=1 << 20),
    )
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.result.status) == ("timeout", Status.ABORT)
    assert host.reported("| tftp put manifest: ") == 1
    # Others work on this file system, too: an order of magnitude is what is meant.
    assert before - os.statvfs(host.root).f_bavail < (512 << 20) // os.statvfs(host.root).f_frsize
    host.assert_clean()


def test_uploads_stay_in_their_folder(host: BuildHost, bootstrapped: Machine) -> None:
    names = ["../x", "../../x", "a/../../x", "/../x", "..", "a/b", "/etc/x"]
    uploads = "".join(put("/run/task", name) for name in names)
    host.install_scripted(bootstrapped, GET_TASK + uploads + SUCCESS + SLEEP)
    outcome = host.perform()

    assert outcome.result.status is Status.SUCCESS, host.lines
    # What is not above the folder is an artifact, and where it seems to be absolute it is not.
    assert set(outcome.artifacts) <= {"a/b", "etc/x"}
    assert [path for path in host.root.rglob("x") if path.is_file()] == [
        Path(path) for name, path in outcome.artifacts.items() if name.endswith("x")
    ]
    for name in ("../x", "../../x", "a/../../x", "/../x"):
        assert host.reported(f"| tftp put {name}: ") == 1, host.lines
    host.assert_clean()


def test_talk_without_end_is_cut(
    host: BuildHost, bootstrapped: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 65536
    monkeypatch.setattr(_channel, "_LIMIT", limit)
    port = "port() { p=$(grep -lx $1 /sys/class/virtio-ports/*/name); p=${p%/name}; "
    port += "echo /dev/${p##*/}; }"
    # Nobody listens to the second one as long as the machine is not held.
    floods = f"{port}\nyes 'about a shell' > $(port bbot.inspect) &\n"
    for device in ("/dev/ttyS0", "$(port bbot.progress)"):
        floods += f"yes 'much ado' | head -c {2 * limit} > {device}\n"
        floods += f"yes 'about nothing' > {device} &\n"
    host.install_scripted(bootstrapped, GET_TASK + floods + SUCCESS + SLEEP)
    outcome = host.perform()

    assert outcome.result.status is Status.SUCCESS
    for name in ("console.log", "progress.log"):
        data = (host.logs / "task" / "machine" / name).read_bytes()
        note = f"\n[cut here: {limit} bytes are kept]\n".encode()
        assert data.endswith(note)
        assert len(data) == limit + len(note)
    assert 0 < host.reported("much ado") <= limit // len("much ado\n")
    host.assert_clean()


BOOTSTRAPS = {
    "hangs": (SLEEP, "timeout", "bootstrap timeout: no result within 3 s"),
    "ends": (
        POWER_OFF,
        "ended early",
        "bootstrap machine ended before it sent a result; the last line of its console is '",
    ),
    "is older than expected": (
        "printf ': 1\\nbbot-version: 0.0.9\\n' > /run/m\n" + put("/run/m") + POWER_OFF,
        "wrong versions",
        "bootstrap of no use: it was bootstrapped with bbot 0.0.9, we have 0.1.0",
    ),
    "does not shut down": (
        "rm -r /etc/bbot/acpi\nprintf ': 1\\nbbot-version: 0.1.0\\n' > /run/m\n"
        + put("/run/m")
        + SLEEP,
        "shutdown timeout",
        "bootstrap shutdown timeout: still running after 1 s",
    ),
}


@pytest.mark.parametrize(("script", "kind", "message"), BOOTSTRAPS.values(), ids=list(BOOTSTRAPS))
def test_a_machine_that_fails_to_bootstrap_stays_as_it_was(
    host: BuildHost, bootstrapped: Machine, script: str, kind: str, message: str
) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    install_toolchain(host.tftp, bootstrap=script)
    ensured = host.ensure(waits=Waits(startup=120, total=3, retries=0, shutdown=1))
    assert ensured.failure is not None
    assert ensured.failure.kind == kind
    assert ensured.failure.message.startswith(message)
    assert not ensured.changed
    assert host.machine().state == "missing"
    host.assert_clean()


def test_a_bootstrap_report_that_is_none_is_an_error_with_its_place(
    host: BuildHost, bootstrapped: Machine
) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    script = "printf ': 1\\nbbot-version: 1.x\\n' > /run/m\n" + put("/run/m") + SLEEP
    install_toolchain(host.tftp, bootstrap=script)
    with pytest.raises(ManifestError, match=r"^tiny:manifest:2:15: error: "):
        host.ensure()
    assert host.machine().state == "missing"
    host.assert_clean()
