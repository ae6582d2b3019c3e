# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The agent's key: who we are to a controller, and the answer to its challenge.

The private operations are openssl's, so that a key may also lie in a token that an
engine of openssl reaches. What is computed is brep's (its manual and its check).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import dataclasses
import hashlib
import os
import re
import stat
import tempfile
import typing as t

from ..errors import EngineError
from ..formats.base64 import encode
from ..linux.process import CommandError, Runner, check, find_program
from ..records.exchange import TaskResponse

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----(.*?)-----END PUBLIC KEY-----", re.DOTALL)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class AuthError(EngineError):
    """A key that is not usable; the text names the file and the way out."""

    temporary = False


@dataclasses.dataclass(frozen=True)
class Key:
    """The private RSA key in the PEM file ``path``, which is ours alone.

    ``openssl`` is the program, found by name where it is no path, and ``options``
    are further ones for each of its calls, such as for an engine.
    """

    run: Runner
    path: str
    openssl: str = "openssl"
    options: t.Sequence[str] = ()

    def fingerprint(self) -> str:
        """SHA-256 of the public key (DER of SubjectPublicKeyInfo), in lower-case hexadecimal.

        Raises AuthError.
        """
        self._check_file()
        output = self._openssl("read the public key", ["pkey", "-in", self.path, "-pubout"])
        found = _PEM.search(output)
        try:
            der = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
        except binascii.Error:
            der = b""
        if not der:
            raise AuthError(f"cannot read the public key of {self.path}: openssl printed none")
        return hashlib.sha256(der).hexdigest()

    def answer(self, challenge: str) -> bytes:
        """The signature of ``challenge``: PKCS#1 type 1 over its very bytes, without a hash.

        Raises AuthError.
        """
        self._check_file()
        try:
            signature = self._sign(challenge)
        except OSError as error:
            # Most likely there is no room, which says nothing of the key.
            words = f"cannot sign a challenge: {error.filename or self.path}: {error.strerror}"
            raise AuthError(words, temporary=True) from error
        if not signature:
            raise AuthError(f"cannot sign a challenge with {self.path}: openssl left no answer")
        return signature

    def _sign(self, challenge: str) -> bytes:
        """What openssl leaves; empty if that is nothing. Raises AuthError, and OSError."""
        # Through files: the signature is binary, and a runner may add a newline to its input.
        with tempfile.TemporaryDirectory(prefix="bbot-auth-") as folder:
            asked, answered = os.path.join(folder, "challenge"), os.path.join(folder, "answer")
            with open(asked, "w", encoding="ascii", newline="") as file:
                file.write(challenge)
            arguments = ["pkeyutl", "-sign", "-inkey", self.path, "-in", asked, "-out", answered]
            self._openssl("sign a challenge", arguments)
            with contextlib.suppress(FileNotFoundError), open(answered, "rb") as file:
                return file.read()
            return b""

    def _check_file(self) -> None:
        try:
            mode = os.stat(self.path).st_mode
        except OSError as error:
            raise AuthError(f"cannot read the key {self.path}: {error.strerror}") from error
        if not stat.S_ISREG(mode):
            raise AuthError(f"cannot read the key {self.path}: it is not a file")
        if mode & _OTHERS:
            raise AuthError(
                f"the key {self.path} can be read or changed by others (mode "
                f"{stat.S_IMODE(mode):04o}); run: chmod 600 {self.path}"
            )

    def _openssl(self, purpose: str, arguments: list[str]) -> str:
        try:
            program = self.openssl
            if os.sep not in program:
                program = find_program(program, "openssl")
            # An empty passphrase: nobody is there to be asked for another.
            options = [*self.options, "-passin", "pass:"]
            return check(self.run, [program, *arguments, *options])
        except CommandError as error:
            raise AuthError(
                f"cannot {purpose} with {self.path}, which has to be an RSA key without a "
                f"passphrase: {error}"
            ) from error
        except OSError as error:
            words = f"cannot {purpose}: {self.openssl}: {error.strerror or error}"
            raise AuthError(words, temporary=True) from error


@dataclasses.dataclass(frozen=True)
class Identity:
    """Who asks: the name of this host and, where there is one, its key."""

    host: str
    key: Key | None = None

    def fingerprint(self) -> str | None:
        """The key's fingerprint, if there is a key. Raises AuthError."""
        return None if self.key is None else self.key.fingerprint()

    def answer(self, response: TaskResponse) -> str | None:
        """The answer to the response's challenge, as it goes over the wire; None without one.

        Raises AuthError, if there is no key to sign it with, too.
        """
        if response.challenge is None:
            return None
        if self.key is None:
            raise AuthError(
                "the controller wants agents to authenticate themselves and there is no key; "
                "name one with --auth-key, and give the controller its public half"
            )
        return encode(self.key.answer(response.challenge))
