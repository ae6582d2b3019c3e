# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ways of telling people: a webhook, and the host's program for mail."""

from __future__ import annotations

import contextlib
import email.message
import email.policy
import email.utils
import http.client
import json
import os
import signal
import subprocess
import tempfile
import typing as t
import urllib.error
import urllib.request

from .message import Message

# How long a way may take, in seconds. Both together, and the status, have less than a minute.
PATIENCE = 15.0
SENDMAIL = "/usr/sbin/sendmail"
# Subjects are not folded: the library puts spaces into words with umlauts where it does.
_POLICY = email.policy.default.clone(max_line_length=998)


class WayError(Exception):
    """A message that did not come through; the text says why, and does not have the URL."""


def tell(way: str, address: str, message: Message) -> None:
    """Tell people by the `way` of this name, at this address. Raises WayError."""
    try:
        _WAYS[way](address, message)
    except WayError:
        raise
    except Exception as error:
        # What is raised is another thing in each version of a library, and may have the URL.
        words = str(error).replace(address, "its address")
        raise WayError(f"{type(error).__name__}: {words}") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows nobody: a POST would become a GET, and what it was to tell would be lost."""

    def redirect_request(self, *_arguments: t.Any, **_more: t.Any) -> None:
        return None


def post(url: str, message: Message) -> None:
    """Post a message as JSON. Raises WayError, and whatever libraries do."""
    request = urllib.request.Request(
        url,
        data=json.dumps(message.content()).encode(),
        headers={"Content-Type": "application/json", "User-Agent": "bbot-agent-alert"},
    )
    if request.type not in ("http", "https"):
        raise WayError("its address is neither of http nor of https")
    opener = urllib.request.build_opener(_NoRedirects)
    with _within(PATIENCE):
        try:
            with opener.open(request, timeout=PATIENCE) as answer:
                answer.read(65536)
        except urllib.error.HTTPError as error:
            error.close()
            if 300 <= error.code < 400:
                raise WayError(
                    f"it answers with status {error.code}, that it is elsewhere: give that address"
                ) from error
            raise WayError(f"it answers with status {error.code}") from error
        except urllib.error.URLError as error:
            raise WayError(str(error.reason)) from error
        except http.client.HTTPException as error:
            raise WayError(f"it does not speak HTTP: {type(error).__name__}") from error


@contextlib.contextmanager
def _within(seconds: float) -> t.Iterator[None]:
    """Raise WayError in what is done when it takes longer, however it waits."""

    def over(*_: object) -> t.NoReturn:
        raise WayError(f"it has not answered within {seconds:g} s")

    former = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def mail(to: str, message: Message) -> None:
    """Hand a message to the host's program for mail. Raises WayError and OSError."""
    letter = email.message.EmailMessage(policy=_POLICY)
    letter["To"] = to
    letter["Subject"] = message.subject
    letter["Date"] = email.utils.localtime()
    letter["Message-ID"] = f"<{message.id}@bbot-agent.invalid>"
    # Nobody's holiday is to answer.
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text + "\n")
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [SENDMAIL, "-i", "-t"],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.communicate(letter.as_bytes(), timeout=PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise WayError(f"{SENDMAIL} has not ended within {PATIENCE:g} s") from error
        finally:
            # Whom it has left to deliver the letter is let do so, if it has ended itself.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode != 0:
            said.seek(0)
            words = " ".join(said.read(1000).decode(errors="replace").split())
            raise WayError(f"{SENDMAIL} ended with status {process.returncode}: {words}")


_WAYS: dict[str, t.Callable[[str, Message], None]] = {"webhook": post, "mail": mail}
WAYS = tuple(_WAYS)
