# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver for cargo, with this host's own and without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker.drivers import cargo

Perform = Callable[..., Any]

ALL = "config.bbot.operations=configure,update,test,install"
CRATE = '[package]\nname = "%s"\nversion = "1.2.3"\nedition = "2021"\n'
MANIFEST = CRATE % "sample" + '[dependencies]\nhelper = "1"\n'
MAIN = """fn main() { println!("{}", helper::answer()); }
#[test] fn it_is_right() { assert_eq!(helper::answer(), 42); }
"""
HELPER = {
    "Cargo.toml": CRATE % "helper",
    "src/lib.rs": "pub fn answer() -> u32 { 42 }\n",
    ".cargo-checksum.json": '{"files": {}, "package": null}',
}
FILES = {"Cargo.toml": MANIFEST, "src/main.rs": MAIN}
VENDOR = {f"vendor/helper/{name}": text for name, text in HELPER.items()}
LOCK = """version = 3

[[package]]
name = "helper"
version = "1.9.9"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "0000000000000000000000000000000000000000000000000000000000000000"

[[package]]
name = "sample"
version = "1.2.3"
dependencies = ["helper"]
"""


@pytest.fixture(autouse=True)
def own_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(cargo, "DEBIAN_REGISTRY", "/nonexistent")


def test_vendored_crates_are_used_without_a_configuration(perform: Perform, tmp_path: Path) -> None:
    outcome = perform({**FILES, **VENDOR}, ALL)
    assert outcome.status == "success", outcome
    assert "all crates are there" in outcome.logs["configure"]
    assert outcome.report["tests"]["test"]["passed"] == 1
    assert (tmp_path / "work" / "installed" / "bin" / "sample").exists()


def test_crates_of_the_distribution(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = tmp_path / "registry"
    for name, text in HELPER.items():
        path = registry / "helper-1.2.3" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(cargo, "DEBIAN_REGISTRY", str(registry))
    outcome = perform({**FILES, "Cargo.lock": LOCK})
    assert outcome.statuses == {"configure": "warning", "update": "success", "test": "success"}
    assert "warning: Cargo.lock is not followed" in outcome.logs["configure"]


def test_a_crate_that_cannot_be_had_is_named(perform: Perform) -> None:
    outcome = perform(FILES, "config.bbot.index=https://127.0.0.1:9/index")
    assert outcome.statuses["configure"] == "error"
    assert (
        "error: cannot have the crates helper: bring them with the sources (cargo vendor), have "
        "them in the image (machine_image_extra_packages: librust-NAME-dev), let the machine reach "
        "the network (egress), or name an index that it reaches (config.bbot.index)"
    ) in outcome.logs["configure"]


def test_a_manifest_that_is_wrong_is_no_matter_of_networks(perform: Perform) -> None:
    outcome = perform({**FILES, "Cargo.toml": "[package]\nname = 1\n"})
    assert outcome.statuses["configure"] == "error"
    assert "error: cargo does not understand the project: " in outcome.logs["configure"]


def test_all_of_a_workspace_is_tested_unless_it_says_otherwise(perform: Perform) -> None:
    members = {
        f"{name}/{path}": text
        for name in ("one", "two")
        for path, text in (
            ("Cargo.toml", CRATE % name),
            ("src/lib.rs", "#[test] fn it_is() { }\n"),
        )
    }
    workspace = '[workspace]\nmembers = ["one", "two"]\n'
    outcome = perform({"Cargo.toml": workspace, **members})
    assert outcome.report["tests"]["test"]["passed"] == 2
    workspace += 'default-members = ["one"]\n'
    outcome = perform({"Cargo.toml": workspace, **members})
    assert outcome.report["tests"]["test"]["passed"] == 1
