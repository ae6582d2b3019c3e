# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of TFTP: RFC 1350, 2347, 2348, 2349, 7440."""

from __future__ import annotations

import os
import select
import socket
import struct
import time

from .errors import WorkerError

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from typing import IO

# The address by which guests reach their agent, and TFTP's port (bbot-worker's default).
TFTP_HOST = "196.254.111.222"
TFTP_PORT = 69

_RRQ, _WRQ, _DATA, _ACK, _ERROR, _OACK = range(1, 7)
BLOCK_SIZE = 1468
WINDOW_SIZE = 16
_REPEAT_AFTER = 1.0  # Seconds; doubled with each repetition up to
_REPEAT_MOST = 8.0


class TftpError(WorkerError):
    """A transfer that failed; ``code`` is that of RFC 1350, or None when nobody answered."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message, "abort" if code is None else "error")
        self.code = code


class Tftp:
    """A client for one server.

    The server may answer from another address than the one asked: behind the agent's redirection
    that is the rule. The first to answer is the partner of the transfer.
    """

    def __init__(self, host: str = TFTP_HOST, port: int = TFTP_PORT) -> None:
        self.address = (host, port)

    def get(self, name: str, file: IO[bytes], patience: float = 30.0) -> int:
        """Fetch *name* into *file*; the number of bytes.

        *patience* is how many seconds without progress are borne. Raises TftpError.
        """
        return _Transfer(self.address, name, patience).receive(file)

    def put(self, name: str, file: IO[bytes], patience: float = 30.0) -> None:
        """Send the rest of the seekable *file* as *name*. Raises TftpError."""
        _Transfer(self.address, name, patience).send(file)


class _Transfer:
    def __init__(self, address: tuple[str, int], name: str, patience: float) -> None:
        self.name = name
        self.server = f"{address[0]}:{address[1]}"
        self.to = address
        self.partner: tuple[str, int] | None = None
        self.patience = patience
        self.block_size = 512
        self.window_size = 1
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.last_sent: list[bytes] = []

    def receive(self, file: IO[bytes]) -> int:
        with self.socket:
            opcode, block, payload = self._request(_RRQ, {"tsize": "0"})
            if opcode == _OACK:
                self._agree(payload)
                self._send([struct.pack("!HH", _ACK, 0)])
                opcode, block, payload = self._await({_DATA})
            expected, in_window, total = 1, 0, 0
            gap_told = False
            while True:
                if block == expected & 0xFFFF:
                    file.write(payload)
                    total += len(payload)
                    expected += 1
                    in_window += 1
                    gap_told = False
                    last = len(payload) < self.block_size
                    if last or in_window == self.window_size:
                        self._send([struct.pack("!HH", _ACK, block)])
                        in_window = 0
                    if last:
                        return total
                    progress = True
                else:
                    # Lost or repeated blocks: say once where to go on. Once, because each of a
                    # window's remaining blocks would ask for the same again.
                    if not gap_told:
                        self._send([struct.pack("!HH", _ACK, (expected - 1) & 0xFFFF)])
                        in_window = 0
                        gap_told = True
                    progress = False
                # What is repeated on silence is how far the file has come.
                self.last_sent = [struct.pack("!HH", _ACK, (expected - 1) & 0xFFFF)]
                opcode, block, payload = self._await({_DATA}, progress)

    def send(self, file: IO[bytes]) -> None:
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        with self.socket:
            opcode, block, payload = self._request(_WRQ, {"tsize": str(size)})
            if opcode == _OACK:
                self._agree(payload)
            elif block != 0:
                raise self._refuse(f"acknowledged block {block} before it was sent")
            last = size // self.block_size + 1
            done = 0
            progress = True
            while done < last:
                file.seek(start + done * self.block_size)
                until = min(done + self.window_size, last)
                self._send(
                    [
                        struct.pack("!HH", _DATA, number & 0xFFFF) + file.read(self.block_size)
                        for number in range(done + 1, until + 1)
                    ]
                )
                while True:
                    _opcode, block, _payload = self._await({_ACK}, progress)
                    ahead = (block - done) & 0xFFFF
                    if ahead <= until - done:
                        break  # Anything else is an old acknowledgement.
                    progress = False
                progress = ahead > 0
                done += ahead

    def _request(self, opcode: int, options: dict[str, str]) -> tuple[int, int, bytes]:
        options = {"blksize": str(BLOCK_SIZE), "windowsize": str(WINDOW_SIZE), **options}
        first = {_OACK, _DATA if opcode == _RRQ else _ACK}
        try:
            self._send([_request_packet(opcode, self.name, options)])
            return self._await(first)
        except TftpError as error:
            if error.code != 8:
                raise
        # The server minds options: do without.
        self.partner = None
        self._send([_request_packet(opcode, self.name, {})])
        return self._await(first)

    def _agree(self, payload: bytes) -> None:
        fields = payload.decode("ascii", "replace").split("\0")
        agreed = {fields[i].lower(): fields[i + 1] for i in range(0, len(fields) - 1, 2)}
        try:
            self.block_size = int(agreed.get("blksize", 512))
            self.window_size = int(agreed.get("windowsize", 1))
        except ValueError:
            raise self._refuse(f"answered with unreadable options {agreed}") from None
        if not (8 <= self.block_size <= BLOCK_SIZE and 1 <= self.window_size <= WINDOW_SIZE):
            raise self._refuse(f"answered with options that were not asked for: {agreed}")

    def _send(self, packets: list[bytes]) -> None:
        self.last_sent = packets
        for packet in packets:
            try:
                self.socket.sendto(packet, self.partner or self.to)
            except OSError as error:
                # No route yet, a full queue: the same as a lost packet, and repeated like one.
                self.trouble = str(error)
                return
        self.trouble = ""

    def _await(self, opcodes: set[int], progress: bool = True) -> tuple[int, int, bytes]:
        """The next packet of one of the kinds, repeating our last ones during silence."""
        now = time.monotonic()
        if progress:
            self.give_up = now + self.patience
            self.wait = _REPEAT_AFTER
        repeat = now + self.wait
        while True:
            now = time.monotonic()
            if now >= self.give_up:
                trouble = f" ({self.trouble})" if self.trouble else ""
                raise TftpError(
                    f"no answer about '{self.name}' from {self.server} "
                    f"for {self.patience:g} seconds{trouble}"
                )
            if now >= repeat:
                self._send(self.last_sent)
                self.wait = min(self.wait * 2, _REPEAT_MOST)
                repeat = now + self.wait
            ready, _writable, _failed = select.select(
                [self.socket], [], [], min(repeat, self.give_up) - now
            )
            if not ready:
                continue
            try:
                packet, sender = self.socket.recvfrom(65536)
            except OSError as error:  # An ICMP answer to what we sent.
                self.trouble = str(error)
                continue
            if self.partner is not None and sender != self.partner:
                self.socket.sendto(struct.pack("!HH", _ERROR, 5) + b"not you\0", sender)
                continue
            if len(packet) < 4:
                continue
            opcode, number = struct.unpack_from("!HH", packet)
            if opcode == _ERROR:
                text = packet[4:].split(b"\0")[0].decode("utf-8", "replace")
                raise TftpError(
                    f"{self.server} refuses '{self.name}': {text or 'no reason given'} "
                    f"(TFTP error {number})",
                    number,
                )
            if opcode not in opcodes:
                continue
            self.partner = sender
            return (opcode, 0, packet[2:]) if opcode == _OACK else (opcode, number, packet[4:])

    def _refuse(self, reason: str) -> TftpError:
        self.socket.sendto(struct.pack("!HH", _ERROR, 8) + b"no\0", self.partner or self.to)
        return TftpError(f"{self.server} {reason} (file '{self.name}')", 8)


def _request_packet(opcode: int, name: str, options: dict[str, str]) -> bytes:
    fields = [name, "octet", *(text for pair in options.items() for text in pair)]
    return struct.pack("!H", opcode) + "\0".join(fields).encode() + b"\0"
