# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work in processes of its own, and what crosses the fork."""

from __future__ import annotations

import dataclasses
import errno
import os
import signal
import time
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.job import (
    CancelToken,
    Job,
    JobError,
    decode,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.outcomes import (
    Answer,
    Bootstrapped,
    Delivered,
    Performed,
)


@dataclasses.dataclass(frozen=True)
class Said:
    text: str


def wait_for(job: Job[t.Any]) -> None:
    deadline = time.monotonic() + 10
    while not job.ended():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children() -> set[str]:
    """The processes that this one has started, whoever of the tests did."""
    threads = Path("/proc/self/task").iterdir()
    return {pid for thread in threads for pid in (thread / "children").read_text().split()}


def descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_what_it_returns() -> None:
    before = descriptors()
    job = Job("work", lambda _token: Said("x" * 1_000_000), Said)
    wait_for(job)
    assert len(job.result().text) == 1_000_000
    assert descriptors() == before


def test_what_it_raises(capfd: pytest.CaptureFixture[str]) -> None:
    def work(_token: CancelToken) -> Said:
        raise ValueError("a defect")

    job = Job("work", work, Said)
    wait_for(job)
    with pytest.raises(JobError, match="work ended with status 1"):
        job.result()
    assert "ValueError: a defect" in capfd.readouterr().err


def test_it_is_told_to_end() -> None:
    def work(token: CancelToken) -> Said:
        while token():
            time.sleep(0.01)
        return Said("cleared away")

    job = Job("work", work, Said)
    # However early that is.
    job.terminate()
    wait_for(job)
    assert job.result() == Said("cleared away")


def test_its_time_is_over() -> None:
    def work(_token: CancelToken) -> Said:
        time.sleep(60)
        return Said("")

    job = Job("work", work, Said, timeout=0.1)
    wait_for(job)
    with pytest.raises(JobError, match="work ended with signal 9"):
        job.result()


@pytest.mark.parametrize("title", ["task hello/" + "1" * 240 + " on machine x", "a/b\n", "ü" * 300])
def test_any_title_will_do(title: str) -> None:
    job = Job(title, lambda _token: Said("x"), Said)
    wait_for(job)
    assert job.result() == Said("x")


@pytest.mark.parametrize("name", ["memfd_create", "fork", "pidfd_open"])
def test_one_that_cannot_be_started_leaves_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: t.Any) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    before, mask = descriptors(), signal.pthread_sigmask(signal.SIG_BLOCK, [])
    others = children()
    with monkeypatch.context() as patch:
        patch.setattr(os, name, refuse)
        with pytest.raises(OSError, match="temporarily unavailable"):
            Job("work", lambda _token: Said("x"), Said)
    assert descriptors() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == mask
    assert children() == others


def test_an_exit_status_that_somebody_else_has_taken() -> None:
    job = Job("work", lambda _token: Said("x"), Said)
    os.waitpid(job.pid, 0)
    assert job.ended()
    with pytest.raises(JobError, match="work ended with status 1"):
        job.result()


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "{}", '{"text": 1}', '{"text": "x", "y": 1}'])
def test_an_outcome_that_cannot_be_read(text: str) -> None:
    job = Job("work", lambda _token: Said("x"), Said)
    wait_for(job)
    os.ftruncate(job._memory, 0)
    os.pwrite(job._memory, text.encode(), 0)
    with pytest.raises(JobError, match="work: its outcome cannot be read"):
        job.result()


@pytest.mark.parametrize(
    "outcome",
    [
        Answer(),
        Answer(3, "http://x/", 19999, (("http://y/", "no"), ("http://z/", "ü\n"))),
        Bootstrapped(None, changed=True),
        Bootstrapped("why", busy=True, unsaved="x", logs="/l"),
        Performed("success", "none", "", 1.5, "/l"),
        Delivered(None),
        Delivered("why", noted=False),
    ],
)
def test_outcomes_cross_the_fork(outcome: t.Any) -> None:
    job = Job("work", lambda _token: outcome, type(outcome))
    wait_for(job)
    assert job.result() == outcome


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Answer, {"entry": "3"}),
        (Answer, {"failures": [["x"]]}),
        (Answer, {"failures": [["x", 1]]}),
        (Answer, {"failures": "x"}),
        (Answer, {"entry": True}),
        (Performed, {"status": "success"}),
        (
            Performed,
            {"status": "x", "culprit": "me", "reason": "", "seconds": 1.0, "logs": "/"},
        ),
    ],
)
def test_what_is_no_outcome(kind: type[t.Any], data: t.Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        decode(kind, data)
