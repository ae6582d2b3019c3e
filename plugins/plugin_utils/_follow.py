# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Action plugin base: run the module of the same name in the background and follow it live.

The module appends lines to a progress file on the build host; they are shown as
they come. Each look at that file renews a lease, so that a module whose play was
interrupted learns that nobody waits any more.
"""

from __future__ import annotations

import os
import shlex
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

# The module's last line; see module_utils/_argspec.py.
END = "=== end"

# Seconds. The module has time limits of its own; that of the job is never met.
_JOB_LIMIT = 7 * 24 * 3600
_POLL = 0.5
# A module that died could not write its last line: the job is asked now and then, too.
_ASK_JOB = 15.0
# For how long the host may be out of reach before following is given up.
_OUT_OF_REACH = 300.0

_LINES_PER_POLL = 1000
_LINES_SHOWN = 40
_JOB_KEYS = ("ansible_job_id", "results_file", "started", "finished", "cleanup")


class FollowedAction(ActionBase):
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
        folder = self._shell('mktemp -d "${TMPDIR:-/tmp}/bbot-follow.XXXXXX"').strip()
        if not folder:
            return {**result, "failed": True, "msg": "cannot make a temporary folder on the host"}
        try:
            lease, progress = f"{folder}/lease", f"{folder}/progress"
            self._shell(f"touch {shlex.quote(lease)} {shlex.quote(progress)}")
            args |= {"progress_file": progress, "lease_file": lease}
            result.update(self._follow(args, progress, lease, task_vars or {}))
        finally:
            # Without its lease the module, should it still run, ends at once.
            self._shell(f"rm -rf {shlex.quote(folder)}")
        return result

    def _shell(self, command: str) -> str:
        """Output of a shell command on the build host, as the user the task becomes."""
        return str(self._low_level_execute_command(command).get("stdout", ""))

    def _follow(
        self, args: dict[str, t.Any], progress: str, lease: str, task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """Start the module, show its progress until it has ended; its result."""
        self._task.async_val = _JOB_LIMIT
        try:
            job = self._execute_module(module_args=args, task_vars=task_vars, wrap_async=True)
        finally:
            self._task.async_val = 0
        if "ansible_job_id" not in job:
            return job
        reader = _Reader(self, progress, lease, str(task_vars.get("inventory_hostname", "")))
        asked = time.monotonic()
        controller = os.getppid()
        while True:
            # We are a worker process with a session of its own: that outlives a killed play.
            if os.getppid() != controller:
                raise AnsibleError("the play has ended while the module was running")
            ended = reader.read()
            if ended or time.monotonic() - asked >= _ASK_JOB:
                asked = time.monotonic()
                status = self._ask(job, "status", task_vars)
                if status.get("finished", 0) or status.get("failed"):
                    reader.read()
                    self._ask(job, "cleanup", task_vars)
                    return {key: value for key, value in status.items() if key not in _JOB_KEYS}
            time.sleep(_POLL)

    def _ask(
        self, job: dict[str, t.Any], mode: str, task_vars: dict[str, t.Any]
    ) -> dict[str, t.Any]:
        """What async_status says of the job; not finished while the host is out of reach."""
        try:
            status: dict[str, t.Any] = self._execute_module(
                module_name="ansible.legacy.async_status",
                module_args={
                    "jid": job["ansible_job_id"],
                    "mode": mode,
                    "_async_dir": os.path.dirname(job["results_file"]),
                },
                task_vars=task_vars,
            )
        except AnsibleConnectionFailure:
            return {}
        return status


class _Reader:
    """Reads what is new in the progress file and shows it."""

    def __init__(self, action: FollowedAction, progress: str, lease: str, host: str) -> None:
        self._action = action
        self._progress = shlex.quote(progress)
        self._lease = shlex.quote(lease)
        self._host = host
        self._seen = 0
        self._reached = time.monotonic()

    def read(self) -> bool:
        """Show the new lines; whether the last one was among them."""
        # By lines, not bytes: a terminal on the way may change the ends of lines.
        command = (
            f"touch {self._lease}; tail -n +{self._seen + 1} {self._progress} "
            f"| head -n {_LINES_PER_POLL}"
        )
        try:
            new = self._action._shell(command)
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
        lines = [line for line in lines if line != END]
        for line in lines[:_LINES_SHOWN]:
            display.display(f"[{self._host}] {line}")
        if len(lines) > _LINES_SHOWN:
            more = len(lines) - _LINES_SHOWN
            display.display(f"[{self._host}] … {more} lines not shown, they are in the logs")
        return ended
