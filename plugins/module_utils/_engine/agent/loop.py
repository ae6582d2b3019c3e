# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""The agent: enumerate, bootstrap, ask, perform, deliver, again and again (bbot's loop).

The loop never waits for anything but events. Each kind of work has a desk of its own, and
whatever takes time is a job, a process of its own.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import time
import typing as t

from ..controller.urls import masked
from ..errors import EngineError, sentence
from ..host.diagnostics import Diagnostics
from ..host.guest_lines import cut
from ..linux.process import Runner
from ..linux.sd_notify import ServiceManager
from ..linux.signals import Signals
from ..machine.sweep import leased
from ..release import VERSION
from .desks.asking import AskingDesk
from .desks.base import STOPPING, Desk
from .desks.bootstraps import BootstrapsDesk
from .desks.outbox import OutboxDesk
from .desks.recovery import RecoveryDesk
from .desks.rehearsals import RehearsalsDesk
from .desks.survey import SurveyDesk
from .desks.tasks import TasksDesk
from .duties import Duties
from .options import OptionsError, read_settings
from .settings import Settings
from .state import State

# In this order: tasks that were accepted are begun before more are asked for.
_DESKS = (
    *(RecoveryDesk, SurveyDesk, TasksDesk, RehearsalsDesk, BootstrapsDesk, AskingDesk),
    OutboxDesk,
)

# The loop goes round at least once in so many seconds.
_LONGEST_WAIT = 60.0

# So much is told of a trouble, in characters.
_WORDS = 500

_ENDING = (signal.SIGTERM, signal.SIGINT)


class Agent:
    """One agent, run by the command line `arguments` that `settings` are read from."""

    def __init__(
        self, arguments: t.Sequence[str], settings: Settings, run: Runner, say: Diagnostics
    ) -> None:
        self._arguments = arguments
        self._settings = settings
        self._say = say
        self._duties = Duties(settings, run, say)
        self._manager = ServiceManager()
        self._stop_at = math.inf

    def run(self) -> int:
        """Be the agent until a signal ends it. Returns the exit status."""
        settings = self._settings
        facts = {
            "toolchain": settings.toolchain_name,
            "controllers": [controller.url for controller in settings.controllers],
            "instance_max": settings.instance_max,
            "version": VERSION,
        }
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        with Signals(*_ENDING, signal.SIGHUP, signal.SIGUSR1) as caught:
            with leased(self._duties.host, what="agent", **facts) as lease:
                self._duties.owner = lease.name
                state = State(self._duties, lease, self._say)
                state.fake = self._duties.fake_header()
                self._introduce()
                desks: list[Desk[t.Any]] = [kind(state) for kind in _DESKS]
                self._turn(desks)
                _tell_troubles(state, desks)
                self._manager.ready()
                while not self._finished(state, desks):
                    self._wait(caught, desks)
                    for number in caught.take():
                        self._signalled(number, state, desks)
                    self._turn(desks)
                    _tell_troubles(state, desks)
                    self._manager.status(_summary(state))
            if state.mode == "reload" and not set(_ENDING) & set(caught.take()):
                self._manager.reloading()
                os.execv(sys.executable, [sys.executable, sys.argv[0], *self._arguments])
        return 0

    def _introduce(self) -> None:
        settings, toolchain = self._settings, self._duties.toolchain()
        accelerator = self._duties.accelerator
        self._say.info(f"bbot agent {VERSION}, process {os.getpid()}")
        self._say.info(
            f"toolchain {toolchain.name}, number {settings.toolchain_num}, "
            f"version {self._duties.toolchain_version(toolchain)}, id {toolchain.id}"
        )
        self._say.info(f"machines with {settings.cpu} CPUs and {settings.ram} KiB of memory")
        self._say.info(f"accelerator {accelerator.name}: {accelerator.reason}")
        for controller in settings.controllers:
            self._say.info(
                f"controller {masked(controller.url)}, priority {controller.priority.number}"
            )

    def _turn(self, desks: t.Sequence[Desk[t.Any]]) -> None:
        """Let each desk do what is due."""
        for desk in desks:
            self._manager.alive()
            desk.visit()

    def _wait(self, caught: Signals, desks: t.Sequence[Desk[t.Any]]) -> None:
        """Wait for the next event."""
        now = time.monotonic()
        due = [now + _LONGEST_WAIT, self._stop_at, *(desk.wake() for desk in desks)]
        if self._manager.watchdog_interval is not None:
            due.append(now + self._manager.watchdog_interval)
        poller = select.poll()
        poller.register(caught, select.POLLIN)
        for desk in desks:
            for source in desk.sources():
                poller.register(source, select.POLLIN)
        poller.poll(max(0, math.ceil((min(due) - now) * 1000)))

    def _signalled(
        self, number: signal.Signals, state: State, desks: t.Sequence[Desk[t.Any]]
    ) -> None:
        if state.mode == "stop":
            return
        if number in _ENDING:
            self._say.info(f"{number.name}: ending, {len(state.working)} tasks running")
            self._manager.stopping()
            state.mode = "stop"
            state.call("tasks", "outbox", at_once=True)
            self._stop_at = time.monotonic() + STOPPING
            for desk in desks:
                desk.stop(self._stop_at)
        elif number == signal.SIGUSR1:
            self._say.info(f"{number.name}: ending when the running tasks have ended")
            state.mode = "drain"
        else:
            try:
                read_settings(self._arguments)
            except OptionsError as error:
                self._say.error(f"{number.name}: the options stay as they were: {error}")
                return
            self._say.info(f"{number.name}: reading the options when the running tasks have ended")
            state.mode = "reload"

    def _finished(self, state: State, desks: t.Sequence[Desk[t.Any]]) -> bool:
        """Return whether an agent that is to end may do so."""
        if time.monotonic() >= self._stop_at:
            for desk in desks:
                desk.kill()
            return True
        return state.mode != "run" and all(desk.idle() for desk in desks)


def _summary(state: State) -> str:
    """Return what the service manager shows."""
    mode = {"run": "", "drain": "draining, ", "reload": "reloading, ", "stop": "ending, "}
    running = ", ".join(state.titles) or "no task"
    return f"{mode[state.mode]}{running}; {len(state.headers())} machines"


def _tell_troubles(state: State, desks: t.Sequence[Desk[t.Any]]) -> None:
    """Note in the lease what is wrong, for `bbot-agent status`, metrics and alerts."""
    found = state.brake.troubles()
    for desk in desks:
        # Of two words for one thing those of the brake are the plainer ones.
        found = desk.troubles() | found
    words = {what: _in_one_line(why) for what, why in found.items()}
    if words != (state.lease.record.get("troubles") or {}):
        state.lease.tell(troubles=words)


def _in_one_line(words: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in cut(words, _WORDS))


def run_agent(arguments: t.Sequence[str], settings: Settings, run: Runner, say: Diagnostics) -> int:
    """Be an agent. Returns the exit status (bbot's): 0 when told to end, 1 if it cannot work."""
    try:
        with contextlib.suppress(KeyboardInterrupt):
            return Agent(arguments, settings, run, say).run()
    except (EngineError, OSError) as error:
        say.fatal(sentence(error))
        return 1
    return 0
