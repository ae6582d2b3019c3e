# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results, and what agent and controller send each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.version import (
    StandardVersion,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.base import Message
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    ResultRequest,
    TaskRequest,
    TaskResponse,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.machine import (
    BootstrappedMachine,
    BootstrapResult,
    MachineHeader,
    MachineManifest,
    ToolchainManifest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from hypothesis import given, settings
from hypothesis import strategies as st

SHA256 = "4ef35b41df679ffa584334dabf45b99f2e34f2ee796a2cedf3e924be0b1ee571"
RESULT = """: 1
name: libhello
version: 1.0.0
status: warning
configure-status: success
update-status: warning
configure-log:\\
bpkg create cc config.cxx=g++
created new configuration in /tmp/build/
\\
update-log: hello.cxx:3:5: warning: unused variable 'x'
"""
MACHINE = "id: gcc_13-2.4\nname: debian\nsummary: Debian 12\n"
REQUEST = f""": 1
agent: host1
toolchain-name: default
toolchain-version: 0.6.0
fingerprint: {SHA256}
:
{MACHINE}:
{MACHINE}"""
TASK = """name: libhello
version: 1.0.0
repository: https://pkg.example.org/1/stable
trust: yes
machine: debian
"""
RESPONSE = f""": 1
session: libhello/1.0.0/debian/0.6.0/1496000000123456789
challenge: {SHA256}
result-url: https://ci.example.org/?build-result
bindist-upload-url: https://ci.example.org/?upload=bindist
agent-checksum: 1
:
{TASK}"""
REPORT = """: 1
session: libhello/1.0.0/debian/0.6.0/1496000000123456789
challenge:\\
BzxxptsQRXqv5BlOg7jtIleMwfYrYJXK/zRpntMIPXKn3BFGe7DlGk+Eue4jWI3C9yxhlssANWqf
1Ak+c6jdEkd8
\\
:
name: libhello
version: 1.0.0
status: abort
"""


def test_order_of_statuses() -> None:
    order = ["skip", "success", "warning", "error", "abort", "abnormal", "interrupt"]
    assert [str(status) for status in sorted(reversed(Status))] == order
    assert max(Status.ERROR, Status.ABORT, Status.SKIP) is Status.ABORT
    assert Status.WARNING >= Status.WARNING
    with pytest.raises(TypeError):
        assert Status.WARNING < "error"


def test_result() -> None:
    result = Result.parse(RESULT, strict=True)
    assert (result.name, result.version, result.status) == ("libhello", "1.0.0", Status.WARNING)
    assert result.operations == (
        OperationResult(
            "configure",
            Status.SUCCESS,
            "bpkg create cc config.cxx=g++\ncreated new configuration in /tmp/build/",
        ),
        OperationResult("update", Status.WARNING, "hello.cxx:3:5: warning: unused variable 'x'"),
    )
    assert list(result.statuses) == list(result.logs) == ["configure", "update"]
    assert result.to_text() == RESULT
    assert Result("libhello", "1.0.0", Status.WARNING, result.operations).to_text() == RESULT


def test_result_as_data() -> None:
    result = replace(Result.parse(RESULT), worker_checksum="5")
    mapping = result.to_mapping()
    assert mapping["status"] == "warning"
    assert mapping["operations"][1] == {
        "operation": "update",
        "status": "warning",
        "log": "hello.cxx:3:5: warning: unused variable 'x'",
    }
    assert mapping["worker_checksum"] == "5"
    assert "dependency_checksum" not in mapping


def test_results_for_tasks() -> None:
    task = Task.parse(": 1\n" + TASK)
    assert Result.for_task(task).to_text() == ": 1\nname: libhello\nversion: 1.0.0\nstatus: abort\n"
    unknown = Result.parse(": 1\nname: unknown\nversion: 0\nstatus: abnormal\n")
    assert unknown.identified(task) == Result("libhello", "1.0.0", Status.ABNORMAL)
    known = Result.parse(RESULT)
    assert known.identified(task) is known


def test_request() -> None:
    request = TaskRequest.parse(REQUEST, strict=True)
    assert (request.agent, request.toolchain_name) == ("host1", "default")
    assert request.toolchain_version == StandardVersion.parse("0.6.0")
    assert [machine.name for machine in request.machines] == ["debian", "debian"]
    assert request.to_text() == REQUEST
    header = MachineHeader(id="gcc_13-2.4", name="debian", summary="Debian 12")
    version = StandardVersion.parse("0.6.0")
    made = TaskRequest("host1", "default", version, (header, header), fingerprint=SHA256)
    assert made == request
    assert made.to_text() == REQUEST


def test_response() -> None:
    response = TaskResponse.parse(RESPONSE, strict=True)
    assert response.challenge == SHA256
    assert response.result_url == "https://ci.example.org/?build-result"
    assert response.upload_urls == {"bindist": "https://ci.example.org/?upload=bindist"}
    assert response.task is not None
    assert response.task.machine == "debian"
    assert response.to_text() == RESPONSE


def test_empty_response() -> None:
    response = TaskResponse.parse(": 1\nsession:\n", strict=True)
    assert (response.session, response.task) == ("", None)
    assert response.to_text() == TaskResponse("").to_text() == ": 1\nsession:\n"


def test_report() -> None:
    request = ResultRequest.parse(REPORT, strict=True)
    assert request.challenge is not None
    assert request.challenge[:3] == b"\x07<q"
    assert len(request.challenge) == 66
    assert request.result.status is Status.ABORT
    assert request.to_text() == REPORT
    made = ResultRequest(request.session, request.result, challenge=request.challenge)
    assert made.to_text() == REPORT


BEGIN = ": 1\nname: hello\nversion: 1\n"
SESSION = ": 1\nsession: s\n"


@pytest.mark.parametrize(
    ("record", "text", "message"),
    [
        (Result, BEGIN, "4:1: error: no result status specified"),
        (Result, BEGIN + "status: fine\n", "4:9: error: invalid result status: 'fine' is none of"),
        (
            Result,
            BEGIN + "update-status: error\nstatus: error\nupdate-log:\n",
            "4:1: error: result update status before result status",
        ),
        (
            Result,
            BEGIN + "status: error\nupdate-status: error\nupdate-status: error\n",
            "6:1: error: result update status redefinition",
        ),
        (
            Result,
            BEGIN + "status: error\na-status: error\na-log:\nb-status: error\nb-log:\n",
            "7:1: error: result b status after result a log",
        ),
        (
            Result,
            BEGIN + "status: error\na-status: error\nb-status: error\nb-log:\na-log:\n",
            "7:1: error: result b log is not in the order of the operations' statuses",
        ),
        (
            Result,
            BEGIN + "status: error\na-log:\n",
            "5:1: error: result a log is not in the order of the operations' statuses",
        ),
        (
            Result,
            BEGIN + "status: error\na-status: error\n",
            "6:1: error: no result a log specified",
        ),
        (
            TaskRequest,
            ": 1\nagent: a\ntoolchain-name: b\ntoolchain-version: 1.2.3\n",
            "5:1: error: no task request machines specified",
        ),
        (
            TaskRequest,
            ": 1\nfingerprint: abc\n",
            "2:14: error: invalid task request fingerprint: 64 lower-case hexadecimal digits",
        ),
        (
            TaskRequest,
            ": 1\nagent: a\ntoolchain-name: b\ntoolchain-version: 1.2.3\ninteractive-mode: both\n",
            "6:1: error: no task request interactive login specified",
        ),
        (TaskResponse, SESSION, "3:1: error: no task response result url specified"),
        (
            TaskResponse,
            SESSION + "result-url: x y\n",
            "3:13: error: invalid task response result url: 'x y' is not a URL",
        ),
        (
            TaskResponse,
            SESSION + "result-url: x:\n",
            "4:1: error: start of task manifest expected",
        ),
        (
            TaskResponse,
            RESPONSE + ":\n",
            "13:1: error: single task manifest expected",
        ),
        (
            TaskResponse,
            ": 1\nsession:\nresult-url: x:\n",
            "3:1: error: unexpected task response result url with an empty session",
        ),
        (
            TaskResponse,
            ": 1\nsession:\n:\n",
            "3:1: error: single task response manifest expected",
        ),
        (ResultRequest, ": 1\nsession:\n", "2:9: error: empty result request session"),
        (ResultRequest, SESSION, "3:1: error: start of result manifest expected"),
        (
            ResultRequest,
            SESSION + "challenge: QQ=\n",
            "3:12: error: invalid result request challenge: invalid input",
        ),
    ],
)
def test_errors(record: type[Message], text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        record.parse(text, "in", strict=True)
    assert str(caught.value).startswith(f"in:{message}")


RECORDS: list[type[Message]] = [
    BootstrappedMachine,
    BootstrapResult,
    MachineHeader,
    MachineManifest,
    Result,
    ResultRequest,
    Task,
    TaskRequest,
    TaskResponse,
    ToolchainManifest,
]
LINES = st.sampled_from(
    [line + "\n" for text in (REQUEST, RESPONSE, REPORT, RESULT) for line in text.splitlines()]
)


@settings(deadline=None)
@given(st.binary() | st.lists(LINES).map(lambda lines: "".join(lines).encode()), st.booleans())
def test_any_bytes_are_read_or_rejected(data: bytes, strict: bool) -> None:
    for record in RECORDS:
        for text in (data, b": 1\n" + data):
            try:
                read = record.parse(text, strict=strict)
            except ManifestError:
                continue
            assert record.parse(read.to_text(), strict=strict) == read
