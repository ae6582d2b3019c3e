# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role toolchain with a toolchain that is not ours."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.parser import (
    parse,
)
from helpers.roles import Play

VERSIONS = {"bbot": "0.17.0", "libbbot": "0.17.0", "libbpkg": "0.17.0", "libbutl": "0.17.1"}


def test_a_folder_and_a_url_make_a_toolchain(play: Play, tmp_path: Path) -> None:
    folder, site = tmp_path / "folder", tmp_path / "site"
    for place, name in ((folder, "build2-toolchain.tar.xz"), (site, "build2-baseutils.zip")):
        place.mkdir()
        (place / name).write_text(f"the content of {name}")
    (folder / "not-taken").mkdir()
    digest = hashlib.sha256((site / "build2-baseutils.zip").read_bytes()).hexdigest()
    link = tmp_path / "tftp" / "toolchains" / "queue"
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/build2-baseutils.zip"
        facts = {
            "toolchain_name": "queue",
            "toolchain_tftp": str(tmp_path / "tftp"),
            "toolchain_source": str(folder),
            "toolchain_urls": [{"name": "baseutils.zip", "url": url, "sha256": digest}],
            "toolchain_versions": VERSIONS,
        }
        try:
            assert play("toolchain", "--check", **facts) > 0
            assert not link.exists()
            assert play("toolchain", **facts) > 0
            assert play("toolchain", **facts) == 0
            wrong = [{"name": "baseutils.zip", "url": url, "sha256": "0" * 64}]
            play("toolchain", fails="checksum", **{**facts, "toolchain_urls": wrong})
        finally:
            server.shutdown()
    assert {path.name for path in link.iterdir()} == {
        "baseutils.zip",
        "build2-toolchain.tar.xz",
        "sha256sums",
        "toolchain.manifest",
    }
    identity, versions = parse((link / "toolchain.manifest").read_bytes())
    assert identity.pairs[0].value == hashlib.sha256((link / "sha256sums").read_bytes()).hexdigest()
    assert {pair.name: pair.value for pair in versions} == {
        f"{name}-version": version for name, version in VERSIONS.items()
    }


def test_what_cannot_be_is_refused_before_anything_is_made(play: Play, tmp_path: Path) -> None:
    facts = {"toolchain_tftp": str(tmp_path / "tftp")}
    play("toolchain", **facts, fails="has no files", toolchain_source=str(tmp_path / "none"))
    play("toolchain", **facts, fails="our worker's version", toolchain_versions={"bbot": "0.17.0"})
    assert not (tmp_path / "tftp").exists()
