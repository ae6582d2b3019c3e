# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build a machine image for bbot.agent: ``python3 <this directory> --help``."""

from __future__ import annotations

import argparse
import os
import signal
import sys

# The folder is copied to hosts as it is: nothing is to appear in it.
sys.dont_write_bytecode = True

import debian
import image
import rootless
from programs import BuildError
from target import target

# Where tools of administration are, which an ordinary user's shell does not look for there.
_SEARCHED_TOO = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def main() -> int:
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SEARCHED_TOO])
    parser = argparse.ArgumentParser(description="Build a machine image for bbot.agent.")
    parser.add_argument("--variant", choices=("archive", "cloud", "debian", "tiny"), required=True)
    parser.add_argument("--type", choices=("kvm", "nspawn"), default="kvm")
    parser.add_argument("--release", default="", help="its codename, by default the host's")
    parser.add_argument("--architecture", default="", help="Debian's, by default the host's")
    parser.add_argument("--name", required=True, help="the machine's name")
    parser.add_argument("--id", required=True, help="the machine's id")
    parser.add_argument("--summary", required=True, help="one line about the machine")
    parser.add_argument("--fingerprint", required=True, help="of what goes into the image")
    parser.add_argument("--disk-size", type=int, default=0, metavar="MB")
    parser.add_argument(
        "--archive", metavar="PATH", help="archive: a root file system, or an image of containers"
    )
    parser.add_argument("--cloud", metavar="FILE", help="cloud: a disk with cloud-init in it")
    parser.add_argument("--firmware", choices=("bios", "uefi"), default="bios", help="cloud")
    parser.add_argument("--package", action="append", default=[], help="debian: install it")
    parser.add_argument("--source", action="append", default=[], help="debian: apt's source line")
    parser.add_argument("--append", default="", help="more parameters for the kernel")
    parser.add_argument("--service", metavar="FILE", help="what an auxiliary machine runs")
    parser.add_argument("--ram-minimum", type=int, metavar="KIB")
    parser.add_argument("--ram-maximum", type=int, metavar="KIB")
    parser.add_argument("--root-archive", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("destination", help="the image's directory")
    options = parser.parse_args()
    if (options.variant == "cloud") != bool(options.cloud):
        parser.error("--variant cloud goes with --cloud FILE")
    if (options.variant == "archive") != bool(options.archive):
        parser.error("--variant archive goes with --archive PATH")

    # So that an interrupted build, too, leaves nothing behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.type == "nspawn" and (os.geteuid() != 0 or options.root_archive):
            raise BuildError("images of type nspawn are built by root: their files have owners")
        if os.geteuid() != 0:
            return _build_rootless(options)
        image.build(
            image.Image(
                target=target(options.release, options.architecture),
                variant=options.variant,
                name=options.name,
                identity=options.id,
                summary=options.summary,
                fingerprint=options.fingerprint,
                disk_size=options.disk_size,
                packages=options.package,
                sources=options.source,
                append=options.append,
                service=options.service,
                ram_minimum=options.ram_minimum,
                ram_maximum=options.ram_maximum,
                archive=options.archive or options.root_archive,
                cloud=options.cloud if options.variant == "cloud" else None,
                firmware=options.firmware,
                kind=options.type,
            ),
            options.destination,
        )
    except (BuildError, OSError) as error:
        sys.stderr.write(f"error: no image at {options.destination}: {error}\n")
        return 1
    return 0


def _build_rootless(options: argparse.Namespace) -> int:
    """Have this program do it in a user namespace. What mmdebstrap does is done before: it makes
    one of its own."""
    rootless.check()
    again = [sys.executable, "-I", os.path.dirname(os.path.abspath(__file__))]
    if options.variant != "debian":
        return rootless.run_inside([*again, *sys.argv[1:]])
    with rootless.workplace() as place:
        archive = os.path.join(place, "root.tar")
        wanted = target(options.release, options.architecture)
        debian.archive_root(archive, place, wanted, options.package, options.source)
        return rootless.run_inside([*again, "--root-archive", archive, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
