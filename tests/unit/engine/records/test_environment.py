# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What auxiliary machines tell a build, as bpkg's manual has it."""

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.environment import (
    LIMIT,
    EnvironmentFault,
    join_environments,
    read_environment,
)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("A=1\n", {"A": "1"}),
        ("A=1", {"A": "1"}),
        ("  A =  1  \r\n\t\n# no=variable\nB_2=a=b c\n", {"A": "1", "B_2": "a=b c"}),
        ("A=\n", {"A": ""}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=grün\n", {"A": "grün"}),
    ],
)
def test_variables_are_read(text: str, variables: dict[str, str]) -> None:
    assert read_environment(text.encode(), "db") == variables


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"A=1\nB\n", "line 2 is no NAME=value: B"),
        (b"=1\n", "line 1 is no NAME=value: =1"),
        (b"2A=1\n", "line 1 is no NAME=value: 2A=1"),
        (b"A B=1\n", "line 1 is no NAME=value: A B=1"),
        ("Ä=1".encode(), "line 1 is no NAME=value: Ä=1"),
        (b"\033[1m" + b"x" * 200, f"line 1 is no NAME=value: {'x' * 96}"),
        (b"A=\033[1m", "line 1 has a control character"),
        (b"A=\x00", "line 1 has a control character"),
        (b"A=\xff", "it is no UTF-8"),
        (b"#" * (LIMIT + 1), f"it has more than {LIMIT} bytes"),
    ],
)
def test_anything_else_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        read_environment(data, "db")
    place = "the environment that auxiliary machine db has uploaded cannot be used"
    assert str(caught.value) == f"{place}: {words}"
    assert caught.value.culprit == "machine"


def test_names_of_machines_tell_their_variables_apart() -> None:
    environments = [("", {"HOST": "a"}), ("pg-sql", {"HOST": "b", "PORT": "1"}), ("x.2", {"A": ""})]
    assert join_environments(environments) == "HOST=a\nPG_SQL_HOST=b\nPG_SQL_PORT=1\nX_2_A="
    assert join_environments([]) == ""
