# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A build host with tiny machines, bootstrapped and saved."""

from __future__ import annotations

import typing as t

from helpers.build_host import BuildHost
from helpers.images import tiny_image
from helpers.site import Site

from .figures import say


def make_host(site: Site, names: t.Sequence[str]) -> BuildHost:
    """A host with a machine for each of ``names``, ready for cold and for warm starts."""
    image = tiny_image()
    host = BuildHost(site)
    for name in names:
        say(f"bootstrap machine {name}, and save it")
        source = site.btrfs / f"image-{name}"
        host.copy(image, source, read_only=False)
        manifest = source / "manifest"
        manifest.write_text(manifest.read_text().replace("\nname: tiny\n", f"\nname: {name}\n"))
        host.install(name, source=source)
        ensured = host.ensure(name, running={"warm": ["*"]})
        if ensured.failure or ensured.unsaved:
            raise AssertionError(f"machine {name}: {ensured.failure or ensured.unsaved}")
    return host
