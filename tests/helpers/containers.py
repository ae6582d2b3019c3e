# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts with a bootstrapped container, the machine tiny, in either store."""

from __future__ import annotations

import contextlib
import typing as t
from pathlib import Path

from .build_host import BuildHost
from .guest import GET_TASK, SLEEP, put, result
from .site import Site


@contextlib.contextmanager
def host_with_container(site: Site, image: Path, kind: str = "btrfs") -> t.Iterator[BuildHost]:
    """A host with the image's machine, bootstrapped; nothing may be left of it in the end."""
    host = BuildHost(site, kind, None if kind == "btrfs" else site.plain)
    path = host.volume / "tiny" / "tiny-1.1"
    path.parent.mkdir()
    host.copy(image, path)
    host.link("tiny", 1)
    with site.namespace.entered():
        ensured = host.ensure()
        assert ensured.failure is None, host.lines
        assert ensured.machine.state == "current", ensured.machine.reasons
        yield host
        host.assert_clean()


def tried_by_root(host: BuildHost, script: str, **running: t.Any) -> str:
    """What a guest's root has to say who does ``script`` in place of the worker."""
    host.script("tiny", f"{GET_TASK}( {script}\n) > /run/said 2>&1\n{_TELL}")
    outcome = host.perform(**running)
    assert "said" in outcome.artifacts, (outcome, host.lines)
    return Path(outcome.artifacts["said"]).read_text(errors="replace")


_TELL = put("/run/said", "said") + result("status: success") + SLEEP
