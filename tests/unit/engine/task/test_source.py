# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Local folders are packed as git sees them."""

from __future__ import annotations

import io
import os
import shutil
import socket
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import (
    check_package_name,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task import pack as _pack
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.inspection import inspect
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.pack import (
    SourceError,
    pack_folder,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.source import (
    find_source,
    make_name,
    safe_file_name,
)

WORKER = str(Path(__file__).parents[4] / "roles" / "toolchain" / "worker")


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    identity += ["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def make_tree(folder: Path, names: str) -> None:
    for name in names.split():
        write(folder, **{name: name})


def commit(folder: Path) -> None:
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "x")


def pack(folder: Path) -> tuple[_pack.Packed, dict[str, tarfile.TarInfo]]:
    target = folder.parent / "packed.tar.gz"
    packed = pack_folder(str(folder), str(target))
    with tarfile.open(target) as archive:
        return packed, {member.name.removeprefix("./"): member for member in archive}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    return folder


def test_git_tells_what_belongs_to_the_project(tree: Path) -> None:
    make_tree(tree, "a.c sub/b.c gone.c .gitattributes CVS/x ignored.log")
    write(tree, **{".gitignore": "*.log\n/build\n"})
    commit(tree)
    make_tree(
        tree, "new.c build/x y.log .venv/bin/python node_modules/z obj.o sub/__pycache__/q.pyc"
    )
    (tree / "gone.c").unlink()
    packed, members = pack(tree)
    assert set(members) == {"a.c", "sub/b.c", ".gitattributes", ".gitignore", "CVS/x", "new.c"}
    assert packed.kind == "git"
    assert packed.left == [
        *(".venv/bin/python", "node_modules/z", "obj.o", "sub/__pycache__/q.pyc"),
    ]
    assert packed.files == 6


def test_what_git_tracks_is_packed_even_if_it_looks_made(tree: Path) -> None:
    make_tree(tree, "lib.o node_modules/x configure config.status")
    shutil.copy("/bin/true", tree / "prog")
    commit(tree)
    assert set(pack(tree)[1]) == {"lib.o", "node_modules/x", "configure", "config.status", "prog"}


def test_a_program_that_is_not_tracked_stays_behind(tree: Path) -> None:
    make_tree(tree, "a.c")
    commit(tree)
    shutil.copy("/bin/true", tree / "prog")
    packed, members = pack(tree)
    assert set(members) == {"a.c"}
    assert packed.left == ["prog"]


@pytest.mark.parametrize("with_git", [True, False])
def test_an_ignore_file(tree: Path, with_git: bool) -> None:
    make_tree(tree, "a.c big/data docs/x.md docs/y.txt keep.o")
    write(tree, **{".bbotignore": "# comment\nbig/\ndocs/*.md\n!keep.o\n"})
    if with_git:
        commit(tree)
    make_tree(tree, "big/more late.o")
    assert set(pack(tree)[1]) == {"a.c", "docs/y.txt", "keep.o", ".bbotignore"}


def test_a_folder_without_git(tree: Path) -> None:
    make_tree(
        tree,
        "a.c empty/../.hidden .gitignore CVS/x RCS/y .venv/bin/x env/pyvenv.cfg env/lib/x "
        "node_modules/x a.o b/CMakeCache.txt b/x c/meson-private/x c/y .git/config x.pyc "
        "d/Makefile.in d/Makefile d/config.status d/config.log",
    )
    (tree / "empty").mkdir(exist_ok=True)
    shutil.copy("/bin/true", tree / "prog")
    packed, members = pack(tree)
    assert packed.kind == "folder"
    assert set(members) == {
        *("a.c", ".hidden", ".gitignore", "CVS/x", "RCS/y", "empty", "d/Makefile.in"),
    }
    assert {"prog", "a.o", ".git/", "env/", "b/", "c/", "d/Makefile", ".venv/"} <= set(packed.left)
    assert "without products of builds on this machine" in packed.describe()


def test_wanted_products_are_kept(tree: Path) -> None:
    shutil.copy("/bin/true", tree / "prog")
    write(tree, **{".bbotignore": "!prog\n", "x.c": ""})
    assert set(pack(tree)[1]) == {"prog", ".bbotignore", "x.c"}


def test_submodules_are_packed(tree: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    make_tree(other, "in.c")
    write(other, **{".gitignore": "*.log\n"})
    commit(other)
    make_tree(tree, "a.c")
    commit(tree)
    git(tree, "submodule", "--quiet", "add", str(other), "sub")
    git(tree, "commit", "--quiet", "--message", "x")
    make_tree(tree, "sub/new.c sub/x.log")
    names = set(pack(tree)[1])
    assert {"a.c", "sub/in.c", "sub/.gitignore", "sub/new.c", ".gitmodules"} <= names
    assert "sub/x.log" not in names


@pytest.mark.parametrize(
    ("name", "text", "asks"),
    [
        ("pyproject.toml", '[build-system]\nrequires = ["setuptools-scm>=8"]\n', True),
        ("pyproject.toml", '[build-system]\nrequires = ["setuptools"]\n', False),
        ("setup.py", "setup(use_scm_version=True)", True),
        ("CMakeLists.txt", "execute_process(COMMAND git describe --tags)", True),
        ("CMakeLists.txt", "# see the git repository\n", False),
        ("meson.build", "v = vcs_tag(command: [])", True),
        ("x.gemspec", "s.files = `git ls-files -z`.split", True),
        ("configure.ac", "m4_esyscmd([build-aux/git-version-gen .tarball-version])", True),
        ("README", "git describe", False),
    ],
)
def test_history_goes_along_for_a_build_that_asks(
    tree: Path, name: str, text: str, asks: bool
) -> None:
    write(tree, **{name: text})
    commit(tree)
    git(tree, "tag", "v1.2")
    git(tree, "remote", "add", "origin", "https://user:secret@example.org/x.git")
    (tree / ".git" / "hooks" / "post-checkout").write_text("#!/bin/sh\n")
    packed, members = pack(tree)
    assert (".git/HEAD" in members) == asks
    assert packed.warnings == []
    if asks:
        out = tree.parent / "out"
        with tarfile.open(tree.parent / "packed.tar.gz") as archive:
            archive.extractall(out, filter="tar")
        assert git(out, "describe", "--tags", "--dirty") == "v1.2"
        assert "secret" not in (out / ".git" / "config").read_text()
        assert not (out / ".git" / "hooks" / "post-checkout").exists()


def test_history_that_cannot_be_had_is_told(tree: Path) -> None:
    write(tree, **{"sub/setup.py": "use_scm_version"})
    commit(tree)
    packed, members = pack(tree / "sub")
    assert set(members) == {"setup.py"}
    assert "is a part of the repository" in packed.warnings[0]
    empty = tree.parent / "empty"
    empty.mkdir()
    write(empty, **{"setup.py": "use_scm_version"})
    git(empty, "init", "--quiet")
    git(empty, "add", "--all")
    assert {"setup.py", ".git/HEAD"} <= set(pack(empty)[1])


def test_a_repository_that_is_damaged_is_told(tree: Path) -> None:
    write(tree, **{"setup.py": "use_scm_version"})
    commit(tree)
    for path in (tree / ".git" / "objects").glob("??/*"):
        path.unlink()
    packed, members = pack(tree)
    assert set(members) == {"setup.py"}
    assert packed.warnings[0].startswith("the build asks git, but: git ")


def test_nothing_that_a_repository_names_is_run(tree: Path) -> None:
    make_tree(tree, "a.c")
    commit(tree)
    trap = tree.parent / "trap"
    hook = tree.parent / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(0o755)
    git(tree, "config", "core.fsmonitor", str(hook))
    for path in [tree, *tree.rglob("*")]:
        os.chown(path, 12345, 12345)
    packed, members = pack(tree)
    assert (packed.kind, set(members)) == ("git", {"a.c"})
    assert not trap.exists()


def test_links_modes_and_odd_names(tree: Path) -> None:
    (tree / "dir").mkdir()
    (tree / "dangling").symlink_to("/usr/share/misc/nothing")
    (tree / "loop").symlink_to("dir")
    script = tree / "s p\nace ü"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (tree / os.fsdecode(b"lat\xefn1")).write_text("x")
    os.link(script, tree / "same")
    members = pack(tree)[1]
    assert members["dangling"].linkname == "/usr/share/misc/nothing"
    assert members["loop"].issym()
    assert members["s p\nace ü"].mode == 0o755
    assert members[os.fsdecode(b"lat\xefn1")].isreg()
    assert members["same"].isreg()
    assert members["dir"].isdir()
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "")}


def test_what_is_no_file_is_left_out_with_a_warning(tree: Path) -> None:
    make_tree(tree, "a.c")
    os.mkfifo(tree / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tree / "socket"))
        packed, members = pack(tree)
    assert set(members) == {"a.c"}
    assert sorted(packed.warnings) == [
        "pipe is no file, folder or link, and was left out",
        "socket is no file, folder or link, and was left out",
    ]


@pytest.mark.parametrize("change", ["grow", "shrink"])
def test_a_file_that_changes_is_a_warning(
    tree: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    make_tree(tree, "a.c z.c")
    (tree / "log").write_bytes(b"x" * 5000)
    real = _pack._Steady

    def meddle(file: io.BufferedReader, size: int) -> object:
        if size == 5000:
            (tree / "log").write_bytes(b"x" * (9000 if change == "grow" else 10))
        return real(file, size)

    monkeypatch.setattr(_pack, "_Steady", meddle)
    packed, members = pack(tree)
    assert packed.warnings == ["log changed while it was packed"]
    assert members["log"].size == 5000
    assert set(members) == {"a.c", "z.c", "log"}


def test_a_folder_in_which_something_is_written_all_the_time(tree: Path) -> None:
    make_tree(tree, "a.c")
    stop = threading.Event()

    def write_on() -> None:
        with (tree / "noise").open("ab") as file:
            while not stop.wait(0.001):
                file.write(b"x" * 10_000)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for _dummy in range(5):
            packed, members = pack(tree)
            assert {"a.c", "noise"} == set(members)
            assert set(packed.warnings) <= {"noise changed while it was packed"}
    finally:
        stop.set()
        writer.join()


def test_without_git(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tree, "a.c b.o")
    monkeypatch.setenv("PATH", str(tree.parent))
    packed, members = pack(tree)
    assert set(members) == {"a.c", "b.o"}
    assert packed.warnings[0].startswith("products of builds are packed, too: cannot run git")
    write(tree, **{".bbotignore": "x"})
    with pytest.raises(
        SourceError, match=r"\.bbotignore needs git on this machine: cannot run git"
    ):
        pack(tree)


@pytest.mark.parametrize(
    "name",
    [
        "c",
        "7zip",
        "aux",
        "CON",
        "_private",
        "foo-",
        "a-",
        "été",
        "日本",
        "...",
        "a b",
        "x" * 300,
        "-",
    ],
)
def test_any_folder_has_a_name(name: str) -> None:
    assert check_package_name(make_name(name))


def test_names_stay_what_they_are_where_they_can() -> None:
    assert make_name("hello") == "hello"
    assert make_name("libfoo-1.x_y+") == "libfoo-1.x_y+"
    assert make_name("my package") == "my-package"
    assert make_name("été") == "ete"


def find(text: str, folder: Path) -> object:
    (folder / "work").mkdir(exist_ok=True)
    return find_source(text, str(folder), str(folder / "work"))


@pytest.mark.parametrize(
    ("name", "package", "version"),
    [
        ("hello-2.10.tar.gz", "hello", "2.10"),
        ("foo_bar-1.0rc1.zip", "foo_bar", "1.0rc1"),
        ("x.tar.zst", "project-x", "0.0.1"),
        ("serde-1.0.1.crate", "serde", "1.0.1"),
        ("p y.tgz", "p-y", "0.0.1"),
    ],
)
def test_an_archive_is_a_source(tmp_path: Path, name: str, package: str, version: str) -> None:
    (tmp_path / name).write_bytes(b"")
    source = find(name, tmp_path)
    assert (source.name, source.version) == (package, version)
    ((offered, path),) = list(source.files.items())
    assert path == str(tmp_path / name)
    assert source.fields == {"repository-url": f"tftp:{offered}", "repository-type": "dir"}
    assert offered == safe_file_name(name)
    assert source.tree == path


def test_an_archive_is_looked_into(tmp_path: Path) -> None:
    for name, mode in (("hello-1.tar.gz", "w:gz"), ("hello-1.tar.xz", "w:xz")):
        with tarfile.open(tmp_path / name, mode) as archive:
            member = tarfile.TarInfo("hello-1/meson.build")
            member.size = len(b"project('hello', 'c')")
            archive.addfile(member, io.BytesIO(b"project('hello', 'c')"))
        looked = inspect(WORKER, find(name, tmp_path).tree, "")
        assert looked["driver"] == "meson"
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "hello-1.tar.gz").read_bytes()[:50])
    looked = inspect(WORKER, find("cut.tar.gz", tmp_path).tree, "")
    assert looked["error"].startswith("the archive of the sources is unreadable")


def test_a_debian_source_package_is_a_source(tmp_path: Path) -> None:
    (tmp_path / "hello_1.dsc").write_text(
        "-----BEGIN PGP SIGNED MESSAGE-----\n\nSource: hello\nChecksums-Sha256:\n abc 12 h.tar.xz\n"
        " def 13 h.debian.tar.xz\nFiles:\n 0 12 h.tar.xz\n 1 13 h.debian.tar.xz\n"
    )
    with pytest.raises(SourceError, match="which is not beside it"):
        find("hello_1.dsc", tmp_path)
    make_tree(tmp_path, "h.tar.xz h.debian.tar.xz")
    source = find("hello_1.dsc", tmp_path)
    assert (source.name, set(source.files)) == (
        "hello",
        {"hello_1.dsc", "h.tar.xz", "h.debian.tar.xz"},
    )


def test_a_reference_of_a_local_repository_is_a_source(tree: Path) -> None:
    write(tree, **{"a.c": "one", "setup.py": "use_scm_version"})
    commit(tree)
    git(tree, "tag", "v1")
    write(tree, **{"a.c": "two"})
    git(tree, "commit", "--quiet", "--all", "--message", "y")
    write(tree, **{"a.c": "dirty"})
    for reference, text in {"v1": b"one", "main": b"two", "HEAD~1": b"one"}.items():
        shutil.rmtree(tree.parent / "work", ignore_errors=True)
        source = find(f"{tree}#{reference}", tree.parent)
        with tarfile.open(source.files["source.tar.gz"]) as archive:
            content = archive.extractfile("./a.c")
            assert content is not None
            assert content.read() == text
        assert source.name == "tree"
    for wrong in ("none", "-x", "--all"):
        shutil.rmtree(tree.parent / "work")
        with pytest.raises(SourceError):
            find(f"{tree}#{wrong}", tree.parent)


@pytest.mark.parametrize(
    ("url", "name", "kind"),
    [
        ("https://example.org/hello.git", "hello", "git"),
        ("https://example.org/hello.git#v1", "hello", "git"),
        ("git@example.org:team/hello.git", "hello", "git"),
        ("https://example.org/team/hello", "hello", "git"),
        ("https://example.org/hello-1.0.tar.xz", "hello-1.0.tar.xz", "dir"),
    ],
)
def test_what_the_guest_fetches_is_a_source(tmp_path: Path, url: str, name: str, kind: str) -> None:
    source = find(url, tmp_path)
    assert (source.name, source.files) == (name, {})
    assert source.fields == {"repository-url": url, "repository-type": kind}


def test_a_folder_whose_name_has_a_hash(tmp_path: Path) -> None:
    make_tree(tmp_path / "c#", "a.c")
    assert find("c#", tmp_path).files


@pytest.mark.parametrize("text", ["none", "none#main", "plain.txt", "dev"])
def test_what_is_no_source(tmp_path: Path, text: str) -> None:
    (tmp_path / "plain.txt").write_text("x")
    os.mkfifo(tmp_path / "dev")
    with pytest.raises(SourceError):
        find(text, tmp_path)
