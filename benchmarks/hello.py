# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B12: GNU hello, configured, built and checked, on the bare host, in a container, emulated."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from helpers.build_host import BuildHost, make_task
from helpers.images import compiler_image
from helpers.real_sources import debian, unpack
from helpers.site import Site

from .figures import Figure, interleave, say, timed

_DIGEST = "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b"
_ENDED = re.compile(r"\| -\w+ (\w+) ([\d.]+)")
# Emulated it takes minutes.
_WAITS = Waits(startup=600, total=3600, retries=0)


def fetch() -> None:
    """Have what needs the world: sources, and images with a compiler."""
    _archive()
    for kind in ("kvm", "nspawn"):
        compiler_image(kind)


def _archive() -> Path:
    return debian("hello", "hello_2.10.orig.tar.gz", _DIGEST)


def measure(place: Site, runs: int) -> list[Figure]:
    """Build hello on the host and in a container in turn, and once in an emulated machine."""
    hosts = {kind: _host(place, kind) for kind in ("nspawn", "kvm")}
    values = interleave(
        runs, {"bare": _on_the_host, "nspawn": lambda: _in_a_machine(hosts["nspawn"])}
    )
    say("run 1 of 1: emulated")
    emulated = _in_a_machine(hosts["kvm"])["seconds"]
    bare, container = values["bare"]["seconds"], values["nspawn"]["seconds"]
    what = "GNU hello: configure, make, make check"
    host, guest = "on the bare host", "operations of a task in a container"
    name = "B12 hello, container to bare host"
    return [
        Figure("B12", name, "s", "share", f"{what} {host}", guest, bare, container, 1.15),
        Figure(
            *("B12", "B12 hello, container to emulated machine", "s", "times"),
            *(f"{what} in an emulated machine", guest, [emulated], container),
        ),
    ]


def _host(place: Site, kind: str) -> BuildHost:
    say(f"bootstrap a machine of type {kind} with a compiler")
    host = BuildHost(place)
    source = place.btrfs / f"compiler-{kind}"
    host.copy(compiler_image(kind), source, read_only=False)
    manifest = source / "manifest"
    manifest.write_text(manifest.read_text().replace("\nname: debian\n", "\nname: tiny\n"))
    host.install(source=source)
    ensured = host.ensure(waits=_WAITS, running={"ram": 1 << 20})
    if ensured.failure is not None:
        raise AssertionError(f"{ensured.failure}: {host.lines}")
    return host


def _on_the_host() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="hello-") as folder:
        tree = unpack(_archive(), Path(folder, "tree"))
        with timed() as passed:
            for command in (["./configure"], ["make"], ["make", "check"]):
                subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return {"seconds": passed[0]}


def _in_a_machine(host: BuildHost) -> dict[str, float]:
    host.lines.clear()
    words = "config.bbot.operations=configure,update,test config.bbot.jobs=1"
    task = make_task(**{"target-config": words})
    files = {"source.tar.gz": str(_archive())}
    outcome = host.perform(task, files=files, waits=_WAITS, ram=1 << 20)
    ended = [match for line in host.lines if (match := _ENDED.match(line))]
    if len(ended) != 3 or {match[1] for match in ended} - {"success", "warning"}:
        raise AssertionError(f"{outcome}: {host.lines}")
    return {"seconds": sum(float(match[2]) for match in ended)}
