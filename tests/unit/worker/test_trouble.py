# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of tests where the machine has run out of something."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bbot_worker.guest import Guest


def test_no_tests_on_a_full_disk_are_an_error(
    perform: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some runners find nothing wrong if they cannot write what they have found."""
    monkeypatch.setattr(Guest, "trouble", lambda self: "out of disk: 0 of 64 MB are left")
    outcome = perform({"Makefile": "all:\n\ttrue\n"})
    assert outcome.statuses == {"configure": "success", "update": "success", "test": "error"}
    assert "error: no tests were run: the makefile has no target" in outcome.logs["test"]
    assert "error: out of disk: 0 of 64 MB are left" in outcome.logs["test"]
