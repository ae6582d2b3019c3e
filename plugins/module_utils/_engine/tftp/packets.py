# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""TFTP packets, option negotiation and netascii: pure functions, no I/O.

Sources: RFC 1350 (packets, netascii), 2347 (options), 2348 (blksize), 2349 (timeout,
tsize), 7440 (windowsize); ``utimeout`` and ``rollover`` as tftp-hpa means them.
"""

from __future__ import annotations

import struct
import typing as t
from dataclasses import dataclass

from ..errors import EngineError

RRQ, WRQ, DATA, ACK, ERROR, OACK = 1, 2, 3, 4, 5, 6

# RFC 1350 §5 and RFC 2347.
UNDEFINED, NOT_FOUND, ACCESS, FULL, ILLEGAL, UNKNOWN_TID, EXISTS, NO_USER, OPTIONS = range(9)

DEFAULT_BLOCK = 512
SMALLEST_BLOCK, LARGEST_BLOCK = 8, 65464  # RFC 2348
LARGEST_WINDOW = 65535  # RFC 7440
LONGEST_NAME = 1024
LARGEST_DATAGRAM = 65507  # UDP over IPv4
HEADER = struct.Struct("!HH")

Operation = t.Literal["get", "put"]
Mode = t.Literal["octet", "netascii"]


class TftpError(EngineError):
    """A transfer or a server that failed; ``code`` is the TFTP error code it maps to."""

    def __init__(self, message: str, code: int = UNDEFINED) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Request:
    """A read or write request. Option names are lower case, values as sent."""

    operation: Operation
    name: str
    mode: Mode
    options: dict[str, str]


@dataclass(frozen=True)
class Terms:
    """What both sides of a transfer have agreed on.

    ``block`` in bytes, ``window`` in blocks, ``timeout`` in seconds (None: not agreed),
    ``rollover`` is the number that follows block 65535 (0 or 1), ``tsize`` the length in
    bytes announced by the sender, ``accepted`` what the OACK says (empty: no OACK is sent).
    """

    block: int = DEFAULT_BLOCK
    window: int = 1
    timeout: float | None = None
    rollover: int = 0
    tsize: int | None = None
    accepted: tuple[tuple[str, str], ...] = ()


def parse_request(datagram: bytes) -> Request:
    """Read an RRQ or WRQ; raises TftpError with the code to answer with.

    An option list that is cut short is read as far as it goes: RFC 2347 lets a server
    ignore what it does not understand.
    """
    opcode = opcode_of(datagram)
    if opcode not in (RRQ, WRQ):
        raise TftpError(f"opcode {opcode} is not a request", ILLEGAL)
    fields = datagram[2:].split(b"\0")
    if len(fields) < 3:
        raise TftpError("the request lacks its file name or its mode", ILLEGAL)
    try:
        name = fields[0].decode()
    except UnicodeDecodeError:
        raise TftpError("the file name is not UTF-8", ACCESS) from None
    # Names end up in logs and on terminals.
    if not name.isprintable() or len(fields[0]) > LONGEST_NAME:
        raise TftpError(
            f"the file name is longer than {LONGEST_NAME} bytes or has a control character", ACCESS
        )
    mode = fields[1].lower()
    if mode not in (b"octet", b"netascii"):
        raise TftpError("the transfer mode is neither octet nor netascii", ILLEGAL)
    options: dict[str, str] = {}
    values = fields[2:-1]  # what follows the last NUL is not terminated, hence no field
    for key, value in zip(values[::2], values[1::2], strict=False):
        options.setdefault(key.decode("latin-1").lower(), value.decode("latin-1"))
    return Request(
        operation="get" if opcode == RRQ else "put",
        name=name,
        mode="octet" if mode == b"octet" else "netascii",
        options=options,
    )


def build_request(request: Request) -> bytes:
    """The datagram of a request."""
    parts = [request.name, request.mode]
    for key, value in request.options.items():
        parts += [key, value]
    opcode = RRQ if request.operation == "get" else WRQ
    return struct.pack("!H", opcode) + b"".join(part.encode() + b"\0" for part in parts)


def opcode_of(datagram: bytes | memoryview) -> int:
    """The opcode, or 0 if the datagram is too short to have one."""
    return (datagram[0] << 8 | datagram[1]) if len(datagram) >= 2 else 0


def build_ack(number: int) -> bytes:
    return HEADER.pack(ACK, number)


def build_error(code: int, message: str) -> bytes:
    # The message is for people; a very long one would not survive a small MTU.
    return HEADER.pack(ERROR, code) + message.encode()[:400] + b"\0"


def parse_error(datagram: bytes | memoryview) -> tuple[int, str]:
    """Code and message of an ERROR; tolerant, because many senders forget the final NUL.

    Control characters are dropped from the message: it ends up in logs and terminals.
    """
    code = HEADER.unpack_from(datagram)[1] if len(datagram) >= 4 else UNDEFINED
    text = bytes(datagram[4:404]).split(b"\0", 1)[0].decode(errors="replace")
    return code, "".join(c for c in text if c.isprintable())


def build_oack(accepted: t.Iterable[tuple[str, str]]) -> bytes:
    body = "".join(f"{key}\0{value}\0" for key, value in accepted)
    return struct.pack("!H", OACK) + body.encode("latin-1")


def parse_oack(datagram: bytes | memoryview) -> dict[str, str]:
    """Options of an OACK, names in lower case."""
    fields = bytes(datagram[2:]).split(b"\0")[:-1]
    return {
        key.decode("latin-1").lower(): value.decode("latin-1")
        for key, value in zip(fields[::2], fields[1::2], strict=False)
    }


def number_of(text: str, low: int, high: int) -> int | None:
    """A decimal option value inside [low, high], else None."""
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        return None
    number = int(text)
    return number if low <= number <= high else None


def negotiate(
    request: Request,
    *,
    size: int | None,
    largest_block: int,
    largest_window: int,
    window_bytes: int,
) -> Terms:
    """Accept what is understood of a request's options, in the order asked.

    ``size`` is the length in bytes of what a get will send, None if not known (netascii:
    the length on the wire is known only at the end); tsize then stays unanswered. Values out
    of their RFC's range are not acknowledged, so that the default stays in force; a block
    or window larger than the limits is lowered to them, as the RFCs allow. No window gets
    larger than ``window_bytes``: what the sockets can hold.
    """
    options = request.options
    accepted: dict[str, int] = {}

    def take(key: str, low: int, high: int, limit: int | None = None) -> int | None:
        if key not in options:
            return None
        value = number_of(options[key], low, high)
        if value is not None:
            accepted[key] = value if limit is None else min(value, limit)
        return accepted.get(key)

    block = take("blksize", SMALLEST_BLOCK, 1 << 20, largest_block) or DEFAULT_BLOCK
    room = max(1, min(largest_window, window_bytes // block))
    window = take("windowsize", 1, LARGEST_WINDOW, room) or 1
    seconds = take("timeout", 1, 255)
    micros = take("utimeout", 10_000, 255_000_000)
    tsize = take("tsize", 0, 1 << 63)
    if tsize is not None and request.operation == "get":
        del accepted["tsize"]
        if size:  # curl takes a tsize of 0 for an error
            accepted["tsize"] = size
        tsize = size
    return Terms(
        block=block,
        window=window,
        # With both given, the finer one rules.
        timeout=micros / 1_000_000 if micros is not None else seconds,
        rollover=take("rollover", 0, 1) or 0,
        tsize=tsize,
        accepted=tuple((key, str(accepted[key])) for key in options if key in accepted),
    )


def modulus(rollover: int) -> int:
    """How many block numbers there are before they repeat."""
    return 65536 - rollover


def wire_number(block: int, rollover: int) -> int:
    """The 16-bit number of block ``block`` (1 is the first of a file, 0 the OACK's ACK)."""
    if rollover == 0 or block == 0:
        return block & 0xFFFF
    return (block - 1) % 65535 + 1


def encode_netascii(data: bytes) -> bytes:
    """Local text to netascii (RFC 764): LF becomes CR LF, CR becomes CR NUL."""
    return data.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


class NetasciiDecoder:
    """Netascii to local text, piece by piece: a CR at the end of a piece waits for the next.

    A CR followed by neither LF nor NUL is against the RFC and kept as it is.
    """

    def __init__(self) -> None:
        self._carry = b""

    def decode(self, piece: bytes | memoryview, *, final: bool = False) -> bytes:
        data = self._carry + bytes(piece)
        self._carry = b""
        if data.endswith(b"\r") and not final:
            data, self._carry = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")
