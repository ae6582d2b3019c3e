#!/usr/bin/env bash
# Sets up what the benchmarks need and runs them, as root; benchmarks/README.md has the last run.
#
#   scripts/bench.sh            all of them, in an hour, most of which many hosts take
#   scripts/bench.sh --quick    what needs no machine, within a minute
#   scripts/bench.sh --help     parts, repetitions, and where to leave figures and plot
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

export LC_ALL=C.UTF-8
# A file system of gigabytes is made there: /tmp may be in memory.
export TMPDIR=${TMPDIR:-/var/tmp}

install_packages \
  btrfs-progs busybox-static cpio curl dnsmasq-base dpkg-dev e2fsprogs iproute2 kmod mmdebstrap mount nftables openssh-client \
  openssh-server procps python3-venv qemu-system-x86 seabios systemd-container tftpd-hpa util-linux
scripts/setup.sh dev
stamp=.venv/installed-bench
if ! cmp -s "$stamp" benchmarks/requirements.txt; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
  cp benchmarks/requirements.txt "$stamp"
fi
PYTHONPATH=.cache/collections:tests exec .venv/bin/python -m benchmarks "$@"
