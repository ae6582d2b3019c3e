# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest is in memory: pairs, manifests, their errors. The format: `_manifest.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import overload

from ...errors import EngineError


class ManifestError(EngineError, ValueError):
    """A manifest is not well formed, or not of the type expected.

    It prints `name:line:column: error: description`, without the place if that is unknown (line 0:
    a manifest made in memory), like libbutl's `manifest_parsing`.
    """

    temporary = False

    def __init__(self, name: str, line: int, column: int, description: str) -> None:
        """Keep the source's `name`, the 1-based place (columns are code points) and the reason."""
        self.name = name
        self.line = line
        self.column = column
        self.description = description
        place = [name] if name else []
        if line:
            place += [str(line), str(column)]
        super().__init__(
            f"{':'.join(place)}: error: {description}" if place else f"error: {description}"
        )


class SerializationError(EngineError, ValueError):
    """A pair cannot be written. Prints `name: error: description`, like libbutl's counterpart."""

    def __init__(self, name: str, description: str) -> None:
        """Keep the `name` of what is written to, may be empty, and the reason."""
        self.name = name
        self.description = description
        super().__init__(f"{name}: error: {description}" if name else f"error: {description}")


@dataclass(frozen=True, slots=True)
class Pair:
    """A name, its value, and where both were read (1-based; 0: made in memory).

    Two pairs are equal if their names and values are.
    """

    name: str
    value: str
    name_line: int = field(default=0, compare=False)
    name_column: int = field(default=0, compare=False)
    value_line: int = field(default=0, compare=False)
    value_column: int = field(default=0, compare=False)


class Manifest:
    """An ordered list of pairs; names may repeat. Equal to another with the same pairs in order."""

    __slots__ = ("end", "pairs", "source", "start")

    def __init__(
        self,
        pairs: Iterable[Pair | tuple[str, str]] = (),
        source: str = "",
        start: Pair | None = None,
        end: Pair | None = None,
    ) -> None:
        """Make a manifest of `pairs`.

        `source` names where it was read, for errors; `start` and `end` are the pairs that enclose
        it in the pair stream and carry the places for errors about the manifest as a whole.
        """
        self.pairs: list[Pair] = [pair if isinstance(pair, Pair) else Pair(*pair) for pair in pairs]
        self.source = source
        self.start = start if start is not None else Pair("", "1")
        self.end = end if end is not None else Pair("", "")

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __contains__(self, name: object) -> bool:
        return any(pair.name == name for pair in self.pairs)

    def __eq__(self, other: object) -> bool:
        return self.pairs == other.pairs if isinstance(other, Manifest) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Manifest({[(pair.name, pair.value) for pair in self.pairs]!r})"

    def copy(self) -> Manifest:
        """Return an independent manifest with the same pairs and places."""
        return Manifest(self.pairs, self.source, self.start, self.end)

    def names(self) -> list[str]:
        """Return the different names in the order in which they first appear."""
        return list(dict.fromkeys(pair.name for pair in self.pairs))

    def find(self, name: str) -> Pair | None:
        """Return the first pair called `name`."""
        return next((pair for pair in self.pairs if pair.name == name), None)

    @overload
    def get(self, name: str) -> str | None: ...

    @overload
    def get(self, name: str, default: str) -> str: ...

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of `name`, or `default`."""
        pair = self.find(name)
        return default if pair is None else pair.value

    def getall(self, name: str) -> list[str]:
        """Return all values of `name` in order."""
        return [pair.value for pair in self.pairs if pair.name == name]

    def append(self, name: str, value: str) -> None:
        """Add a pair at the end."""
        self.pairs.append(Pair(name, value))

    def set(self, name: str, value: str) -> None:
        """Give `name` this one value, where its first pair stands; at the end if there is none."""
        self.replace(name, [value])

    def replace(self, name: str, values: Sequence[str], after: Sequence[str] = ()) -> None:
        """Give `name` these values instead of its present ones.

        They stand where the first of these stood. If there is none: behind the last pair that has
        one of the names `after`, or else at the end.
        """
        places = [place for place, pair in enumerate(self.pairs) if pair.name == name]
        if places:
            place = places[0]
        else:
            anchors = [place for place, pair in enumerate(self.pairs) if pair.name in after]
            place = anchors[-1] + 1 if anchors else len(self.pairs)
        head = self.pairs[:place]
        tail = [pair for pair in self.pairs[place:] if pair.name != name]
        self.pairs[:] = [*head, *(Pair(name, value) for value in values), *tail]

    def remove(self, name: str) -> int:
        """Drop all pairs called `name`; return how many there were."""
        before = len(self.pairs)
        self.pairs[:] = [pair for pair in self.pairs if pair.name != name]
        return before - len(self.pairs)

    def error_at_name(self, pair: Pair, description: str) -> ManifestError:
        """Return an error that points at the name of `pair`."""
        return ManifestError(self.source, pair.name_line, pair.name_column, description)

    def error_at_value(self, pair: Pair, description: str) -> ManifestError:
        """Return an error that points at the value of `pair`."""
        return ManifestError(self.source, pair.value_line, pair.value_column, description)


class ManifestList(list[Manifest]):
    """The manifests of one stream, plus the stream's name and the pair that ended it."""

    def __init__(self, manifests: Iterable[Manifest], source: str, end: Pair) -> None:
        """Keep `manifests`; `source` and `end` serve errors about what is missing."""
        super().__init__(manifests)
        self.source = source
        self.end = end
