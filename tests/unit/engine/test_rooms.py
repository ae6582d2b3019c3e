# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folders of the engine are layers: each imports only from those before it."""

from __future__ import annotations

import ast
import typing as t
from graphlib import TopologicalSorter
from pathlib import Path

ENGINE = Path(__file__).parents[3] / "plugins" / "module_utils" / "_engine"

# As in docs/architecture.md; files that lie in no folder come first.
LAYERS = (
    "formats",
    "records",
    "linux",
    "tftp",
    "storage",
    "network",
    "host",
    "controller",
    "vm",
    "machine",
    "task",
    "matrix",
    "web",
    "agent",
)


def modules() -> dict[str, Path]:
    """The modules of the engine by their dotted names within it."""
    return {
        ".".join(path.relative_to(ENGINE).with_suffix("").parts): path
        for path in ENGINE.rglob("*.py")
        if path.name != "__init__.py"
    }


def imported(name: str, path: Path) -> t.Iterator[str]:
    """The dotted names of what the module imports of the engine, wherever it does so."""
    package = name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            outer = package[: len(package) - node.level + 1]
            assert len(package) >= node.level - 1, f"{name}: an import from outside of the engine"
            base = [*outer, *(node.module or "").split(".")] if node.module else outer
            for alias in node.names:
                yield ".".join([*base, alias.name])
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            for each in names:
                assert each is not None
                assert not each.startswith("ansible"), f"{name}: the engine knows no Ansible"


def dependencies() -> dict[str, set[str]]:
    """Of each module, the modules it imports."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        graph[name] = set()
        for target in imported(name, path):
            module = target if target in known else target.rpartition(".")[0]
            assert module in known, f"{name}: no module {target}"
            graph[name].add(module)
    return graph


def layer(name: str) -> int:
    """The number of the layer of a module."""
    return LAYERS.index(name.split(".")[0]) if "." in name else -1


def test_each_folder_is_a_layer() -> None:
    folders = {
        path.name for path in ENGINE.iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert folders == set(LAYERS)
    assert len(modules()) > 60


def test_a_folder_imports_only_from_the_folders_before_it() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in dependencies().items()
        for target in targets
        if layer(target) > layer(name)
    ]
    assert not wrong


def test_no_circle_exists() -> None:
    # Raises CycleError, which names the modules.
    order = list(TopologicalSorter(dependencies()).static_order())
    assert len(order) == len(modules())


def test_a_wrong_import_is_found(tmp_path: Path) -> None:
    path = tmp_path / "loop.py"
    path.write_text("def f():\n    from ...task import perform\n")
    assert list(imported("vm.qemu.loop", path)) == ["task.perform"]
    assert layer("task.perform") > layer("vm.qemu.loop")
