# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The pages: what is answered at each address."""

from __future__ import annotations

import dataclasses
import datetime
import os
import threading
import time
import typing as t
import urllib.parse

from ..controller.entries import Row
from ..controller.history import Choices, History, Wanted
from ..controller.journal import Journal
from .clean import decode
from .folder import Folder, NoFile
from .kept import Kept
from .live import Follow, Parts
from .logs import WINDOW, Errors, window
from .render import POLICY, Renderer
from .request import Request, RequestError
from .response import TEXT, Answer, Download, Response
from .snapshot import LOG, Snapshot, Snapshots
from .task_facts import TaskFacts, task_facts
from .templates.parts import NOW_SECTIONS
from .trends import Bucket, buckets

_OUTCOMES = (
    *("bad", "success", "warning", "error", "abort", "abnormal", "interrupt", "skip"),
    *("running", "queued", "delivered", "expired", "done", "damaged"),
)
_PAGE = 50
_LONGEST_WORD = 200
_LENGTHS = (7, 30, 90)
# Bytes of a log that a page begins with.
_BEGIN = 32 << 10
# For how many seconds figures over the whole history are good, and shown while they are counted
# anew; and for how many it is good what a task is like.
_FRESH, _STALE, _TASK_FRESH = 15.0, 600.0, 1.0
_LARGEST_ID = 1 << 62


@dataclasses.dataclass(frozen=True)
class Sources:
    """Where the pages have what they show from.

    ``collect`` returns what `bbot-agent status --json` shows, ``journal`` only reads, and
    ``logs`` is the folder below which the logs of tasks are. ``host`` is what the host is called.
    """

    collect: t.Callable[[], t.Mapping[str, t.Any]]
    journal: Journal
    logs: str
    host: str


class Pages:
    """Answers requests. Raises RenderError where no pages can be made."""

    def __init__(self, sources: Sources) -> None:
        self._journal = sources.journal
        self._history = History(sources.journal.path)
        self._logs = os.path.abspath(sources.logs)
        self._renderer = Renderer(sources.host)
        self._snapshots = Snapshots(sources.collect, self._logs)
        self._errors = Errors()
        self._choices = Kept(lambda _key: self._history.choices(), _FRESH, _STALE)
        self._buckets = Kept(self._count, _FRESH, _STALE)
        # Any number may watch one task.
        self._watched = Kept(self._look_at, _TASK_FRESH)
        self._parts_lock = threading.Lock()

    def prepare(self) -> None:
        """Count what takes a moment, before anybody waits for it. Raises JournalError."""
        self._choices.get(0)
        self._buckets.get(_LENGTHS[1])

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request. Raises EngineError and OSError."""
        match request.path:
            case ("",):
                return self._now(request)
            case ("events",):
                return Parts(self._parts)
            case ("history",):
                return self._past(request)
            case ("trends",):
                return self._trends(request)
            case ("task", number, *rest):
                return self._of_task(request, self._row(number), tuple(rest))
        raise RequestError(404, "there is no such page")

    def trouble(self, status: int, message: str, path: t.Sequence[str]) -> Response:
        """Return what is answered instead of the page at ``path``."""
        title = {401: "Who are you?", 404: "Not here"}.get(status, "That did not work")
        body = self._renderer.page(
            "message", path, title=title, current="", live="", message=message, status=status,
        )  # fmt: skip
        return Response(body, status, policy=POLICY)

    def _page(self, template: str, request: Request, **values: t.Any) -> Response:
        return Response(
            self._renderer.page(template, request.path, **{"live": "", **values}), policy=POLICY
        )

    # What goes on.

    def _now(self, request: Request) -> Response:
        snapshot = self._snapshots.get()
        parts = self._render(snapshot)
        sections = [(name, title, _html(parts[name])) for name, title in NOW_SECTIONS.items()]
        return self._page(
            "now", request, title="What goes on", current="Now", live="events", s=snapshot,
            sections=sections,
        )  # fmt: skip

    def _parts(self) -> t.Mapping[str, str]:
        return self._render(self._snapshots.get())

    def _render(self, snapshot: Snapshot) -> t.Mapping[str, str]:
        """Return the parts of the page for a look at the host, made once for all who ask."""
        with self._parts_lock:
            if not snapshot.parts:
                for name in NOW_SECTIONS:
                    snapshot.parts[name] = self._renderer.part("now_parts", name, snapshot)
        return snapshot.parts

    # What was.

    def _past(self, request: Request) -> Response:
        query = request.query
        wanted = Wanted(
            text=query.get("q", "")[:_LONGEST_WORD],
            outcome=query.get("outcome", "") if query.get("outcome") in _OUTCOMES else "",
            machine=query.get("machine", "")[:_LONGEST_WORD],
            toolchain=query.get("toolchain", "")[:_LONGEST_WORD],
        )
        before, after = (abs(request.number(name)) for name in ("before", "after"))
        page = self._history.page(wanted, _PAGE, before=before, after=after)
        words = {"q": wanted.text, **{name: getattr(wanted, name) for name in
                 ("outcome", "machine", "toolchain")}}  # fmt: skip
        given = urllib.parse.urlencode({name: word for name, word in words.items() if word})
        return self._page(
            "history", request, title="History", current="History", page=page, wanted=wanted,
            choices=self._choices.get(0), outcomes=_OUTCOMES, filter=f"{given}&" if given else "",
            newest=page.rows[0].id if page.rows else 0, oldest=page.rows[-1].id if page.rows else 0,
        )  # fmt: skip

    def _trends(self, request: Request) -> Response:
        days = request.number("days", _LENGTHS[1])
        if days not in _LENGTHS:
            raise RequestError(404, f"there are trends of {', '.join(map(str, _LENGTHS))} days")
        return self._page(
            "trends", request, title="Trends", current="Trends", days=days, lengths=_LENGTHS,
            buckets=self._buckets.get(days),
        )  # fmt: skip

    def _count(self, days: int) -> list[Bucket]:
        since = time.time() - days * 86400
        return buckets(self._history.since(since), datetime.date.today(), days)

    # One task.

    def _row(self, number: str) -> Row:
        found = None
        if number.isascii() and number.isdigit() and int(number) < _LARGEST_ID:
            found = self._journal.get(int(number))
        if found is None:
            raise RequestError(404, f"there is no task {number[:20]} in the journal")
        return found

    def _of_task(self, request: Request, row: Row, rest: tuple[str, ...]) -> Answer:
        match rest:
            case ():
                return self._task(request, row)
            case ("events",):
                return self._follow(request, row)
            case ("log", name):
                return self._log(request, row, name)
            case ("raw", name):
                return self._download(row, name, attached=False)
            case ("file", "artifacts", *path):
                return self._download(row, "/".join(["artifacts", *path]), attached=True)
        raise RequestError(404, "there is no such page of a task")

    def _folder(self, row: Row) -> Folder:
        if not row.logs:
            raise RequestError(404, f"task {row.id} has no logs")
        return Folder(row.logs, self._logs)

    def _facts(self, row: Row) -> TaskFacts:
        return task_facts(row, self._logs, self._snapshots.get(), self._errors)

    def _render_facts(self, row: Row) -> str:
        return self._renderer.part("task_parts", "facts", self._facts(row))

    def _task(self, request: Request, row: Row) -> Response:
        lines: str | None = None
        live = ""
        if row.state == "running":
            lines, place = self._begin(row)
            live = f"{row.id}/events?from={place}"
        return self._page(
            "task", request, title=f"{row.title} on {row.machine}", current="", live=live,
            facts=_html(self._render_facts(row)), lines=lines,
        )  # fmt: skip

    def _begin(self, row: Row) -> tuple[str, int]:
        """Return the end of the log of a task that runs, in whole lines, and where that ends."""
        try:
            data, size = self._folder(row).part(LOG, -_BEGIN, _BEGIN)
        except (NoFile, RequestError):
            return "", 0
        begin = data.find(b"\n") + 1 if size > _BEGIN else 0
        end = data.rfind(b"\n") + 1
        return decode(data[begin:end]), size - len(data) + end

    def _follow(self, request: Request, row: Row) -> Follow:
        given = request.headers.get("last-event-id", "")
        resumed = given.isascii() and given.isdigit() and len(given) < 16
        start = int(given) if resumed else max(0, request.number("from"))

        def current() -> _Watched:
            found: _Watched = self._watched.get(row.id)
            return found

        def folder() -> Folder | None:
            logs = current().row.logs
            return Folder(logs, self._logs) if logs else None

        return Follow(
            Parts(lambda: {"facts": current().facts}),
            folder,
            LOG,
            start,
            lambda: current().row.state != "running",
        )

    def _look_at(self, number: int) -> _Watched:
        row = self._row(str(number))
        return _Watched(row, self._render_facts(row))

    def _log(self, request: Request, row: Row, name: str) -> Response:
        folder = self._folder(row)
        note, mark, at = "", None, request.number("at", -1)
        try:
            if request.query.get("first"):
                found = self._errors.first(folder, name)
                note = "" if found else "No line in the first 16 MiB of it tells of an error."
                if found:
                    mark = found.place
                    at = max(0, mark - WINDOW // 4)
            shown = window(folder, name, at, mark)
        except NoFile as error:
            raise RequestError(404, str(error)) from None
        lines = shown.text.split("\n")
        before, marked, after = [], None, lines
        if shown.mark is not None and shown.mark < len(lines):
            before, marked = lines[: shown.mark], lines[shown.mark]
            after = lines[shown.mark + 1 :]
        return self._page(
            "log", request, title=name, current="", id=row.id, task=row.title, name=name, w=shown,
            earlier=max(0, shown.start - WINDOW), note=note, before=before, marked=marked,
            after="\n".join(after),
        )  # fmt: skip

    def _download(self, row: Row, path: str, *, attached: bool) -> Download:
        try:
            file = self._folder(row).open(path)
        except NoFile as error:
            raise RequestError(404, str(error)) from None
        kind = "application/octet-stream" if attached else TEXT
        size = os.fstat(file.fileno()).st_size
        return Download(file, size, kind, path.rpartition("/")[2], attached=attached)


@dataclasses.dataclass(frozen=True)
class _Watched:
    """A task that somebody watches, and what its page says of it."""

    row: Row
    facts: str


def _html(text: str) -> t.Any:
    """Return what a template has made, as such."""
    import markupsafe

    return markupsafe.Markup(text)


__all__ = ["Choices", "Pages", "Sources"]
