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
        self._following = 0

    def feed(self, line: str) -> None:
        """See one line of output, without its newline."""
        raise NotImplementedError

    def add(self, passed: int = 0, failed: int = 0, skipped: int = 0) -> None:
        """Count more tests."""
        self.counts = (self.counts or Counts()) + Counts(passed, failed, skipped)

    def fail(self, name: str, text: str = "", follow: int = 0) -> None:
        """Note the first test that failed; the next *follow* lines belong to its *text*.

        Whoever asks for lines to follow calls ``follow`` with each line.
        """
        if self.first_failure is None:
            self.first_failure = (name, text[-TEXT_LIMIT:])
            self._following = follow

    def follow(self, line: str) -> None:
        """Add the line to the text of the failure that asked for it, if there is one."""
        if self._following and self.first_failure is not None:
            self._following -= 1
            name, text = self.first_failure
            self.first_failure = (name, f"{text}\n{line}"[:TEXT_LIMIT].lstrip("\n"))


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
        point = re.match(
            r"(not )?ok(?: \d+\b|(?= - ))([^#]*)(?:# *(SKIP|TODO))?", line, re.IGNORECASE
        )
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
    """``go test -v``: ``--- PASS: TestX (0.00s)``, subtests count like those that they are of."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._running = ""
        self._failed = False

    def feed(self, line: str) -> None:
        begun = re.match(r"=== RUN +(\S+)", line)
        if begun:
            self._lines, self._running = [], begun[1]
            return
        one = re.match(r"\s*--- (PASS|FAIL|SKIP): (\S+) \(", line)
        if one:
            kind = one[1]
            self.add(int(kind == "PASS"), int(kind == "FAIL"), int(kind == "SKIP"))
            if kind == "FAIL":
                self._failed = True
                self.fail(one[2], "\n".join(self._lines) or line)
            return
        package = re.match(r"(ok|FAIL|\?) *\t(\S+)", line)
        if not package:
            if len(self._lines) < _KEPT_LINES:
                self._lines.append(line)
        elif package[1] == "FAIL" and not self._failed:
            # It did not build, or it ended amid a test.
            self.add(failed=1)
            self.fail(self._running or package[2], "\n".join([*self._lines, line]))
        elif re.search(r"\[no tests? (?:files|to run)\]", line):
            self.add()
        if package:
            self._lines, self._running, self._failed = [], "", False


def surefire() -> Scanner:
    """Maven's surefire: the summary over all classes, which has no time in it."""
    return Summary(
        r"Tests run: \d+, Failures: \d+, Errors: \d+, Skipped: \d+\s*$",
        total=r"Tests run: (\d+)",
        failed=r"(?:Failures|Errors): (\d+)",
        skipped=r"Skipped: (\d+)",
    )


class Ruby(Scanner):
    """minitest, test-unit and rspec."""

    def __init__(self) -> None:
        super().__init__()
        self._heading = ""

    def feed(self, line: str) -> None:
        self.follow(line)
        heading = re.match(r"(?: +\d+\) )?(Failures?|Error|Skipped|Pending):", line)
        name = re.match(r"(\w[\w:]*#\S+?)(?: \[\S+\])?:$| +\d+\) (\w.*)$", line)
        titled = re.match(r"(?:Failure|Error): ((?:test_|test:).*)", line)
        if titled:
            self.fail(titled[1], line, _KEPT_LINES // 2)
        elif heading:
            self._heading = heading[1]
        elif name and self._heading in ("Failure", "Failures", "Error"):
            self.fail(name[1] or name[2], line, _KEPT_LINES // 2)
        if re.match(r"\d+ (?:runs?|tests?|examples?), \d+ ", line):
            total = int(line.split()[0])
            failed = sum(map(int, re.findall(r"(\d+) (?:failures?|errors?)\b", line)))
            skipped = sum(map(int, re.findall(r"(\d+) (?:skips?|omissions?|pendings?)\b", line)))
            self.add(max(total - failed - skipped, 0), failed, skipped)


class Node(Scanner):
    """JavaScript's runners: node --test, mocha, jest, vitest, ava, tape, jasmine, uvu."""

    _FAILURE = re.compile(
        r"\s*(?:●|✖|✘ \[fail\]:|FAIL  |not ok \d+(?: -)?) *(.+?)(?: \(\d[\d.]*m?s\))?$"
    )

    def __init__(self) -> None:
        super().__init__()
        self._listing = False
        self._total = 0

    def feed(self, line: str) -> None:
        self.follow(line)
        failure = self._FAILURE.match(line)
        # Where mocha and jasmine say what has failed.
        listed = re.match(r"\s*1\) (.+)", line) if self._listing else None
        if failure and failure[1] != "Console" and not re.search("# (?:TODO|SKIP)", line):
            self.fail(failure[1], line, _KEPT_LINES // 2)
        elif listed:
            self.fail(listed[1], line, _KEPT_LINES // 2)
        self._count(line.strip())

    def _count(self, line: str) -> None:
        """Count what a line of a summary says."""
        if re.fullmatch(r"\d+ failing|Failures:", line):
            self._listing = True
        one = re.match(r"(?:#|ℹ) (pass|fail|skipped|cancelled|todo) +(\d+)$", line)
        mocha = re.match(r"(\d+) (passing|failing|pending)\b", line)
        ava = re.match(r"(\d+) tests? (passed|failed|skipped)$", line)
        uvu = re.match(r"(Total|Passed|Skipped): +(\d+)$", line)
        for found, number in ((one, 2), (mocha, 1), (ava, 1)):
            if found:
                kind = found[3 - number]
                self._add_one(kind, int(found[number]))
                return
        if re.match(r"Tests:? +.*\d+ (?:passed|failed|skipped|total)", line):
            self.add(
                passed=sum(map(int, re.findall(r"(\d+) passed", line))),
                failed=sum(map(int, re.findall(r"(\d+) failed", line))),
                skipped=sum(map(int, re.findall(r"(\d+) (?:skipped|todo)", line))),
            )
        elif re.match(r"\d+ specs?, \d+ failures?", line):
            total, failed = (int(text) for text in re.findall(r"(\d+) ", line)[:2])
            skipped = sum(map(int, re.findall(r"(\d+) pending", line)))
            self.add(max(total - failed - skipped, 0), failed, skipped)
        elif uvu and uvu[1] == "Total":
            self._total = int(uvu[2])
        elif uvu and uvu[1] == "Passed":
            self.add(int(uvu[2]), max(self._total - int(uvu[2]), 0))
        elif uvu:
            self.add(skipped=int(uvu[2]))

    def _add_one(self, kind: str, number: int) -> None:
        if kind in ("pass", "passing", "passed"):
            self.add(passed=number)
        elif kind in ("fail", "failing", "failed", "cancelled"):
            self.add(failed=number)
        else:
            self.add(skipped=number)


class Busted(Scanner):
    """Lua's busted: ``5 successes / 1 failure / 0 errors / 0 pending``."""

    def __init__(self) -> None:
        super().__init__()
        self._named = False

    def feed(self, line: str) -> None:
        self.follow(line)
        if self._named and self.first_failure is None:
            self.fail(line, line, _KEPT_LINES // 2)
        self._named = re.match("(?:Failure|Error) -> ", line) is not None
        end = re.match(
            r"(\d+) success(?:es)? / (\d+) failures? / (\d+) errors? / (\d+) pending", line
        )
        if end:
            passed, failed, errors, pending = map(int, end.groups())
            self.add(passed, failed + errors, pending)


# One of these is in each line, in lower case, that a scanner looks for; most lines of a build have
# none.
_TELLING = (
    *("pass", "fail", "ok", "test", "ran ", "error", "skip", "success", "example", "run"),
    *("pending", "cancelled", "todo", "timeout", "total", "1..0"),
)


class Any(Scanner):
    """All runners that we know, for a command that may call whatever it likes.

    The one that counted most is believed: several may see the same tests.
    """

    def __init__(self) -> None:
        super().__init__()
        self._scanners = [make() for make in KNOWN]

    def feed(self, line: str) -> None:
        lower = line.lower()
        if not (any(word in lower for word in _TELLING) or self._follows()):
            return
        for scanner in self._scanners:
            scanner.feed(line)
        counted = [scanner for scanner in self._scanners if scanner.counts is not None]
        if counted:
            best = max(counted, key=lambda each: (each.counts or Counts()).run)
            self.counts, self.first_failure = best.counts, best.first_failure

    def _follows(self) -> bool:
        """Whether the line may belong to a failure that was met before."""
        return any(scanner._following for scanner in self._scanners)


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
    Ruby,
    Node,
    Busted,
)
