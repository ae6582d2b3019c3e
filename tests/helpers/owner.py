# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that works on a host and stops dead at a line of its report, to be killed there.

``python -m helpers.owner <JSON>``; see Owner.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import typing as t

from ansible_collections.bbot.agent.plugins.module_utils._engine.host.host import Host
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.bootstrap import Running
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.ensure import ensure
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import look
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.toolchain import (
    load_toolchain,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.perform import perform
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.server import Limits

from .build_host import RAM, TCG, BuildHost, make_task, run


@contextlib.contextmanager
def owner(
    host: BuildHost,
    stop: str,
    files: dict[str, str] | None = None,
    *,
    warm: t.Sequence[str] = (),
) -> t.Iterator[subprocess.Popen[str]]:
    """A process that works on the machine tiny and has just reported ``stop``.

    It performs a task that fetches ``files``, or without any has the machine bootstrapped.
    """
    engine = host.engine()
    names = ("machines", "tftp", "state", "runtime", "bridge", "user")
    facts = {
        "host": {name: getattr(engine, name) for name in names},
        "logs": str(host.logs / "task"),
        "stop": stop,
        "storage": host.kind,
        "files": files,
        "warm": warm,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "helpers.owner", json.dumps(facts)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            seen = []
            for line in process.stdout:
                seen.append(line.rstrip("\n"))
                if seen[-1] == stop:
                    yield process
                    break
            else:
                raise AssertionError(f"it never reported {stop!r}, but {seen}")
        finally:
            process.kill()


def main(facts: dict[str, t.Any]) -> None:
    def report(line: str) -> None:
        print(line, flush=True)
        if line == facts["stop"]:
            signal.pause()

    host = Host(run=run, storage=make_storage(facts["storage"]), report=report, **facts["host"])
    toolchain = load_toolchain(host, "default")
    machine = look(host, "default", "tiny", toolchain)
    running = Running(TCG, ram=RAM, progress=report, warm=facts["warm"])
    waits, logs, files = Waits(startup=120, total=120, retries=0), facts["logs"], facts["files"]
    if files is None:
        fake = facts.get("fake", False)
        ensure(host, machine, toolchain, running, waits, logs, fake=fake)
    else:
        perform(host, make_task(), machine, toolchain, running, waits, Limits(), logs, files)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
