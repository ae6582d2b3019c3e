# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""What TFTP reads from and writes to disk, confined to a root directory.

Names come from a guest that may be hostile. Nothing here follows a name out of its root,
opens anything but a regular file, or shows an upload before it is whole. Linux only: it
relies on O_PATH and /proc/self/fd.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import typing as t

from .packets import (
    ACCESS,
    DATA,
    FULL,
    HEADER,
    LARGEST_BLOCK,
    LONGEST_NAME,
    NOT_FOUND,
    UNDEFINED,
    NetasciiDecoder,
    TftpError,
    encode_netascii,
    wire_number,
)

# An upload under way; never served, so that nobody reads half of it.
TEMPORARY = ".tftp-upload-"
LONGEST_PART = 255
DEEPEST = 16

# Blocks are read ahead and written behind in about this many bytes.
CHUNK = 128 * 1024
# preadv takes at most IOV_MAX (1024) buffers; more than this gains nothing.
MOST_SLOTS = 256


def split_name(name: str) -> tuple[str, ...]:
    """The path components of a requested name; TftpError for one that cannot be meant well.

    A leading ``/`` is dropped, as tftpd and bbot's map files do.
    """
    if not name or len(os.fsencode(name)) > LONGEST_NAME:
        raise TftpError(f"the file name is empty or longer than {LONGEST_NAME} bytes", ACCESS)
    if not name.isprintable():
        raise TftpError("the file name has a control character in it", ACCESS)
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if not parts or name.endswith("/"):
        raise TftpError("the file name names a directory", ACCESS)
    if ".." in parts or parts[-1].startswith(TEMPORARY):
        raise TftpError("the file name leads where it may not", ACCESS)
    if len(parts) > DEEPEST or any(len(os.fsencode(part)) > LONGEST_PART for part in parts):
        raise TftpError("the file name is too deep or has too long a part", ACCESS)
    return parts


def translate(error: OSError) -> TftpError:
    """The TFTP error for a failed system call. Says nothing of paths on this host."""
    number = error.errno or 0
    if number == errno.ENOENT:
        return TftpError("no such file", NOT_FOUND)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return TftpError("the disk is full", FULL)
    if number in (
        errno.EACCES,
        errno.EPERM,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.EROFS,
    ):
        return TftpError(f"not allowed: {os.strerror(number)}", ACCESS)
    return TftpError(os.strerror(number), UNDEFINED)


@contextlib.contextmanager
def _open_root(root: str) -> t.Iterator[int]:
    # Opened for each request: a root may be removed and made again between two.
    try:
        descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise TftpError("the server's directory is not there", ACCESS) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_download(root: str, name: str) -> int:
    """Open a regular file below ``root`` for reading and return its descriptor.

    Symbolic links are followed as long as they end inside the root. The file is pinned
    with O_PATH first (which has no side effects on devices and FIFOs), then the *pinned*
    object's place and type are judged, so that no swap of a path component helps.
    """
    parts = split_name(name)
    with _open_root(root) as base:
        try:
            pin = _pin(base, parts)
        except OSError as error:
            raise translate(error) from error
        try:
            if not stat.S_ISREG(os.fstat(pin).st_mode):
                raise TftpError("not a regular file", ACCESS)
            return os.open(f"/proc/self/fd/{pin}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise translate(error) from error
        finally:
            os.close(pin)


def _pin(base: int, parts: t.Sequence[str]) -> int:
    """Get hold of what ``parts`` lead to from directory ``base``, if it is inside of that."""
    flags = os.O_PATH | os.O_CLOEXEC
    if len(parts) == 1:
        # Most are just that: a file right in the root.
        pin = os.open(parts[0], flags | os.O_NOFOLLOW, dir_fd=base)
        if not stat.S_ISLNK(os.fstat(pin).st_mode):
            return pin
        os.close(pin)
    pin = os.open("/".join(parts), flags, dir_fd=base)
    try:
        inside = os.readlink(f"/proc/self/fd/{base}").rstrip("/") + "/"
        place = os.readlink(f"/proc/self/fd/{pin}")
        if not place.startswith(inside) or os.path.basename(place).startswith(TEMPORARY):
            raise TftpError("the file lies outside the served directory", ACCESS)
    except BaseException:
        os.close(pin)
        raise
    return pin


class Upload:
    """A file being received: hidden until :meth:`publish`, gone without trace on discard.

    Missing directories of the name are made (and removed again on discard, if empty).
    No symbolic link is ever followed below the root, the last component included. What
    stands in the way and is not a regular file is refused, a regular file is replaced.
    All methods raise TftpError.
    """

    def __init__(self, root: str, name: str, *, netascii: bool = False) -> None:
        *parents, self._name = split_name(name)
        self._decoder = NetasciiDecoder() if netascii else None
        self._buffer = memoryview(bytearray(CHUNK + LARGEST_BLOCK))
        self._fill = 0
        self._made: list[tuple[int, str]] = []
        self._directory = -1
        self._file = -1
        self._temporary = TEMPORARY + secrets.token_hex(8)
        with _open_root(root) as base:
            self._directory = os.dup(base)
        try:
            for part in parents:
                self._enter(part)
            self._refuse_obstacle()
            self._file = os.open(
                self._temporary,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o666,
                dir_fd=self._directory,
            )
        except OSError as error:
            self.discard()
            raise translate(error) from error
        except TftpError:
            self.discard()
            raise

    def _enter(self, part: str) -> None:
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        parent = self._directory
        made = False
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, 0o777, dir_fd=parent)
            made = True
        if made:
            self._made.append((os.dup(parent), part))
        self._directory = os.open(part, flags, dir_fd=parent)
        os.close(parent)

    def _refuse_obstacle(self) -> None:
        try:
            there = os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(there.st_mode):
            raise TftpError("what has this name already is not a regular file", ACCESS)

    def write(self, piece: memoryview) -> None:
        """Append a block, of at most 65464 bytes."""
        end = self._fill + len(piece)
        self._buffer[self._fill : end] = piece
        self._fill = end
        if end >= CHUNK:
            self._flush()

    def _flush(self, *, final: bool = False) -> None:
        rest = self._buffer[: self._fill]
        if self._decoder:
            rest = memoryview(self._decoder.decode(rest, final=final))
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            raise translate(error) from error
        self._fill = 0

    def publish(self) -> None:
        """Write what is left and let the file appear under its name, whole, in one step."""
        self._flush(final=True)
        try:
            os.close(self._file)
            self._file = -1
            self._refuse_obstacle()
            os.rename(
                self._temporary,
                self._name,
                src_dir_fd=self._directory,
                dst_dir_fd=self._directory,
            )
        except OSError as error:
            raise translate(error) from error
        self._close()

    def discard(self) -> None:
        """Remove every trace; harmless after publish or a second time."""
        if self._directory >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._directory)
            for parent, part in reversed(self._made):
                with contextlib.suppress(OSError):
                    os.rmdir(part, dir_fd=parent)
        self._close()

    def _close(self) -> None:
        if self._file >= 0:
            with contextlib.suppress(OSError):
                os.close(self._file)
        if self._directory >= 0:
            os.close(self._directory)
        for parent, _part in self._made:
            os.close(parent)
        self._made.clear()
        self._file = self._directory = -1
        # A finished upload may be remembered for a while, its buffer need not be.
        self._buffer = memoryview(b"")


class Blocks:
    """The DATA packets of a file, cut and numbered, many read with one system call.

    One bytearray holds consecutive packets, header and payload in turn, so that a whole
    window is one slice of it, ready to be sent without copying.

    ``descriptor`` is read by offset and belongs to this object. ``last`` is the number of
    the last block (a file's first has 1), ``size`` the length on the wire in bytes; both
    None until known. A file that grows meanwhile is sent as long as it was at the start,
    one that shrinks ends early.
    """

    def __init__(self, descriptor: int, *, block: int, window: int, rollover: int = 0) -> None:
        self._descriptor = descriptor
        self._block = block
        self._rollover = rollover
        self._length = os.fstat(descriptor).st_size
        self.stride = block + HEADER.size
        self.size = self._size_on_wire()
        self.last = None if self.size is None else self.size // block + 1
        slots = max(window, min(CHUNK // self.stride, MOST_SLOTS))
        if self.last is not None:
            slots = min(slots, self.last)
        self._buffer = memoryview(bytearray(slots * self.stride))
        self._slots = [
            self._buffer[start + HEADER.size : start + self.stride]
            for start in range(0, slots * self.stride, self.stride)
        ]
        self._wholes = [
            self._buffer[start : start + self.stride]
            for start in range(0, slots * self.stride, self.stride)
        ]
        self._first = self._end = 1
        self._tail = 0

    def _size_on_wire(self) -> int | None:
        return self._length

    def packets(self, first: int, count: int) -> tuple[memoryview, int]:
        """Up to ``count`` packets from block ``first`` on, and how many they are.

        All but a file's last one are ``stride`` bytes long. ``first`` never goes back, nor
        skips what was not handed out before. Raises TftpError.
        """
        stop = first + count
        if self.last is not None and stop > self.last:
            stop = self.last + 1
        if stop > self._end:
            self._load(first)
            stop = min(stop, self._end)
        low = (first - self._first) * self.stride
        high = (stop - self._first) * self.stride
        if stop - 1 == self.last:
            high -= self._block - self._tail
        return self._buffer[low:high], stop - first

    def whole(self, number: int) -> memoryview | None:
        """The packet of one block, if it is at hand and not the last one; else packets() has it."""
        if self._first <= number < self._end and number != self.last:
            return self._wholes[number - self._first]
        return None

    def payload(self, count: int) -> int:
        """How many bytes the first ``count`` blocks carry, all of which have been loaded."""
        whole = count * self._block
        return whole if count != self.last else whole - self._block + self._tail

    def _load(self, first: int) -> None:
        try:
            length = self._read(first)
        except OSError as error:
            raise translate(error) from error
        count, tail = divmod(length, self._block)
        if count < len(self._slots):
            self.last = first + count
            self._tail = tail
            count += 1
        self._first, self._end = first, first + count
        for slot in range(count):
            number = wire_number(first + slot, self._rollover)
            HEADER.pack_into(self._buffer, slot * self.stride, DATA, number)

    def _read(self, first: int) -> int:
        """Fill the slots from block ``first`` on; how many bytes there were."""
        offset = (first - 1) * self._block
        return min(os.preadv(self._descriptor, self._slots, offset), self._length - offset)

    def close(self) -> None:
        """Let go of file and buffer; harmless a second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._slots.clear()
            self._wholes.clear()
            self._end = self._first
            self._buffer = memoryview(b"")


class NetasciiBlocks(Blocks):
    """The same for netascii, whose length on the wire is known only at the end.

    What was translated is kept until it has been acknowledged: a place in the translation
    cannot be found again in the file.
    """

    def __init__(self, descriptor: int, *, block: int, window: int, rollover: int = 0) -> None:
        self._kept = b""
        self._kept_from = 1
        self._position = 0
        super().__init__(descriptor, block=block, window=window, rollover=rollover)

    def _size_on_wire(self) -> int | None:
        return None

    def _read(self, first: int) -> int:
        kept = self._kept[(first - self._kept_from) * self._block :]
        room = len(self._slots) * self._block
        while len(kept) < room and self._position < self._length:
            count = min(CHUNK, self._length - self._position)
            piece = os.pread(self._descriptor, count, self._position)
            if not piece:
                break
            self._position += len(piece)
            kept += encode_netascii(piece)
        self._kept, self._kept_from = kept, first
        length = min(room, len(kept))
        for slot, start in enumerate(range(0, length, self._block)):
            part = kept[start : min(start + self._block, length)]
            self._slots[slot][: len(part)] = part
        return length
