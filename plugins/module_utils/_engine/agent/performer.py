# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Tasks of a person's own performed on this host, on machines that are bootstrapped if need be."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..host.host import Host, HostError
from ..linux.process import Runner
from ..machine import bootstrap as _bootstrap
from ..machine.auxiliary import companions_of
from ..machine.bootstrap import Running
from ..machine.conversation import Waits
from ..machine.ensure import ensure, plan
from ..machine.inventory import Machine, enumerate_machines, find_machine
from ..machine.toolchain import Toolchain, load_toolchain
from ..records.task import Task
from ..task import perform as _task
from ..task.logs import logs_name
from ..task.own import OwnTask, perform_own
from ..task.perform import Outcome
from ..tftp.server import Limits
from ..vm.accelerator import Accelerator, choose
from .places import make_host
from .settings import Settings

# Seconds to wait in line for memory, and for somebody else who bootstraps the machine.
PATIENCE = 3600.0


@dataclasses.dataclass(frozen=True)
class Order:
    """A task to be performed: its fields, files for its guest, and its auxiliary machines."""

    fields: t.Mapping[str, t.Any]
    files: t.Mapping[str, str]
    auxiliary: t.Sequence[str] = ()

    @property
    def task(self) -> Task:
        """The task. Raises ManifestError if it is none."""
        fields = {str(name).replace("_", "-"): value for name, value in self.fields.items()}
        return Task.from_mapping(fields, "task")


class Performer:
    """Performs tasks by ``settings``, which ``report`` is told of, as long as ``alive`` says.

    ``accelerator`` is how machines are run, None to find out; ``patience`` for how many seconds to
    wait in line, ``hold`` for how many to keep a machine that failed.
    """

    def __init__(
        self,
        settings: Settings,
        run: Runner,
        report: t.Callable[[str], None],
        alive: t.Callable[[], bool],
        *,
        accelerator: Accelerator | None = None,
        patience: float = PATIENCE,
        hold: float = 0,
    ) -> None:
        self.settings = settings
        self.host: Host = make_host(settings, run, report)
        self._report = report
        self._alive = alive
        self._accelerator = accelerator
        self._patience = patience
        self._hold = hold
        self._toolchain: Toolchain | None = None

    @property
    def toolchain(self) -> Toolchain:
        """The toolchain. Raises HostError if there is none of that name."""
        if self._toolchain is None:
            self._toolchain = load_toolchain(self.host, self.settings.toolchain_name)
        return self._toolchain

    @property
    def accelerator(self) -> Accelerator:
        """How machines are run."""
        if self._accelerator is None:
            self._accelerator = choose(self.host, self.settings.accelerator)
        return self._accelerator

    def perform(self, order: Order) -> tuple[Outcome, str]:
        """Perform a task; what became of it, and the folder with its results.

        Raises what the engine's perform() does, and HostError for a machine that is not ready.
        """
        settings, host, task = self.settings, self.host, order.task
        machine = self._ready(task.machine)
        for each in order.auxiliary:
            self._ready(each)
        logs = os.path.join(settings.log_dir, logs_name(f"{task.name}-{task.version}"))
        running = self._running()
        waits = Waits(
            settings.build_startup or _task.STARTUP[running.accelerator.on(task.machine).name],
            settings.build_timeout,
            settings.build_retries,
        )
        limits = Limits(settings.upload_limit, settings.upload_limit)
        companions = companions_of(task, enumerate_machines(host, self.toolchain))
        own = OwnTask(
            task, machine, self.toolchain, running, waits, limits, logs, order.files, companions,
            fake=settings.fake_build,
        )  # fmt: skip
        outcome, _files = perform_own(host, own)
        return outcome, logs

    def _ready(self, name: str) -> Machine:
        """The machine ``name``, bootstrapped if need be. Raises HostError if it cannot be."""
        settings, host, toolchain = self.settings, self.host, self.toolchain
        machine = find_machine(enumerate_machines(host, toolchain), name)
        running = self._running() if settings.warm else None
        if plan(host, machine, toolchain, running) != "none":
            running = self._running()
            logs = logs_name(f"bootstrap-{machine.folder}-{toolchain.name}")
            waits = Waits(
                settings.bootstrap_startup or _bootstrap.STARTUP[running.accelerator.on(name).name],
                settings.bootstrap_timeout,
                settings.bootstrap_retries,
            )
            done = ensure(
                host, machine, toolchain, running, waits, os.path.join(settings.log_dir, logs),
                lock_timeout=self._patience, fake=settings.fake_bootstrap,
            )  # fmt: skip
            if done.failure is not None:
                raise HostError(
                    f"cannot bootstrap {name}: {done.failure.message}; see its logs in {done.logs}",
                    culprit="machine",
                )
            machine = done.machine
        if machine.state != "current":
            why = "; ".join(machine.reasons)
            raise HostError(f"machine {name} is not ready for tasks ({why})", culprit="machine")
        return machine

    def _running(self) -> Running:
        settings = self.settings
        return Running(
            self.accelerator,
            cpu=settings.cpu,
            ram=settings.ram,
            port=settings.tftp_port,
            patience=self._patience,
            hold=self._hold,
            alive=self._alive,
            progress=self._report,
            warm=settings.warm,
            writes=settings.write_limit,
            auxiliary_ram=settings.auxiliary_ram,
        )
