# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One try to fetch a file by HTTP."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request

from ..errors import WorkerError
from .transfer import Hiccup

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from email.message import Message

    from .transfer import Sink

# Seconds without a byte.
_SILENCE = 60
_CHUNK = 1 << 16
# Answers that may be other ones in a moment.
_PASSING = {408, 425, 429, 500, 502, 503, 504}


def download(url: str, sink: Sink) -> None:
    """Fetch what is at *url*. Raises Hiccup if another try may help, else WorkerError."""
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as answer:
            _copy(answer, sink)
    except urllib.error.HTTPError as error:
        with error:
            said = f"the server says {error.code} {error.reason}"
            if error.code in _PASSING:
                raise Hiccup(said, _asked_pause(error.headers)) from None
            raise WorkerError(said) from None
    except (Hiccup, WorkerError):
        raise
    except ssl.SSLCertVerificationError as error:
        raise WorkerError(f"its certificate is not trusted: {error.verify_message}") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            message = error.reason.verify_message
            raise WorkerError(f"its certificate is not trusted: {message}") from None
        if isinstance(error.reason, OSError):
            raise Hiccup(str(error.reason)) from None
        raise WorkerError(str(error.reason)) from None
    except http.client.InvalidURL as error:
        raise WorkerError(f"that is no address: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise Hiccup(str(error) or type(error).__name__) from None
    # Of the address, a redirection, or an answer that nothing of ours can make sense of.
    except Exception as error:
        raise WorkerError(str(error) or type(error).__name__) from error


def _copy(answer: http.client.HTTPResponse, sink: Sink) -> None:
    told = answer.headers.get("Content-Length", "")
    while data := answer.read1(_CHUNK):
        sink.write(data)
    # Chunks have an end of their own, which read1() sees to.
    chunked = "chunked" in answer.headers.get("Transfer-Encoding", "").lower()
    if told.isdecimal() and not chunked and sink.size != int(told):
        raise Hiccup(f"{sink.size} of {told} bytes have come")


def _asked_pause(headers: Message) -> float:
    """The seconds that an answer asks us to wait; 0 for a date, or none."""
    text = (headers.get("Retry-After") or "").strip()
    return float(text) if text.isdecimal() else 0.0
