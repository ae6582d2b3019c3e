# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which driver is chosen, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Perform = Callable[..., Any]


@pytest.mark.parametrize(
    ("files", "configuration", "said"),
    [
        ({"README": ""}, "", "error: no known build system in the sources: bring an executable"),
        (
            {"Makefile": "all:\n"},
            "config.bbot.driver=mesonn",
            "error: unknown driver 'mesonn': did you mean 'meson'? known are auto, ",
        ),
        (
            {"Makefile": "all:\n"},
            "config.bbot.driver=cmake",
            "error: cmake failed with exit status 1",
        ),
    ],
)
def test_no_driver(perform: Perform, files: dict[str, str], configuration: str, said: str) -> None:
    outcome = perform(files, configuration)
    assert outcome.statuses == {"configure": "error", "update": "skip", "test": "skip"}
    assert said in outcome.logs["configure"]


def test_all_that_are_possible_are_named(perform: Perform) -> None:
    files = {
        "Makefile": "all:\n",
        "configure": "#!/bin/sh\n",
        "meson.build": "project('x')\n",
        "SConstruct": "",
    }
    outcome = perform(files, "config.bbot.driver=auto config.bbot.operations=configure")
    assert (
        "driver: meson (meson.build)\nalso possible: scons (SConstruct), configure (configure, "
        "written by hand), make (Makefile): choose by config.bbot.driver=NAME, such as scons"
    ) in outcome.logs["configure"]


def test_a_configure_that_is_not_of_autoconf_is_not_made_anew(perform: Perform) -> None:
    files = {
        "configure": "#!/bin/sh\n",
        "configure.ac": "AC_INIT([x], [1])\n",
        "Makefile": "all:\n",
    }
    outcome = perform(files, "config.bbot.operations=configure")
    assert "driver: configure (configure, written by hand)" in outcome.logs["configure"]
