# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The debian image: the host's release, with compilers and build systems."""

from __future__ import annotations

import os
import re
import shlex

import packages
import rootless
from programs import BuildError, run

# Without these there is no machine: the boot stub's tools, what the worker runs on, and the names
# of services and time zones, which no Debian system lacks.
BASE = ("busybox-static", "ca-certificates", "netbase", "python3", "python3-yaml", "tzdata")

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def build_root(root: str, work: str, wanted: list[str], sources: list[str]) -> None:
    """Install the release with the packages *wanted* into the directory *root*.

    *sources* are lines of sources.list; when empty, the host's own for its release are used.
    """
    command = [*_command(wanted), "--mode=root", "--format=directory", "--skip=check/empty"]
    command += [f"--setup-hook={_reuse_archives()}"]
    run([*command, *_from(work, sources, root)], environment={"TMPDIR": work})


def archive_root(archive: str, work: str, wanted: list[str], sources: list[str]) -> None:
    """The same into an archive, without being root."""
    # Nobody makes devices in a user namespace; the guest's kernel does.
    command = [*_command(wanted), "--mode=unshare", "--format=tar", "--skip=output/dev"]
    rootless.make_archive([*command, *_from(work, sources, "-")], archive, work)


def unpack_root(archive: str, root: str) -> None:
    """Lay out what archive_root() has made."""
    command = ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    run([*command, f"--file={archive}", f"--directory={root}"])
    os.makedirs(os.path.join(root, "dev"), exist_ok=True)


def _command(wanted: list[str]) -> list[str]:
    command = ["mmdebstrap", "--variant=apt", "--quiet"]
    command += [f"--include={','.join(sorted({*BASE, *wanted}))}"]
    command += [f"--dpkgopt=path-exclude={path.removeprefix('.')}/*" for path in packages.USELESS]
    command += ["--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=force-unsafe-io"]
    command += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
    # Scripts of packages link manuals there, which none brings.
    command += ['--setup-hook=for n in 1 5 7 8; do mkdir -p "$1/usr/share/man/man$n"; done']
    return [*command, '--customize-hook=chroot "$1" useradd --create-home --shell /bin/sh build']


def _from(work: str, sources: list[str], target: str) -> list[str]:
    """mmdebstrap's arguments: the release, where it is put, and where it comes from."""
    codename = _codename()
    listing = os.path.join(work, "sources.list")
    with open(listing, "w") as file:
        file.writelines(f"{line}\n" for line in sources or host_sources(codename))
    return [codename, target, listing]


def _reuse_archives() -> str:
    """A hook that lends apt what the host has downloaded before; linked, so it costs nothing."""
    archives = shlex.quote(packages.ARCHIVES)
    return (
        'mkdir -p "$1/var/cache/apt/archives/partial"; '
        f'cp --link {archives}/*.deb "$1/var/cache/apt/archives/" 2>/dev/null || true'
    )


def _codename() -> str:
    with open("/etc/os-release") as file:
        match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', file.read(), re.MULTILINE)
    if not match:
        raise BuildError("no VERSION_CODENAME in /etc/os-release: which Debian release is this?")
    return match[1]


def host_sources(codename: str) -> list[str]:
    """Debian's own package sources among the host's, as lines of sources.list.

    apt itself reads the host's files, in whatever form they are.
    """
    targets = run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)"]
    )
    key = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    lines = [
        f"deb {key}{place}"
        for origin, _dummy, place in (line.partition(" ") for line in targets.splitlines())
        if origin == "Debian"
    ]
    if not lines:
        raise BuildError(
            f"the host's apt has no package lists of Debian {codename}: run apt-get update, or "
            "name sources for the image"
        )
    return list(dict.fromkeys(lines))
