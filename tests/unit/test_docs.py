# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation: its links lead somewhere, and the messages that it explains exist."""

from __future__ import annotations

import ast
import re
import typing as t
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "roles/*/README.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# Fenced blocks and code have no links.
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The names that headings are linked by, as code hosts make them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.M):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number, plain = 1, name
        while name in found:
            name, number = f"{plain}-{number}", number + 1
        found.add(name)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _sign, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target)
        ):
            broken.append(link)
    assert broken == []


def texts(path: Path) -> t.Iterator[str]:
    """The constant parts of the texts in a source file."""
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
    else:
        yield path.read_text()


def said() -> str:
    """All that the collection may say, without what changes and where lines are broken."""
    folders = ("plugins", "roles", "playbooks")
    paths = [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".yml") and path.is_file() and "/collections/" not in str(path)
    ]
    return " ".join(" ".join(" ".join(texts(path)).split()) for path in paths)


def test_messages_that_are_explained_exist() -> None:
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    everything = said()
    messages = [
        message
        for line in re.findall(r"^\*\*.*", page, re.M)
        for message in re.findall(r"`([^`]+)`", line.rpartition("**")[0])
    ]
    assert len(messages) > 20
    missing = []
    for message in messages:
        # What is another each time: numbers, paths, and what is left out.
        parts = re.split(r"[\d…]+|/\S+|\.\.\.", message)
        parts = [part.strip(" ,;:()") for part in parts]
        missing += [part for part in parts if len(part) > 3 and part not in everything]
    assert missing == [], missing
