# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""URLs as they may be shown: without what lets others in."""

from __future__ import annotations

import re

# What stands before the host, and the values in the query, but for brep's own.
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_VALUE = re.compile(r"([?&;](?!upload=)[^=&;#\s]+=)[^&;#\s]+")


def masked(text: str) -> str:
    """Return `text`, a URL or words with URLs in them, with asterisks for their secrets.

    Those are a user and a password before the host, and the values in a query, such as tokens;
    it may be no URL at all.
    """
    return _VALUE.sub(r"\1***", _USER.sub("***@", text))
