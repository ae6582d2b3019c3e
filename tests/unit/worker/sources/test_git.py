# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Git repositories come by every way, and what is checked out is what was named."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bbot_worker.errors import WorkerError
from bbot_worker.log import Log
from bbot_worker.sources import git as sources_git
from bbot_worker.sources import transfer

Fetch = Callable[..., Path]


def git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    options = [*identity, "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", *options, *arguments], cwd=directory, check=True, capture_output=True, text=True
    ).stdout.strip()


class Repository:
    """Commits one, two, three, four of a file: old/stable, v2, main, and a pull request."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.path = folder
        git(folder, "init", "--quiet")
        self.commits = {text: self.commit(text) for text in ("one", "two", "three")}
        git(folder, "tag", "v2", self.commits["two"])
        git(folder, "tag", "pkg@1.0.0", self.commits["one"])
        git(folder, "branch", "old/stable", self.commits["one"])
        self.commits["four"] = self.commit("four")
        git(folder, "update-ref", "refs/pull/12/head", self.commits["four"])
        git(folder, "reset", "--quiet", "--hard", "HEAD~1")

    def commit(self, text: str) -> str:
        (self.path / "file").write_text(text)
        git(self.path, "add", ".")
        git(self.path, "commit", "--quiet", "-m", text)
        return git(self.path, "rev-parse", "HEAD")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Plain files below /dumb/, git-http-backend below /smart/."""

    def do_GET(self) -> None:
        if self.path.startswith("/smart/"):
            self._backend()
        else:
            super().do_GET()

    def do_POST(self) -> None:
        self._backend()

    def _backend(self) -> None:
        path, _mark, query = self.path.removeprefix("/smart").partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": self.directory,
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        done = subprocess.run(
            ["git", "http-backend"], env=environment, input=body, capture_output=True, check=False
        )
        head, _end, content = done.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().split("\r\n"):
            name, _colon, value = line.partition(": ")
            if name != "Status":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_dummy: object) -> None:
        pass


@pytest.fixture(name="repository", scope="module")
def repository_fixture(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("git") / "hello.git")


@pytest.fixture(name="server", scope="module")
def server_fixture(repository: Repository) -> Iterator[str]:
    root = repository.path.parent
    for name in ("dumb", "bare"):
        git(root, "clone", "--quiet", "--mirror", str(repository.path), f"{name}/hello.git")
    git(root / "dumb/hello.git", "update-server-info")
    git(root / "bare/hello.git", "config", "uploadpack.allowFilter", "true")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *arguments: Handler(*arguments, directory=str(root))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(params=["file", "dumb", "smart"])
def url(request: pytest.FixtureRequest, repository: Repository, server: str) -> str:
    urls = {
        "file": f"file://{repository.path}",
        "dumb": f"{server}/dumb/hello.git",
        "smart": f"{server}/smart/bare/hello.git",
    }
    return urls[request.param]


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("", "three"),
        ("#main", "three"),
        ("#old/stable", "one"),
        ("#v2", "two"),
        ("#pkg@1.0.0", "one"),
        ("#{one}", "one"),
        ("#main@{two}", "two"),
        ("#{two:.10}", "two"),
        ("#pull/12", "four"),
        ("#refs/pull/12/head", "four"),
        ("#refs/tags/v2", "two"),
        ("#{four}", "four"),
    ],
)
def test_fragments(
    fetch: Fetch, repository: Repository, url: str, fragment: str, text: str, log: Log
) -> None:
    tree = fetch(url + fragment.format(**repository.commits), ("repository-type", "git"))
    assert (tree / "file").read_text() == text
    assert git(tree, "rev-parse", "HEAD") == repository.commits[text]
    assert not log.warned
    if text == "three":
        assert git(tree, "describe", "--tags").startswith("v2-1-g")
        assert git(tree, "status", "--porcelain") == ""


def test_old_versions_of_files_stay_at_a_server_that_can(fetch: Fetch, server: str) -> None:
    tree = fetch(f"{server}/smart/bare/hello.git")
    missing = git(tree, "rev-list", "--objects", "--all", "--missing=print").count("\n?")
    assert missing == 2
    assert git(tree, "log", "--format=%s", "origin/main") == "three\ntwo\none"


@pytest.mark.parametrize(
    ("fragment", "message"),
    [
        ("#nothing", "has no branch, tag, commit or pull request 'nothing'"),
        ("#pull/13", "or pull request 'pull/13'"),
        ("#" + "0a" * 20, "or pull request '0a0a"),
        ("#main@" + "0a" * 20, "or pull request '0a0a"),
        ("#main@1234567", "or pull request '1234567'"),
        ("#--upload-pack=touch x", "begins with '-'"),
        ("#v2~1:file", "or pull request 'v2~1:file'"),
    ],
)
def test_what_is_not_there(fetch: Fetch, url: str, fragment: str, message: str) -> None:
    with pytest.raises(WorkerError, match=message) as caught:
        fetch(url + fragment, ("repository-type", "git"))
    assert caught.value.status == "error"


@pytest.mark.parametrize("url", ["--upload-pack=touch${IFS}x", "git+-x"])
def test_addresses_are_no_options(fetch: Fetch, url: str) -> None:
    with pytest.raises(WorkerError, match="begins with '-'"):
        fetch(url, ("repository-type", "git"))


def test_a_repository_that_is_not_there(
    fetch: Fetch, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(transfer, "pause_for", pauses.append)
    for place in (f"{server}/dumb/no.git", f"file://{tmp_path}/no.git"):
        with pytest.raises(WorkerError, match=f"^cannot clone {place}: fatal: ") as caught:
            fetch(place)
        assert caught.value.status == "error"
    assert pauses == []
    with pytest.raises(WorkerError, match=r"^cannot clone http.*given up after 4 tries"):
        fetch("http://127.0.0.1:9/x.git")
    assert pauses == [1, 2, 4]


def test_an_empty_repository(fetch: Fetch, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "empty.git")
    with pytest.raises(WorkerError, match="has no commit on its default branch"):
        fetch(f"file://{tmp_path}/empty.git")


def test_submodules_of_submodules(fetch: Fetch, tmp_path: Path) -> None:
    for name, below in (("inner", ""), ("middle", "inner"), ("outer", "middle")):
        folder = tmp_path / name
        folder.mkdir()
        git(folder, "init", "--quiet")
        (folder / name).write_text(name)
        if below:
            git(folder, "submodule", "--quiet", "add", f"file://{tmp_path}/{below}", below)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", name)
    tree = fetch(f"file://{tmp_path}/outer", ("repository-type", "git"))
    assert (tree / "middle/inner/inner").read_text() == "inner"


def test_a_repository_of_another_user(
    fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, outer = Repository(tmp_path / "inner"), Repository(tmp_path / "outer")
    git(outer.path, "submodule", "--quiet", "add", f"file://{inner.path}", "inner")
    git(outer.path, "commit", "--quiet", "-m", "five")
    # What git is told in its own tests.
    monkeypatch.setitem(sources_git._ENVIRONMENT, "GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for url in (str(outer.path), f"file://{outer.path}"):
        tree = fetch(url, ("repository-type", "git"))
        assert (tree / "inner/file").read_text() == "three"


def test_files_that_git_lfs_keeps(fetch: Fetch, tmp_path: Path, log: Log) -> None:
    repository = Repository(tmp_path / "large")
    pointer = b"version https://git-lfs.example.org/spec/v1\noid sha256:0\nsize 5\n"
    (repository.path / "big.bin").write_bytes(pointer)
    (repository.path / ".gitattributes").write_text("*.bin filter=lfs\n")
    git(repository.path, "add", ".")
    git(repository.path, "commit", "--quiet", "-m", "big")
    fetch(str(repository.path), ("repository-type", "git"))
    assert "Git LFS keeps big.bin and perhaps others elsewhere" in log.close()


def test_nobody_is_asked(fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ssh").write_text('#!/bin/sh\necho "fatal: asked: $*" >&2\nexit 1\n')
    (tools / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(WorkerError, match="BatchMode=yes"):
        fetch("ssh://git@127.0.0.1/x.git")


def test_a_machine_without_git(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(WorkerError, match="cannot run git: this machine does not have it"):
        fetch("https://example.org/x.git")
