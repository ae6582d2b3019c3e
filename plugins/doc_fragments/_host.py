# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is private to this collection and may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  machines:
    description:
      - The folder of the machines, laid out as bbot's C(--machines) says. Each folder in it is a volume.
    type: path
    default: /build/machines
  storage:
    description:
      - How machines are kept.
      - With V(btrfs) they are subvolumes, which takes a btrfs file system. A task is performed in a snapshot.
      - With V(directory) they are directories on any file system. A task is performed on overlays of the disks, or on
        copies that share their blocks where the file system can do that; a bootstrap works on a copy.
      - V(auto) takes what is there for what it is, and makes subvolumes on btrfs and directories elsewhere.
    type: str
    choices: [auto, btrfs, directory]
    default: auto
  tftp:
    description:
      - The folder that guests fetch from and upload to, laid out as bbot's C(--tftp) says.
    type: path
    default: /build/tftp
  state_dir:
    description: The folder of locks, leases and cached findings.
    type: path
    default: /var/lib/bbot-agent
  toolchain:
    description: The name of the toolchain, a folder in C(toolchains/) of O(tftp).
    type: str
    default: default
"""

    VM = r"""
options:
  bridge:
    description:
      - A bridge of the build host to run guests on. It must have an IPv4 address and a DHCP server. One task at a time
        runs on a machine then.
      - By default each running machine has a network of its own, which nobody else reaches.
    type: str
  egress:
    description:
      - What guests reach beside the agent. With V(none) it is nothing, and names are refused at once.
      - With V(nat) they reach the world by the host's address, but neither private networks nor each other. The host
        must be ready for that, as the role P(bbot.agent.host#role) makes it with its O(bbot.agent.host#role:main:host_egress).
        Who is not root needs slirp4netns and nftables.
      - With V(proxy) they reach O(egress_proxy), and what that lets them reach. Builds are told of it by C(http_proxy),
        C(https_proxy) and C(no_proxy).
    type: str
    choices: [none, nat, proxy]
    default: none
  egress_proxy:
    description:
      - The HTTP proxy that guests reach with O(egress=proxy), as C(HOST:PORT), as the build host reaches it. It may be
        on the loopback interface of the host, such as a cache of packages.
    type: str
    default: ""
  egress_refused:
    description:
      - The networks in CIDR notation that guests do not reach even so, instead of those that are private, link-local or
        reserved.
    type: list
    elements: str
    default: []
  resolvers:
    description: The addresses of those who are asked what names stand for, instead of the resolvers of the host.
    type: list
    elements: str
    default: []
  disk_reserve:
    description:
      - How many KiB to keep free on the disks of O(machines), O(tftp) and O(state_dir), or a twentieth of a small one.
      - While there is less, no machine is started. Whoever wants one waits, as for memory.
    type: int
    default: 1048576
  user:
    description:
      - The user that QEMU runs as. Give V(root) on a host that has no other.
    type: str
    default: bbot
  runtime_dir:
    description: The folder of the sockets of running machines.
    type: path
    default: /run/bbot-agent
  log_dir:
    description: The folder in which each bootstrap and each task gets a folder for its logs.
    type: path
    default: /var/log/bbot-agent
  accelerator:
    description:
      - How guests run. V(auto) is V(kvm) where the CPU offers virtualisation and a canary guest has run under it,
        else V(tcg).
    type: str
    choices: [auto, kvm, tcg]
    default: auto
  cpu:
    description: CPUs of a machine.
    type: int
    default: 1
  ram:
    description: Memory of a machine in KiB, within the bounds that its own manifest sets.
    type: int
    default: 1048576
  tftp_port:
    description:
      - The UDP port of the TFTP server on the address of O(bridge). With V(0) each machine has a usual one, from 61000
        on, or any other one where that is taken.
    type: int
    default: 0
  hold:
    description:
      - For how many seconds a machine that failed is kept suspended, to be looked into through its VNC socket, or by
        C(bbot-agent shell), which lets it go on. The machine is then thrown away, or when the last visitor has left.
    type: int
    default: 0
  warm:
    description:
      - The machines that start warm, by name, or by a pattern such as V(debian*).
      - The bootstrap of such a machine saves it once, running, at the moment when its worker asks for a task.
        A task resumes a clone of that instead of booting, within a fraction of a second.
      - A saved machine fits the QEMU, the CPU, the number of CPUs and the memory that it was saved with, and the very
        bootstrap. Where it does not fit, or is damaged, the task boots its machine, and a warning says why.
      - The worker of the machine must know that it may be resumed, as the one of the role P(bbot.agent.toolchain#role)
        does. Machines with another one are not saved.
    type: list
    elements: str
    default: []
  progress_file:
    description:
      - A file on the build host that lines on the progress are appended to.
      - Where it is given by the action plugin of this module, its lines appear live on the control node.
    type: path
  lease_file:
    description:
      - A file on the build host whose time stamp somebody renews while the outcome is wanted.
        When it is older than O(lease_timeout) seconds, or gone, the machine is thrown away and the module fails.
      - Set by the action plugin of this module, so that a play that was interrupted leaves no machine running.
    type: path
  lease_timeout:
    description: How many seconds O(lease_file) may be old.
    type: int
    default: 120
  scratch_dir:
    description:
      - A folder on the build host that is removed with all that is in it if the module ends because nobody waits for
        it any more (O(lease_file)).
      - Set by the action plugin of this module, to the folder of its own files.
    type: path
"""
