# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rust's cargo. Crates are vendored, Debian's own, or fetched, in that order."""

from __future__ import annotations

import json
import os
import re

from ..errors import WorkerError
from ..run import CommandFailed
from ..scanners import cargo as cargo_summary
from .base import Driver
from .dependencies import unavailable
from .tree import Tree

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..run import Answer

# Where Debian's packages librust-*-dev put their crates.
DEBIAN_REGISTRY = "/usr/share/cargo/registry"
_MISSING = re.compile("(?:no matching package named|failed to select a version for) `([^`]+)`")


class Cargo(Driver):
    name = "cargo"
    tools = ("cargo",)
    flavour = "rust"

    # What keeps cargo to the source of crates that was found.
    _options: tuple[str, ...] = ()

    @classmethod
    def detect(cls, tree: Tree) -> str:
        return "Cargo.toml" if tree.says("Cargo.toml", r"^\s*\[(?:package|workspace)\b") else ""

    def configure(self) -> None:
        manifest = self._ask_metadata("--no-deps")
        if not manifest:
            raise WorkerError(f"cargo does not understand the project: {manifest.output.strip()}")
        vendored = self._vendored()
        missing = []
        for options in ((), vendored) if vendored else ((),):
            answer = self._ask_metadata(*options)
            if answer:
                self._options = ("--offline", *options)
                self.note("all crates are there")
                return
            missing = _MISSING.findall(answer.output)
        if os.path.isdir(DEBIAN_REGISTRY) and self._use_debian():
            return
        self._fetch(missing)

    def update(self) -> None:
        job = self.job
        self.in_source("cargo", "build", *self._workspace(), *self._options, *job.task.words)

    def test(self) -> None:
        self.scan(
            cargo_summary(),
            self.in_source,
            "cargo",
            "test",
            "--no-fail-fast",
            *self._workspace(),
            *self._options,
            *self.job.task.words,
        )

    def install(self) -> None:
        self.stage(self.job.prefix)

    def stage(self, directory: str) -> None:
        places = self._programs()
        if not places:
            self.nothing("install")
        # It warns of programs that no PATH leads to.
        path = f"{os.path.join(directory, 'bin')}:{self.job.runner.path}"
        for place in places:
            where = ("--path", place, "--root", directory)
            options = (*self._options, *self.job.task.words)
            self.in_source("cargo", "install", *where, *options, PATH=path)

    def _workspace(self) -> list[str]:
        """What of a workspace is meant, and how many jobs."""
        chosen = Tree(self.job.source).says("Cargo.toml", r"^\s*default-members\s*=")
        return [*([] if chosen else ["--workspace"]), "--jobs", self.job.jobs]

    def _vendored(self) -> tuple[str, ...]:
        """The options for a folder vendor that no configuration mentions."""
        try:
            names = os.listdir(os.path.join(self.job.source, "vendor"))
        except OSError:
            return ()
        if not any(self.job.has(f"vendor/{name}/.cargo-checksum.json") for name in names):
            return ()
        return _replaced("directory", os.path.join(self.job.source, "vendor"))

    def _ask_metadata(self, *options: str) -> Answer:
        """Ask whether all crates are to be had without a network, or what there is."""
        return self.ask("cargo", "metadata", "--format-version=1", "--offline", *options)

    def _use_debian(self) -> bool:
        """Take the crates of the distribution, if it has all, whatever Cargo.lock says."""
        options = _replaced("directory", DEBIAN_REGISTRY)
        lock = os.path.join(self.job.source, "Cargo.lock")
        aside = f"{lock}.of-the-project"
        locked = os.path.isfile(lock)
        if locked:
            os.rename(lock, aside)
        if not self._ask_metadata(*options):
            if locked:
                os.replace(aside, lock)
            return False
        self._options = ("--offline", *options)
        self.note(f"crates are those of the distribution, in {DEBIAN_REGISTRY}")
        if locked:
            self.job.runner.log.warn(
                "Cargo.lock is not followed: the distribution has other versions"
            )
        return True

    def _fetch(self, missing: list[str]) -> None:
        index = self.job.task.settings.get("index")
        if index:
            self._options = _replaced("registry", index)
        fetch = ["cargo", "fetch", *self._options]
        try:
            # Where there is no network, this is soon known.
            self.in_source(*fetch, CARGO_NET_RETRY="1", CARGO_HTTP_TIMEOUT="20")
        except CommandFailed:
            raise unavailable("the crates", missing, "cargo vendor", "librust-NAME-dev") from None

    def _programs(self) -> list[str]:
        """The folders of the packages that have programs."""
        answer = self._ask_metadata("--no-deps")
        try:
            # Warnings come before it.
            packages = json.loads(answer.output[answer.output.find('{"packages"') :])["packages"]
            return [
                os.path.dirname(package["manifest_path"])
                for package in packages
                if any("bin" in target["kind"] for target in package["targets"])
            ]
        except (ValueError, LookupError, TypeError):
            raise WorkerError(f"cargo does not say what there is: {answer.output}") from None


def _replaced(kind: str, place: str) -> tuple[str, ...]:
    """The options that have crates come from *place*: a directory, or the URL of a registry."""
    return (
        "--config",
        'source.crates-io.replace-with="bbot"',
        "--config",
        f"source.bbot.{kind}={json.dumps(place)}",
    )
