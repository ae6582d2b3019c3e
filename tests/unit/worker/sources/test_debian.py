# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's source packages are fetched with all that belongs to them, checked, and unpacked."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import lzma
import os
import random
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker.errors import WorkerError
from bbot_worker.run import Command, Runner
from bbot_worker.sources import archive, place, transfer
from odd.mutated import damage, good_tar, reword

Fetch = Callable[..., Path]
DSC = "hello_1-1.dsc"
RULES = b"#!/usr/bin/make -f\n%:\n\tdh $@\n"
SERIES = b"--- a/main.c\n+++ b/main.c\n@@ -1 +1 @@\n-int x;\n+int y;\n"


def dsc(files: dict[str, bytes], form: str = "3.0 (quilt)", signed: bool = False) -> bytes:
    def block(name: str, digest: Callable[[bytes], Any]) -> str:
        lines = [f" {digest(data).hexdigest()} {len(data)} {each}" for each, data in files.items()]
        return "\n".join([f"{name}:", *lines])

    head = f"Format: {form}\nSource: hello\nBinary: hello\nArchitecture: any\nVersion: 1-1\n"
    head += "Maintainer: A <a@example.org>\n"
    sums = [block("Checksums-Sha256", hashlib.sha256), block("Files", hashlib.md5)]
    text = head + "\n".join(sums) + "\n"
    if signed:
        text = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{text}\n-----BEGIN PGP "
        text += "SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
    return text.encode()


@pytest.fixture(name="package")
def package_fixture(archives: Any) -> dict[str, bytes]:
    """The files of a package with a patch."""

    def tar(files: dict[str, bytes]) -> bytes:
        return bytes(archives.tar(*((archives.member(n), d) for n, d in files.items())))

    control = b"Source: hello\nMaintainer: A <a@example.org>\n\nPackage: hello\nArchitecture: any\n"
    changes = b"hello (1-1) unstable; urgency=low\n\n  * x\n\n -- A <a@example.org>  "
    files = {
        "hello_1.orig.tar.gz": tar({"hello-1/main.c": b"int x;\n"}),
        "hello_1-1.debian.tar.gz": tar(
            {
                "debian/control": control,
                "debian/rules": RULES,
                "debian/changelog": changes + b"Mon, 01 Jan 2024 00:00:00 +0000\n",
                "debian/source/format": b"3.0 (quilt)\n",
                "debian/patches/series": b"y.patch\n",
                "debian/patches/y.patch": SERIES,
            }
        ),
    }
    return {**files, DSC: dsc(files)}


@pytest.mark.parametrize("signed", [False, True])
def test_by_tftp(fetch: Fetch, package: dict[str, bytes], signed: bool) -> None:
    files = {name: data for name, data in package.items() if name != DSC}
    tree = fetch(f"tftp:{DSC}", files={**files, DSC: dsc(files, signed=signed)})
    assert (tree / "main.c").read_text() == "int y;\n"
    assert (tree / "debian/rules").read_bytes() == RULES


@pytest.mark.parametrize("name", ["hello_1.orig.tar.gz.asc", "hello_1.orig.tar.xz.asc"])
def test_signatures_beside_the_archives(fetch: Fetch, package: dict[str, bytes], name: str) -> None:
    signature = b"-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
    files = {each: data for each, data in package.items() if each != DSC}
    if ".xz" in name:
        data = files.pop("hello_1.orig.tar.gz")
        files["hello_1.orig.tar.xz"] = lzma.compress(gzip.decompress(data))
    files[name] = signature
    tree = fetch(f"tftp:{DSC}", files={**files, DSC: dsc(files)})
    assert (tree / "main.c").read_text() == "int y;\n"


def test_by_http(fetch: Fetch, package: dict[str, bytes], tmp_path: Path) -> None:
    root = tmp_path / "pool"
    root.mkdir()
    for name, data in package.items():
        (root / name).write_bytes(data)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        digest = hashlib.sha256(package[DSC]).hexdigest()
        url = f"http://127.0.0.1:{server.server_address[1]}/{DSC}#sha256={digest}"
        assert (fetch(url) / "main.c").read_text() == "int y;\n"
        server.shutdown()


def test_of_this_machine(fetch: Fetch, package: dict[str, bytes], tmp_path: Path) -> None:
    for name, data in package.items():
        (tmp_path / name).write_bytes(data)
    digest = hashlib.sha256(package[DSC]).hexdigest()
    tree = fetch(f"file://{tmp_path}/{DSC}", ("repository-checksum", f"sha256:{digest}"))
    assert (tree / "main.c").read_text() == "int y;\n"
    shutil.rmtree(tmp_path / "work")
    (tmp_path / "hello_1.orig.tar.gz").unlink()
    with pytest.raises(WorkerError, match=r"cannot read .*/hello_1.orig.tar.gz: No such file"):
        fetch(f"{tmp_path}/{DSC}")


def test_a_package_that_is_not_whole(fetch: Fetch, package: dict[str, bytes]) -> None:
    name = "hello_1.orig.tar.gz"
    bad = {**package, name: package[name][:-1] + b"x"}
    with pytest.raises(WorkerError, match=f"{name} has the SHA-256 checksum .* is expected"):
        fetch(f"tftp:{DSC}", files=bad)
    del bad[name]
    with pytest.raises(WorkerError, match=f"cannot fetch tftp:{name}: no such file"):
        fetch(f"tftp:{DSC}", files=bad)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("", "names no files with SHA-256 checksums"),
        (f" {'0' * 64} 1 ../escaped", "is unreadable"),
        (f" {'0' * 64} 1 -x", "is unreadable"),
        (f" {'0' * 64} 1 archive", "is unreadable"),
        (" 00 1 x", "is unreadable"),
    ],
)
def test_a_dsc_that_is_odd(fetch: Fetch, block: str, message: str) -> None:
    text = f"Source: hello\nChecksums-Sha256:\n{block}\nFiles:\n x\n"
    with pytest.raises(WorkerError, match=message):
        fetch(f"tftp:{DSC}", files={DSC: text.encode()})


def test_a_machine_without_dpkg(
    fetch: Fetch, package: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(WorkerError, match=r"no dpkg-source, .* images of the flavour 'debian'"):
        fetch(f"tftp:{DSC}", files=package)


def test_a_bomb_is_not_given_to_dpkg(
    fetch: Fetch, archives: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "free", lambda _: (3 << 20, None))
    data = archives.tar((archives.member("hello-1/zeros"), bytes(2 << 20)))
    # Each fits, but not both.
    files = {"hello_1.orig.tar.gz": data, "hello_1.orig-more.tar.gz": data}
    with pytest.raises(WorkerError, match="unpacks to more than"):
        fetch(f"tftp:{DSC}", files={**files, DSC: dsc(files)})


def test_damaged_packages(fetch: Fetch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half have a damaged .dsc, half a damaged archive whose checksum is right again.

    dpkg-source takes a quarter of a second: of what would be given to it, it gets every tenth.
    """
    monkeypatch.setattr(transfer, "pause_for", lambda _: None)
    for module in (place, archive, transfer):
        monkeypatch.setattr(module, "free", lambda _: (4 << 20, 20_000))
    given: list[Command] = []
    run = Runner.run

    def every_tenth(self: Runner, command: Command) -> None:
        given.append(command)
        if len(given) % 10 == 0:
            run(self, command)

    monkeypatch.setattr(Runner, "run", every_tenth)
    (tmp_path / "canary").write_text("mine")
    chance = random.Random("dsc")
    verdicts: Counter[str] = Counter()
    for number in range(1000):
        data = good_tar()
        if number % 2:
            data = (damage if number % 4 == 1 else reword)(data, chance)
        files = {"hello_1.tar.gz": gzip.compress(data, 1, mtime=0)}
        text = dsc(files, "3.0 (native)").replace(b"1-1", b"1")
        if number % 2 == 0 and number:
            text = damage(text, chance)
        shutil.rmtree(tmp_path / "work", ignore_errors=True)
        verdicts[_verdict(fetch, {**files, DSC: text})] += 1
        assert sorted(os.listdir(tmp_path)) == ["canary", "work"]
    assert set(verdicts) == {"ok", "error"}
    assert sum(verdicts.values()) == 1000
    assert len(given) > 100


def _verdict(fetch: Fetch, files: dict[str, bytes]) -> str:
    try:
        fetch(f"tftp:{DSC}", files=files)
    except WorkerError as error:
        return error.status
    return "ok"
