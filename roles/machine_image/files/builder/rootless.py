# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images built by who is not root: in a user namespace, in which files may be owned by others."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import pwd
import subprocess
import tempfile
from collections.abc import Iterator

from programs import BuildError, run

# Root in there is the caller, and all others are those of /etc/subuid.
ENTER = ("unshare", "--map-root-user", "--map-auto", "--")
# Whoever is none of them must be able to pass, which most home folders do not allow.
_PLACE = "/var/tmp"


def check() -> None:
    """Raise BuildError, with the way out, where there can be no such namespace."""
    try:
        run([*ENTER, "true"])
    except BuildError as error:
        name = pwd.getpwuid(os.geteuid()).pw_name
        raise BuildError(
            f"{name} cannot own the files of an image ({str(error).splitlines()[-1]}): have root "
            "run 'apt-get install uidmap' and 'usermod --add-subuids 100000-165535 --add-subgids "
            f"100000-165535 {name}', and allow user namespaces"
        ) from error


def run_inside(arguments: list[str]) -> int:
    """Run a program in a namespace of the kind to its end; its exit status."""
    return _to_the_end([*ENTER, *arguments])


def make_archive(command: list[str], archive: str, place: str) -> None:
    """Have mmdebstrap write an archive, its working files in the folder *place*."""
    with open(archive, "wb") as output:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "TMPDIR": place}
        status = _to_the_end(command, stdout=output, env=environment)
    if status != 0:
        raise BuildError(f"{command[0]} failed with exit status {status}: see what it said above")


def _to_the_end(command: list[str], **options: object) -> int:
    """Wait for a program, which is asked to end, not killed, when this one is."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, **options) as process:  # type: ignore[call-overload]
        try:
            return int(process.wait())
        except BaseException:
            process.terminate()
            process.wait()
            raise


@contextlib.contextmanager
def workplace() -> Iterator[str]:
    """A folder that all can pass through, gone afterwards, with those of who was killed."""
    prefix = os.path.join(_PLACE, f"bbot-image-{os.geteuid()}-")
    for stale in glob.glob(f"{prefix}*"):
        lock = _lock(stale)
        if lock is not None:
            try:
                _remove(stale)
            finally:
                os.close(lock)
    place = tempfile.mkdtemp(prefix=prefix)
    lock = _lock(place)
    try:
        os.chmod(place, 0o755)
        yield place
    finally:
        _remove(place)
        if lock is not None:
            os.close(lock)


def _lock(place: str) -> int | None:
    """The lock of a folder of ours, to be closed; None where another has it, or it is not ours."""
    try:
        folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        if os.fstat(folder).st_uid == os.geteuid():
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder
    except BlockingIOError:
        pass
    os.close(folder)
    return None


def _remove(place: str) -> None:
    # Some of it may be owned by those of /etc/subuid.
    run([*ENTER, "rm", "--recursive", "--force", place])
