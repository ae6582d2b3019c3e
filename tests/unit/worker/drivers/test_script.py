# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for a script of the package's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Perform = Callable[..., Any]

SCRIPT = '#!/bin/sh\necho "$BBOT_NAME $BBOT_VERSION $BBOT_OPERATION: $*"\ntest $1 != test\n'


def test_it_is_called_with_the_operation_and_the_words(perform: Perform) -> None:
    outcome = perform({"bbot-build": SCRIPT, "Makefile": "all:\n"}, "a=b 'c d'")
    assert outcome.statuses == {"configure": "success", "update": "success", "test": "error"}
    assert outcome.logs["update"].splitlines() == [
        "+ ./bbot-build update a=b 'c d'",
        "libhello 1.0.0 update: update a=b c d",
    ]


def test_one_elsewhere_with_operations_of_its_own(perform: Perform) -> None:
    files = {"ci/go": SCRIPT, "CMakeLists.txt": "project(x)\n"}
    outcome = perform(files, "config.bbot.script=ci/go config.bbot.operations=lint,bindist")
    assert outcome.statuses == {"lint": "success", "bindist": "success"}


def test_in_a_subfolder(perform: Perform) -> None:
    outcome = perform(
        {"deep/bbot-build": SCRIPT, "README": ""},
        "config.bbot.subfolder=deep config.bbot.operations=lint",
    )
    assert outcome.status == "success", outcome


@pytest.mark.parametrize("files", [{"a": ""}, {"bbot-build": "echo without its mode\n"}])
def test_one_that_is_not_there(perform: Perform, files: dict[str, str]) -> None:
    outcome = perform(files, "config.bbot.driver=script")
    assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
    assert "the sources have no executable file 'bbot-build'" in outcome.logs["configure"]


def test_tests_are_counted_for_operations_that_test(perform: Perform) -> None:
    script = '#!/bin/sh\necho "2 passed, 1 skipped in 0.1s"\n'
    outcome = perform({"bbot-build": script}, "config.bbot.operations=build,test,test-more")
    assert outcome.status == "success"
    numbers = {"passed": 2, "failed": 0, "skipped": 1}
    assert outcome.report["tests"] == {"test": numbers, "test-more": numbers}
