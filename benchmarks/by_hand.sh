#!/usr/bin/env bash
# The baseline: a task in a snapshot of a bootstrapped machine, by hand. Nothing but QEMU,
# tftpd-hpa and btrfs; the upload is known to be complete when the server was idle for a second,
# as bbot's first agent does it.
#
#   by_hand.sh MACHINE FOLDER BRIDGE ADDRESS PORT RAM MAC TYPE APPEND
#
# MACHINE is a bootstrapped machine, FOLDER has the task's files in get/ and an empty put/;
# TYPE is for QEMU's -machine and APPEND for the kernel.
# Prints lines of a word and the time: start, request (with QEMU's CPU seconds), gone.
set -euo pipefail
machine=$1 folder=$2 bridge=$3 address=$4 port=$5 ram=$6 mac=$7 type=$8 append=$9
work=$machine-$$ tap=hand$$
here=$(dirname "$(readlink -f "$0")")

nft -f - << END
add table ip by_hand
add chain ip by_hand prerouting { type nat hook prerouting priority dstnat; }
add rule ip by_hand prerouting iifname $bridge udp dport 69 dnat ip to $address:$port
END
btrfs subvolume snapshot "$machine" "$work" > /dev/null
ip tuntap add dev "$tap" mode tap
ip link set dev "$tap" master "$bridge" up

cd "$work"
echo "start $(date +%s.%N)"
qemu-system-x86_64 -machine "$type" -accel tcg,thread=multi -cpu max -m "$ram" -nodefaults -display none \
  -serial "file:$folder/console" -no-reboot -kernel vmlinuz -initrd initrd.img -append "$append" \
  -netdev "tap,id=net0,ifname=$tap,script=no,downscript=no" -device "virtio-net-pci,netdev=net0,mac=$mac" \
  -drive if=none,id=disk0,file=disk.img,format=raw,cache=unsafe -device virtio-blk-pci,drive=disk0 &
qemu=$!
python3 "$here/inetd.py" "$address" "$port" "$qemu" "$folder/put/manifest" \
  /usr/sbin/in.tftpd --timeout 1 --permissive --create --user root --map-file "$here/by_hand.map" --secure "$folder"
kill -9 "$qemu"
wait "$qemu" 2> /dev/null || :
cd /
btrfs subvolume delete "$work" > /dev/null
echo "gone $(date +%s.%N)"
ip link delete "$tap"
nft delete table ip by_hand
