# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a container gets on no more for lack of memory, by what the kernel says of its group."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn import memory as _memory
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.nspawn.memory import (
    Figures,
    Strain,
    badness,
    figures,
)

PAGE = os.sysconf("SC_PAGESIZE")
OLDER = "7:cpu,cpuacct:/a\n4:memory:/a/bbot-1\n0::/a\n"
NEWER = "0::/bbot.slice/bbot-1.scope/payload\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_memory, "HIERARCHIES", str(tmp_path / "cgroup"))
    monkeypatch.setattr(_memory, "_PROC", str(tmp_path))
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(OLDER)
    return tmp_path


def group(place: Path, path: str, **files: str) -> Path:
    """Make a control group with files whose names have a dot for the two underscores."""
    made = place / "cgroup" / path
    made.mkdir(parents=True)
    for name, text in files.items():
        (made / name.replace("__", ".")).write_text(text)
    return made


def older(place: Path, held: int, pages: int, limit: str = "1000000\n") -> None:
    made = place / "cgroup" / "memory" / "a" / "bbot-1"
    made.mkdir(parents=True, exist_ok=True)
    (made / "memory.limit_in_bytes").write_text(limit)
    (made / "memory.stat").write_text(
        f"rss 1\ntotal_rss {held - 5}\ntotal_shmem 5\ntotal_workingset_refault_file {pages}\n"
    )


def test_both_kinds_of_groups(place: Path) -> None:
    older(place, 70, 3)
    assert figures(7) == Figures(1000000, 70, 3 * PAGE)
    (place / "7" / "cgroup").write_text(NEWER)
    assert figures(7) is None
    stat = "anon 5\nfile 7\nshmem 1\nworkingset_refault_file 2\n"
    group(place, "bbot.slice/bbot-1.scope/payload", memory__max="max\n", memory__stat=stat)
    assert figures(7) is None
    scope = place / "cgroup" / "bbot.slice" / "bbot-1.scope"
    (scope / "memory.max").write_text("900\n")
    (scope / "memory.stat").write_text(stat)
    assert figures(7) == Figures(900, 6, 2 * PAGE)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("0::/bbot.slice/bbot-agent@x.service\n", "bbot.slice"),
        ("0::/bbot.slice/bbot-agent@x.service\n", "bbot.slice/bbot-agent@x.service"),
        ("4:memory:/bbot-agent@x.service\n", "memory/bbot-agent@x.service"),
        ("4:memory:/\n", "memory"),
    ],
)
def test_limits_of_others_are_not_the_machine_s(place: Path, text: str, path: str) -> None:
    """Who is in a group of the agent's has no limit that the kernel knows as the machine's."""
    (place / "7" / "cgroup").write_text(text)
    stat = "anon 5\ntotal_rss 5\n"
    limits = {"memory__max": "9\n", "memory__limit_in_bytes": "9\n"}
    group(place, path, memory__stat=stat, **limits)
    assert figures(7) is None


@pytest.mark.parametrize("text", ["", "x\n", "4:memory:/a/gone\n", "0::/\n", "0::/../..\n"])
def test_no_group(place: Path, text: str) -> None:
    (place / "7" / "cgroup").write_text(text)
    assert figures(7) is None
    assert figures(8) is None
    assert not Strain(7).look(1.0)


@pytest.mark.parametrize("limit", ["", "many", "-"])
def test_figures_that_are_odd(place: Path, limit: str) -> None:
    older(place, 70, 3, limit)
    assert figures(7) is None


# What is held of a million bytes, pages read again from one look to the next, and the look that
# tells of it.
ALL = 1_000_000
CASES = {
    "nothing happens": ([0] * 6, [0] * 6, None),
    "memory is held, and files stay": ([ALL] * 6, [0] * 6, None),
    "files are read again, as much else is to be had": ([ALL // 2] * 6, [10**6] * 6, None),
    "files come and go slowly": ([960_000] * 6, [9 * 40_000 // PAGE] * 6, None),
    "files come and go": ([960_000] * 6, [11 * 40_000 // PAGE] * 6, 3),
    "nothing is left for files": ([ALL] * 6, [1000] * 6, 3),
    "more than all is held": ([2 * ALL] * 6, [1000] * 6, 3),
    "it gets better in between": ([ALL, ALL, ALL, 0, ALL, ALL], [1000] * 6, None),
    "it begins later": ([0, 0, ALL, ALL, ALL, ALL], [1000] * 6, 4),
}


@pytest.mark.parametrize("case", CASES)
def test_a_container_that_gets_on_no_more(place: Path, case: str) -> None:
    held, again, told = CASES[case]
    strain, pages = Strain(7), 5000
    found = []
    for look, (bytes_held, more) in enumerate(zip(held, again, strict=True)):
        pages += more
        older(place, bytes_held, pages)
        found.append(strain.look(100.0 + 2 * look))
        # So soon nobody looks.
        assert not strain.look(101.0 + 2 * look)
    assert (found.index(True) if any(found) else None) == told
    assert sum(found) <= 1


def test_who_is_ended_first(place: Path) -> None:
    (place / "7" / "oom_score").write_text("66\n")
    assert badness(7) == 66
    assert badness(8) == -1
