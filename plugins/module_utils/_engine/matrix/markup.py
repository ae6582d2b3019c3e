# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""HTML in which whatever others wrote is text: nothing is markup but what is made here."""

from __future__ import annotations

import html
import typing as t
import urllib.parse


class Markup(str):
    """Text that is HTML already. Made by tag() only, and of constants."""

    __slots__ = ()


Content: t.TypeAlias = "str | t.Iterable[Content] | None"

# Elements that have no content and no end.
_VOID = ("meta", "br", "hr")


def tag(element: str, /, *content: Content, **attributes: str | None) -> Markup:
    """Return the ``element``; content and attributes are escaped, None is left out.

    An underscore at the end of an attribute's name is dropped (`class_`), others are dashes.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_printable(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if element in _VOID:
        return Markup(f"<{element}{given}>")
    return Markup(f"<{element}{given}>{text(content)}</{element}>")


def text(content: Content) -> Markup:
    """Return HTML for a text, for some HTML as it is, or for several of either."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return Markup(html.escape(_printable(content)))
    return Markup("".join(text(part) for part in content))


def link_to(*parts: str) -> str:
    """Return the address of a file below the page, whatever its name is."""
    return "/".join(urllib.parse.quote(part, safe="") for part in parts)


def _printable(value: str) -> str:
    """Text without what is not allowed in HTML, or turns the direction of writing about."""
    return "".join(
        letter if letter in "\n\t" or not _is_odd(ord(letter)) else "\N{REPLACEMENT CHARACTER}"
        for letter in value
    )


def _is_odd(number: int) -> bool:
    return (
        number < 0x20
        or 0x7F <= number < 0xA0
        or 0xD800 <= number < 0xE000
        or 0x202A <= number <= 0x202E
        or 0x2066 <= number <= 0x2069
        or number & 0xFFFE == 0xFFFE
    )
