# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks performed on a real machine with our worker."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest, sources
from helpers.build_host import BuildHost

# Asks for its task once, from the port that the guest before it has had.
FIXED_PORT = f"""\
cat > /run/ask << 'END'
import socket
ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
ours.bind(("", 40000))
ours.settimeout(5)
host, port = "{guest.SERVER}".split()
ours.sendto(bytes((0, 1)) + b"manifest" + bytes(1) + b"octet" + bytes(1), (host, int(port)))
data, server = ours.recvfrom(1000)
ours.sendto(bytes((0, 4)) + data[2:4], server)
END
python3 /run/ask || exec sleep 1000
"""


@pytest.mark.parametrize(
    ("script", "status", "failing", "culprit", "words"),
    [
        (sources.GOOD, Status.SUCCESS, None, "none", "doing update"),
        (sources.WARNING, Status.WARNING, None, "none", "warning: unused variable"),
        (sources.FAILING, Status.ERROR, "update", "task", "failed with exit status 3"),
        (sources.CRASHING, Status.ERROR, "update", "task", "killed by signal SIGSEGV"),
    ],
    ids=["success", "warning", "error", "crash"],
)
def test_a_result_says_what_became_of_the_task(
    ready: BuildHost,
    tmp_path: Path,
    script: str,
    status: Status,
    failing: str | None,
    culprit: str,
    words: str,
) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", script)
    outcome = ready.perform(files={"source.tar.gz": str(archive)})

    assert (outcome.result.name, outcome.result.version) == ("hello", "1.0")
    assert outcome.result.status is status
    operations = ["configure", "update", "test"]
    assert [each.operation for each in outcome.result.operations] == operations
    skipped = [] if failing is None else operations[operations.index(failing) + 1 :]
    statuses = outcome.result.statuses
    assert [name for name in operations if statuses[name] is Status.SKIP] == skipped
    assert outcome.report.driver == "script"
    assert words in outcome.result.logs["update"]
    assert outcome.culprit == culprit
    assert (outcome.reason == "") == (culprit == "none")
    assert list(outcome.phases) == [
        *("snapshot", "start", "first request", "work", "upload", "down", "delete"),
    ]
    assert (ready.logs / "task" / "machine" / "console.log").read_bytes()
    assert "+update" in (ready.logs / "task" / "machine" / "progress.log").read_text()
    assert ready.reported("+update") == 1


def test_an_operation_leaves_nothing_to_the_next(ready: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", sources.LEAVING)
    outcome = ready.perform(files={"source.tar.gz": str(archive)})
    assert outcome.result.status is Status.SUCCESS, outcome.result.logs
    lines = outcome.result.logs["configure"].splitlines()
    begin = lines.index("+ ./bbot-build configure") + 1
    assert lines[begin : begin + 3] == ["out", "err", "err"]
    assert "done with configure" in lines
    assert "chatter" in lines


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (sources.GREEDY, "error: out of memory: the kernel killed python3; this machine has "),
        (sources.FILLING, "error: out of disk: 0 of "),
    ],
    ids=["memory", "disk"],
)
def test_a_machine_that_is_too_small_says_so(
    ready: BuildHost, tmp_path: Path, script: str, words: str
) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", script)
    outcome = ready.perform(files={"source.tar.gz": str(archive)})
    assert (outcome.result.status, outcome.culprit) == (Status.ERROR, "task")
    statuses = {name: status.value for name, status in outcome.result.statuses.items()}
    assert statuses == {"configure": "success", "update": "error", "test": "skip"}
    assert words in outcome.result.logs["update"].splitlines()[-1]


def test_a_task_is_not_mistaken_for_the_one_before(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    script = FIXED_PORT + guest.result("status: success") + guest.SLEEP
    host.install_scripted(bootstrapped, script)
    archive = sources.pack(tmp_path / "source.tar.gz")
    for _task in range(2):
        outcome = host.perform(files={"source.tar.gz": str(archive)})
        assert outcome.result.status is Status.SUCCESS, host.lines
        # Had its request gone elsewhere, the machine would have had to be booted again.
        assert "mis-booted" not in "\n".join(host.lines)


def test_a_machine_has_the_cpus_that_it_was_given(ready: BuildHost, tmp_path: Path) -> None:
    archive = sources.pack(tmp_path / "source.tar.gz", 'echo "cpus: $(nproc)"\n')
    outcome = ready.perform(files={"source.tar.gz": str(archive)}, cpu=2)
    assert "cpus: 2" in outcome.result.logs["update"]
