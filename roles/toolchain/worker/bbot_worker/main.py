# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line, and a machine's life from its task to its result."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import time

from . import VERSION, perform
from .errors import WorkerError, say
from .log import clean
from .manifest import ManifestError, parse_manifests, serialize_manifest
from .progress import Progress
from .result import Result
from .resume import come_to, renew_address, renew_machine_id
from .task import Task
from .tftp import TFTP_HOST, TFTP_PORT, Tftp, TftpError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import IO, NoReturn

USAGE = """\
usage: bbot-worker --bootstrap | --startup | --version | --inspect path
                   [--tftp-host addr[:port]] [--build dir] [--config words]

--bootstrap  print the versions a machine bootstrapped with this worker has
--startup    fetch the task, build it, upload the result, wait for the machine's end
--version    print the version of this worker
--inspect    print, as JSON, how sources (a directory or an archive) would be built
--tftp-host  where tasks come from (default: $BBOT_TFTP, else 196.254.111.222:69)
--build      directory to work in (default: the current one)
--config     with --inspect: the task's target-config
"""

SECONDS_TO_GET_TASK = 10.0
TRIES_TO_GET_TASK = 3
TRIES_TO_UPLOAD = 5


def get_task(tftp: Tftp) -> bytes:
    for attempt in range(1, TRIES_TO_GET_TASK + 1):
        file = io.BytesIO()
        try:
            tftp.get("manifest", file, SECONDS_TO_GET_TASK)
            return file.getvalue()
        except TftpError as error:
            say(f"try {attempt} of {TRIES_TO_GET_TASK} to get the task: {error}")
            last = error
    raise WorkerError(f"cannot get the task: {last}", "abnormal")


def work_off(tftp: Tftp, work: str, progress: Progress) -> Result:
    """Get the task, do it; whatever happens there is a result."""
    result = Result()
    try:
        resumed = come_to(tftp)
        manifests = parse_manifests(get_task(tftp))
        if resumed:
            renew_address()
            renew_machine_id()
        if len(manifests) != 1:
            raise WorkerError(f"one task manifest expected, not {len(manifests)}", "abnormal")
        task = Task(manifests[0])
        result.name, result.version = task.name, task.version
        perform.perform(task, result, work, tftp, progress)
    except WorkerError as error:
        say(str(error))
        result.add("configure", error.status, clean(f"error: {error}".encode("utf-8", "replace")))
    except ManifestError as error:
        say(str(error))
        result.add("configure", "abnormal", f"error: the task is unreadable: {error}")
    except Exception:
        import traceback

        text = traceback.format_exc()
        say(text)
        result.add("worker", "abnormal", clean(text.encode("utf-8", "replace")))
    return result


def upload(tftp: Tftp, result: Result, work: str) -> bool:
    """Upload what the result's report announces, and the result; whether all that succeeded."""
    for announced in list(result.report.get("uploads", [])):
        name = announced["name"]
        with open(os.path.join(work, name), "rb") as file:
            if not _put(tftp, name, file):
                return False
    return _put(tftp, "manifest", io.BytesIO(result.serialize()))


def _put(tftp: Tftp, name: str, file: IO[bytes]) -> bool:
    for attempt in range(1, TRIES_TO_UPLOAD + 1):
        try:
            file.seek(0)
            tftp.put(name, file)
            return True
        except TftpError as error:
            say(f"try {attempt} of {TRIES_TO_UPLOAD} to upload {name}: {error}")
            time.sleep(attempt)
    return False


def load_all() -> None:
    """Import what a task of any kind needs.

    Done before the worker asks for one: in a machine that is saved at that moment, and resumed for
    a task later, it is there already.
    """
    import gzip
    import hashlib
    import json
    import shlex
    import signal
    import subprocess
    import tarfile

    from . import artifacts, sources
    from .drivers import DRIVERS, driver_named, tree
    from .sources import archive, checksum, transfer

    for name in DRIVERS:
        driver_named(name)
    with contextlib.suppress(ImportError):  # The tiny image has none.
        import ctypes

        del ctypes
    del gzip, hashlib, json, shlex, signal, subprocess, tarfile
    del artifacts, sources, tree, archive, checksum, transfer


def startup(tftp: Tftp, work: str) -> NoReturn:
    """The machine's whole life: it ends when the host ends it."""
    load_all()
    progress = Progress.open()
    result = work_off(tftp, work, progress)
    say(f"{result.name} {result.version}: {result.status}")
    if not upload(tftp, result, work):
        say("giving up: the result stays here")
    while True:
        time.sleep(3600)


def main(arguments: list[str]) -> int:
    mode, build, configuration, directory = "", os.getcwd(), "", ""
    tftp_host = os.environ.get("BBOT_TFTP") or f"{TFTP_HOST}:{TFTP_PORT}"
    rest = list(arguments)
    while rest:
        option = rest.pop(0)
        if option in ("--bootstrap", "--startup", "--version") and not mode:
            mode = option
        elif option == "--inspect" and rest and not mode:
            mode, directory = option, rest.pop(0)
        elif option == "--config" and rest:
            configuration = rest.pop(0)
        elif option == "--build" and rest:
            build = rest.pop(0)
        elif option == "--tftp-host" and rest:
            tftp_host = rest.pop(0)
        else:
            sys.stderr.write(f"bbot-worker: unexpected argument '{option}'\n{USAGE}")
            return 1
    host, _sign, port = tftp_host.partition(":")
    if not re.fullmatch(r"\d{1,5}|", port) or not host:
        sys.stderr.write(f"bbot-worker: invalid --tftp-host '{tftp_host}': addr[:port] expected\n")
        return 1
    if mode == "--bootstrap":
        sys.stdout.write(serialize_manifest([("bbot-version", VERSION)]).decode())
    elif mode == "--version":
        sys.stdout.write(f"bbot-worker {VERSION}\n")
    elif mode == "--inspect":
        from .inspect import inspect

        sys.stdout.write(inspect(directory, configuration))
    elif mode == "--startup":
        startup(Tftp(host, int(port or TFTP_PORT)), os.path.abspath(build))
    else:
        sys.stderr.write(USAGE)
        return 1
    return 0
