# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The report of a matrix: one HTML file that needs nothing else, neither scripts nor a network."""

from __future__ import annotations

import os
import time

from .markup import Markup, tag
from .report_cells import class_of, pair_text
from .report_failures import differences, failures
from .report_tables import crossed, listed
from .states import Index
from .style import STYLE
from .verdict import HOST, counts, exit_of, is_bad

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(index: Index, folder: str) -> str:
    """Return the page for a matrix whose results are in ``folder``."""
    name = os.path.basename(os.path.normpath(folder))
    bad = [entry for entry in index["combinations"] if is_bad(entry)]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("title", f"{len(bad)} of {len(index['combinations'])} failed: {name}"),
        tag("style", STYLE),
    )
    body = tag(
        "body",
        tag("a", "Skip to the combinations", class_="skip", href="#combinations"),
        _head(index, name),
        tag(
            "main",
            differences(index, bad),
            crossed(index),
            listed(index),
            failures(index, bad, folder),
        ),
        tag(
            "footer",
            "The same for programs: ",
            tag("a", "index.json", href="index.json"),
            ", ",
            tag("a", "junit.xml", href="junit.xml"),
        ),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _head(index: Index, name: str) -> Markup:
    numbers = counts(index)
    ended = index.get("ended")
    took = f", took {ended - index['began']:.0f} s" if ended else ", has not ended"
    began = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(index["began"]))
    # Without a verdict while some have none.
    open_ones = sum(numbers.get(what, 0) for what in ("waiting", "running", "cancelled"))
    same = {
        axis: value
        for axis, value in index["combinations"][0]["axes"].items()
        if axis not in index["varying"] and value
    }
    return tag(
        "header",
        tag("h1", f"Matrix of {len(index['combinations'])} combinations"),
        tag("p", _verdict(index, open_ones), class_="verdict"),
        tag(
            "ul",
            [
                tag("li", tag("span", f"{number} {what}", class_=f"state {class_of(what)}"))
                for what, number in numbers.items()
            ],
            class_="counts",
        ),
        tag("p", f"{name}, began {began}{took}", class_="quiet"),
        tag("p", "All with ", ", ".join(pair_text(*pair) for pair in same.items()), class_="quiet")
        if same
        else None,
    )


def _verdict(index: Index, open_ones: int) -> str:
    """All of it in one or two sentences."""
    total = len(index["combinations"])
    bad = [entry for entry in index["combinations"] if is_bad(entry)]
    faults = sum(exit_of(entry, "error") == HOST for entry in bad)
    said = [f"{len(bad)} of {total} combinations failed."] if bad else []
    if faults:
        said.append(f"Of these, {faults} by a fault of a machine or host.")
    if open_ones:
        said.append(f"It is not complete: {open_ones} have no result.")
    return " ".join(said) or f"All {total} combinations are well."
