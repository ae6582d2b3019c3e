# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages to build: a folder with a build script, and such a folder packed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

GOOD = 'echo "doing $1"\n'
WARNING = '[ "$1" != update ] || echo "hello.c:1:2: warning: unused variable"\n'
FAILING = '[ "$1" != update ] || { echo "hello.c:3: cannot go on"; exit 3; }\n'
CRASHING = '[ "$1" != update ] || kill -SEGV $$\n'
# Leaves a server and one who keeps talking, and fails where these are met again.
LEAVING = """\
case $1 in
  configure)
    echo out > /dev/stdout && echo err | tee /dev/stderr
    setsid sh -c 'while :; do echo chatter; done' &
    setsid busybox nc -l -p 5555 > /dev/null 2>&1 &
    sleep 1
    ;;
  *)
    busybox ps -o user,pid,args | grep '^build' | grep -v -e grep -e 'ps -o' -e bbot-build && exit 4
    busybox netstat -ltn | grep :5555 && exit 5
    ;;
esac
echo "done with $1"
"""
# Takes more memory, or more disk, than a small machine has.
GREEDY = """\
[ "$1" != update ] || python3 -c 'x = [b"x" * (1 << 20) for _ in range(1 << 12)]'
"""
FILLING = """[ "$1" != update ] || dd if=/dev/zero of=big bs=1M count=300\n"""
# Goes on once a file "go" is there to be fetched.
GATED = """\
if [ "$1" = update ]; then
  echo waiting for go
  until busybox tftp -g -r go -l /tmp/go 196.254.111.222 69; do sleep 0.2; done
  echo gone on
fi
"""
# Says what time it is in the machine, and something that is random there.
PROBE = """\
[ "$1" != update ] ||
  python3 -c 'import os, time; print("probe", time.time(), os.urandom(16).hex())'
"""


def make_source(folder: Path, script: str = GOOD) -> Path:
    """The package in ``folder``, made if need be, built by a shell script ``script``."""
    folder.mkdir(parents=True, exist_ok=True)
    build = folder / "bbot-build"
    build.write_text(f"#!/bin/sh\n{script}")
    build.chmod(0o755)
    return folder


def pack(path: Path, script: str = GOOD) -> Path:
    """The same as an archive ``path``."""
    with tarfile.open(path, "w:gz") as archive:
        data = f"#!/bin/sh\n{script}".encode()
        member = tarfile.TarInfo("hello/bbot-build")
        member.mode = 0o755
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return path


def probed(log: str) -> tuple[float, str]:
    """What PROBE said, from the log."""
    (line,) = [line for line in log.splitlines() if line.startswith("probe ")]
    _dummy, seconds, random = line.split()
    return float(seconds), random
