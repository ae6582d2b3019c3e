# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many tests of an operation were run, and how they came out."""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any
    from xml.etree.ElementTree import Element

    from .scanners import Scanner

# Of a failing test's text, in characters; of a report, in bytes.
TEXT_LIMIT = 4000
REPORT_LIMIT = 64 << 20
_REPORTS_MOST = 5000


class Counts:
    """Numbers of tests that passed, failed and were skipped."""

    def __init__(self, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.passed, self.failed, self.skipped))

    @property
    def run(self) -> int:
        """How many were really run."""
        return self.passed + self.failed

    def __str__(self) -> str:
        parts = [f"{self.passed} passed"]
        parts += [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.skipped} skipped"] if self.skipped else []
        return ", ".join(parts)

    __repr__ = __str__


class Tests:
    """What is known of the tests of one operation.

    A driver tells it what it has learnt; the verdict is made of that. With nothing told, tests
    were run by something that does not count them.
    """

    def __init__(self) -> None:
        self.counts: Counts | None = None
        self.none = ""
        self.first_failure: tuple[str, str] | None = None

    def there_are_none(self, reason: str) -> None:
        """There was nothing to run, for that *reason*."""
        self.none = reason

    def add(self, counts: Counts, first_failure: tuple[str, str] | None = None) -> None:
        """These were run, too."""
        self.counts = counts if self.counts is None else self.counts + counts
        self.first_failure = self.first_failure or first_failure

    def add_scanned(self, scanner: Scanner) -> None:
        """Take over what *scanner* has seen in the output, if it has seen any tests."""
        if scanner.counts is not None:
            self.add(scanner.counts, scanner.first_failure)

    def add_reports(self, paths: Iterable[str]) -> bool:
        """Count the tests in JUnit's XML files; whether there was a readable one."""
        read = False
        for path in sorted(paths)[:_REPORTS_MOST]:
            counted = read_junit(path)
            if counted is not None:
                self.add(*counted)
                read = True
        return read

    @property
    def missing(self) -> str:
        """Why no test was run, or empty: some were, or nobody knows."""
        if self.none:
            return self.none
        if self.counts is not None and self.counts.run == 0:
            skipped = self.counts.skipped
            return f"all {skipped} were skipped" if skipped else "the runner found none"
        return ""

    def to_plain(self) -> dict[str, Any] | None:
        """Return it for the report, or None if nothing is known."""
        if self.counts is None:
            return {"passed": 0, "failed": 0, "skipped": 0} if self.none else None
        plain: dict[str, Any] = dict(vars(self.counts))
        if self.first_failure:
            name, text = self.first_failure
            plain["first_failure"] = {"name": name[:500], "text": text[-TEXT_LIMIT:]}
        return plain


def read_junit(path: str) -> tuple[Counts, tuple[str, str] | None] | None:
    """Count the test cases of a JUnit XML file, and find the first that failed.

    Returns None for a file that is none: whatever the build has put there is not trusted.
    """
    from xml.etree import ElementTree

    try:
        if not os.path.isfile(path) or os.path.islink(path):
            return None
        if os.path.getsize(path) > REPORT_LIMIT:
            return None
        with open(path, "rb") as file:
            data = file.read()
        if re.search(rb"<!(?:DOCTYPE|ENTITY)", data):
            return None  # Entities that multiply; no runner writes any.
        root = ElementTree.fromstring(data)
    except (OSError, ElementTree.ParseError, ValueError, LookupError, RecursionError):
        return None
    counts = Counts()
    first: tuple[str, str] | None = None
    if root.tag not in ("testsuites", "testsuite"):
        return None
    for case in root.iter("testcase"):
        failure = _failure(case)
        if failure is not None:
            counts.failed += 1
            first = first or (_case_name(case), failure)
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts, first


def _failure(case: Element) -> str | None:
    """What a failed case has to say; None for one that has not failed."""
    for kind in ("failure", "error"):
        element = case.find(kind)
        if element is not None:
            texts = [element.get("message") or "", "".join(element.itertext())]
            texts += [part.text or "" for part in case.findall("system-out")]
            return "\n".join(dict.fromkeys(text.strip() for text in texts if text.strip()))
    return None


def _case_name(case: Element) -> str:
    parts = [case.get("classname") or "", case.get("name") or ""]
    return "::".join(dict.fromkeys(part for part in parts if part))
