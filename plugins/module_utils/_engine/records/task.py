# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task: what to build, where and how. Sources: brep, libbpkg, bbot's manual."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from ..formats.manifest.model import Manifest, ManifestError, Pair
from .base import Field, Record, write_boolean
from .values import (
    check_package_name,
    check_package_version,
    check_source_checksum,
    check_trust,
    check_words,
    join_words,
    split_words,
    to_boolean,
)

Form = Literal["2017", "current"]


@dataclass(frozen=True, kw_only=True)
class Task(Record):
    """A task, in the form of 2017 (bbot 0.5 to 0.6) or the one of today (0.17 and newer).

    Either is read, and written as it was read unless a form is asked for. A repository without a
    type is accepted in both: the tasks of 2017 had none.
    """

    KIND: ClassVar[str] = "task"
    SUBJECT: ClassVar[str] = "task"
    FIELDS: ClassVar[tuple[Field, ...]] = (
        Field("name", check_package_name, required=True),
        Field("version", check_package_version, required=True),
        Field("repository-url", required=True, name_2017="repository"),
        Field("repository-type", newer=True),
        Field("repository-checksum", check_source_checksum),
        Field("trust", check_trust, repeats=True),
        Field("requires", repeats=True, may_be_empty=True, newer=True),
        Field("tests", repeats=True, may_be_empty=True, newer=True),
        Field("examples", repeats=True, may_be_empty=True, newer=True),
        Field("benchmarks", repeats=True, may_be_empty=True, newer=True),
        Field("test-exclude", repeats=True, may_be_empty=True, newer=True),
        Field("dependency-checksum", may_be_empty=True, newer=True),
        Field("machine", required=True),
        Field("auxiliary-machine", repeats=True, attribute="auxiliary_machines", newer=True),
        Field("auxiliary-machine-*", attribute="named_auxiliary_machines", newer=True),
        Field("target"),
        Field("environment", may_be_empty=True, newer=True),
        Field("auxiliary-environment", may_be_empty=True, newer=True),
        Field("target-config", check_words, may_be_empty=True, name_2017="config"),
        Field("package-config", may_be_empty=True, newer=True),
        Field("host", to_boolean, write=write_boolean, newer=True),
        Field("warning-regex", repeats=True, attribute="warning_regexes"),
        Field("interactive", newer=True),
        Field("worker-checksum", may_be_empty=True, newer=True),
    )

    name: str
    version: str
    """Opaque: it has to come back in the result, with the epoch 1 or the revision 0 or without."""
    repository_url: str
    repository_type: str | None = None
    """`pkg`, `git` or `dir`; kept whatever it is."""
    repository_checksum: str | None = None
    """`sha256:` and the digest of an archive; an extension of ours, which build2 does not know."""
    trust: tuple[str, ...] = ()
    """Whom to trust: `yes`, or fingerprints of repository certificates."""
    requires: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    test_exclude: tuple[str, ...] = ()
    """Packages of the former three that are not to be built; of bbot 0.13 only."""
    dependency_checksum: str | None = None
    machine: str
    auxiliary_machines: tuple[str, ...] = ()
    """Machines to run next to the build machine that have no environment name."""
    named_auxiliary_machines: Mapping[str, str] = field(default_factory=dict)
    """Environment name to machine name."""
    target: str | None = None
    environment: str | None = None
    """Which environment script to run in the guest."""
    auxiliary_environment: str | None = None
    """Lines `NAME=value`, written by the agent for the worker."""
    target_config: str | None = None
    """Configuration variables and options; see `config_words`."""
    package_config: str | None = None
    host: bool | None = None
    """Whether to build in a self-hosted configuration."""
    warning_regexes: tuple[str, ...] = ()
    """ECMAScript regular expressions of lines that are warnings."""
    interactive: str | None = None
    """The breakpoint of an interactive build."""
    worker_checksum: str | None = None

    @property
    def is_interactive(self) -> bool:
        """Whether the build stops for a person somewhere."""
        return self.interactive not in (None, "", "none")

    @property
    def config_words(self) -> list[str]:
        """The target configuration split at blanks, one level of quotes removed."""
        return split_words(self.target_config or "")

    def with_trust(self, trust: Iterable[str]) -> Self:
        """Return the task with these, instead of its own, whom to trust."""
        return replace(self, trust=tuple(trust))

    def with_auxiliary_environment(self, environment: str | None) -> Self:
        """Return the task with this environment (lines `NAME=value`) of its auxiliary machines."""
        return replace(self, auxiliary_environment=environment)

    def without_checksums(self) -> Self:
        """Return the task with no worker's and no dependencies' checksum: nothing may be skipped.

        To be done when the agent's own checksum is not the one of the last build; resetting one
        level of the hierarchy resets those below.
        """
        return replace(self, worker_checksum=None, dependency_checksum=None)

    def to_manifest(self, form: Form | None = None) -> Manifest:
        """Return the manifest: as it was read if it was, else in the form of today.

        `form` asks for a form. The one of 2017 has only the fields known then. In the one of today
        the fields of 2017 get their new names; all others stay.
        """
        if form == "2017":
            return Manifest(self._pairs_2017())
        if form == "current" and self.origin is not None:
            renamed = Manifest(map(self._renamed, self.origin), self.origin.source)
            return replace(self, origin=renamed).to_manifest()
        return super().to_manifest()

    def _pairs_2017(self) -> list[tuple[str, str]]:
        return [
            (known.name_2017 or name, value)
            for known in self.FIELDS
            if not known.newer
            for name, value in known.values(getattr(self, known.attribute))
        ]

    def _renamed(self, pair: Pair) -> Pair:
        found = self.field_of(pair.name)
        return pair if found is None or found[0].keyed else Pair(found[0].name, pair.value)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], where: str = "task") -> Self:
        """Make a task of what a person wrote as a YAML or JSON object.

        The keys are the fields' names, also with underscores. Fields that may repeat take a list or
        a single value; `target-config` may be a list of words. Nulls count as absent. `where`
        names the place for errors. Raises `ManifestError`, without line and column.
        """
        pairs = [
            Pair(name, value)
            for key, given in mapping.items()
            for name, value in cls._mapped(key, given, where)
        ]
        return cls.from_manifest(Manifest(pairs, where), strict=True)

    def to_mapping(self) -> dict[str, Any]:
        """Return the known fields that are set, with underscores in their names, as plain data."""
        mapping: dict[str, Any] = {}
        for known in self.FIELDS:
            value = getattr(self, known.attribute)
            name = known.name.replace("-", "_")
            if known.keyed:
                mapping.update({name.replace("*", key): one for key, one in value.items()})
            elif known.repeats and value:
                mapping[name] = list(value)
            elif not known.repeats and value is not None:
                mapping[name] = value
        return mapping

    @classmethod
    def _mapped(cls, key: Any, given: Any, where: str) -> list[tuple[str, str]]:
        """Return the pairs of one item of a mapping."""
        known, name = cls._known(str(key), where)
        if given is None:
            return []
        if not isinstance(given, (list, tuple)):
            return [(name, cls._plain(known, key, given, where))]
        values = [cls._plain(known, key, one, where) for one in given]
        if known.convert is check_words:
            return [(name, join_words(values))]
        if not known.repeats:
            raise ManifestError(where, 0, 0, f"field '{key}' is a list: it takes a single value")
        return [(name, value) for value in values]

    @classmethod
    def _known(cls, key: str, where: str) -> tuple[Field, str]:
        """Return the field that a person's key means, and its name on the wire."""
        dashed = key.replace("_", "-")
        for name in (key, dashed):
            if (found := cls.field_of(name)) is not None and not found[0].keyed:
                return found[0], name
        found = cls.field_of(dashed)
        if found is not None:
            # The environment's name is the person's own and keeps its underscores.
            known, dashed_key = found
            return known, known.name.replace("*", key[len(key) - len(dashed_key) :])
        names = [name for known in cls.FIELDS for name in (known.name, known.name_2017) if name]
        close = difflib.get_close_matches(dashed, names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else "see the list of fields of a task"
        raise ManifestError(where, 0, 0, f"unknown field '{key}': {hint}")

    @classmethod
    def _plain(cls, known: Field, key: Any, given: Any, where: str) -> str:
        """Return a person's value as the text on the wire."""
        if isinstance(given, str):
            return str(given)
        if isinstance(given, bool):
            if known.convert is to_boolean:
                return write_boolean(given)
            if known.convert is check_trust and given:
                return "yes"  # YAML 1.1 reads `yes` so.
        elif isinstance(given, int):
            return str(given)
        raise ManifestError(
            where,
            0,
            0,
            f"field '{key}' is {given!r}, a value of type {type(given).__name__}: put the text that"
            " you mean in quotes",
        )
