# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Pages of templates, in which whatever others wrote is text."""

from __future__ import annotations

import base64
import hashlib
import time
import typing as t

from ..errors import EngineError
from ..release import VERSION
from .clean import clean
from .templates.all import TEMPLATES
from .templates.look import LOOK, SCRIPT
from .words import FILTERS

if t.TYPE_CHECKING:
    import jinja2

# Entries of lists that grow without bounds.
_MOST = 100


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# Of scripts and styles only those that are ours, and nothing from elsewhere.
FILE_POLICY = f"default-src 'none'; style-src {_digest(LOOK)}; img-src data:; base-uri 'none'"
POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_digest(LOOK)}",
        f"script-src {_digest(SCRIPT)}",
        "img-src data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class RenderError(EngineError):
    """Pages cannot be made on this host."""

    temporary = False


class Renderer:
    """Makes pages about the host ``host``, which have ``links`` to each other.

    Raises RenderError without Jinja2.
    """

    def __init__(self, host: str, *, links: bool = True) -> None:
        self._environment = _environment()
        import markupsafe

        self._globals = {
            "host": host,
            "version": VERSION,
            "most": _MOST,
            "links": links,
            "policy": FILE_POLICY,
            "of": "",
            "style": markupsafe.Markup(LOOK),
            "script": markupsafe.Markup(SCRIPT),
        }

    def page(self, template: str, path: t.Sequence[str], **values: t.Any) -> bytes:
        """Return the page of a template, as it is asked for at ``path``."""
        found = self._environment.get_template(template)
        text = found.render(
            **self._globals,
            **{"root": "../" * (len(path) - 1) or "./", "now": time.time(), **values},
        )
        return text.encode("utf-8", errors="replace")

    def part(self, template: str, name: str, *values: t.Any, of: str = "") -> str:
        """Return a part of a page: a macro of a template; ``of`` says what its tables are of."""
        given = {**self._globals, "of": of}
        module = self._environment.get_template(template).make_module(given)
        return t.cast("str", getattr(module, name)(*values))


def _environment() -> jinja2.Environment:
    try:
        import jinja2
    except ImportError as error:
        raise RenderError(
            "the page needs Jinja2, which this Python does not have: install the package "
            "python3-jinja2"
        ) from error
    import markupsafe

    def finalize(value: t.Any) -> t.Any:
        # Plain text is what comes from elsewhere, and markup what templates have made.
        if isinstance(value, str) and not isinstance(value, markupsafe.Markup):
            return clean(value)
        return value

    environment = jinja2.Environment(
        loader=jinja2.DictLoader(TEMPLATES),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    # Now, and not while the first one waits for a page.
    for name in TEMPLATES:
        environment.get_template(name)
    return environment
