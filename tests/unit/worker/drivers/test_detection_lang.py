# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which driver sources are for, by what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from bbot_worker.drivers import choose
from bbot_worker.drivers.tree import Tree
from bbot_worker.errors import WorkerError
from bbot_worker.task import Task

CARGO = "[package]\nname = 'x'\n"
PYPROJECT = "[build-system]\nrequires = ['maturin']\nbuild-backend = 'maturin'\n"
PACKAGE = '{"name": "x", "version": "1.0.0"}'
DEBIAN = {"debian/changelog": "", "debian/control": "", "debian/rules": ""}
SPEC = "Name: x\n%description\n"
CONFIGURE_AC = {"configure.ac": "AC_INIT([x],[1])\n"}


def tree(path: Path, files: dict[str, str]) -> Tree:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)
    return Tree(str(path))


@pytest.mark.parametrize(
    ("files", "driver", "others"),
    [
        ({"Cargo.toml": CARGO}, "cargo", []),
        ({"Cargo.toml": "[workspace]\nmembers = []\n", "Makefile": "all:\n"}, "cargo", ["make"]),
        ({"Cargo.toml": CARGO, "pyproject.toml": PYPROJECT}, "python", ["cargo"]),
        ({"Cargo.toml": CARGO, "pyproject.toml": "[tool.ruff]\n"}, "cargo", []),
        ({"go.mod": "module example.org/x\n", "Makefile": "all:\n"}, "go", ["make"]),
        ({"package.json": PACKAGE}, "npm", []),
        ({"package.json": '{"private": true, "scripts": {"test": "jest"}}'}, "npm", []),
        ({"package.json": PACKAGE, "go.mod": "module x\n"}, "go", ["npm"]),
        (
            {
                "package.json": '{"prettier": {}, "scripts": {"prepare": "husky"}}',
                "Makefile": "all:\n",
            },
            "make",
            [],
        ),
        ({"package.json": "[]", "Makefile": "all:\n"}, "make", []),
        ({"package.json": "{", "Makefile": "all:\n"}, "make", []),
        ({"pom.xml": "<project>\n"}, "maven", []),
        ({"pom.xml": "<project>\n", "build.gradle": ""}, "maven", ["gradle"]),
        ({"settings.gradle.kts": ""}, "gradle", []),
        ({"x.gemspec": "", "Rakefile": "", "package.json": PACKAGE}, "ruby", ["npm"]),
        ({"Gemfile": "", "Rakefile": ""}, "ruby", []),
        ({"Rakefile": "", "Makefile": "all:\n"}, "make", []),
        ({"x-1-1.rockspec": "", "Makefile": "all:\n"}, "lua", ["make"]),
        (DEBIAN, "debian", []),
        ({**DEBIAN, "Makefile": "all:\n"}, "make", ["debian"]),
        ({**DEBIAN, **CONFIGURE_AC, "x.spec": SPEC}, "autotools", ["debian", "rpm"]),
        ({"debian/control": "", "Makefile": "all:\n"}, "make", []),
        ({"x.spec": SPEC}, "rpm", []),
        ({"x.spec": "a = Analysis(['x.py'])\n", "Makefile": "all:\n"}, "make", []),
    ],
)
def test_detection(tmp_path: Path, files: dict[str, str], driver: str, others: list[str]) -> None:
    choice = choose(Task([("name", "x"), ("version", "0")]), tree(tmp_path, files))
    assert choice.driver.name == driver
    assert [name for name, _dummy in choice.others] == others


def test_a_source_package_is_built_as_such(tmp_path: Path) -> None:
    task = Task(
        [("name", "x"), ("version", "0"), ("repository-url", "https://example.org/x_1-1.dsc")]
    )
    assert choose(task, tree(tmp_path, {**DEBIAN, "Makefile": "all:\n"})).driver.name == "debian"


def test_only_settings_are_no_project(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="no known build system"):
        choose(
            Task([("name", "x"), ("version", "0")]),
            tree(tmp_path, {"package.json": '{"devDependencies": {"husky": "1"}}'}),
        )
