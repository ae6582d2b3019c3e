# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The debian image: a release of Debian, with compilers and build systems."""

from __future__ import annotations

import os
import shlex

import packages
import rootless
from programs import BuildError, run
from target import Target, host_codename

# Without these there is no machine: the boot stub's tools, what the worker runs on, and the names
# of services and time zones, which no Debian system lacks.
# useradd comes with passwd, which Debian 13 has not in any case.
BASE = (
    *("busybox-static", "ca-certificates", "netbase", "passwd", "python3", "python3-yaml"),
    "tzdata",
)

BINFMT = "/proc/sys/fs/binfmt_misc"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


# Since Debian 12 /bin and the like are links in any case. The hooks that mmdebstrap brings for
# that want a package which these have not.
_UNMERGED = ("buster", "bullseye")
_MERGE = (
    "--setup-hook=for d in bin sbin lib lib32 lib64 libx32; do "
    'mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'
)


def build_root(root: str, work: str, target: Target, wanted: list[str], sources: list[str]) -> None:
    """Install what *target* is with the packages *wanted* into the directory *root*.

    *sources* are lines of sources.list, those of sources_of() if there are none.
    """
    check_emulation(target)
    command = [*_command(target, wanted), "--mode=root", "--format=directory"]
    command += ["--skip=check/empty", f"--setup-hook={_reuse_archives()}"]
    run([*command, *_from(work, target, sources, root)], environment={"TMPDIR": work})


def archive_root(
    archive: str, work: str, target: Target, wanted: list[str], sources: list[str]
) -> None:
    """The same into an archive, without being root."""
    check_emulation(target)
    # Nobody makes devices in a user namespace; the guest's kernel does.
    command = [*_command(target, wanted), "--mode=unshare", "--format=tar", "--skip=output/dev"]
    rootless.make_archive([*command, *_from(work, target, sources, "-")], archive, work)


def check_emulation(target: Target) -> None:
    """Raise BuildError, with the way out, where the host runs no programs of the target's."""
    architecture = target.architecture
    if architecture.native:
        return
    emulator = os.path.basename(architecture.runner()[0]).removesuffix("-static")
    if not os.path.exists(os.path.join(BINFMT, emulator)):
        raise BuildError(
            f"the host's kernel does not know how to run programs of {architecture.name} (no "
            f"{BINFMT}/{emulator}): have root run 'systemctl restart systemd-binfmt' on it; in a "
            "container that is for the machine below it to do"
        )


def unpack_root(archive: str, root: str) -> None:
    """Lay out what archive_root() has made."""
    command = ["tar", "--extract", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    run([*command, f"--file={archive}", f"--directory={root}"])
    os.makedirs(os.path.join(root, "dev"), exist_ok=True)


def _command(target: Target, wanted: list[str]) -> list[str]:
    command = ["mmdebstrap", "--variant=apt", "--quiet"]
    command += [f"--architectures={target.architecture.name}"]
    if target.codename in _UNMERGED:
        command += [_MERGE]
    command += [f"--include={','.join(sorted({*BASE, *wanted}))}"]
    command += [f"--dpkgopt=path-exclude={path.removeprefix('.')}/*" for path in packages.USELESS]
    command += ["--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=force-unsafe-io"]
    command += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
    # Scripts of packages link manuals there, which none brings.
    command += ['--setup-hook=for n in 1 5 7 8; do mkdir -p "$1/usr/share/man/man$n"; done']
    return [*command, '--customize-hook=chroot "$1" useradd --create-home --shell /bin/sh build']


def _from(work: str, target: Target, sources: list[str], place: str) -> list[str]:
    """mmdebstrap's arguments: the release, where it is put, and where it comes from."""
    listing = os.path.join(work, "sources.list")
    with open(listing, "w") as file:
        file.writelines(f"{line}\n" for line in sources or sources_of(target))
    return [target.codename, place, listing]


def _reuse_archives() -> str:
    """A hook that lends apt what the host has downloaded before; linked, so it costs nothing."""
    archives = shlex.quote(packages.ARCHIVES)
    return (
        'mkdir -p "$1/var/cache/apt/archives/partial"; '
        f'cp --link {archives}/*.deb "$1/var/cache/apt/archives/" 2>/dev/null || true'
    )


def sources_of(target: Target) -> list[str]:
    """Debian's own package sources among the host's, as lines of sources.list.

    For another release they are the same mirrors, with that in place of the host's. apt itself
    reads the host's files, in whatever form they are.
    """
    own = host_codename()
    form = "$(ORIGIN) $(CODENAME) $(REPO_URI) $(RELEASE) $(COMPONENT)"
    key = f"[signed-by={KEYRING}] " if os.path.exists(KEYRING) else ""
    lines = []
    for line in run(["apt-get", "indextargets", "--format", form]).splitlines():
        origin, codename, uri, suite, component = line.split()
        if origin != "Debian":
            continue
        if target.codename != own:
            kind = codename.removeprefix(own)
            # sid has neither updates nor security, and other components are not in all releases.
            if kind not in ("", *(() if target.codename == "sid" else ("-updates", "-security"))):
                continue
            suite, component = f"{target.codename}{kind}", "main"
        lines.append(f"deb {key}{uri} {suite} {component}")
    if not lines:
        raise BuildError(
            f"the host's apt has no package lists of Debian {own}: run apt-get update, or "
            "name sources for the image"
        )
    return list(dict.fromkeys(lines))
