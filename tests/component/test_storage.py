# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every storage promises, on the real file systems that it may be on."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.overlay import overlays
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import (
    Storage,
    StorageError,
    Subvolume,
    Uses,
)
from helpers.site import Site
from helpers.stores import mounted

# Kinds of storage, and what they are on; a directory on btrfs shares the blocks of files.
STORES = (
    *(("btrfs", "btrfs"), ("auto", "btrfs"), ("directory", "btrfs")),
    *(("directory", "ext4"), ("auto", "ext4"), ("directory", "xfs"), ("directory", "tmpfs")),
)
# Those that are none of the others.
OWN = [(kind, place) for kind, place in STORES if kind != "auto"]
USES = Uses({"disk.img": "raw"}, {"kernel"})
READER = 65534


@pytest.fixture(scope="module")
def places(site: Site) -> t.Iterator[dict[str, Path]]:
    """File systems by their kinds."""
    with contextlib.ExitStack() as stack:
        others = {
            kind: stack.enter_context(mounted(site, kind)) for kind in ("ext4", "xfs", "tmpfs")
        }
        yield {"btrfs": site.btrfs, **others}


class Store:
    """A storage, and an empty folder for it."""

    def __init__(self, kind: str, place: Path) -> None:
        self.kind = kind
        self.place = place
        self.storage: Storage = make_storage(kind)

    def path(self, name: str) -> str:
        return str(self.place / name)

    def made(self, name: str, **files: str) -> str:
        """A new subvolume with these files."""
        self.storage.create(self.path(name))
        for file, text in files.items():
            (self.place / name / file).write_text(text)
        return self.path(name)

    def machine(self, name: str) -> str:
        """A machine, of which tasks may have forks."""
        path = self.made(name, kernel="kernel", manifest="manifest")
        with (self.place / name / "disk.img").open("wb") as disk:
            disk.write(b"disk")
            disk.truncate(1 << 30)
        self.storage.set_read_only(path, True)
        return path

    def looked_at(self, path: str) -> Subvolume:
        info = self.storage.info(path)
        assert info is not None
        return info

    def listing(self) -> list[str]:
        return sorted(os.listdir(self.place))


@pytest.fixture(params=STORES, ids=" on ".join)
def store(request: pytest.FixtureRequest, places: dict[str, Path], site: Site) -> Store:
    kind, file_system = request.param
    place = places[file_system] / site.next_name()
    place.mkdir()
    return Store(kind, place)


def test_a_new_subvolume_is_empty_and_no_snapshot(store: Store) -> None:
    info = store.looked_at(store.made("one"))
    assert (info.path, info.parent_uuid, info.read_only) == (store.path("one"), "", False)
    assert [name for name in os.listdir(info.path) if not name.startswith(".")] == []
    assert store.looked_at(info.path) == info
    assert store.looked_at(store.made("two")).uuid != info.uuid


def test_a_snapshot_has_the_content_and_a_life_of_its_own(store: Store) -> None:
    source = store.made("source", file="old", other="other")
    (store.place / "source" / "folder").mkdir(mode=0o750)
    (store.place / "source" / "folder" / "deep").write_text("deep")
    (store.place / "source" / "link").symlink_to("file")
    store.storage.snapshot(source, store.path("copy"))
    copy = store.place / "copy"
    (copy / "file").write_text("new")
    assert (store.place / "source" / "file").read_text() == "old"
    (store.place / "source" / "other").write_text("changed")
    assert (copy / "other").read_text() == "other"
    assert (copy / "folder" / "deep").read_text() == "deep"
    assert os.readlink(copy / "link") == "file"
    assert (copy / "link").read_text() == "new"
    assert store.looked_at(str(copy)).parent_uuid == store.looked_at(source).uuid
    assert store.looked_at(str(copy)).uuid != store.looked_at(source).uuid
    assert store.listing() == ["copy", "source"]


def test_holes_stay_holes(store: Store) -> None:
    source = store.machine("source")
    store.storage.snapshot(source, store.path("copy"))
    disk = store.place / "copy" / "disk.img"
    assert (disk.stat().st_size, disk.stat().st_blocks * 512 < 1 << 20) == (1 << 30, True)
    with disk.open("rb") as file:
        assert file.read(5) == b"disk\0"


@pytest.mark.parametrize("read_only", [False, True])
def test_a_snapshot_is_as_it_is_wanted_even_of_a_read_only_source(
    store: Store, read_only: bool
) -> None:
    source = store.made("source", file="old")
    store.storage.set_read_only(source, True)
    store.storage.snapshot(source, store.path("copy"), read_only=read_only)
    assert store.looked_at(source).read_only
    assert store.looked_at(store.path("copy")).read_only is read_only
    if not read_only:
        assert (store.place / "copy" / "file").stat().st_mode & 0o200


def test_read_only_is_switched_on_and_off_and_kept(store: Store) -> None:
    path = store.made("one", file="x")
    for read_only in (True, True, False, False):
        store.storage.set_read_only(path, read_only)
        assert store.looked_at(path).read_only is read_only
    (store.place / "one" / "file").write_text("y")


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("way", ["delete", "discard"])
def test_delete(store: Store, read_only: bool, way: str) -> None:
    path = store.made("one", file="x")
    (store.place / "one" / "folder").mkdir()
    (store.place / "one" / "folder" / "deep").write_text("x")
    store.storage.set_read_only(path, read_only)
    getattr(store.storage, way)(path)
    assert store.storage.info(path) is None
    assert store.listing() == []
    assert not store.storage.discard(path)


def test_rename_is_of_the_same_subvolume(store: Store) -> None:
    path = store.made("one", file="x")
    store.storage.set_read_only(path, True)
    before = store.looked_at(path)
    store.storage.rename(path, store.path("two"))
    after = store.looked_at(store.path("two"))
    assert (after.uuid, after.read_only) == (before.uuid, True)
    assert store.storage.info(path) is None
    assert (store.place / "two" / "file").read_text() == "x"


def test_rename_replaces_nothing(store: Store) -> None:
    one = store.made("one", file="1")
    store.made("two", file="2")
    (store.place / "empty").mkdir()
    for name in ("two", "empty"):
        with pytest.raises(StorageError, match=f"cannot rename subvolume {one} to .*{name}: file"):
            store.storage.rename(one, store.path(name))
    assert (store.place / "one" / "file").read_text() == "1"
    assert (store.place / "two" / "file").read_text() == "2"


def test_two_change_places(store: Store) -> None:
    one, two = store.made("one", file="1"), store.made("two", file="2")
    store.storage.set_read_only(one, True)
    before = store.looked_at(one).uuid, store.looked_at(two).uuid
    store.storage.exchange(one, two)
    assert (store.looked_at(two).uuid, store.looked_at(one).uuid) == before
    assert (store.place / "one" / "file").read_text() == "2"
    assert [store.looked_at(path).read_only for path in (one, two)] == [False, True]
    (store.place / "folder").mkdir()
    for other in ("folder", "none"):
        with pytest.raises(StorageError, match=f"{other} is not a subvolume"):
            store.storage.exchange(one, store.path(other))
    assert (store.place / "one" / "file").read_text() == "2"


def test_who_looks_all_the_time_never_misses_what_is_exchanged(store: Store) -> None:
    one, two = store.made("one", file="x" * 1000), store.made("two", file="y" * 1000)
    ended, looks = threading.Event(), 0

    def exchange() -> None:
        for _turn in range(300):
            store.storage.exchange(one, two)
        ended.set()

    thread = threading.Thread(target=exchange)
    thread.start()
    while not ended.is_set():
        # Raises where it is missing for an instant.
        assert len((store.place / "one" / "file").read_text()) == 1000
        looks += 1
    thread.join()
    assert looks > 20


def test_nested_subvolumes_are_not_deleted_by_the_way(store: Store) -> None:
    outer, inner = store.made("outer"), store.made("outer/inner", file="x")
    with pytest.raises(StorageError, match="it holds other subvolumes; delete those first"):
        store.storage.delete(outer)
    assert store.storage.info(outer)
    assert store.storage.info(inner)
    # In a snapshot the inner one is but an empty folder.
    store.storage.snapshot(outer, store.path("copy"))
    assert store.storage.info(store.path("copy/inner")) is None
    assert os.listdir(store.path("copy/inner")) == []


def test_info_of_what_is_no_subvolume(store: Store, site: Site) -> None:
    store.made("one")
    (store.place / "link").symlink_to("one")
    (store.place / "file").write_text("x")
    (store.place / "folder").mkdir()
    for name in (".", "link", "file", "none", "folder", "file/x"):
        assert store.storage.info(store.path(name)) is None, name
    assert store.storage.info(str(site.plain)) is None


def test_a_copy_that_somebody_has_made_is_no_subvolume(store: Store) -> None:
    store.made("one", file="x")
    subprocess.run(["cp", "-a", store.path("one"), store.path("copy")], check=True)
    assert store.storage.info(store.path("copy")) is None
    with pytest.raises(StorageError, match="it is not a subvolume"):
        store.storage.delete(store.path("copy"))
    assert not store.storage.discard(store.path("copy"))
    assert (store.place / "copy" / "file").read_text() == "x"


def test_a_fork_has_all_files_and_shares_no_change(store: Store) -> None:
    machine = store.machine("machine")
    store.storage.fork(machine, store.path("fork"), USES, READER)
    fork = store.place / "fork"
    assert (fork / "kernel").read_text() == "kernel"
    assert (fork / "manifest").read_text() == "manifest"
    (fork / "manifest").write_text("changed")
    assert (store.place / "machine" / "manifest").read_text() == "manifest"
    overlaid = overlays(str(fork))
    assert overlaid in ({"disk.img"}, set())
    if not overlaid:
        with (fork / "disk.img").open("r+b") as disk:
            assert disk.read(4) == b"disk"
            disk.seek(0)
            disk.write(b"DISK")
    with (store.place / "machine" / "disk.img").open("rb") as disk:
        assert disk.read(4) == b"disk"
    for path in fork.rglob("*"):
        if not path.is_symlink() and path.stat().st_nlink > 1:
            # Shared: to be read by the group, and not to be written to.
            assert path.stat().st_mode & 0o222 == 0, path
            assert path.stat().st_mode & 0o040, path
            assert (path.stat().st_uid, path.stat().st_gid) == (0, READER)
    assert not store.looked_at(str(fork)).read_only


def test_a_fork_outlives_what_it_was_made_of(store: Store) -> None:
    machine = store.machine("machine")
    store.storage.fork(machine, store.path("fork"), USES, READER)
    store.storage.set_read_only(store.path("fork"), True)
    store.storage.fork(store.path("fork"), store.path("again"), USES, READER)
    for path in (machine, store.path("fork")):
        # Whoever makes it writable writes to it alone.
        store.storage.set_read_only(path, False)
        for name in ("kernel", "manifest"):
            (Path(path) / name).write_text("changed")
        store.storage.delete(path)
    store.storage.rename(store.path("again"), store.path("renamed"))
    again = store.place / "renamed"
    assert (again / "kernel").read_text() == "kernel"
    base = again / ".disk.img.bbot-base-0"
    with (base if overlays(str(again)) else again / "disk.img").open("rb") as disk:
        assert disk.read(4) == b"disk"
    store.storage.delete(str(again))
    assert store.listing() == []


def test_a_fork_of_what_may_be_written_to_shares_nothing(store: Store) -> None:
    machine = store.machine("machine")
    store.storage.set_read_only(machine, False)
    store.storage.fork(machine, store.path("fork"), USES, READER)
    (store.place / "machine" / "kernel").write_text("changed")
    with (store.place / "machine" / "disk.img").open("r+b") as disk:
        disk.write(b"DISK")
    assert overlays(store.path("fork")) == set()
    assert (store.place / "fork" / "kernel").read_text() == "kernel"
    with (store.place / "fork" / "disk.img").open("rb") as disk:
        assert disk.read(4) == b"disk"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda s: s.storage.check(s.path("none")), "cannot keep machines in {p}/none: no such"),
        (lambda s: s.storage.create(s.path("there")), "cannot create subvolume {p}/there: file"),
        (lambda s: s.storage.create(s.path("none/x")), "cannot create subvolume {p}/none/x: no "),
        (lambda s: s.storage.create(s.path("x" * 256)), "its last name must be of 1 to 2"),
        (lambda s: s.storage.create("/"), "'/' is no usable subvolume path"),
        (
            lambda s: s.storage.snapshot(s.path("folder"), s.path("x")),
            "cannot snapshot subvolume {p}/folder to {p}/x: it is not a subvolume",
        ),
        (
            lambda s: s.storage.snapshot(s.path("none"), s.path("x")),
            "cannot snapshot subvolume {p}/none to {p}/x: no such file or directory",
        ),
        (
            lambda s: s.storage.fork(s.path("folder"), s.path("x"), USES),
            "cannot snapshot subvolume {p}/folder to {p}/x: it is not a subvolume",
        ),
        (
            lambda s: s.storage.snapshot(s.path("there"), s.path("folder/none/x")),
            "cannot snapshot subvolume {p}/there to {p}/folder/none/x: no such file or directory",
        ),
        (
            lambda s: s.storage.delete(s.path("none")),
            "cannot delete {p}/none: it is not a subvolume",
        ),
        (
            lambda s: s.storage.delete(s.path("folder")),
            "cannot delete {p}/folder: it is not a subvolume",
        ),
        (
            lambda s: s.storage.rename(s.path("none"), s.path("x")),
            "cannot rename subvolume {p}/none to {p}/x: no such file or directory",
        ),
        (
            lambda s: s.storage.rename(s.path("there"), "/proc/x"),
            "cannot rename subvolume {p}/there to /proc/x: the two are not on the same file",
        ),
        (
            lambda s: s.storage.set_read_only(s.path("folder"), True),
            "cannot make {p}/folder read-only: it is not a subvolume",
        ),
        (
            lambda s: s.storage.set_read_only(s.path("none"), False),
            "cannot make {p}/none writable: no such file or directory",
        ),
    ],
)
def test_refusals_name_the_path_and_the_reason(
    store: Store, act: t.Callable[[Store], object], words: str
) -> None:
    store.made("there")
    (store.place / "folder").mkdir()
    with pytest.raises(StorageError) as caught:
        act(store)
    assert words.format(p=store.place) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.listing() == ["folder", "there"]


_KILLED = """
import os, sys
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import Uses
kind, act, source, path, number = sys.argv[1:]
left = int(number)

def audit(event, arguments):
    # Each call that may change the file system is a place to be killed at.
    global left
    if event in AUDITED and (event != "open" or arguments[2] & os.O_CREAT):
        left -= 1
        if not left:
            os.kill(os.getpid(), 9)

AUDITED = ("open", "os.mkdir", "os.rename", "os.symlink", "os.link", "os.remove", "os.rmdir",
           "os.chmod", "os.chown", "os.truncate", "fcntl.ioctl", "ctypes.dlsym", "os.utime")
storage = make_storage(kind)
sys.addaudithook(audit)
if act == "snapshot":
    storage.snapshot(source, path, read_only=True)
elif act == "fork":
    storage.fork(source, path, Uses({"disk.img": "raw"}, {"kernel"}), 65534)
elif act == "exchange":
    storage.exchange(source, path)
else:
    storage.delete(path)
"""


def killed(store: Store, act: str, source: str, path: str, number: int) -> bool:
    """Do it in a process that is killed at its call of this number; whether it was."""
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, store.kind, act, source, path, str(number)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert done.returncode in (0, -9)
    return done.returncode == -9


@pytest.mark.parametrize("store", OWN, ids=" on ".join, indirect=True)
@pytest.mark.parametrize("act", ["snapshot", "fork", "delete", "exchange"])
def test_killed_at_any_point_it_has_happened_or_it_has_not(store: Store, act: str) -> None:
    source = store.machine("source")
    names = sorted(os.listdir(source))
    for number in range(1, 60):
        path = store.path("path")
        if act in ("delete", "exchange") and store.storage.info(path) is None:
            store.storage.snapshot(source, path, read_only=True)
        uuids = {store.looked_at(source).uuid}
        if act == "exchange":
            uuids.add(store.looked_at(path).uuid)
        was_killed = killed(store, act, source, path, number)
        there = store.storage.info(path)
        if there is None:
            assert act != "exchange"
            assert not os.path.lexists(path)
        else:
            present = {n.removeprefix(".").partition(".bbot-base")[0] for n in os.listdir(path)}
            assert {name.removeprefix(".") for name in names} <= present
        if act == "exchange":
            assert {store.looked_at(each).uuid for each in (source, path)} == uuids
        else:
            # Nobody has to know how far it came, and nothing of it is left.
            store.storage.discard(path)
            assert store.listing() == ["source"]
        assert sorted(os.listdir(source)) == names
        if not was_killed:
            break
    else:
        raise AssertionError("it never came to its end")
    assert number > 1


@pytest.mark.parametrize("store", OWN, ids=" on ".join, indirect=True)
def test_what_is_half_made_is_found_and_what_is_in_the_making_is_left(store: Store) -> None:
    store.machine("source")
    for name in (".other", "folder"):
        (store.place / name).mkdir()
    (store.place / ".half").write_text("x")
    before = store.listing()
    assert store.storage.tidy(str(store.place)) == []
    for number in (3, 6):
        path = store.path(f"x{number}")
        assert killed(store, "snapshot", store.path("source"), path, number) or (
            store.storage.info(path) and store.storage.discard(path)
        )
    left = [store.path(name) for name in store.listing() if name not in before]
    assert all(store.storage.info(path) is None for path in left)
    assert store.storage.tidy(str(store.place)) == left
    assert store.listing() == before


_NOBODY = """
import os, sys
from pathlib import Path
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.choose import make_storage
from ansible_collections.bbot.agent.plugins.module_utils._engine.storage.protocol import Uses
os.setgid(65534)
os.setuid(65534)
place, storage = Path(sys.argv[1]), make_storage("auto")
a, b, c, d = (str(place / name) for name in "abcd")
storage.create(a)
(place / "a" / "disk.img").write_text("disk")
(place / "a" / "folder").mkdir()
(place / "a" / "folder" / "kernel").write_text("kernel")
storage.set_read_only(a, True)
for name in ("new", "disk.img", "folder/new"):
    try:
        (place / "a" / name).write_text("x")
    except OSError:
        continue
    sys.exit(f"{name} could be written to")
storage.fork(a, b, Uses({"disk.img": "raw"}), 65534)
storage.snapshot(b, c, read_only=True)
storage.fork(c, d, Uses({"disk.img": "raw"}), 65534)
(place / "d" / "folder" / "kernel").write_text("changed")
storage.exchange(a, c)
storage.set_read_only(a, False)
overlays = sorted(path.name for path in (place / "d").glob(".disk.img.bbot-base-*"))
assert overlays == sys.argv[2:], overlays
assert all(storage.discard(each) for each in (a, b, c, d))
assert os.listdir(place) == []
"""


# On what, mounted how, and what the disk of a fork of a fork lies over then.
USERS = [
    ("ext4", [], [".disk.img.bbot-base-0", ".disk.img.bbot-base-1"]),
    # Blocks are shared.
    ("xfs", [], []),
    ("btrfs", ["user_subvol_rm_allowed"], []),
    # Subvolumes could be made there and never deleted.
    ("btrfs", [], []),
]


@pytest.mark.parametrize(("file_system", "options", "overlays"), USERS)
def test_it_needs_no_root(
    site: Site, file_system: str, options: list[str], overlays: list[str]
) -> None:
    with mounted(site, file_system, *options) as mount:
        place = mount / "machines"
        place.mkdir()
        os.chown(place, READER, READER)
        done = subprocess.run(
            [sys.executable, "-c", _NOBODY, str(place), *overlays],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
