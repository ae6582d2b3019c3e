# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloning git repositories."""

from __future__ import annotations

import contextlib
import os
import re
import shutil

from ..errors import WorkerError
from ..run import Command, Runner
from .transfer import Hiccup, persist

# Nobody is there to be asked.
_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "SSH_ASKPASS": "",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
}
_OPTIONS = (
    *("-c", "advice.detachedHead=false"),
    # Bytes a second, for that many seconds, are taken for a connection that is dead.
    *("-c", "http.lowSpeedLimit=100", "-c", "http.lowSpeedTime=60"),
)
# With what the build user has configured.
_TRUSTING = (
    "[include]\n\tpath = ~/.config/git/config\n\tpath = ~/.gitconfig\n[safe]\n\tdirectory = *\n"
)
_POINTER = b"version https://git-lfs"
_COMMIT = re.compile("[0-9a-f]{7,64}")
_REQUEST = re.compile(r"(?:refs/)?((?:pull|merge-requests)/[0-9]+)(/[a-z]+)?")
# What git says when the network, or a server, has a bad moment.
_HICCUP = re.compile(
    r"could not resolve|temporary failure|timed out|connection (?:re|closed|was)|failed to connect|"
    r"early eof|hung up|rpc failed|disconnect|empty reply|too slow|broken pipe|"
    r"returned error: (?:429|5\d\d)|network is unreachable|no route to host",
    re.IGNORECASE,
)
_NOT_THERE = re.compile("remote ref|not our ref|unadvertised|Unable to find")
_FILTER = "--filter=blob:none"


def clone(url: str, source: str, work: str, runner: Runner) -> None:
    """Clone the repository, with what its address's fragment names checked out.

    That is a branch, a tag, a commit, ``<branch>@<commit>``, a pull or merge request
    (``pull/12``), or any reference by its whole name (``refs/...``). All tags and the history are
    there; old versions of files are left at the server if it can do that. Submodules are there,
    too. Raises WorkerError.
    """
    url, _hash, fragment = url.partition("#")
    url = re.sub("^git[+]", "", url)
    if url.startswith("-") or fragment.startswith("-"):
        raise WorkerError(f"'{fragment or url}' begins with '-': it would be an option of git")
    repository = _Repository(url, source, work, runner)
    repository.clone()
    if fragment:
        repository.check_out(fragment)
    else:
        repository.check_out_default()
    repository.update_submodules()
    repository.note_pointers()


class _Repository:
    def __init__(self, url: str, source: str, work: str, runner: Runner) -> None:
        self._url = url
        self._source = source
        self._work = work
        self._runner = runner
        self._options = list(_OPTIONS)
        self._environment = dict(_ENVIRONMENT)
        if "://" not in url or url.startswith("file:"):
            # Submodules may be of this machine, too, then.
            self._options += ["-c", "protocol.file.allow=always"]
            self._environment["GIT_CONFIG_GLOBAL"] = self._trust_all()

    def _trust_all(self) -> str:
        """Make a configuration for repositories of this machine, whoever owns them; its path.

        The build user may read there what it may read, and puts nothing at risk. An option would
        not reach the programs that git reads such repositories by.
        """
        path = os.path.join(self._work, "gitconfig")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o644), "w") as file:
            file.write(_TRUSTING)
        self._runner.account.own(path)
        return path

    def clone(self) -> None:
        command = ["clone", "--quiet", "--no-checkout"]
        command += [_FILTER] if self._filters() else []

        def attempt() -> None:
            shutil.rmtree(self._source, ignore_errors=True)
            self._git([*command, "--", self._url, self._source], self._work)

        persist(attempt, f"clone {self._url}", self._runner)

    def _filters(self) -> bool:
        """Whether the server can leave out old versions of files.

        One that cannot may be asked for them all the same, but not by git over dumb HTTP: it goes
        on asking forever for what is not there.
        """
        command = ["git", *self._options, "ls-remote", "--quiet", "--", self._url, "HEAD"]
        environment = {**self._environment, "GIT_TRACE_PACKET": "1"}
        answer = self._runner.ask(Command(command, self._work, environment))
        return re.search(r"< .*\bfilter\b", answer.output) is not None

    def check_out_default(self) -> None:
        if not self._commit("HEAD"):
            raise WorkerError(f"the repository {self._url} has no commit on its default branch")
        self._fetching(["reset", "--quiet", "--hard"])

    def check_out(self, fragment: str) -> None:
        name, _sign, commit = fragment.rpartition("@")
        if not name or not _COMMIT.fullmatch(commit):
            name, commit = fragment, ""
        found = self._find(commit or name)
        if not found:
            raise WorkerError(
                f"the repository {self._url} has no branch, tag, commit or pull request "
                f"'{commit or name}'"
            )
        self._fetching(["checkout", "--quiet", "--detach", found])
        head = self._commit("HEAD")
        if head != found or (commit and not head.startswith(commit)):
            raise WorkerError(f"{found} of {self._url} was to be checked out, and {head} is there")

    def update_submodules(self) -> None:
        if os.path.lexists(os.path.join(self._source, ".gitmodules")):
            self._fetching(["submodule", "--quiet", "update", "--init", "--recursive"])

    def note_pointers(self) -> None:
        """Say if there are files which stand for ones that Git LFS keeps elsewhere."""
        command = ["git", "ls-files", "-z", "--", ":(attr:filter=lfs)"]
        answer = self._runner.ask(Command(command, self._source, self._environment))
        name = answer.output.partition("\0")[0] if answer else ""
        if not name:
            return
        with contextlib.suppress(OSError):
            path = os.path.join(self._source, name)
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                if file.read(len(_POINTER)) == _POINTER:
                    self._runner.log.note(
                        f"Git LFS keeps {name} and perhaps others elsewhere: what is here is only "
                        "where, as this machine has no git-lfs or nobody has set it up"
                    )

    def _find(self, name: str) -> str:
        """The commit of that name, fetched if it did not come with the clone; empty if none."""
        request = _REQUEST.fullmatch(name)
        if request:
            return self._fetch(f"refs/{request[1]}{request[2] or '/head'}")
        if name.startswith("refs/"):
            return self._fetch(name)
        found = self._commit(f"refs/remotes/origin/{name}") or self._commit(f"refs/tags/{name}")
        if not found and _COMMIT.fullmatch(name):
            found = self._commit(name) or (self._fetch(name) if len(name) >= 40 else "")
            if found and not found.startswith(name):
                raise WorkerError(f"the repository {self._url} gives {found} for {name}")
        return found

    def _fetch(self, reference: str) -> str:
        try:
            self._fetching(["fetch", "--quiet", "origin", reference])
        except WorkerError as error:
            if error.status == "error" and _NOT_THERE.search(str(error)):
                return ""
            raise
        return self._commit("FETCH_HEAD")

    def _commit(self, name: str) -> str:
        """The whole name of a commit that is here; empty if it is not."""
        command = ["git", "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"]
        answer = self._runner.ask(Command(command, self._source, self._environment))
        return answer.output.strip() if answer else ""

    def _fetching(self, arguments: list[str]) -> None:
        """Run what may ask the server for more."""
        what = f"{arguments[0]} {self._url}"
        persist(lambda: self._git(arguments, self._source), what, self._runner)

    def _git(self, arguments: list[str], directory: str) -> None:
        """Run git; what it says is told only when it fails. Raises Hiccup or WorkerError."""
        import shlex

        self._runner.log.note("+ " + shlex.join(["git", *arguments]))
        command = Command(["git", *self._options, *arguments], directory, self._environment)
        answer = self._runner.ask(command)
        if answer:
            return
        lines = [line.strip() for line in answer.output.splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
        reason = (fatal or lines or ["no reason given"])[0]
        if answer.code == 127:
            raise WorkerError(answer.output)
        if _HICCUP.search(answer.output):
            raise Hiccup(reason)
        raise WorkerError("; ".join(dict.fromkeys(fatal or [reason]))[:1000])
