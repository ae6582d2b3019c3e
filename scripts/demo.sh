#!/usr/bin/env bash
# From a bare Debian machine to a real package built in a throw-away machine: a virtual one, or a container
# where only root's containers are fast.
#
#   scripts/demo.sh         prepares what is not prepared yet, and builds GNU hello
#   scripts/demo.sh clean   removes everything that was made, but the Debian packages
#
# Run by root, it makes the machine a build host; by anybody else, it makes one of the user's own in the
# home folder, for which root is needed at most to install packages.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

if [ "$(id -u)" = 0 ]; then
  machines=/build/machines
  marker=/var/lib/bbot-agent/demo
else
  machines=${XDG_DATA_HOME:-$HOME/.local/share}/bbot/machines
  marker=${XDG_STATE_HOME:-$HOME/.local/state}/bbot-agent/demo
fi
# What the roles install where they are root's.
packages=(dnsmasq-base e2fsprogs kmod mmdebstrap openssl python3 python3-requests qemu-system-x86 seabios tar uidmap)
work=.cache/demo
export LC_ALL=C.UTF-8

fail()
{
  echo "demo: $*" >&2
  exit 1
}

play()
{
  .venv/bin/ansible-playbook "$@"
}

# What the provisioning depends on: it is skipped while this is as it was.
fingerprint()
{
  find galaxy.yml playbooks/provision.yml playbooks/tasks/provision_host.yml plugins/module_utils plugins/modules roles -type f ! -name '*.pyc' -print0 \
    | sort --zero-terminated | xargs --null sha256sum | sha256sum | cut -d' ' -f1
}

# What kind of machine builds fast here: sets type, and why.
choose_type()
{
  type=kvm
  if grep -qswE 'vmx|svm' /proc/cpuinfo && [ -r /dev/kvm ] && [ -w /dev/kvm ]; then
    why="a virtual machine by KVM: this host has hardware virtualisation"
  elif [ "$(id -u)" != 0 ]; then
    why="an emulated machine: this host has no hardware virtualisation, and containers (nspawn) take root"
  elif [ ! -c /dev/loop-control ] || ! unshare --mount --pid --net --fork true 2> /dev/null; then
    why="an emulated machine: this host has neither hardware virtualisation nor what containers (nspawn) take"
  else
    type=nspawn
    why="a container (nspawn): this host has no hardware virtualisation, and emulation is ten times slower"
  fi
}

prepared()
{
  # The folder is empty where a volume is not mounted.
  [ "$(cat "$marker" 2> /dev/null)" = "$1" ] && [ -n "$(ls "$machines/default" 2> /dev/null)" ]
}

# The source package of GNU hello, by a source list of our own: most machines list binaries only.
fetch_hello()
{
  [ ! -d "$work/hello" ] || return 0
  local apt=$PWD/$work/apt
  rm -rf "$work"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources" "$work/download"
  local file target
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
    target=$apt/sources/${file##*/}
    # Debian's own sources: others may have no source packages.
    if ! grep -qsw debian "$file" || ! grep -qsw main "$file"; then
      continue
    fi
    case $file in
      *.sources) sed 's/^Types:.*/Types: deb-src/' "$file" > "$target" ;;
      *.list) sed -n 's/^deb /deb-src /p' "$file" > "$target" ;;
    esac
  done
  local options=(-o "Dir::State::lists=$apt/lists" -o Dir::Etc::sourcelist=/dev/null
    -o "Dir::Etc::sourceparts=$apt/sources" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" --quiet=2 update
  (cd "$work/download" && apt-get "${options[@]}" --quiet=2 source --download-only hello > /dev/null)
  dpkg-source --no-check --extract "$work"/download/hello_*.dsc "$work/hello" > /dev/null
  rm -rf "$apt"
}

clean()
{
  if [ -e "$marker" ]; then
    [ -x .venv/bin/ansible-playbook ] || scripts/setup.sh
    play playbooks/decommission.yml
  fi
  rm -rf "$work" results/demo
  rmdir --ignore-fail-on-non-empty results 2> /dev/null || :
  rm -rf .venv .cache
  echo "demo: everything is removed but the Debian packages that were installed"
}

case ${1:-run} in
  run) ;;
  clean) clean; exit ;;
  *) fail "usage: scripts/demo.sh [clean]" ;;
esac

if [ -d "$machines" ] && [ ! -e "$marker" ]; then
  fail "there is a build host here already ($machines), which the demo must not touch; see README.md"
fi

SECONDS=0
[ "$(id -u)" != 0 ] || packages=()
install_packages ca-certificates dpkg-dev procps python3-venv xz-utils "${packages[@]}"
scripts/setup.sh
fetch_hello
choose_type
machine=debian
[ "$type" = kvm ] || machine=debian-$type
echo "demo: it is built in $why"
wanted="$type $(fingerprint)"
if ! prepared "$wanted"; then
  mkdir -p "${marker%/*}"
  touch "$marker"
  play playbooks/provision.yml -e "machine_image_type=$type"
  echo "$wanted" > "$marker"
fi
echo "demo: prepared after $SECONDS s"
play playbooks/run-task.yml -e task=scripts/demo.task.yml -e source="$work/hello" -e bbot_results=results/demo -e "machine=$machine" \
  -e "{\"bbot_machine_options\": {\"cpu\": $(nproc)}}"
echo "demo: done after $SECONDS s; a second run skips the preparations"
