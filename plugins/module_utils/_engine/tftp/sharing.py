# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Sockets that share one UDP port: the kernel gives each datagram to the one of its sender."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
import typing as t

# From the kernel's headers: asm-generic/socket.h, linux/filter.h and linux/bpf_common.h.
_SO_ATTACH_REUSEPORT_CBPF = 51
_LOAD_WORD, _IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NETWORK_HEADER = -0x100000
_SOURCE = 12  # of IPv4, RFC 791


def bind_for_each(address: str, port: int, clients: t.Sequence[str]) -> list[socket.socket]:
    """Return sockets bound to `address` and `port`, one for each IPv4 address in `clients`.

    A socket hears its client only, but the first one all others as well. Raises OSError.
    """
    sockets: list[socket.socket] = []
    try:
        for _client in clients:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sockets.append(sock)
            if len(clients) > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((address, port))
        if len(clients) > 1:
            _share(sockets[0], clients)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return sockets


def _share(sock: socket.socket, clients: t.Sequence[str]) -> None:
    """Have the kernel choose by the sender's address among the sockets of the port of `sock`.

    It is told by a program whose result is the number of the socket, in the order of binding;
    see socket(7), SO_ATTACH_REUSEPORT_CBPF.
    """
    program = [_instruction(_LOAD_WORD, _NETWORK_HEADER + _SOURCE)]
    for number, client in enumerate(clients):
        # The next instruction if it is this one, else the one after that.
        program.append(_instruction(_IF_EQUAL, int(ipaddress.IPv4Address(client)), 0, 1))
        program.append(_instruction(_RETURN, number))
    program.append(_instruction(_RETURN, 0))
    code = ctypes.create_string_buffer(b"".join(program))
    described = struct.pack("@HP", len(program), ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, described)


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value & 0xFFFFFFFF)
