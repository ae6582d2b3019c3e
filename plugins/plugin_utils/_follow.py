# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Action plugin bases: run a module in the background on the build host, and follow it live.

The module appends lines to a progress file; they are shown as they come. Each look at that file
renews a lease. Who does not wait any more takes it away, and the module throws the machine away;
one that was not renewed for long does the same. All files of a run are in one folder, which goes
with whoever of the two ends last.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import signal
import time
import types
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

# The module's last line; see module_utils/_argspec.py.
END = "=== end"

# Seconds. The module has time limits of its own; that of the job is never met.
_JOB_LIMIT = 7 * 24 * 3600
# The host waits for a line by itself, for so many tenths of a second.
_WAIT_TENTHS = 20
# Between two looks, so that one that talks a lot is not asked all the time.
_POLL = 0.2
# A module that died could not write its last line: the job is asked now and then, too.
_ASK_JOB = 15.0
# For how long the host may be out of reach before following is given up.
_OUT_OF_REACH = 300.0

_LINES_PER_POLL = 1000
_LINES_SHOWN = 40
_JOB_KEYS = ("ansible_job_id", "results_file", "started", "finished", "cleanup")


class PlayEnded(BaseException):
    """The play is being ended. Not an error, which somebody on the way might handle."""


class Watcher:
    """Shows people what the module on ``host`` says."""

    def __init__(self, host: str) -> None:
        self.host = host

    def hear(self, lines: list[str]) -> None:
        """Take what the module has said since the last time."""
        for line in lines[:_LINES_SHOWN]:
            display.display(f"[{self.host}] {line}")
        if len(lines) > _LINES_SHOWN:
            more = len(lines) - _LINES_SHOWN
            display.display(f"[{self.host}] … {more} lines not shown, they are in the logs")

    def turn(self) -> None:
        """Do what else is to be done while the module runs."""


class HostAction(ActionBase):
    """Has a folder on the build host, and runs modules there that are followed."""

    def shell(self, command: str) -> str:
        """Output of a shell command on the build host, as the user the task becomes."""
        return str(self._low_level_execute_command(command).get("stdout", ""))

    @contextlib.contextmanager
    def work_folder(self) -> t.Iterator[str]:
        """The path of a folder on the host, made for the length of a with statement.

        Within ending_raised() it goes with a play that is ended, too. Raises AnsibleError if it
        cannot be made.
        """
        # Named here, so that it can be removed however far the host has got with it.
        place = f'"${{TMPDIR:-/tmp}}"/bbot-play.{secrets.token_hex(8)}'
        try:
            made = self.shell(
                f'd={place} && mkdir -m 700 "$d" && : > "$d/lease" && : > "$d/progress" '
                '&& echo "$d"'
            )
            folder = made.strip().rpartition("\n")[2].strip()
            if not folder.startswith("/"):
                raise AnsibleError("cannot make a temporary folder on the host")
            yield folder
        finally:
            # Without its lease the module, should it still run, ends at once.
            with contextlib.suppress(AnsibleConnectionFailure):
                self.shell(f"rm -rf {place}")

    def follow(
        self,
        module: str,
        args: t.Mapping[str, t.Any],
        folder: str,
        task_vars: dict[str, t.Any],
        watcher: Watcher | None = None,
    ) -> dict[str, t.Any]:
        """Run ``module`` with its files in ``folder``, have ``watcher`` hear it; its result."""
        # What is left of the former module that was followed.
        self.shell(f": > {shlex.quote(folder)}/progress")
        given = {
            **args,
            "progress_file": f"{folder}/progress",
            "lease_file": f"{folder}/lease",
            "scratch_dir": folder,
        }
        self._task.async_val = _JOB_LIMIT
        # What the job says goes with the folder.
        self._connection._shell.set_option("async_dir", f"{folder}/job")
        try:
            job = self._execute_module(
                module_name=module, module_args=given, task_vars=task_vars, wrap_async=True
            )
        finally:
            self._task.async_val = 0
        if "ansible_job_id" not in job:
            return job
        watcher = watcher or Watcher(str(task_vars.get("inventory_hostname", "")))
        reader = _Reader(self, folder, watcher)
        asked = time.monotonic()
        controller = os.getppid()
        while True:
            # We are a worker process with a session of its own: that outlives a killed play.
            if os.getppid() != controller:
                raise AnsibleError("the play has ended while the module was running")
            ended = reader.read()
            watcher.turn()
            if ended:
                self._await_result(job)
            if ended or time.monotonic() - asked >= _ASK_JOB:
                asked = time.monotonic()
                status = self._ask(job, task_vars)
                if status.get("finished", 0) or status.get("failed"):
                    if not ended:
                        reader.read(wait=False)
                    return {key: value for key, value in status.items() if key not in _JOB_KEYS}
            time.sleep(_POLL)

    def _await_result(self, job: dict[str, t.Any]) -> None:
        """Wait until the module, which has said its last, has left its result."""
        path = shlex.quote(job["results_file"])
        self.shell(
            f"n=0; while [ $n -lt 50 ] && grep -q '^{{\"started\": true' {path}; "
            "do sleep 0.1; n=$((n+1)); done"
        )

    def _ask(self, job: dict[str, t.Any], task_vars: dict[str, t.Any]) -> dict[str, t.Any]:
        """What async_status says of the job; not finished while the host is out of reach."""
        try:
            status: dict[str, t.Any] = self._execute_module(
                module_name="ansible.legacy.async_status",
                module_args={
                    "jid": job["ansible_job_id"],
                    "mode": "status",
                    "_async_dir": os.path.dirname(job["results_file"]),
                },
                task_vars=task_vars,
            )
        except AnsibleConnectionFailure:
            return {}
        return status


@contextlib.contextmanager
def ending_raised() -> t.Iterator[None]:
    """Have the signals that end a play raise PlayEnded: Ansible's handler ends us on the spot.

    Once that was raised further ones are ignored, since Ansible sends another one right after the
    first, and what is cleared away takes a moment.
    """
    ended = False

    def end(_number: int, _frame: types.FrameType | None) -> None:
        nonlocal ended
        ended = True
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise PlayEnded

    numbers = (signal.SIGINT, signal.SIGTERM)
    former = [(number, signal.signal(number, end)) for number in numbers]
    try:
        yield
    finally:
        if not ended:
            for number, handler in former:
                signal.signal(number, handler)


class FollowedAction(HostAction):
    """Runs the module of the task's name; with `async` or in check mode just as usual."""

    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        args = dict(self._task.args)
        own = bool(args.get("progress_file") or args.get("lease_file"))
        if self._task.async_val or self._task.check_mode or own:
            wrap = bool(self._task.async_val)
            result.update(self._execute_module(task_vars=task_vars, wrap_async=wrap))
            return result
        with ending_raised(), self.work_folder() as folder:
            result.update(self.follow(self._task.action, args, folder, task_vars or {}))
        return result


class _Reader:
    """Reads what is new in the progress file, for ``watcher`` to hear."""

    def __init__(self, action: HostAction, folder: str, watcher: Watcher) -> None:
        self._action = action
        self._progress = shlex.quote(f"{folder}/progress")
        self._lease = shlex.quote(f"{folder}/lease")
        self._watcher = watcher
        self._seen = 0
        self._reached = time.monotonic()

    def read(self, *, wait: bool = True) -> bool:
        """Pass on new lines, for which to ``wait`` a moment; whether the last one is there."""
        # By lines, not bytes: a terminal on the way may change the ends of lines.
        command = (
            f"touch -c {self._lease}; n=0; while [ $n -lt {_WAIT_TENTHS if wait else 0} ] "
            f'&& [ "$(wc -l < {self._progress})" -le {self._seen} ]; '
            "do sleep 0.1; n=$((n+1)); done; "
            f"tail -n +{self._seen + 1} {self._progress} | head -n {_LINES_PER_POLL}"
        )
        try:
            new = self._action.shell(command)
        except AnsibleConnectionFailure:
            if time.monotonic() - self._reached > _OUT_OF_REACH:
                raise
            self._action._connection.reset()
            return False
        self._reached = time.monotonic()
        # At newlines only, as tail counts: Unicode knows other ends of lines.
        lines = [line.rstrip("\r") for line in new.removesuffix("\n").split("\n")] if new else []
        self._seen += len(lines)
        ended = END in lines
        self._watcher.hear([line for line in lines if line != END])
        return ended
