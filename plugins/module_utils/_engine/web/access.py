# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Who is let in: by the name that the page is asked for under, and by a password."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import os
import secrets
import typing as t

from ..errors import EngineError
from ..linux.crypt import STRONG, is_password, is_strong

# Bytes of a file of passwords, and those of one.
_LARGEST, _LONGEST = 1 << 20, 512
# Of nobody's password, so that an unknown name takes as long as a wrong password.
_NOBODY = "$6$bbotagent$" + "x" * 86
_REMEMBERED = 1000


class AccessError(EngineError):
    """Passwords that cannot be used; the text says which, where, and why."""

    temporary = False


class Names:
    """The names that the page may be asked for under.

    A page elsewhere can have a browser ask us under a name of its own that leads here, and could
    read what we answer then. It cannot do so with an address, or with a name that is not its own.
    """

    def __init__(self, names: t.Iterable[str]) -> None:
        self._names = {name.lower().rstrip(".") for name in ("localhost", *names) if name}

    def is_known(self, host: str) -> bool:
        """Return whether the value of a Host header is a name of ours, or an address."""
        name = _without_port(host).lower().rstrip(".")
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name.strip("[]") if name.startswith("[") else name)
        except ValueError:
            return False
        return True


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and (port.isdigit() or not port) and "]" not in port else host


class Passwords:
    """The users in the file ``path``: lines of a name, a colon and a hash. Raises AccessError."""

    def __init__(self, path: str) -> None:
        self._users = _read(path)
        # A check takes a moment, by design; browsers ask for everything with the password.
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()

    def are_known(self, header: str) -> bool:
        """Return whether the value of an Authorization header has let somebody in before."""
        return self._mark(header) in self._right

    def _mark(self, header: str) -> bytes:
        return hmac.digest(self._key, header.encode(errors="replace"), hashlib.sha256)

    def are_right(self, header: str) -> bool:
        """Return whether the value of an Authorization header lets somebody in.

        Takes as long as a password takes. Raises CryptError.
        """
        scheme, _space, code = header.partition(" ")
        if scheme.lower() != "basic" or len(code) > 4 * _LONGEST:
            return False
        try:
            user, colon, password = base64.b64decode(code, validate=True).decode().partition(":")
        except (ValueError, binascii.Error):
            return False
        if not colon or len(password) > _LONGEST:
            return False
        known = self._users.get(user)
        if not is_password(password, known or _NOBODY) or known is None:
            return False
        if len(self._right) < _REMEMBERED:
            self._right.add(self._mark(header))
        return True


def _read(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        text = data.decode()
    except OSError as error:
        raise AccessError(
            f"cannot read the passwords in {os.path.abspath(path)}: {error.strerror}"
        ) from error
    except UnicodeDecodeError:
        raise AccessError(f"the passwords in {path} are not UTF-8") from None
    if len(data) > _LARGEST:
        raise AccessError(f"the passwords in {path} have more than {_LARGEST} bytes")
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, hashed = line.strip().partition(":")
        if not (user and colon and is_strong(hashed)):
            raise AccessError(
                f"{path}:{number}: expected USER:HASH, the hash as `mkpasswd` or "
                f"`openssl passwd -6` make it ({', '.join(STRONG)})"
            )
        users[user] = hashed
    if not users:
        raise AccessError(f"there is no user in {path}: nobody could see the page")
    return users
