# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build host on an ordinary day, for pictures."""

from __future__ import annotations

import random

from ansible_collections.bbot.agent.plugins.module_utils._engine.records.report import (
    ReportedFile,
    TaskReport,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status

from .web import WebHost

_PACKAGES = [("libhello", "1.2.0"), ("hello", "2.12"), ("fmt", "10.2.1"), ("zlib", "1.3.1")]
_MACHINES = ["debian_12-gcc_12", "debian_13-gcc_14", "alpine_3.20"]
_CONFIGURE = """\
+cmake -S . -B build -DCMAKE_BUILD_TYPE=Release
-- The CXX compiler identification is GNU 12.2.0
-- Detecting CXX compiler ABI info - done
-- Configuring done
-- Build files have been written to: /build/fmt/build
"""
_UPDATE = """\
+cmake --build build --parallel 2
[ 12%] Building CXX object CMakeFiles/fmt.dir/src/format.cc.o
[ 25%] Building CXX object CMakeFiles/fmt.dir/src/os.cc.o
[ 37%] Linking CXX static library libfmt.a
[ 37%] Built target fmt
[ 50%] Building CXX object test/CMakeFiles/chrono-test.dir/chrono-test.cc.o
/build/fmt/test/chrono-test.cc: In member function 'virtual void chrono_test_iso8601::TestBody()':
/build/fmt/test/chrono-test.cc:214:17: error: 'to_iso8601' is not a member of 'fmt'
  214 |   EXPECT_EQ(fmt::to_iso8601(t), "2026-11-29");
      |                 ^~~~~~~~~~
make[2]: *** [test/CMakeFiles/chrono-test.dir/build.make:76: chrono-test.cc.o] Error 1
make: *** [Makefile:146: all] Error 2
"""
_LIBRARY = ReportedFile("usr/lib/libhello.so.1.2.0", 184_320, "9f" * 32)
_HEADER = ReportedFile("usr/include/hello.h", 1_204, "3c" * 32)


def ordinary_day(host: WebHost) -> None:
    """Have a past of four weeks, two tasks that run, and a machine that has failed."""
    chance = random.Random(7)
    for name in _MACHINES:
        host.machine(name, current=True)
    host.machine("windows_11")
    for number in range(40):
        name, version = _PACKAGES[number % len(_PACKAGES)]
        machine = _MACHINES[number % len(_MACHINES)]
        bad = chance.random() < 0.15
        start = {"resume": 0.2} if chance.random() < 0.8 else {"start": 3.6}
        work = round(chance.lognormvariate(3, 0.4), 2)
        host.ended(
            Status.ERROR if bad else Status.SUCCESS,
            culprit="task" if bad else "none",
            reason="test: error" if bad else "",
            phases={
                "wait": round(chance.expovariate(0.5), 2),
                "snapshot": 0.1,
                **start,
                "work": work,
            },
            name=name,
            version=version,
            machine=machine,
        )
    host.multiply(1200)
    counts = {"passed": 411, "failed": 0, "skipped": 3}
    host.ended(
        operations={"configure": (Status.SUCCESS, _CONFIGURE), "test": (Status.SUCCESS, "ok\n")},
        report=TaskReport(tests={"test": counts}, artifacts=(_LIBRARY, _HEADER)),
        name="libhello",
        version="1.2.0",
        machine=_MACHINES[0],
    )
    host.ended(
        Status.ERROR,
        {
            "configure": (Status.SUCCESS, _CONFIGURE),
            "update": (Status.ERROR, _UPDATE),
            "test": (Status.SKIP, ""),
        },
        culprit="task",
        reason="update: error",
        phases={"wait": 0.4, "snapshot": 0.1, "resume": 0.2, "work": 41.3, "down": 0.3},
        name="fmt",
        version="10.2.1",
        machine=_MACHINES[0],
    )
    lines = "".join(f"12:00:{n:02} | [{4 * n:3}%] Building C object part{n}.o\n" for n in range(20))
    for name, version, machine in (
        ("zlib", "1.3.1", _MACHINES[1]),
        ("hello", "2.12", _MACHINES[0]),
    ):
        text = f"11:59:58 phase resume\n12:00:00 phase work\n12:00:00 | +configure\n{lines}"
        host.running(text, name=name, version=version, machine=machine)
    host.agent()
    host.suspend("3", "no first request within 600 s")


# Of the tasks above, by their numbers.
ORDINARY_PAGES = {
    "now": "",
    "history": "history?q=fmt",
    "trends": "trends",
    "task": "task/1202",
    "running": "task/1204",
    "log": "task/1202/log/update.log?first=1#error",
}
