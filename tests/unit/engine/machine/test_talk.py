# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a talk with a machine ends, without a machine."""

from __future__ import annotations

import types
import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.phases import Phases
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine import (
    conversation as _conversation,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import (
    SoftFailure,
    Talk,
    Waits,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError


class Boot:
    """Serves as it is told; its machine ends with `status`, its console with `said`."""

    def __init__(self, outcomes: list[str], status: int | None = None, said: str = "") -> None:
        self._outcomes = outcomes
        self._said = said
        self.vm = types.SimpleNamespace(
            exit_status=status,
            power_down=lambda: None,
            running=lambda: status is None,
            hardware=types.SimpleNamespace(name="m"),
        )

    def serve(self, _done: t.Callable[[], bool], _timeout: float) -> str:
        return self._outcomes.pop(0)

    def last_words(self) -> str:
        return self._said


def talk(boot: Boot, *, clean: bool = True, attempt: int = 9) -> SoftFailure | None:
    """The outcome of a bootstrap."""
    told = Talk(
        what="bootstrap",
        prepare=lambda _attempt: t.cast("t.Any", None),
        get_root="/get",
        put_root="/put",
        awaited=("manifest",),
        waits=Waits(startup=40, total=50, retries=2, shutdown=60),
        limits=Limits(),
        logs="/logs",
        judge=lambda: None,
        clean=clean,
    )
    phases = Phases(lambda _line: None)
    return _conversation._talk(t.cast("t.Any", boot), told, phases, lambda: True, attempt)


SAID = "udhcpc: no lease, failing"


@pytest.mark.parametrize(
    ("boot", "attempt", "failure"),
    [
        (
            Boot(["timeout"], said=SAID),
            3,
            SoftFailure(
                "startup timeout",
                "bootstrap startup timeout: no request within 40 s; the last line of its "
                f"console is {SAID!r}",
            ),
        ),
        (
            Boot(["ended"], 0, SAID),
            1,
            SoftFailure(
                "mis-boot",
                "it ended with status 0 before its first request; the last line of its console "
                f"is {SAID!r}",
            ),
        ),
        (Boot(["timeout"]), 0, SoftFailure("mis-boot", "no request within 40 s")),
        (
            Boot(["done", "timeout"], said=SAID),
            0,
            SoftFailure("timeout", "bootstrap timeout: no result within 50 s"),
        ),
        (
            Boot(["done", "ended"], 0, SAID),
            0,
            SoftFailure(
                "ended early",
                "bootstrap machine ended before it sent a result; the last line of its console "
                f"is {SAID!r}",
            ),
        ),
        (
            Boot(["done", "ended"], 0),
            0,
            SoftFailure("ended early", "bootstrap machine ended before it sent a result"),
        ),
        (
            Boot(["done", "done", "timeout"]),
            0,
            SoftFailure("shutdown timeout", "bootstrap shutdown timeout: still running after 60 s"),
        ),
        (Boot(["done", "done", "done"], 0), 0, None),
    ],
)
def test_outcomes(boot: Boot, attempt: int, failure: SoftFailure | None) -> None:
    assert talk(boot, attempt=attempt) == failure


@pytest.mark.parametrize("status", [1, -6, -9, -11])
def test_a_disk_that_a_crash_may_have_torn_is_not_accepted(status: int) -> None:
    with pytest.raises(VmError, match=f"status {status} while machine m was shut down") as caught:
        talk(Boot(["done", "done", "done"], status))
    assert caught.value.culprit == "host"


def test_the_end_of_a_machine_that_is_thrown_away_is_no_matter() -> None:
    assert talk(Boot(["done", "done"], -9), clean=False) is None
