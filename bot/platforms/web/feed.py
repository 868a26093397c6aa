"""News for open browser pages, by person. In-process and lossy: the rows are the truth, a page re-reads them.

A page that reads too slowly is cut off instead of being lied to: it reconnects and fetches its history again.
"""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from storage.records import Place

QUEUE_LIMIT = 256  # events a page may lag behind
PREVIEW_LIMIT = 32_000  # bytes of a preview: what every open page gets, and what is remembered of each running job
LIVE_LIMIT = 512  # running jobs whose present state is remembered for pages that open meanwhile


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """One event for a page: its SSE name and its JSON data."""

    event: str  # message | progress | preview | delta
    data: dict[str, Any]


class Subscription:
    """One open page. Read with `get`; None means that the stream is over."""

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._queue: asyncio.Queue[News | None] = asyncio.Queue(limit + 1)  # one place kept for the end mark
        self._limit = limit
        self._over = False

    async def get(self) -> News | None:
        return await self._queue.get()

    def put(self, news: News) -> None:
        if self._over:
            return
        if self._queue.qsize() >= self._limit:
            self.end()
        else:
            self._queue.put_nowait(news)

    def end(self) -> None:
        """Let the reader finish what is queued, then stop."""
        if not self._over:
            self._over = True
            self._queue.put_nowait(None)


@dataclass(slots=True)
class _Live:
    """What a page needs to join a running job in the middle."""

    user_id: int
    progress: dict[str, Any] | None = None
    preview: dict[str, Any] | None = None
    pieces: list[str] = field(default_factory=list)
    length: int = 0


class Feed:
    """Publish and subscribe per person. Used from the event loop only."""

    def __init__(self) -> None:
        self._pages: dict[int, set[Subscription]] = {}
        self._live: OrderedDict[int, _Live] = OrderedDict()  # by job id
        self._closed = False

    @contextmanager
    def subscribe(self, user_id: int) -> Iterator[Subscription]:
        """A page of this person, first told where the running jobs stand. Ends when the block is left."""
        page = Subscription()
        for news in self._standing(user_id):
            page.put(news)
        if self._closed:
            page.end()
        self._pages.setdefault(user_id, set()).add(page)
        try:
            yield page
        finally:
            self._pages[user_id].discard(page)
            if not self._pages[user_id]:
                del self._pages[user_id]

    def message(self, user_id: int, message: dict[str, Any]) -> None:
        """A message is new or changed; `message` as made by wire.message_json."""
        body = message["body"]
        job = body.get("job")
        if job is not None and body.get("state") not in ("queued", "running") and not body.get("streaming"):
            self._live.pop(job, None)
        self._publish(user_id, News(event="message", data=message))

    def progress(
        self,
        user_id: int,
        *,
        job: int,
        state: str,
        done: int = 0,
        total: int = 0,
        seconds: float | None = None,
    ) -> None:
        """Where a running job stands: steps done of total, and the seconds it may still take."""
        self._progress(user_id, {"job": job, "state": state, "done": done, "total": total, "seconds": seconds})

    def queued(self, user_id: int, *, job: int, place: Place, title: str = "") -> None:
        """Where a waiting job stands. `title` says it in full where that is not all there is to say."""
        seconds = None if place.seconds is None else round(place.seconds, 1)
        told = {"place": place.place, "low": place.low, "high": place.high} | ({"title": title} if title else {})
        self._progress(user_id, {"job": job, "state": "queued", "done": 0, "total": 0, "seconds": seconds, **told})

    def _progress(self, user_id: int, data: dict[str, Any]) -> None:
        self._remember(user_id, data["job"]).progress = data
        self._publish(user_id, News(event="progress", data=data))

    def preview(self, user_id: int, *, job: int, jpeg: bytes) -> None:
        """What a running picture looks like so far; the latest only. A large one is left out."""
        if len(jpeg) <= PREVIEW_LIMIT:
            data = {"job": job, "src": f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"}
            self._remember(user_id, job).preview = data
            self._publish(user_id, News(event="preview", data=data))

    def delta(self, user_id: int, *, job: int, text: str) -> None:
        """The next piece of an answer. `at` tells a page where the piece belongs, so none is shown twice."""
        live = self._remember(user_id, job)
        data = {"job": job, "at": live.length, "text": text}
        live.pieces.append(text)
        live.length += len(text)
        self._publish(user_id, News(event="delta", data=data))

    def pages(self, user_id: int) -> int:
        """How many pages this person has open."""
        return len(self._pages.get(user_id, ()))

    def end(self, user_id: int) -> None:
        """End the streams of one person, whose rights changed: a page that still may will come back."""
        for page in self._pages.get(user_id, ()):
            page.end()

    def close(self) -> None:
        """End every stream, also those that come later; call it before the server waits for its connections."""
        self._closed = True
        for user_id in self._pages:
            self.end(user_id)

    def _publish(self, user_id: int, news: News) -> None:
        for page in self._pages.get(user_id, ()):
            page.put(news)

    def _remember(self, user_id: int, job: int) -> _Live:
        live = self._live.setdefault(job, _Live(user_id))
        self._live.move_to_end(job)
        while len(self._live) > LIVE_LIMIT:
            self._live.popitem(last=False)
        return live

    def _standing(self, user_id: int) -> Iterator[News]:
        for job, live in self._live.items():
            if live.user_id != user_id:
                continue
            if live.progress is not None:
                yield News(event="progress", data=live.progress)
            if live.preview is not None:
                yield News(event="preview", data=live.preview)
            if live.pieces:
                yield News(event="delta", data={"job": job, "at": 0, "text": "".join(live.pieces)})
