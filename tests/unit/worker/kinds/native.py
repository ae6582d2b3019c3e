# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds for C and its like, and those that need nothing but what the shipped image has."""

from __future__ import annotations

from .table import C_TESTS, Kind, cases, text

CMAKELISTS = text(
    """
    cmake_minimum_required(VERSION 3.16)
    project(sample C)
    enable_testing()
    add_executable(tests tests.c)
    add_test(NAME tests COMMAND tests)
    """
)

MAKEFILE = text(
    """
    all: tests
    check: all
    \t./tests
    """
)

MESON_BUILD = "project('sample', 'c')\nprogram = executable('tests', 'tests.c')\n"
MESON_BUILD += "test('tests', program)\n"
SCONSTRUCT = "program = Program('tests', 'tests.c')\n"
SCONSTRUCT += "AlwaysBuild(Alias('test', program, './tests'))\n"
BBOT_BUILD = "#!/bin/sh -e\ncase $1 in\nupdate) cc -o tests tests.c ;;\ntest) ./tests ;;\nesac\n"
MAKEFILE_PL = "use ExtUtils::MakeMaker; WriteMakefile(NAME => 'Sample', VERSION => '1');\n"
BUILD_PL = text(
    """
    use Module::Build;
    Module::Build->new(module_name => 'Sample', dist_version => '1', dist_abstract => 'x',
      dist_author => 'x', license => 'perl')->create_build_script;
    """
)
PERL_BODIES = {
    "good": "ok(1);",
    "broken": "is(41, 42, 'answer');",
    "crash": "kill 'SEGV', $$;",
    "hang": "sleep 600;",
    "disk": "open my $file, '>', 'filled'; $file->autoflush;"
    " while (print $file 'x' x 65536) {} die $!;",
}
PERL_TESTS = {
    case: f"use Test::More tests => 1; use IO::Handle; {body}\n"
    for case, body in PERL_BODIES.items()
}

# A backend that takes a tenth of setuptools' time.
PYTHON_BACKEND = text(
    """
    import os
    import zipfile

    INFO = "sample-1.2.dist-info"


    def prepare_metadata_for_build_wheel(directory, config_settings=None):
        os.mkdir(os.path.join(directory, INFO))
        with open(os.path.join(directory, INFO, "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\\nName: sample\\nVersion: 1.2\\n")
        with open(os.path.join(directory, INFO, "WHEEL"), "w") as file:
            file.write("Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        return INFO


    def build_wheel(directory, config_settings=None, metadata_directory=None):
        prepare_metadata_for_build_wheel(directory)
        name = "sample-1.2-py3-none-any.whl"
        with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
            for file in ("METADATA", "WHEEL"):
                wheel.write(os.path.join(directory, INFO, file), f"{INFO}/{file}")
            files = [
                os.path.join(folder, file)
                for folder, _folders, files in os.walk("sample")
                for file in files
                if file.endswith(".py") and not folder.endswith("tests")
            ]
            files += [file for file in ["sample.py"] if os.path.exists(file)]
            for file in files:
                wheel.write(file)
            record = "".join(f"{file},,\\n" for file in files)
            wheel.writestr(f"{INFO}/RECORD", record)
        return name
    """
)
PYPROJECT = text(
    """
    [build-system]
    requires = []
    build-backend = "backend"
    backend-path = ["."]
    """
)
PYTHON = {"pyproject.toml": PYPROJECT, "backend.py": PYTHON_BACKEND, "sample.py": "ANSWER = 42\n"}
FILL = "    with open('filled', 'wb') as file:\n        while True: file.write(bytes(1 << 16))\n"
PYTHON_BODIES = {
    "good": "    assert sample.ANSWER == 42\n",
    "broken": "    assert sample.ANSWER == 41\n",
    "crash": "    import os; os.kill(os.getpid(), 11)\n",
    "hang": "    import time; time.sleep(600)\n",
    "disk": FILL,
}
PYTEST = {
    case: f"import sample\n\n\ndef test_answer():\n{body}" for case, body in PYTHON_BODIES.items()
}
UNITTEST = {
    case: "import unittest\nimport sample\n\n\nclass TestSample(unittest.TestCase):\n"
    f"  def test_answer(self):\n{body}"
    for case, body in PYTHON_BODIES.items()
}

KINDS = {
    "cmake": Kind(
        files={"CMakeLists.txt": CMAKELISTS, "tests.c": C_TESTS["good"]},
        cases=cases(
            "tests.c", C_TESTS, none={"CMakeLists.txt": CMAKELISTS.replace("add_test", "# ")}
        ),
        tool="cmake",
        said={"crash": r"\*\*\*Exception: SegFault"},
    ),
    "make": Kind(
        files={"Makefile": MAKEFILE, "tests.c": C_TESTS["good"]},
        # A folder of that name is no target.
        cases=cases(
            "tests.c",
            C_TESTS,
            none={"Makefile": "all: tests\n", "test/data": "", "check/data": ""},
        ),
        tool="make",
        said={"none": "no tests were run: the makefile has no target check or test"},
        counts=None,
    ),
    "configure": Kind(
        files={
            "configure": "#!/bin/sh\ncp Makefile.in Makefile\n",
            "Makefile.in": MAKEFILE,
            "tests.c": C_TESTS["good"],
        },
        cases=cases("tests.c", C_TESTS, none={"Makefile.in": "all: tests\n"}),
        tool="make",
        said={"none": "no tests were run: the makefile has no target check or test"},
        counts=None,
    ),
    "autotools": Kind(
        files={
            "configure.ac": "AC_INIT([sample], [1])\nAM_INIT_AUTOMAKE([foreign])\nAC_PROG_CC\n"
            "AC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n",
            "Makefile.am": "check_PROGRAMS = tests\nTESTS = tests\n",
            "tests.c": C_TESTS["good"],
        },
        cases=cases("tests.c", C_TESTS, none={"Makefile.am": "noinst_PROGRAMS = tests\n"}),
        tool="autoreconf",
    ),
    "meson": Kind(
        files={"meson.build": MESON_BUILD, "tests.c": C_TESTS["good"]},
        cases=cases("tests.c", C_TESTS, none={"meson.build": MESON_BUILD.replace("test(", "#")}),
        tool="meson",
    ),
    "scons": Kind(
        files={"SConstruct": SCONSTRUCT, "tests.c": C_TESTS["good"]},
        cases=cases("tests.c", C_TESTS, none={"SConstruct": "Program('tests', 'tests.c')\n"}),
        tool="scons",
        said={"crash": r"scons: \*\*\* \[test\] Error -?(?:11|139)"},
        counts=None,
    ),
    "script": Kind(
        files={"bbot-build": BBOT_BUILD, "tests.c": C_TESTS["good"]},
        cases=cases(
            "tests.c",
            C_TESTS,
            none={"bbot-build": BBOT_BUILD.replace("./", "echo 0 passed in 0s #")},
        ),
        tool="",
        counts=None,
    ),
    "makemaker": Kind(
        files={"Makefile.PL": MAKEFILE_PL, "lib/Sample.pm": "package Sample; 1;\n"},
        cases=cases("t/sample.t", PERL_TESTS, none={}),
        tool="perl",
        driver="perl",
        said={"crash": r"Wstat: 11 \(Signal: SEGV"},
    ),
    "module-build": Kind(
        files={"Build.PL": BUILD_PL, "lib/Sample.pm": "package Sample; 1;\n"},
        cases=cases("t/sample.t", PERL_TESTS, none={}),
        tool="perl",
        driver="perl",
        said={"crash": r"Wstat: 11 \(Signal: SEGV"},
    ),
    "python-pytest": Kind(
        files=PYTHON,
        cases=cases("tests/test_sample.py", PYTEST, none={"conftest.py": ""}),
        tool="python3",
        flavour="python",
        driver="python",
    ),
    "python-unittest": Kind(
        files=PYTHON,
        cases=cases("tests/test_sample.py", UNITTEST, none={"tests/test_sample.py": "x = 1\n"}),
        tool="python3",
        flavour="python",
        driver="python",
    ),
    "declared": Kind(
        files={
            "bbot.yml": "steps: {update: cc -o tests tests.c, test: ./tests}\n",
            "tests.c": C_TESTS["good"],
        },
        cases=cases(
            "tests.c", C_TESTS, none={"bbot.yml": "steps: {update: cc -o tests tests.c}\n"}
        ),
        tool="",
        counts=None,
    ),
}
