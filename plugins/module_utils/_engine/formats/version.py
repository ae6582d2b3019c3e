# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Standard versions: `[+<epoch>-]<major>.<minor>.<patch>[-(a|b).<num>[.<sn>[.<id>]]][+<rev>]`.

Toolchains and their packages have these; the versions of packages to be built are looser and none
of our business. Facts: libbutl `standard-version.cxx`, whose verdicts and wording are matched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import total_ordering

from ..errors import EngineError

LATEST_SN = 2**64 - 1
"""The snapshot number of `z`, the latest snapshot."""

_STUB = 2**64 - 1
_MAX_PART = 99999
_MAX_PRE_RELEASE = 499
_MAX_16_BIT = 2**16 - 1

# What C's strtoull() takes for a number, blanks in front included.
_C_NUMBER = re.compile(r"[ \t\n\v\f\r]*(?P<sign>[+-]?)(?P<digits>[0-9]+)")
_ID = re.compile("[A-Za-z0-9]*")


class StandardVersionError(EngineError, ValueError):
    """A text is not a standard version; the message says which part of it is wrong."""

    temporary = False


@total_ordering
@dataclass(frozen=True, eq=False)
class StandardVersion:
    """A version of a toolchain or of one of its packages.

    The order is by epoch, number, snapshot number and revision. The snapshot id does not count.
    """

    epoch: int
    """1 unless given; 0 for a stub."""
    number: int
    """AAAAABBBBBCCCCCDDDE: major, minor, patch, pre-release, and 1 for a snapshot or earliest."""
    snapshot_sn: int = 0
    """0: not a snapshot, `LATEST_SN`: the latest one."""
    snapshot_id: str = field(default="")
    revision: int = 0

    @classmethod
    def parse(
        cls, text: str, *, allow_earliest: bool = False, allow_stub: bool = False
    ) -> StandardVersion:
        """Read a version; the forms `1.2.3-` (earliest) and `0` (stub) must be allowed to be read.

        Raises `StandardVersionError`.
        """
        return _Parser(text).version(allow_earliest, allow_stub)

    def _key(self) -> tuple[int, int, int, int]:
        return self.epoch, self.number, self.snapshot_sn, self.revision

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, StandardVersion) else NotImplemented

    def __lt__(self, other: StandardVersion) -> bool:
        return self._key() < other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def stub(self) -> bool:
        """A placeholder for a package that is not built from source."""
        return self.number == _STUB

    @property
    def snapshot(self) -> bool:
        """Between two releases or pre-releases."""
        return self.snapshot_sn != 0

    @property
    def latest_snapshot(self) -> bool:
        """Whichever snapshot is the latest."""
        return self.snapshot_sn == LATEST_SN

    @property
    def earliest(self) -> bool:
        """Before every pre-release of its release."""
        return self.number % 10000 == 1 and not self.snapshot and not self.stub

    @property
    def release(self) -> bool:
        """Neither a pre-release nor a stub."""
        return self.number % 10000 == 0

    @property
    def final(self) -> bool:
        """Neither a snapshot nor a stub."""
        return not self.snapshot and not self.stub

    @property
    def pre_release(self) -> int | None:
        """The pre-release number, betas counted from 500; None for a release or a stub."""
        return None if self.release or self.stub else self.number // 10 % 1000

    @property
    def alpha(self) -> int | None:
        """The alpha number (0: snapshots before a.1, and the earliest version), or None."""
        return pre if (pre := self.pre_release) is not None and pre < 500 else None

    @property
    def beta(self) -> int | None:
        """The beta number (0: snapshots before b.1), or None."""
        return pre - 500 if (pre := self.pre_release) is not None and pre >= 500 else None

    def _parts(self) -> tuple[int, int, int]:
        if self.stub:
            return 0, 0, 0
        release = self.number // 10000 + (self.pre_release is not None)
        return release // 10**10, release // 10**5 % 10**5, release % 10**5

    @property
    def major(self) -> int:
        """The first part of the release; 0 for a stub."""
        return self._parts()[0]

    @property
    def minor(self) -> int:
        """The second part of the release; 0 for a stub."""
        return self._parts()[1]

    @property
    def patch(self) -> int:
        """The third part of the release; 0 for a stub."""
        return self._parts()[2]

    def __str__(self) -> str:
        """Return the whole version."""
        epoch = f"+{self.epoch}-" if self.epoch != 1 and not self.stub else ""
        revision = f"+{self.revision}" if self.revision else ""
        return f"{epoch}{self.string_project()}{revision}"

    def string_project(self) -> str:
        """Return the version of the project: no epoch, no revision."""
        return self.string_version() + self.string_snapshot()

    def string_project_id(self) -> str:
        """Return the version of the project, a snapshot shown by its id alone if it has one."""
        return self.string_version() + (self.snapshot_id or self.string_snapshot())

    def string_version(self) -> str:
        """Return release and pre-release, with the dot that is to be followed by a snapshot."""
        if self.stub:
            return "0"
        pre_release = "" if self.release else f"-{self.string_pre_release()}"
        return f"{'.'.join(map(str, self._parts()))}{pre_release}{'.' if self.snapshot else ''}"

    def string_pre_release(self) -> str:
        """Return the pre-release, as in `a.1`; empty for releases and the earliest version."""
        if self.earliest:
            return ""
        if (beta := self.beta) is not None:
            return f"b.{beta}"
        return "" if self.alpha is None else f"a.{self.alpha}"

    def string_snapshot(self) -> str:
        """Return the snapshot, as in `1234.1f23` or `z`; empty if this is none."""
        if not self.snapshot:
            return ""
        if self.latest_snapshot:
            return "z"
        return (
            f"{self.snapshot_sn}.{self.snapshot_id}" if self.snapshot_id else f"{self.snapshot_sn}"
        )


class _Parser:
    """A scanner over one version; the end of the text reads as the character NUL."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def version(self, allow_earliest: bool, allow_stub: bool) -> StandardVersion:
        has_epoch = self._skip("+")
        epoch = 1
        if has_epoch:
            epoch = self._number("invalid epoch", 1, _MAX_16_BIT)
            self._expect("-", "'-' expected after epoch")
        major = self._number("invalid major version", 0, _MAX_PART)
        at_end = self._at == len(self._text)
        if allow_stub and not has_epoch and major == 0 and (at_end or self._peek() == "+"):
            return StandardVersion(0, _STUB, revision=self._rest())
        self._expect(".", "'.' expected after major version")
        minor = self._number("invalid minor version", 0, _MAX_PART)
        self._expect(".", "'.' expected after minor version")
        patch = self._number("invalid patch version", 0, _MAX_PART)
        number = major * 10**14 + minor * 10**9 + patch * 10**4
        if number == 0:
            raise StandardVersionError("0.0.0 version")
        sn, snapshot_id = 0, ""
        if self._skip("-"):
            earliest = allow_earliest and self._peek() == "\0"
            pre_release = 0
            if not earliest:
                pre_release, sn, snapshot_id = self._pre_release()
            number += pre_release * 10 - 10**4 + (earliest or sn != 0)
        return StandardVersion(epoch, number, sn, snapshot_id, self._rest())

    def _pre_release(self) -> tuple[int, int, str]:
        """Read what follows the dash: DDD, snapshot number, snapshot id."""
        letter = self._peek()
        self._at += 1
        if letter not in ("a", "b"):
            raise StandardVersionError("'a' or 'b' expected in pre-release")
        self._expect(".", "'.' expected after pre-release letter")
        number = self._number("invalid pre-release", 0, _MAX_PRE_RELEASE)
        sn, snapshot_id = 0, ""
        if self._skip("."):
            sn, snapshot_id = self._snapshot()
        elif number == 0:
            raise StandardVersionError("invalid final pre-release")
        return number + (500 if letter == "b" else 0), sn, snapshot_id

    def _snapshot(self) -> tuple[int, str]:
        if self._skip("z"):
            return LATEST_SN, ""
        sn = self._number("invalid snapshot number", 1, LATEST_SN - 1)
        if not self._skip("."):
            return sn, ""
        match = _ID.match(self._text, self._at)
        snapshot_id = match.group() if match else ""
        if not 1 <= len(snapshot_id) <= 16:
            raise StandardVersionError("invalid snapshot id")
        self._at += len(snapshot_id)
        return sn, snapshot_id

    def _rest(self) -> int:
        """Read the revision, if any; nothing may follow."""
        revision = 0
        if self._skip("+"):
            revision = self._number("invalid revision", 1, _MAX_16_BIT)
        if self._at != len(self._text):
            raise StandardVersionError("junk after version")
        return revision

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1] or "\0"

    def _skip(self, char: str) -> bool:
        found = self._text.startswith(char, self._at)
        self._at += found
        return found

    def _expect(self, char: str, otherwise: str) -> None:
        if not self._skip(char):
            raise StandardVersionError(otherwise)

    def _number(self, otherwise: str, low: int, high: int) -> int:
        # A sign is let through behind blanks, and a minus wraps around: strtoull() does so.
        match = _C_NUMBER.match(self._text, self._at)
        digits = match["digits"].lstrip("0") if match else ""
        if match is None or self._peek() in "+-" or len(digits) > len(str(2**64)):
            raise StandardVersionError(otherwise)
        number = int(digits or "0")
        if number >= 2**64:
            raise StandardVersionError(otherwise)
        if match["sign"] == "-":
            number = -number % 2**64
        if not low <= number <= high:
            raise StandardVersionError(otherwise)
        self._at = match.end()
        return number
