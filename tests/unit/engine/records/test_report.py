# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the worker tells beside its result, when it tells the truth and when it does not."""

from __future__ import annotations

import hashlib
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.report import (
    ReportError,
    read_report,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import Result
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import Delivery

DATA = b"an archive"
DIGEST = hashlib.sha256(DATA).hexdigest()
UPLOAD = {"name": "upload.tar", "size": len(DATA), "sha256": DIGEST}
TASK = Task.from_mapping(
    {
        "name": "hello",
        "version": "1.0",
        "repository-url": "tftp:source.tar",
        "machine": "debian",
        "target": "x86_64-linux-gnu",
    }
)


def test_a_report_is_read() -> None:
    tests = {"test": {"passed": 2, "failed": 1, "first_failure": {"name": "a", "text": "b"}}}
    artifact = {"path": "dist/a.whl", "type": "bindist", "size": 1, "sha256": DIGEST}
    report = read_report(
        json.dumps(
            {"driver": "cmake", "tests": tests, "artifacts": [artifact], "uploads": [UPLOAD]}
        )
    )
    assert report.driver == "cmake"
    assert report.tests["test"]["skipped"] == 0
    assert report.tests["test"]["first_failure"] == {"name": "a", "text": "b"}
    assert [(each.path, each.size) for each in report.artifacts] == [("dist/a.whl", 1)]
    assert [each.path for each in report.uploads] == ["upload.tar"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        "1e999",
        '{"driver": 1}',
        '{"tests": []}',
        '{"tests": {"test": 1}}',
        '{"tests": {"test": {"passed": -1}}}',
        '{"tests": {"test": {"passed": true}}}',
        '{"tests": {"test": {"passed": 1e30}}}',
        '{"tests": {"test": {"first_failure": "x"}}}',
        '{"uploads": {}}',
        '{"uploads": [1]}',
        json.dumps({"uploads": [{**UPLOAD, "name": "../x"}]}),
        json.dumps({"uploads": [{**UPLOAD, "name": "/x"}]}),
        json.dumps({"uploads": [{**UPLOAD, "name": ""}]}),
        json.dumps({"uploads": [{**UPLOAD, "name": "a\x00"}]}),
        json.dumps({"uploads": [{**UPLOAD, "sha256": "x"}]}),
        json.dumps({"uploads": [{**UPLOAD, "size": -1}]}),
        json.dumps({"uploads": [{**UPLOAD, "size": None}]}),
        json.dumps({"uploads": [UPLOAD] * 6000}),
        json.dumps({"driver": "x" * 600}),
        " " * (5 << 20),
    ],
)
def test_a_report_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ReportError):
        read_report(text)


def deliver(folder: Path, report: dict[str, t.Any] | str, **files: bytes) -> Delivery:
    for name, data in files.items():
        (folder / name.replace("_", ".")).write_bytes(data)
    text = report if isinstance(report, str) else json.dumps(report)
    lines = [": 1", "name: hello", "version: 1.0", "status: warning", "test-status: warning"]
    lines += ["install-status: skip", "test-log: x", "install-log:", f"report: {text}", ""]
    (folder / "manifest").write_text("\n".join(lines))
    delivery = Delivery(TASK, str(folder))
    delivery.judge()
    return delivery


def test_what_was_announced_and_arrived_is_good(tmp_path: Path) -> None:
    delivery = deliver(tmp_path, {"uploads": [UPLOAD]}, upload_tar=DATA)
    assert delivery.complaint == ""
    assert delivery.result.status.value == "warning"
    assert delivery.result.report is None


@pytest.mark.parametrize(
    ("report", "data", "complaint"),
    [
        ({"uploads": [UPLOAD]}, None, "upload upload.tar was announced and is not there"),
        ({"uploads": [UPLOAD]}, b"other stuf", "upload upload.tar has another SHA-256 digest"),
        ({"uploads": [UPLOAD]}, b"short", "upload upload.tar has 5 bytes, not the 10 announced"),
        ("nonsense", DATA, "the report in the result is not as it should be: it is not JSON"),
    ],
)
def test_what_does_not_match_is_abnormal(
    tmp_path: Path, report: dict[str, t.Any] | str, data: bytes | None, complaint: str
) -> None:
    delivery = deliver(tmp_path, report, **({"upload_tar": data} if data is not None else {}))
    assert delivery.result.status.value == "abnormal"
    assert delivery.complaint.startswith(complaint)


def test_controllers_are_shown_what_bbots_workers_write(tmp_path: Path) -> None:
    delivery = deliver(tmp_path, {"driver": "make"})
    assert list(delivery.result.statuses) == ["test", "install"]
    known = [pair.name for pair in delivery.result.for_controller(checksums=True).to_manifest()]
    assert known == ["name", "version", "status", "test-status", "test-log"]
    read = Result.parse((tmp_path / "manifest").read_bytes())
    assert "report" not in read.for_controller(checksums=True).to_text()
