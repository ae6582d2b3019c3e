# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of the distribution, installed before anything is built."""

from __future__ import annotations

from ...errors import WorkerError
from ...run import Command

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from ..base import Driver

# One try and a short one: where a mirror can be reached it answers at once.
_PATIENCE = ("-o", "Acquire::Retries=1", "-o", "Acquire::http::Timeout=20")
_LOCK = ("-o", "DPkg::Lock::Timeout=60")


def install(driver: Driver, packages: list[str]) -> None:
    """Install those of *packages* that are missing. Raises WorkerError."""
    missing = [name for name in packages if not _is_there(driver, name)]
    if not missing:
        return
    names = " ".join(missing)
    job = driver.job
    ways = (
        "let the machine out to a mirror (egress), or use an image with them "
        "(machine_image_extra_packages)"
    )
    if driver.which("apt-get") is None:
        raise WorkerError(
            f"bbot.yml asks for the packages {names}, and this machine has no apt-get to install "
            "them: use an image with them (machine_image_extra_packages)"
        )
    if not job.runner.account.is_root:
        raise WorkerError(
            f"bbot.yml asks for the packages {names}, which only root can install: {ways}"
        )
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    options = ["--yes", "--quiet=2", "--no-install-recommends", *_LOCK, *_PATIENCE]
    commands = [
        # What cannot be fetched is an error of its own, and not only a warning, since 2.1.5.
        ["apt-get", "update", "--quiet=2", *_PATIENCE, "-o", "APT::Update::Error-Mode=any"],
        ["apt-get", "install", *options, *missing],
    ]
    for arguments in commands:
        try:
            job.runner.run(Command(arguments, job.work, environment, privileged=True))
        except WorkerError as error:
            if error.status != "error":
                raise
            raise WorkerError(
                f"the packages {names} of bbot.yml cannot be installed: {error}: {ways}"
            ) from None


def _is_there(driver: Driver, package: str) -> bool:
    name, _sign, version = package.partition("=")
    answer = driver.ask(
        "dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}\\n", name
    )
    states = [line.split() for line in answer.output.splitlines()] if answer else []
    return any(
        state[0] == "installed" and (not version or state[1:] == [version])
        for state in states
        if state
    )
