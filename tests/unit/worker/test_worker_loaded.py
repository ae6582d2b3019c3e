# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is imported before a task is asked for: all of it, and nothing that is slow for nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import bbot_worker
from helpers import sources

WORKER = Path(bbot_worker.__file__).parents[1]

# In a process of its own, as a machine has it: without the modules of tests, and of site.
TASK = """\
import json, sys
sys.path.insert(0, sys.argv[1])
from bbot_worker import main, perform
from bbot_worker.progress import Progress
from bbot_worker.result import Result
from bbot_worker.task import Task
from bbot_worker.tftp import Tftp

main.load_all()
loaded = set(sys.modules)
pairs = [("name", "hello"), ("version", "1"), ("repository-url", sys.argv[2])]
pairs += [("repository-type", "dir"), ("target-config", "config.bbot.operations=configure,update")]
result = Result()
perform.perform(Task(pairs), result, sys.argv[3], Tftp(), Progress())
result.serialize()
late = sorted(set(sys.modules) - loaded)
print(json.dumps({"status": result.status, "loaded": sorted(loaded), "late": late}))
"""


def test_a_machine_that_was_saved_has_all_that_its_task_takes(tmp_path: Path) -> None:
    source, work = sources.make_source(tmp_path / "hello"), tmp_path / "work"
    command = [sys.executable, "-I", "-S", "-c", TASK, str(WORKER), str(source), str(work)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout)
    assert (seen["status"], seen["late"]) == ("success", [])
    # Each takes longer than all of the worker.
    assert {"urllib.request", "http.client", "ssl", "typing", "xml.sax"} & set(
        seen["loaded"]
    ) == set()
