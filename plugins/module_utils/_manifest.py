# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

r"""Manifests: the text format of everything that agents, workers and controllers tell each other.

A stream holds manifests one after another, a manifest holds pairs `name: value`:

    : 1
    name: hello
    log:\
    several
    lines
    \
    :
    name: the second manifest

`: 1` is the format version and begins the stream, a bare `:` begins each further manifest. Lines
that begin with `#` are comments. A backslash at the end of a line joins the next one.

There are two forms of multi-line values. Both are read; `serialize()` writes the one asked for:

- `old`: `name:\`, the lines, `\`. Every parser since 2017 reads it, hence the default.
- `new`: `name:`, `\`, the lines, `\`, each on a line of its own. libbutl writes it since 0.18;
  parsers before libbutl 0.15 do not understand it.

Source of the format: libbutl's parser and serializer, whose outcomes are matched byte for byte,
errors and their places included. This file is the front of several small ones.
"""

from __future__ import annotations

from ._manifest_comment import merge_comment, split_comment
from ._manifest_model import Manifest, ManifestError, ManifestList, Pair, SerializationError
from ._manifest_parser import parse
from ._manifest_serializer import Serializer, Style, serialize
from ._text import cap, sanitize

__all__ = [
    "Manifest",
    "ManifestError",
    "ManifestList",
    "Pair",
    "SerializationError",
    "Serializer",
    "Style",
    "cap",
    "merge_comment",
    "parse",
    "sanitize",
    "serialize",
    "split_comment",
]
