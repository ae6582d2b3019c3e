#!/usr/bin/env bash
# Debian hosts to provision: containers with a real systemd and a network of their own,
# reached by SSH from this machine only.
#
#   container.sh key                      make the key to log in with; print its path
#   container.sh up NAME RELEASE NUMBER   make and boot the container 198.18.NUMBER.2
#   container.sh restart NAME             shut it down and boot it, as a reboot would
#   container.sh down NAME                remove it
#
# Its only source of packages is a folder in it, so it needs no other network.
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=$PWD/.cache/molecule
key=$cache/key

# What a minimal installation with SSH has.
base=(ca-certificates dbus iproute2 kmod openssh-server python3 systemd-sysv udev)
# What the roles and the builder of images ask apt for.
wanted=(btrfs-progs busybox-static dnsmasq-base e2fsprogs kmod mmdebstrap nftables openssl python3-apt python3-requests
  qemu-system-x86 seabios systemd-container tar)
# What delivers mail.
wanted+=(dma)
# What root installs for those who are not.
wanted+=(dbus-user-session libpam-systemd slirp4netns sudo uidmap)
# What the page is made with.
wanted+=(libcrypt1 python3-jinja2)
# What the tiny image is laid out from, were it installed or not.
tiny=(busybox-static libbz2-1.0 libc6 libexpat1 liblzma5 zlib1g)

fail()
{
  echo "container: $*" >&2
  exit 1
}

# alone <command>...: one at a time, as hosts of several tests may be made at once.
alone()
{
  mkdir -p "$cache"
  (
    flock 9
    "$@" 9>&-
  ) 9> "$cache/lock"
}

make_key()
{
  [ -e "$key" ] || ssh-keygen -q -t ed25519 -N '' -C molecule -f "$key"
  echo "$key"
}

# Run in the new root by mmdebstrap: $1 is the root. Nothing of it is installed.
fetch_packages()
{
  local root=$1 python kernel
  python=$(chroot "$root" apt-cache depends python3-minimal | grep -o 'python3\.[0-9]*-minimal')
  kernel=$(chroot "$root" apt-cache depends linux-image-cloud-amd64 | grep -o 'linux-image-[0-9]\S*')
  mkdir -p "$root/srv/packages"
  chroot "$root" apt-get install --yes --quiet=2 --no-install-recommends --download-only "${wanted[@]}"
  mv "$root"/var/cache/apt/archives/*.deb "$root/srv/packages/"
  # shellcheck disable=SC2016 # The inner shell is to expand it.
  chroot "$root" sh -c 'cd /srv/packages && exec apt-get --quiet=2 --option=APT::Sandbox::User=root download "$@"' sh \
    "${tiny[@]}" "$python" "lib$python" "lib${python%-minimal}-stdlib" linux-image-cloud-amd64 "$kernel"
  (cd "$root/srv/packages" && dpkg-scanpackages --multiversion . > Packages 2> /dev/null)
  rm -rf "$root"/etc/apt/sources.list* "$root"/var/lib/apt/lists/*
  echo 'deb [trusted=yes] file:/srv/packages ./' > "$root/etc/apt/sources.list"
}

# A fresh system of the release, kept until this script changes or the week is over; its path.
make_root()
{
  local release=$1 stamp root
  stamp=$(cat "$0" <(date +%G-%V) | sha256sum | cut -c1-12)
  root=$cache/roots/$release-$stamp
  if [ ! -d "$root" ]; then
    rm -rf "$cache/roots/$release-"*
    mkdir -p "$cache/roots"
    mmdebstrap --quiet --mode=root --variant=minbase --include="$(IFS=,; echo "${base[*]}")" \
      --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
      --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt=force-unsafe-io \
      --customize-hook="$(printf '%q' "$PWD/extensions/molecule/container.sh") fetch-packages \"\$1\"" \
      "$release" "$root.new" >&2
    # The nodes that a virtual machine would have of its kernel.
    {
      echo 'c /dev/loop-control 0660 root disk - 10:237'
      echo 'c /dev/net/tun 0666 root root - 10:200'
      seq 0 31 | sed 's,.*,b /dev/loop& 0660 root disk - 7:&,'
    } > "$root.new/etc/tmpfiles.d/devices.conf"
    mv "$root.new" "$root"
  fi
  echo "$root"
}

boot()
{
  local name=$1 home=$cache/hosts/$1 number
  number=$(cat "$home/number")
  ip netns add "$name"
  ip link add "ve-$name" type veth peer name eth0 netns "$name"
  ip address add "198.18.$number.1/30" dev "ve-$name"
  ip link set "ve-$name" up
  ip -n "$name" link set lo up
  ip -n "$name" address add "198.18.$number.2/30" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" route add default via "198.18.$number.1"
  # Its network is its own, so it may change how that works.
  SYSTEMD_NSPAWN_API_VFS_WRITABLE=network setsid systemd-nspawn --quiet --register=no --keep-unit --boot --console=read-only --capability=all \
    --directory="$home/root" --machine="$name" --network-namespace-path="/run/netns/$name" --resolv-conf=off \
    --link-journal=no > "$home/console" 2>&1 < /dev/null &
  echo $! > "$home/pid"
  local end=$((SECONDS + 120))
  until ssh -i "$key" -o BatchMode=yes -o ConnectTimeout=5 -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR "root@198.18.$number.2" systemctl is-system-running --wait > "$home/state" 2> /dev/null; do
    # A unit of the test's may have failed; that is for the test to see.
    ! grep -q degraded "$home/state" || break
    [ $SECONDS -lt $end ] || fail "$name does not come up within two minutes: see $home/console"
    sleep 1
  done
}

halt()
{
  local home=$cache/hosts/$1 pid
  pid=$(cat "$home/pid" 2> /dev/null || :)
  rm -f "$home/pid"
  if [ -n "$pid" ] && grep -qsz "^--machine=$1\$" "/proc/$pid/cmdline"; then
    kill "$pid" 2> /dev/null || :
    timeout 60 tail --pid="$pid" -f /dev/null || kill -KILL "$pid"
  fi
  ip link delete "ve-$1" 2> /dev/null || :
  ip netns delete "$1" 2> /dev/null || :
}

up()
{
  local name=$1 release=$2 number=$3 home=$cache/hosts/$1 root
  down "$name"
  alone make_key > /dev/null
  root=$(alone make_root "$release")
  mkdir -p "$home"
  cp --archive --reflink=auto "$root" "$home/root"
  echo "$number" > "$home/number"
  echo "$name" > "$home/root/etc/hostname"
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" > "$home/root/etc/hosts"
  install -D -m 0600 "$key.pub" "$home/root/root/.ssh/authorized_keys"
  boot "$name"
  # Whatever is younger, somebody else has made.
  touch "$home/root/root/booted"
}

down()
{
  halt "$1"
  rm -rf "$cache/hosts/$1"
}

case $#:${1:-} in
  1:key) alone make_key ;;
  4:up) up "$2" "$3" "$4" ;;
  2:restart) halt "$2"; boot "$2" ;;
  2:down) down "$2" ;;
  2:fetch-packages) fetch_packages "$2" ;;
  *) fail "usage: $0 key | up NAME RELEASE NUMBER | restart NAME | down NAME" ;;
esac
