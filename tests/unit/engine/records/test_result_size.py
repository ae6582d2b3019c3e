# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results that are cut to what a controller takes."""

from __future__ import annotations

from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    ResultRequest,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result import (
    OperationResult,
    Result,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.result_size import fit
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status


def test_results_are_cut_to_fit() -> None:
    logs = ["x\n" * 50_000, "short\n", "y" * 300_000]
    operations = tuple(
        OperationResult(f"op{number}", Status.SUCCESS, log) for number, log in enumerate(logs)
    )
    request = ResultRequest("s", Result("hello", "1", Status.SUCCESS, operations))
    assert fit(request, 1_000_000) == request.to_text()
    text = fit(request, 100_000)
    assert 50_000 < len(text.encode()) <= 100_000
    again = ResultRequest.parse(text, "text")
    assert [each.operation for each in again.result.operations] == ["op0", "op1", "op2"]
    assert again.result.operations[1].log.strip() == "short"
    assert "bytes with" in again.result.operations[2].log
    # There is a limit to what can be done.
    assert ResultRequest.parse(fit(request, 10), "text").result.status is Status.SUCCESS
