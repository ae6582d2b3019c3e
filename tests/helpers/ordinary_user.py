# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ordinary account of this host for a time: no sudo, a home that others cannot enter."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import typing as t
from pathlib import Path

from .plays import ROOT
from .waiting import until

_TUN = Path("/dev/net/tun")


class User:
    """An account by its `name`, with a clone of this repository in its home."""

    def __init__(self, name: str) -> None:
        entry = pwd.getpwnam(name)
        self.name, self.uid, self.gid = name, entry.pw_uid, entry.pw_gid
        self.home = Path(entry.pw_dir)
        self.runtime = Path("/run/user") / str(self.uid)
        self.clone = self.home / "agent"
        # Where ours is not to be mistaken for what the collection leaves.
        scratch = self.clone / ".cache"
        kept = ("PIP_", "SSL_", "REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "no_proxy")
        self.environment = {
            **{key: value for key, value in os.environ.items() if key.startswith(kept)},
            "HOME": str(self.home),
            "USER": name,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PIP_NO_CACHE_DIR": "1",
            "ANSIBLE_HOME": str(scratch / "ansible"),
            "ANSIBLE_REMOTE_TEMP": str(scratch / "ansible" / "remote"),
            "ANSIBLE_ASYNC_DIR": str(scratch / "ansible" / "async"),
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }

    def become(self, *, privileges: bool = True) -> list[str]:
        """What to start a program by so that the user runs it; see start()."""
        become = ["setpriv", "--reuid", self.name, "--regid", str(self.gid), "--clear-groups"]
        return [*become, "--inh-caps=-all", *([] if privileges else ["--no-new-privs"])]

    def start(self, *command: str, privileges: bool = True) -> subprocess.Popen[str]:
        """A program run by the user in the clone; without `privileges` none that sudo or a
        setuid program could give."""
        return subprocess.Popen(
            [*self.become(privileges=privileges), *command],
            cwd=self.clone,
            env={**self.environment, "PWD": str(self.clone)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: str, fails: bool = False, privileges: bool = True) -> str:
        """The output of a program that is to come to a good end, or to a bad one."""
        with self.start(*command, privileges=privileges) as process:
            output, _dummy = process.communicate()
        if (process.returncode != 0) != fails:
            raise AssertionError(output)
        return output

    def play(self, name: str, *arguments: str, **options: bool) -> str:
        """The output of a playbook of the clone."""
        return self.run(
            ".venv/bin/ansible-playbook", f"playbooks/{name}.yml", *arguments, **options
        )

    def own(self, path: Path) -> None:
        """Give the user what we have made, with all that is in it."""
        owner = f"{self.uid}:{self.gid}"
        subprocess.run(["chown", "--recursive", "--no-dereference", owner, str(path)], check=True)

    def processes(self) -> list[str]:
        """The processes of this user, each its number and its command, zombies left out."""
        found = subprocess.run(
            ["ps", "-u", str(self.uid), "-o", "stat=,pid=,args="],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return [line.split(maxsplit=1)[1] for line in found.splitlines() if line[0] != "Z"]

    def files(self, *places: str | Path) -> set[str]:
        """The paths below `places` that are owned by the user."""
        found = subprocess.run(
            ["find", *map(str, places), "-xdev", "-uid", str(self.uid), "-print"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        return set(found.splitlines())

    def foreign_files(self) -> list[str]:
        """The paths in the home that somebody else owns."""
        command = ["find", str(self.home), "!", "-uid", str(self.uid), "-print"]
        return subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.splitlines()


@contextlib.contextmanager
def tun_for_all() -> t.Iterator[None]:
    """Let everybody have taps for a time, as udev does."""
    mode = _TUN.stat().st_mode & 0o777
    _TUN.chmod(0o666)
    try:
        yield
    finally:
        _TUN.chmod(mode)


@contextlib.contextmanager
def ordinary_user(name: str) -> t.Iterator[User]:
    """A new account with a clone, gone afterwards with all that it has and runs."""
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    user = User(name)
    undo = contextlib.ExitStack()
    try:
        undo.enter_context(tun_for_all())
        user.home.chmod(0o700)
        user.runtime.mkdir(mode=0o700, parents=True)
        os.chown(user.runtime, user.uid, user.gid)
        clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(user.clone)]
        subprocess.run(clone, check=True)
        user.own(user.clone)
        yield user
    finally:
        undo.close()
        for line in user.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)
        until(lambda: not user.processes(), "the end of the user's processes")
        shutil.rmtree(user.runtime, ignore_errors=True)
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)
        shutil.rmtree(user.home, ignore_errors=True)
