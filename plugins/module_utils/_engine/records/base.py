# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What typed manifests have in common: tables of fields, reading and writing by them.

A record keeps the manifest that it was read from. Writing it puts the present values where the old
ones stood and leaves fields unknown to us where they were, so whatever was not touched comes out as
it came in, from whichever version of bbot.
"""

from __future__ import annotations

import abc
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from ..formats.manifest.model import Manifest, ManifestError, ManifestList, Pair
from ..formats.manifest.parser import parse
from ..formats.manifest.writer import Style, serialize


@dataclass(frozen=True)
class Field:
    """A field of a type of manifest.

    `name` is the name on the wire. One `*` in it stands for a key: such a field is a mapping from
    keys to values. The attribute of the record is called `attribute`, by default like `name` with
    underscores.
    """

    name: str
    convert: Callable[[str], Any] = str
    """Checks a value and returns what it means, or raises `ValueError` with the reason."""
    required: bool = False
    repeats: bool = False
    """The attribute is a tuple."""
    may_be_empty: bool = False
    write: Callable[[Any], str] = str
    """Undoes `convert`."""
    attribute: str = ""
    name_2017: str = ""
    """What the field was called in 2017, if it had another name."""
    newer: bool = False
    """Than the agents and workers of 2017, which do not know it."""

    def __post_init__(self) -> None:
        if not self.attribute:
            object.__setattr__(self, "attribute", self.name.replace("-", "_"))

    @property
    def keyed(self) -> bool:
        """Whether there is a key in the name."""
        return "*" in self.name

    def key_of(self, name: str) -> str | None:
        """Return the key in `name` (without one: empty), or None if that is not this field."""
        if name and name in (self.name, self.name_2017) and not self.keyed:
            return ""
        head, star, tail = self.name.partition("*")
        if not star or not name.startswith(head) or not name.endswith(tail):
            return None
        return name[len(head) : len(name) - len(tail)] or None

    def values(self, value: Any) -> Iterator[tuple[str, str]]:
        """Return the pairs for an attribute's value; none for an absent one."""
        if self.keyed:
            for key, one in value.items():
                yield self.name.replace("*", key), self.write(one)
        elif self.repeats:
            for one in value:
                yield self.name, self.write(one)
        elif value is not None:
            yield self.name, self.write(value)


def write_boolean(value: bool) -> str:
    """Undo `boolean()`."""
    return "true" if value else "false"


class Message(abc.ABC):
    """What is read from, and written to, a stream of one or several manifests."""

    @classmethod
    def parse(
        cls,
        source: bytes | str | Manifest | Sequence[Manifest],
        name: str = "<stdin>",
        *,
        strict: bool = False,
    ) -> Self:
        """Read a record from text, or from manifests read already.

        `name` stands for a text in errors. With `strict` unknown fields are errors; without, they
        are kept and come out again where they were. Raises `ManifestError`.
        """
        if isinstance(source, Manifest):
            return cls.from_manifests([source], strict=strict)
        manifests = parse(source, name) if isinstance(source, (bytes, str)) else source
        return cls.from_manifests(manifests, strict=strict)

    @classmethod
    @abc.abstractmethod
    def from_manifests(cls, manifests: Sequence[Manifest], *, strict: bool = False) -> Self:
        """Read a record from all the manifests of a stream. Raises `ManifestError`."""

    @abc.abstractmethod
    def to_manifests(self) -> list[Manifest]:
        """Return all manifests that the record is made of."""

    def to_text(self, long_lines: bool = False, style: Style = "old") -> str:
        """Write the record, see `serialize()`. Raises `SerializationError`."""
        return serialize(self.to_manifests(), long_lines, style)


@dataclass(frozen=True, kw_only=True)
class Record(Message):
    """A typed manifest. Subclasses say what they are and what fields they have, in wire order."""

    KIND: ClassVar[str]
    """What the manifest is called in errors, such as `machine header`."""
    SUBJECT: ClassVar[str]
    """What its fields are said to belong to in errors, such as `machine`."""
    FIELDS: ClassVar[tuple[Field, ...]]

    origin: Manifest | None = field(default=None, repr=False, compare=False)
    """The manifest that this was read from; serves writing alone."""

    @classmethod
    def from_manifests(cls, manifests: Sequence[Manifest], *, strict: bool = False) -> Self:
        """Read a record from all the manifests of a stream. Raises `ManifestError`."""
        record = cls.from_manifest(nth_of(manifests, 0, cls.KIND), strict=strict)
        no_more(manifests, 1, cls.KIND)
        return record

    @classmethod
    def from_manifest(cls, manifest: Manifest, *, strict: bool = False) -> Self:
        """Read a record from its manifest. Raises `ManifestError`."""
        return cls(**cls.read(manifest, strict), origin=manifest.copy())

    @classmethod
    def read(cls, manifest: Manifest, strict: bool) -> dict[str, Any]:
        """Return the attributes of the record in `manifest`. Raises `ManifestError`."""
        many: dict[str, list[Any]] = {f.attribute: [] for f in cls.FIELDS if f.repeats}
        keyed: dict[str, dict[str, Any]] = {f.attribute: {} for f in cls.FIELDS if f.keyed}
        one: dict[str, Any] = {}
        for pair in manifest:
            found = cls.field_of(pair.name)
            if found is None:
                if strict:
                    raise manifest.error_at_name(
                        pair, f"unknown name '{pair.name}' in {cls.KIND} manifest"
                    )
                continue
            known, key = found
            if known.repeats:
                many[known.attribute].append(cls._convert(manifest, pair, known))
                continue
            place = keyed[known.attribute] if known.keyed else one
            key = key if known.keyed else known.attribute
            if key in place:
                raise manifest.error_at_name(pair, f"{cls.label(pair.name)} redefinition")
            place[key] = cls._convert(manifest, pair, known)
        for known in cls.FIELDS:
            if known.required and known.attribute not in one:
                raise cls.missing(manifest, known.name)
        return {**one, **{name: tuple(values) for name, values in many.items()}, **keyed}

    @classmethod
    def field_of(cls, name: str) -> tuple[Field, str] | None:
        """Return the field that a name on the wire belongs to, and the key in the name."""
        for known in cls.FIELDS:
            if (key := known.key_of(name)) is not None:
                return known, key
        return None

    @classmethod
    def label(cls, name: str) -> str:
        """Return what errors call a field."""
        return f"{cls.SUBJECT} {name.replace('-', ' ')}"

    @classmethod
    def missing(cls, manifest: Manifest, name: str) -> ManifestError:
        """Return the error for a field that is not there."""
        return manifest.error_at_value(manifest.end, f"no {cls.label(name)} specified")

    @classmethod
    def _convert(cls, manifest: Manifest, pair: Pair, known: Field) -> Any:
        if not pair.value and not known.may_be_empty:
            raise manifest.error_at_value(pair, f"empty {cls.label(pair.name)}")
        try:
            return known.convert(pair.value)
        except ValueError as exc:
            raise manifest.error_at_value(pair, f"invalid {cls.label(pair.name)}: {exc}") from None

    @property
    def unknown(self) -> list[Pair]:
        """The fields that we do not know, in order."""
        return [pair for pair in self.origin or () if self.field_of(pair.name) is None]

    def pairs(self) -> list[tuple[str, str]]:
        """Return the known fields in wire order."""
        return [
            pair for known in self.FIELDS for pair in known.values(getattr(self, known.attribute))
        ]

    def to_manifest(self) -> Manifest:
        """Return the manifest of this record itself: of a message, its first one."""
        if self.origin is None:
            return Manifest(self.pairs())
        return Manifest(self._merge(self.origin), self.origin.source)

    def to_manifests(self) -> list[Manifest]:
        """Return all manifests that the record is made of."""
        return [self.to_manifest()]

    def _merge(self, origin: Manifest) -> list[Pair]:
        """Return the present values at the places, and under the names, of the original ones."""
        present: defaultdict[str, deque[tuple[int, str]]] = defaultdict(deque)
        pairs = self.pairs()
        for rank, (name, value) in enumerate(pairs):
            present[name].append((rank, value))
        ranked: list[tuple[int, Pair]] = []  # Unknown fields have the rank of what they follow.
        last = -1
        for pair in origin:
            found = self.field_of(pair.name)
            if found is None:
                ranked.append((last, pair))
                continue
            known, _key = found
            queue = present[pair.name if known.keyed else known.name]
            if queue:
                last, value = queue.popleft()
                ranked.append((last, Pair(pair.name, value)))
        # What has no place yet goes behind the nearest of its predecessors that has one.
        for rank, (name, value) in enumerate(pairs):
            if any(waiting == rank for waiting, _value in present[name]):
                before = [place for place, (other, _pair) in enumerate(ranked) if other < rank]
                nearest = max(before, key=lambda place: (ranked[place][0], place), default=-1)
                ranked.insert(nearest + 1, (rank, Pair(name, value)))
        return [pair for _rank, pair in ranked]


def nth_of(manifests: Sequence[Manifest], place: int, kind: str) -> Manifest:
    """Return the manifest at a place of a stream. Raises `ManifestError` if it ends before."""
    if place < len(manifests):
        return manifests[place]
    description = f"start of {kind} manifest expected"
    if isinstance(manifests, ManifestList):
        end = manifests.end
        raise ManifestError(manifests.source, end.name_line, end.name_column, description)
    source = manifests[-1].source if manifests else ""
    raise ManifestError(source, 0, 0, description)


def no_more(manifests: Sequence[Manifest], count: int, kind: str) -> None:
    """Raise `ManifestError` if there are more than `count` manifests; the last is a `kind`."""
    if len(manifests) > count:
        extra = manifests[count]
        raise extra.error_at_name(extra.start, f"single {kind} manifest expected")
