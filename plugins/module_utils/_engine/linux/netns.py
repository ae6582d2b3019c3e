# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Network namespaces (network_namespaces(7)): entered, left and held by descriptors.

Who is not root makes and enters them in a user namespace of its own (user_namespaces(7)), in
which it stays who it is and has all capabilities over what was made there.
"""

from __future__ import annotations

import ctypes
import fcntl
import os

# linux/sched.h
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000
# The user namespace that owns another one (ioctl_ns(2)).
_NS_GET_USERNS = 0xB701

# What keeps users from namespaces: a file of the kernel, the value that does, the way out.
_SWITCHES = (
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "have root run: sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "have root run: sysctl -w user.max_user_namespaces=10000",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "have root run: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)

_libc = ctypes.CDLL(None, use_errno=True)


def unshare_network() -> None:
    """Put this thread into a new network namespace, in which nothing is up. Raises OSError."""
    if os.geteuid() == 0:
        _check(_libc.unshare(_CLONE_NEWNET))
        return
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET))
    # Who is not root may map a group only after it has renounced the others.
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def enter_network(namespace: int) -> None:
    """Put this thread into the network namespace of a descriptor. Raises OSError.

    Who is not root comes into the user namespace that owns it, too, and has no other thread.
    """
    if os.geteuid() != 0:
        owner = owner_of(namespace)
        try:
            if not os.path.samestat(os.fstat(owner), os.stat("/proc/thread-self/ns/user")):
                _check(_libc.setns(owner, _CLONE_NEWUSER))
        finally:
            os.close(owner)
    _check(_libc.setns(namespace, _CLONE_NEWNET))


def owner_of(namespace: int) -> int:
    """Return a new descriptor of the user namespace that owns the one of a descriptor.

    Raises OSError.
    """
    return fcntl.ioctl(namespace, _NS_GET_USERNS)


def current_network() -> int:
    """Return a new descriptor of this thread's network namespace. Raises OSError."""
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def why_not() -> str:
    """Return what keeps users of this host from namespaces, with the way out.

    Empty if nothing that we know of does.
    """
    for path, bad, way_out in _SWITCHES:
        try:
            with open(path, encoding="ascii") as file:
                value = file.read().strip()
        except OSError:
            continue
        if value == bad:
            return f"{path} is {value}; {way_out}"
    return ""


def _check(result: int) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
