# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of the typed manifests: each function here checks one and returns what it means.

They raise `ValueError` with the reason in a few words; who knows the place adds it. Facts: libbutl,
libbpkg and the observed conduct of brep.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable
from functools import total_ordering

from ..formats.version import StandardVersion

_WORD_CHARS = re.compile(r"[^ \t\r\n'\"]+|(?P<blank>[ \t\r\n]+)|(?P<quote>['\"])")
_QUOTE_NEEDED = re.compile("[ \t\r\n'\"]")
_HEX_64 = re.compile("[0-9a-f]{64}")
_SOURCE_CHECKSUM = re.compile("sha256:[0-9a-f]{64}")
_FINGERPRINT = re.compile("[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31}")
_MAC = re.compile("[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}")
_PACKAGE_NAME = re.compile("[A-Za-z][A-Za-z0-9_+.-]*[A-Za-z0-9+]")
# The first is an epoch as libbpkg wrote it in 2017.
_PACKAGE_VERSION = re.compile("(?:[0-9]+~)?[A-Za-z0-9.+-]+")
_RESERVED_NAMES = frozenset(
    ["build", "con", "prn", "aux", "nul"]
    + [f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10)]
)


@total_ordering
class Status(enum.Enum):
    """How an operation, or a whole task, ended. A greater one is the graver."""

    SKIP = "skip"
    """Nothing to do: the checksums are unchanged."""
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"
    ABORT = "abort"
    """Given up: out of time or resources."""
    ABNORMAL = "abnormal"
    """The tools or the worker crashed."""
    INTERRUPT = "interrupt"
    """Dropped in favour of a more urgent task."""

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Status):
            return NotImplemented
        return _STATUS_ORDER[self] < _STATUS_ORDER[other]

    def __str__(self) -> str:
        return str(self.value)


_STATUS_ORDER = {status: place for place, status in enumerate(Status)}


def to_status(text: str) -> Status:
    """Return the status called `text`."""
    try:
        return Status(text)
    except ValueError:
        names = ", ".join(map(str, Status))
        raise ValueError(f"'{text}' is none of {names}") from None


def to_boolean(text: str) -> bool:
    """Return what `true` or `false` means."""
    if text not in ("true", "false"):
        raise ValueError(f"'{text}' is neither 'true' nor 'false'")
    return text == "true"


def to_uint64(text: str) -> int:
    """Return an unsigned 64-bit number."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"'{text}' is not a number")
    digits = text.lstrip("0") or "0"
    if len(digits) > 20 or int(digits) >= 2**64:
        raise ValueError(f"'{text}' is too large")
    return int(digits)


def to_version(text: str) -> StandardVersion:
    """Return a standard version."""
    return StandardVersion.parse(text)


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a check for one of a few words."""

    def check(text: str) -> str:
        if text not in choices:
            raise ValueError(f"'{text}' is none of {', '.join(choices)}")
        return text

    return check


def check_sha256(text: str) -> str:
    """Check a SHA-256 sum: 64 lower-case hexadecimal digits."""
    return _matching(_HEX_64, text, "64 lower-case hexadecimal digits expected")


def check_source_checksum(text: str) -> str:
    """Check the checksum that an archive of sources is to have."""
    return _matching(
        _SOURCE_CHECKSUM, text, "'sha256:' and 64 lower-case hexadecimal digits expected"
    )


def check_trust(text: str) -> str:
    """Check whom to trust: `yes` (anyone) or the fingerprint of a repository certificate."""
    if text == "yes":
        return text
    return _matching(_FINGERPRINT, text, "'yes' or 32 hexadecimal bytes joined by ':' expected")


def check_mac(text: str) -> str:
    """Check an Ethernet address: unlike bbot's, ours ends in rules of the host's packet filter."""
    return _matching(_MAC, text, "six hexadecimal bytes joined by ':' expected")


def check_url(text: str) -> str:
    """Check a URL as far as not to accept what can only be a mistake."""
    if ":" not in text or any(char.isspace() for char in text):
        raise ValueError(f"'{text}' is not a URL")
    return text


def check_package_name(text: str) -> str:
    """Check the name of a package (libbpkg's rules: reserved ones are so in lower case only)."""
    if text in _RESERVED_NAMES:
        raise ValueError(f"'{text}' is a reserved name")
    return _matching(
        _PACKAGE_NAME,
        text,
        f"'{text}' is not a letter, then letters, digits, '_+.-', then a letter, digit or '+'",
    )


def check_package_version(text: str) -> str:
    """Check the characters of a package version, which is otherwise opaque to us."""
    return _matching(
        _PACKAGE_VERSION,
        text,
        f"'{text}' has other characters than 'A-Za-z0-9.+-' after an epoch, if any ('1~')",
    )


def check_words(text: str) -> str:
    """Check that a value can be split into words."""
    split_words(text)
    return text


def check_some_words(text: str) -> str:
    """Check that a value can be split into one word at least."""
    if not split_words(text):
        raise ValueError("no words")
    return text


def split_words(text: str) -> list[str]:
    """Split a value at blanks and newlines, and remove one level of quotes.

    Both kinds of quotes hold everything but themselves; there are no escapes. Quoted and plain
    parts that touch are one word. Source: libbutl `string-parser.cxx`.
    """
    result = []
    word: str | None = None
    at = 0
    while match := _WORD_CHARS.match(text, at):
        at = match.end()
        if match["blank"]:
            if word is not None:
                result.append(word)
            word = None
            continue
        part = match.group()
        if quote := match["quote"]:
            end = text.find(quote, at)
            if end < 0:
                raise ValueError("unterminated quoted string")
            part, at = text[at:end], end + 1
        word = (word or "") + part
    if word is not None:
        result.append(word)
    return result


def join_words(values: Iterable[str]) -> str:
    """Undo `split_words()`."""
    return " ".join(map(_quote, values))


def _quote(word: str) -> str:
    if word and not _QUOTE_NEEDED.search(word):
        return word
    # A double quote has to stand in single ones, and these cannot hold their own kind.
    return "'\"'".join(f'"{part}"' for part in word.split('"'))


def _matching(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(otherwise)
    return text
