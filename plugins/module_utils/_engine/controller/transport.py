# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The exchange with a controller over HTTP: task request, result and artifacts.

What goes over the wire is what bbot's agent sends and brep answers. Unlike curl,
which bbot uses, a redirection of any kind but 303 keeps the method and the body.
"""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import types
import typing as t
import urllib.parse

from ..errors import EngineError
from ..formats.manifest.model import ManifestError
from ..records.exchange import TaskRequest, TaskResponse
from ..release import VERSION
from .connection import Deadline, pools
from .form import Form
from .priority import ControllerUrlError, check_http_url
from .urls import masked

if t.TYPE_CHECKING:
    import requests

# brep's own limit by default, in bytes.
TASK_REQUEST_LIMIT = 102400
# What an answer may have: a task is a few KiB.
_ANSWER_LIMIT = 1 << 20
# Of the text of a refusal this much is told.
_WORDS_LIMIT = 300
_REDIRECTIONS = 10


class ControllerError(EngineError):
    """A controller that cannot be reached, refuses, or answers nonsense.

    ``status`` is that of the HTTP answer if there was one. ``reset`` says that it hung up
    while it was sent something.
    """

    culprit = "controller"

    def __init__(self, message: str, status: int | None = None, *, reset: bool = False) -> None:
        super().__init__(masked(message))
        self.status = status
        self.reset = reset


@dataclasses.dataclass(frozen=True)
class Transport:
    """How controllers are reached.

    ``request_timeout`` is for a whole exchange and ``connect_timeout`` for its
    beginning, in seconds. ``ca_cert`` is a file of certificates to trust instead of
    the host's, ``proxy`` the URL of a proxy instead of the environment's.
    """

    request_timeout: float = 300
    connect_timeout: float = 60
    ca_cert: str | None = None
    proxy: str | None = None

    def __post_init__(self) -> None:
        # Here, and only here, as it takes its time: for whoever talks to controllers, before
        # the agent forks.
        with contextlib.suppress(ControllerError):
            _library()

    def request_task(self, url: str, request: TaskRequest) -> TaskResponse:
        """Ask the controller at ``url`` for a task.

        Raises ControllerError, and ManifestError for an answer that is not one.
        """
        body = request.to_text().encode()
        if len(body) > TASK_REQUEST_LIMIT:
            raise ControllerError(
                f"the request has {len(body)} bytes, a controller takes {TASK_REQUEST_LIMIT}: "
                f"offer fewer than {len(request.machines)} machines"
            )
        answer = self._post(url, body, {"Content-Type": "text/manifest"}, limit=_ANSWER_LIMIT)
        response = TaskResponse.parse(answer, masked(url))
        for each in (response.result_url, *response.upload_urls.values()):
            if each is not None:
                try:
                    check_http_url(each)
                except ControllerUrlError as error:
                    raise ControllerError(f"the answer refers to no usable URL: {error}") from error
                if _is_safe(url) and not _is_safe(each):
                    raise ControllerError(f"the answer refers from https to {each}")
        return response

    def upload_result(self, url: str, text: str) -> None:
        """Hand the result request ``text`` to ``url``. Raises ControllerError.

        Only what the controller itself can have said is an acknowledgement: a page for people
        is none, such as a proxy's that wants somebody to log in.
        """
        self._post(url, text.encode(), {"Content-Type": "text/manifest"}, page=False)

    def upload_artifact(self, url: str, fields: t.Mapping[str, str], archive: str) -> None:
        """Upload the file ``archive`` and ``fields`` to ``url``, as a form.

        Raises ControllerError, as upload_result() does, and OSError if the file cannot be read.
        """
        form = Form(fields, "archive", archive)
        self._post(url, form, {"Content-Type": form.content_type}, page=False)

    def _post(
        self,
        url: str,
        body: bytes | Form,
        headers: dict[str, str],
        *,
        limit: int = _WORDS_LIMIT,
        page: bool = True,
    ) -> bytes:
        """The body of a successful answer, of at most ``limit`` bytes where it matters.

        ``page`` says whether it may be HTML. Raises ControllerError for whatever goes wrong.
        """
        library = _library()
        with Deadline(self.request_timeout) as deadline:
            try:
                for _dummy in range(_REDIRECTIONS):
                    # A connection that is used again may have been closed meanwhile.
                    with (
                        _session(library, deadline) as session,
                        self._send(session, url, body, headers) as answer,
                    ):
                        target = _redirection(url, answer)
                        if target is None:
                            content = _judge(answer, limit, page)
                            if not deadline.expired:
                                return content
                            break
                    url = target
                if not deadline.expired:
                    raise ControllerError(f"it redirects more than {_REDIRECTIONS} times")
            except Exception as error:
                if not deadline.expired:
                    if isinstance(error, ControllerError):
                        raise
                    # There is hardly an exception that a strange answer does not cause.
                    raise ControllerError(_words(error, url), reset=_is_reset(error)) from error
        raise ControllerError(f"there was no complete answer within {self.request_timeout:g} s")

    def _send(
        self, session: requests.Session, url: str, body: bytes | Form, headers: dict[str, str]
    ) -> requests.Response:
        return session.post(
            url,
            data=t.cast(t.Any, body),
            headers={
                **headers,
                "User-Agent": f"bbot-agent/{VERSION}",
                # An answer that is decoded has no size that could be limited.
                "Accept-Encoding": "identity",
            },
            # No credentials of the agent's user for a controller.
            auth=lambda request: request,
            timeout=(self.connect_timeout, self.request_timeout),
            verify=True if self.ca_cert is None else self.ca_cert,
            proxies=None if self.proxy is None else {"http": self.proxy, "https": self.proxy},
            allow_redirects=False,
            stream=True,
        )


def _library() -> types.ModuleType:
    try:
        import requests.adapters
    except ImportError as error:
        words = "this Python has no requests; install the package python3-requests"
        raise ControllerError(words) from error
    return requests


def _session(library: types.ModuleType, deadline: Deadline) -> requests.Session:
    """A session that uses our connections, by a proxy as well."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """The same with other connections."""

        def init_poolmanager(self, *args: t.Any, **more: t.Any) -> None:
            super().init_poolmanager(*args, **more)
            self.poolmanager.pool_classes_by_scheme = pools(deadline)

        def proxy_manager_for(self, proxy: str, **more: t.Any) -> t.Any:
            manager = super().proxy_manager_for(proxy, **more)
            manager.pool_classes_by_scheme = pools(deadline)
            return manager

    session: requests.Session = library.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, Adapter())
    return session


def _is_safe(url: str) -> bool:
    return urllib.parse.urlsplit(url).scheme == "https"


def _redirection(url: str, answer: requests.Response) -> str | None:
    """Where ``answer`` sends us; None if it does not."""
    if answer.status_code not in (301, 302, 307, 308):
        return None
    place = answer.headers.get("Location", "")
    target = urllib.parse.urljoin(url, place)
    try:
        check_http_url(target)
    except ControllerUrlError as error:
        raise ControllerError(
            f"it redirects to no usable URL: {error}", answer.status_code
        ) from error
    if _is_safe(url) and not _is_safe(target):
        raise ControllerError(f"it redirects from https to {target}", answer.status_code)
    return target


def _judge(answer: requests.Response, limit: int, page: bool) -> bytes:
    """The body of ``answer``; ControllerError if it is a refusal, too long or cut short.

    HTML is a refusal, too, unless it may be a ``page``.
    """
    good = 200 <= answer.status_code < 300
    body = bytearray()
    for piece in answer.raw.stream(16384, decode_content=False):
        body += piece
        if len(body) > limit:
            if good and limit > _WORDS_LIMIT:
                raise ControllerError(f"the answer has more than {limit} bytes")
            break
    else:
        told = answer.headers.get("Content-Length", "")
        if told.isascii() and told.isdigit() and int(told) > len(body):
            raise ControllerError(
                f"the answer ended after {len(body)} of {told} bytes", answer.status_code
            )
    if good and not page and _is_page(answer.headers.get("Content-Type", ""), bytes(body)):
        raise ControllerError("it answered with a page of HTML instead of an acknowledgement")
    if good:
        return bytes(body)
    words = " ".join(bytes(body[:_WORDS_LIMIT]).decode("utf-8", "replace").split())
    shown = "".join(char if char.isprintable() else "?" for char in words)
    reason = answer.reason if str(answer.reason or "").isprintable() else ""
    status = f"{answer.status_code} {reason}".rstrip()
    raise ControllerError(f"HTTP {status}{': ' if shown else ''}{shown}", answer.status_code)


def _is_page(content_type: str, body: bytes) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    start = body.lstrip()[:14].lower()
    pages = ("text/html", "application/xhtml+xml")
    return bool(start) and (kind in pages or start.startswith((b"<!doctype html", b"<html")))


def _is_reset(error: BaseException) -> bool:
    """Whether the controller hung up before it answered."""
    return isinstance(_innermost(error), (ConnectionResetError, BrokenPipeError))


def _innermost(error: BaseException) -> BaseException:
    """The cause of all causes."""
    seen = {id(error)}
    while True:
        reasons = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
        causes = [each for each in reasons if isinstance(each, BaseException)]
        # urllib3 1 tries a call that Python 3 does not know before the one that counts.
        new = [each for each in causes if id(each) not in seen]
        inner = next((each for each in new if not isinstance(each, TypeError)), None)
        if inner is None:
            break
        seen.add(id(inner))
        error = inner
    return error


def _words(error: BaseException, url: str) -> str:
    """What went wrong, in one line: the innermost cause is the one that means something."""
    error = _innermost(error)
    if isinstance(error, socket.gaierror):
        return f"the host cannot be found: {error.strerror}"
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    words = masked(" ".join(str(words).split()).replace(url, masked(url)))
    return words[:_WORDS_LIMIT] or type(error).__name__


def explain(error: Exception, url: str) -> str:
    """The line for a controller that gave no task."""
    if isinstance(error, ManifestError):
        return f"invalid task response manifest: {error}"
    return f"unable to request task from {masked(url)}: {error}"
