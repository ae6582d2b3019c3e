# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that run beside the agent as modules, though their files have no ending."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

FILES = Path(__file__).parents[3] / "roles" / "agent" / "files"


def load(name: str) -> ModuleType:
    loader = SourceFileLoader(f"bbot_{name}", str(FILES / name))
    # Beside the file it would become a part of the role.
    loader.set_data = lambda *_args, **_keywords: None  # type: ignore[method-assign]
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    # A dataclass looks for its module there.
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def alert() -> ModuleType:
    return load("alert")


@pytest.fixture(scope="session")
def metrics() -> ModuleType:
    return load("metrics")
