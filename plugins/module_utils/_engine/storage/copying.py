# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Copies of files that cost as little as the file system lets them."""

from __future__ import annotations

import errno
import fcntl
import os

# linux/fs.h
_FICLONE = 0x40049409
# What file systems say that cannot clone files, or not these two.
_NO_CLONE = (
    errno.EOPNOTSUPP,
    errno.ENOTTY,
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EPERM,
    errno.ETXTBSY,
)
_NO_COPY = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_PIECE = 1 << 20
# What one call may copy: it cannot be interrupted.
_STRETCH = 64 << 20


def copy_file(source: str, dest: str, *, clone_only: bool = False) -> bool:
    """Make the new file `dest` a copy of `source`, with its owner, mode and time stamps.

    It shares the blocks with `source` where the file system can do that; else holes stay
    holes. With `clone_only` nothing is copied where it cannot: returns whether there is a
    copy. Raises OSError; what there is of `dest` is the caller's to remove then.
    """
    flags = os.O_CLOEXEC | os.O_NOFOLLOW
    source_fd = os.open(source, os.O_RDONLY | flags)
    try:
        dest_fd = os.open(dest, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600)
        try:
            if not _clone(source_fd, dest_fd):
                if clone_only:
                    os.unlink(dest)
                    return False
                _copy(source_fd, dest_fd)
            _liken(source_fd, dest_fd)
        finally:
            os.close(dest_fd)
    finally:
        os.close(source_fd)
    return True


def _clone(source: int, dest: int) -> bool:
    try:
        fcntl.ioctl(dest, _FICLONE, source)
    except OSError as error:
        if error.errno in _NO_CLONE:
            return False
        raise
    return True


def _copy(source: int, dest: int) -> None:
    size = os.fstat(source).st_size
    os.ftruncate(dest, size)
    place = 0
    while place < size:
        try:
            start = os.lseek(source, place, os.SEEK_DATA)
            end = os.lseek(source, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:
                # All the rest is a hole.
                return
            if error.errno != errno.EINVAL:
                raise
            # A file system that knows no holes.
            start, end = place, size
        _copy_stretch(source, dest, start, min(end, size))
        place = end


def _copy_stretch(source: int, dest: int, start: int, end: int) -> None:
    """Copy what is between these places, which the source has to have."""
    by_kernel = True
    while start < end:
        if by_kernel:
            try:
                done = os.copy_file_range(source, dest, min(end - start, _STRETCH), start, start)
            except OSError as error:
                if error.errno not in _NO_COPY:
                    raise
                by_kernel = False
                continue
        else:
            done = os.pwrite(dest, os.pread(source, min(end - start, _PIECE), start), start)
        if not done:
            raise OSError(errno.EIO, "it is cut off while it is copied")
        start += done


def _liken(source: int, dest: int) -> None:
    stat = os.fstat(source)
    if os.geteuid() == 0:
        os.fchown(dest, stat.st_uid, stat.st_gid)
    os.fchmod(dest, stat.st_mode & 0o777)
    os.utime(dest, ns=(stat.st_atime_ns, stat.st_mtime_ns))
