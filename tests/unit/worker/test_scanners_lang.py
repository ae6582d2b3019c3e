# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runners of other languages than C print, as they printed it, and what is made of it.

Each has one good test, one that fails and one that is skipped, unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from bbot_worker.scanners import Any, Busted, Go, Node, Ruby, Scanner, cargo, surefire
from bbot_worker.tests import Counts


class Sample(NamedTuple):
    scanner: Callable[[], Scanner]
    printed: str
    counts: Counts | None
    failure: str = ""
    said: str = ""


ONE_EACH = Counts(1, 1, 1)

SAMPLES = {
    "cargo": Sample(
        cargo,
        """
running 3 tests
test tests::sk ... ignored
test tests::good ... ok
test tests::bad ... FAILED

failures:

---- tests::bad stdout ----
thread 'tests::bad' panicked at 'assertion failed: `(left == right)`
  left: `41`,
 right: `42`', src/lib.rs:5:20

failures:
    tests::bad

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
""",
        ONE_EACH,
        "tests::bad",
        "FAILED",
    ),
    "cargo, none": Sample(
        cargo,
        """
running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

   Doc-tests x

running 0 tests

test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
""",
        Counts(),
    ),
    "go": Sample(
        Go,
        """
=== RUN   TestOk
    x_test.go:3: fine
--- PASS: TestOk (0.00s)
=== RUN   TestBad
    x_test.go:4: 41 is not 42
--- FAIL: TestBad (0.00s)
=== RUN   TestSkip
    x_test.go:5: no
--- SKIP: TestSkip (0.00s)
FAIL
FAIL	example.org/x/a	0.004s
ok  	example.org/x/b	(cached)
FAIL
""",
        ONE_EACH,
        "TestBad",
        "x_test.go:4: 41 is not 42",
    ),
    "go, a test that ends its program": Sample(
        Go,
        """
=== RUN   TestOk
--- PASS: TestOk (0.00s)
=== RUN   TestCrash
SIGSEGV: segmentation violation
PC=0x4034ae m=0 sigcode=0
FAIL	example.org/x/b	0.006s
FAIL
""",
        Counts(1, 1),
        "TestCrash",
        "SIGSEGV: segmentation violation",
    ),
    "go, tests that do not compile": Sample(
        Go,
        """
# example.org/x/c [example.org/x/c.test]
c/x_test.go:3:29: undefined: nonsense
FAIL	example.org/x/c [build failed]
FAIL
""",
        Counts(0, 1),
        "example.org/x/c",
        "undefined: nonsense",
    ),
    "go, none": Sample(
        Go,
        """
?   	example.org/x/d	[no test files]
testing: warning: no tests to run
PASS
ok  	example.org/x/e	0.001s [no tests to run]
""",
        Counts(),
    ),
    "node --test as TAP": Sample(
        Node,
        """
TAP version 13
# Subtest: good
ok 1 - good
  ---
  duration_ms: 2.294054
  ...
# Subtest: bad
not ok 2 - bad
  ---
  error: |-
    Expected values to be strictly equal:

    41 !== 42

  ...
# Subtest: sk
ok 3 - sk # SKIP
1..3
# tests 3
# suites 0
# pass 1
# fail 1
# cancelled 0
# skipped 1
# todo 0
""",
        ONE_EACH,
        "bad",
        "41 !== 42",
    ),
    "node --test": Sample(
        Node,
        """
✔ good (1.2ms)
✖ bad (2.261181ms)
  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:
﹣ sk (0.3ms) # SKIP
ℹ tests 3
ℹ suites 0
ℹ pass 1
ℹ fail 1
ℹ cancelled 0
ℹ skipped 1
ℹ todo 0

✖ failing tests:
""",
        ONE_EACH,
        "bad",
        "ERR_ASSERTION",
    ),
    "node --test, none": Sample(
        Node, "TAP version 13\n1..0\n# tests 0\n# pass 0\n# fail 0\n# skipped 0\n", Counts()
    ),
    "mocha": Sample(
        Node,
        """

  suite
    ✔ good
    1) bad
    - sk


  1 passing (11ms)
  1 pending
  1 failing

  1) suite
       bad:

      AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:

41 !== 42
""",
        ONE_EACH,
        "suite",
        "bad:\n\n      AssertionError",
    ),
    "jest": Sample(
        Node,
        """
FAIL t/j.test.js
  suite
    ✓ good (1 ms)
    ✕ bad (3 ms)
    ○ skipped sk

  ● suite › bad

    expect(received).toBe(expected) // Object.is equality

Test Suites: 1 failed, 1 total
Tests:       1 failed, 1 skipped, 1 passed, 3 total
Snapshots:   0 total
""",
        ONE_EACH,
        "suite › bad",
        "expect(received)",
    ),
    "vitest": Sample(
        Node,
        """
 RUN  v1.6.1 /build/source

⎯⎯⎯⎯⎯⎯⎯ Failed Tests 1 ⎯⎯⎯⎯⎯⎯⎯

 FAIL  t/v.test.mjs > suite > bad
AssertionError: expected 41 to be 42 // Object.is equality

 Test Files  1 failed (1)
      Tests  1 failed | 1 passed | 1 skipped (3)
""",
        ONE_EACH,
        "t/v.test.mjs > suite > bad",
        "expected 41 to be 42",
    ),
    "ava": Sample(
        Node,
        """
  - [skip] sk
  ✔ good
  ✘ [fail]: bad
  ─

  bad

  t/a.mjs:1

  ─

  1 test failed
  1 test skipped
  1 test passed
""",
        ONE_EACH,
        "bad",
        "t/a.mjs:1",
    ),
    "tape": Sample(
        Node,
        """
TAP version 13
# good
ok 1 should be truthy
# bad
not ok 2 should be strictly equal
  ---
    operator: equal

1..2
# tests 2
# pass  1
# fail  1
""",
        Counts(1, 1),
        "should be strictly equal",
        "operator: equal",
    ),
    "uvu": Sample(
        Node,
        """
• ✘   (1 / 2)

   FAIL  "bad"
    Expected values to be strictly equal:  (is)

  Total:     2
  Passed:    1
  Skipped:   1
  Duration:  2.65ms
""",
        ONE_EACH,
        '"bad"',
        "strictly equal",
    ),
    "jasmine": Sample(
        Node,
        """
Started
.*F

Failures:
1) suite bad
  Message:
    Expected 41 to be 42.
Pending:

1) suite sk
  Temporarily disabled with xit

3 specs, 1 failure, 1 pending spec
""",
        ONE_EACH,
        "suite bad",
        "Expected 41 to be 42.",
    ),
    "minitest": Sample(
        Ruby,
        """
Run options: --seed 38089

.SF

  1) Skipped:
TestX#test_skip [mt.rb:6]:
Skipped, no message given

  2) Failure:
TestX#test_bad [mt.rb:4]:
Expected: 42
  Actual: 41

3 runs, 1 assertions, 1 failures, 0 errors, 1 skips
""",
        ONE_EACH,
        "TestX#test_bad",
        "Actual: 41",
    ),
    "minitest, none": Sample(
        Ruby, "0 runs, 0 assertions, 0 failures, 0 errors, 0 skips\n", Counts()
    ),
    "test-unit": Sample(
        Ruby,
        """
===============================================================================
Failure: test_bad(TestX)
tu.rb:4:in `test_bad'
<42> expected but was
<41>
===============================================================================
Error: test_err(TestX): RuntimeError: x
===============================================================================
5 tests, 2 assertions, 1 failures, 1 errors, 1 pendings, 1 omissions, 0 notifications
25% passed
""",
        Counts(1, 2, 2),
        "test_bad(TestX)",
        "<41>",
    ),
    "rspec": Sample(
        Ruby,
        """
.F*

Pending: (Failures listed here are expected and do not affect your suite's status)

  1) thing pend
     # Not yet implemented

Failures:

  1) thing bad
     Failure/Error: it('bad') { expect(41).to eq 42 }

       expected: 42
            got: 41

Finished in 0.03112 seconds (files took 0.16602 seconds to load)
3 examples, 1 failure, 1 pending

Failed examples:

rspec ./spec/x_spec.rb:3 # thing bad
""",
        ONE_EACH,
        "thing bad",
        "got: 41",
    ),
    "rspec, none": Sample(Ruby, "No examples found.\n\n0 examples, 0 failures\n", Counts()),
    "rspec, a file that cannot be loaded": Sample(
        Ruby, "0 examples, 0 failures, 1 error occurred outside of examples\n", Counts(0, 1)
    ),
    "busted": Sample(
        Busted,
        """
+-.
1 success / 1 failure / 0 errors / 1 pending : 0.001946 seconds

Pending -> spec/x_spec.lua @ 1
thing later

Failure -> spec/x_spec.lua @ 1
thing bad
spec/x_spec.lua:1: Expected objects to be equal.
""",
        ONE_EACH,
        "thing bad",
        "Expected objects to be equal.",
    ),
    "busted, an error": Sample(
        Busted, "0 successes / 0 failures / 1 error / 0 pending : 0.000066 seconds\n", Counts(0, 1)
    ),
    "surefire": Sample(
        surefire,
        """
[INFO] Running AppTest
[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 1, Time elapsed: 0.05 s <<< FAILURE!
[ERROR] AppTest.bad  Time elapsed: 0.004 s  <<< FAILURE!
[INFO] Results:
[ERROR] Tests run: 3, Failures: 1, Errors: 0, Skipped: 1
""",
        ONE_EACH,
    ),
}


@pytest.mark.parametrize("whole", [False, True], ids=["alone", "among all"])
@pytest.mark.parametrize("name", SAMPLES)
def test_tests_are_counted(name: str, whole: bool) -> None:
    sample = SAMPLES[name]
    scanner = Any() if whole else sample.scanner()
    for line in sample.printed.splitlines():
        scanner.feed(line)
    assert scanner.counts == sample.counts
    if whole:
        return
    found, text = scanner.first_failure or ("", "")
    assert found == sample.failure
    assert sample.said in text


@pytest.mark.parametrize("make", [Go, Node, Ruby, Busted, cargo, surefire])
def test_other_output_says_nothing(make: Callable[[], Scanner]) -> None:
    scanner = make()
    for line in ("make: Nothing to be done for 'all'.", "", "3 files changed", "ok", "passed"):
        scanner.feed(line)
    assert scanner.counts is None
    assert scanner.first_failure is None
