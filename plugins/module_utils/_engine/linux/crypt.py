# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Hashes of passwords (crypt(5)), by the library that the host's own accounts are checked with."""

from __future__ import annotations

import ctypes
import hmac
import threading

from ..errors import EngineError

_LIBRARY = "libcrypt.so.1"
# yescrypt and its kin, scrypt, bcrypt, SHA-2: what is older can be guessed.
STRONG = ("$y$", "$gy$", "$7$", "$2a$", "$2b$", "$2y$", "$6$", "$5$")
# The library's answer is in memory of its own, the same for all.
_lock = threading.Lock()


class CryptError(EngineError):
    """Passwords cannot be checked on this host."""

    temporary = False


def is_strong(hashed: str) -> bool:
    """Return whether this is a hash that is not guessed from, as far as its form tells."""
    return hashed.startswith(STRONG) and hashed.isascii() and hashed.isprintable()


def is_password(password: str, hashed: str) -> bool:
    """Return whether the hash is that of the password, in as long as that takes.

    Raises CryptError if the host has no library for that.
    """
    with _lock:
        try:
            crypt = ctypes.CDLL(_LIBRARY).crypt
        except (OSError, AttributeError) as error:
            raise CryptError(
                f"passwords cannot be checked: there is no {_LIBRARY}; install the package "
                "libcrypt1"
            ) from error
        crypt.restype = ctypes.c_char_p
        crypt.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
        if "\0" in password:
            return False
        found = crypt(password.encode(), hashed.encode())
    return found is not None and hmac.compare_digest(found, hashed.encode())
