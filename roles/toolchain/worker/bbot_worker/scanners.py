# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading from what test runners print how many tests they have run.

A scanner is fed the lines of a command's output. Its ``counts`` are None as long as nothing was
seen that tells of tests.
"""

from __future__ import annotations

import re

from .tests import TEXT_LIMIT, Counts

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Callable

_KEPT_LINES = 40


class Scanner:
    """Looks for the summaries of one runner: subclasses say what they look like."""

    def __init__(self) -> None:
        self.counts: Counts | None = None
        self.first_failure: tuple[str, str] | None = None

    def feed(self, line: str) -> None:
        """See one line of output, without its newline."""
        raise NotImplementedError

    def add(self, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        """Count more tests."""
        self.counts = (self.counts or Counts()) + Counts(passed, failed, skipped)

    def fail(self, name: str, text: str = "") -> None:
        """Note the first test that failed."""
        self.first_failure = self.first_failure or (name, text[-TEXT_LIMIT:])


class Summary(Scanner):
    """A runner that prints numbers with words, such as ``2 failed, 40 passed in 1.2s``.

    *pattern* matches a summary's line as a whole; *numbers* has for each of ``passed``,
    ``failed`` and ``skipped`` the patterns of the numbers that make it up. Where the runner
    tells only of all tests, ``total`` stands for ``passed``.
    """

    def __init__(self, pattern: str, failure: str = "", **numbers: str) -> None:
        super().__init__()
        self._pattern = re.compile(pattern)
        self._failure = re.compile(failure) if failure else None
        self._numbers = {name: re.compile(text) for name, text in numbers.items()}

    def feed(self, line: str) -> None:
        if self._failure is not None and self.first_failure is None:
            found = self._failure.search(line)
            if found:
                self.fail(found[1], line)
        match = self._pattern.search(line)
        if not match:
            return
        number = {
            name: sum(int(text) for text in pattern.findall(match[0]))
            for name, pattern in self._numbers.items()
        }
        failed, skipped = number.get("failed", 0), number.get("skipped", 0)
        passed = (
            number["total"] - failed - skipped if "total" in number else number.get("passed", 0)
        )
        self.add(max(passed, 0), failed, skipped)


def pytest() -> Scanner:
    """pytest's last line; ``no tests ran`` is a summary, too."""
    return Summary(
        r"^=+ .*\b(?:no tests ran|\d+ (?:passed|failed|skipped|errors?|deselected|x\w+ed))\b.* =+$"
        r"|^(?:no tests ran|\d+ (?:passed|failed|skipped|errors?)\b.*) in \d",
        failure=r"^(?:FAILED|ERROR) (\S+)",
        passed=r"(\d+) (?:passed|xfailed|xpassed)\b",
        failed=r"(\d+) (?:failed|errors?)\b",
        skipped=r"(\d+) (?:skipped|deselected)\b",
    )


class Unittest(Scanner):
    """unittest: ``Ran 3 tests in 0.1s``, then ``OK (skipped=1)`` or ``FAILED (failures=1)``."""

    def __init__(self) -> None:
        super().__init__()
        self._total: int | None = None

    def feed(self, line: str) -> None:
        ran = re.match(r"Ran (\d+) tests? in ", line)
        if ran:
            self._total = int(ran[1])
            return
        if re.match("(?:FAIL|ERROR): ", line):
            self.fail(line.partition(": ")[2], line)
        end = re.match(r"(?:OK|FAILED|NO TESTS RAN)\b(.*)", line)
        if end and self._total is not None:
            total, self._total = self._total, None
            failed = sum(
                map(int, re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", end[1]))
            )
            skipped = sum(map(int, re.findall(r"(?<!\w)skipped=(\d+)", end[1])))
            self.add(max(total - failed - skipped, 0), failed, skipped)


class Automake(Scanner):
    """automake's test suites, parallel (``# PASS:  7``) or serial (``All 7 tests passed``)."""

    def __init__(self) -> None:
        super().__init__()
        # The log of a suite has the same numbers, and is printed, too, if something failed.
        self._in_summary = False

    def feed(self, line: str) -> None:
        if line.startswith("Testsuite summary"):
            self._in_summary = True
        numbers = re.match(r"# (PASS|SKIP|XFAIL|FAIL|XPASS|ERROR): +(\d+)$", line)
        if numbers and self._in_summary:
            self._in_summary = numbers[1] != "ERROR"
            kind, number = numbers[1], int(numbers[2])
            self.add(
                passed=number if kind in ("PASS", "XFAIL") else 0,
                failed=number if kind in ("FAIL", "XPASS", "ERROR") else 0,
                skipped=number if kind == "SKIP" else 0,
            )
            return
        one = re.match(r"(?:FAIL|XPASS|ERROR): (\S+)", line)
        if one:
            self.fail(one[1], line)
        serial = re.match(
            r"(?:All )?(\d+)(?: of (\d+))? tests? (passed|failed|behaved as expected)", line
        )
        if serial:
            number, total = int(serial[1]), int(serial[2] or serial[1])
            failed = number if serial[3] == "failed" else 0
            self.add(total - failed, failed)


class Tap(Scanner):
    """Perl's harness: ``Files=3, Tests=14, …``; and TAP itself where nobody sums it up."""

    def __init__(self) -> None:
        super().__init__()
        self._seen = Counts()

    def feed(self, line: str) -> None:
        total = re.match(r"Files=\d+, Tests=(\d+),", line)
        if total:
            self.counts = Counts(max(int(total[1]) - self._seen.failed, 0), self._seen.failed)
            return
        if line == "Result: NOTESTS":
            self.counts = Counts()
            return
        failure = re.match(r"#\s+Failed test(?: '(.+)')?", line)
        if failure:
            self.fail(failure[1] or line, line)
        summary = re.match(r"\s+Failed tests?(?: number\(s\))?:\s+([\d, -]+)", line)
        if summary:
            self._seen.failed += _how_many(summary[1])
            return
        point = re.match(r"(not )?ok(?: \d+)?\b([^#]*)(?:# *(SKIP|TODO))?", line, re.IGNORECASE)
        if point:
            if (point[3] or "").upper() == "SKIP":
                self._seen.skipped += 1
            elif point[1] and not point[3]:
                self._seen.failed += 1
                self.fail(point[2].strip(" -") or line, line)
            else:
                self._seen.passed += 1
            self.counts = self._seen
        elif re.match(r"1\.\.0\b", line):
            self.counts = self._seen


def _how_many(ranges: str) -> int:
    """How many numbers are meant by ``1, 3-5``."""
    number = 0
    for part in re.findall(r"(\d+)(?:-(\d+))?", ranges):
        number += int(part[1] or part[0]) - int(part[0]) + 1
    return number


def meson() -> Scanner:
    """meson test's table at the end; each line is a number of its own."""
    return Summary(
        r"^(?:Ok|Expected Fail|Fail|Unexpected Pass|Skipped|Timeout): +\d+\s*$",
        failure=r"^ *\d+/\d+ (.+?) +(?:FAIL|ERROR|TIMEOUT|UNEXPECTEDPASS)\b",
        passed=r"^(?:Ok|Expected Fail): +(\d+)",
        failed=r"^(?:Fail|Unexpected Pass|Timeout): +(\d+)",
        skipped=r"^Skipped: +(\d+)",
    )


class Ctest(Scanner):
    """ctest: ``98% tests passed, 1 tests failed out of 50``, or ``No tests were found!!!``."""

    def feed(self, line: str) -> None:
        end = re.search(r"\d+% tests passed, (\d+) tests? failed out of (\d+)", line)
        if end:
            failed, total = int(end[1]), int(end[2])
            self.add(total - failed, failed)
        elif line.startswith("No tests were found"):
            self.add()
        failure = re.match(
            r" *\d+/\d+ +Test +#\d+: (\S+).*\*\*\*(?:Failed|Exception|Timeout|Not Run)", line
        )
        if failure:
            self.fail(failure[1], line)


def cargo() -> Scanner:
    """Rust's harness, one summary for each program of tests."""
    return Summary(
        r"^test result: .*",
        failure=r"^test (.+) \.\.\. FAILED",
        passed=r"(\d+) passed",
        failed=r"(\d+) failed",
        skipped=r"(\d+) (?:ignored|filtered out)",
    )


class Go(Scanner):
    """``go test -v``: ``--- PASS: TestX (0.00s)``, of subtests the innermost counts, too."""

    def feed(self, line: str) -> None:
        one = re.match(r"\s*--- (PASS|FAIL|SKIP): (\S+)", line)
        if one:
            kind = one[1]
            self.add(int(kind == "PASS"), int(kind == "FAIL"), int(kind == "SKIP"))
            if kind == "FAIL":
                self.fail(one[2], line)
        elif re.match(
            r"\?? *\S*\s*\[no test files\]|ok .*\[no tests to run\]|\?\s.*\[no test files\]", line
        ):
            self.add()
        elif re.match(r"FAIL\s+\S+ \[(?:build|setup) failed\]", line):
            self.add(failed=1)
            self.fail(line, line)


def surefire() -> Scanner:
    """Maven's surefire: the summary over all classes, which has no time in it."""
    return Summary(
        r"Tests run: \d+, Failures: \d+, Errors: \d+, Skipped: \d+\s*$",
        total=r"Tests run: (\d+)",
        failed=r"(?:Failures|Errors): (\d+)",
        skipped=r"Skipped: (\d+)",
    )


def ruby() -> Scanner:
    """minitest, test-unit and rspec."""
    return Summary(
        r"^\d+ (?:runs|tests|examples?), .*",
        failure=r"^(?:Failure|Error):? *(\S*)|^rspec (\S+)",
        total=r"^(\d+) (?:runs|tests|examples?)",
        failed=r"(\d+) (?:failures?|errors?)\b",
        skipped=r"(\d+) (?:skips|omissions|pendings?|pending)\b",
    )


class Node(Scanner):
    """node --test (``# pass 3`` or ``ℹ pass 3``), mocha (``3 passing``), jest, vitest, ava."""

    def feed(self, line: str) -> None:
        line = line.strip()
        one = re.match(r"(?:#|ℹ) (pass|fail|skipped|cancelled|todo) +(\d+)$", line)
        if one:
            number = int(one[2])
            self.add(
                passed=number if one[1] in ("pass", "todo") else 0,
                failed=number if one[1] in ("fail", "cancelled") else 0,
                skipped=number if one[1] == "skipped" else 0,
            )
            return
        mocha = re.match(r"(\d+) (passing|failing|pending)\b", line)
        ava = re.match(r"(\d+) tests? (passed|failed|skipped)$", line)
        for found, words in ((mocha, ("passing", "failing")), (ava, ("passed", "failed"))):
            if found:
                number = int(found[1])
                if found[2] == words[0]:
                    self.add(passed=number)
                elif found[2] == words[1]:
                    self.add(failed=number)
                else:
                    self.add(skipped=number)
                return
        if re.match(r"Tests:? +.*\d+ (?:passed|failed|skipped|total)", line):
            self.add(
                passed=sum(map(int, re.findall(r"(\d+) passed", line))),
                failed=sum(map(int, re.findall(r"(\d+) failed", line))),
                skipped=sum(map(int, re.findall(r"(\d+) (?:skipped|todo)", line))),
            )


class Busted(Scanner):
    """Lua's busted: ``5 successes / 1 failure / 0 errors / 0 pending``."""

    def feed(self, line: str) -> None:
        end = re.match(
            r"(\d+) success(?:es)? / (\d+) failures? / (\d+) errors? / (\d+) pending", line
        )
        if end:
            passed, failed, errors, pending = map(int, end.groups())
            self.add(passed, failed + errors, pending)


class Any(Scanner):
    """All runners that we know, for a command that may call whatever it likes.

    The one that counted most is believed: several may see the same tests.
    """

    def __init__(self) -> None:
        super().__init__()
        self._scanners = [make() for make in KNOWN]

    def feed(self, line: str) -> None:
        for scanner in self._scanners:
            scanner.feed(line)
        counted = [scanner for scanner in self._scanners if scanner.counts is not None]
        if counted:
            best = max(counted, key=lambda each: (each.counts or Counts()).run)
            self.counts, self.first_failure = best.counts, best.first_failure


KNOWN: tuple[Callable[[], Scanner], ...] = (
    pytest,
    Unittest,
    Automake,
    Tap,
    meson,
    Ctest,
    cargo,
    Go,
    surefire,
    ruby,
    Node,
    Busted,
)
