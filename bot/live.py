"""Cards that move: steps, growing answers and places in the queue, while a job is under way.

Best effort by design: an update that fails or comes too late is dropped, the outbox brings the outcome anyway.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bot.delivery import Cards
from bot.platforms.base import ChatPlatform, Outgoing, PlatformError
from bot.platforms.web.feed import Feed
from bot.reply import Reply
from scheduler import estimate, places
from scheduler.pausing import Hold, hold
from scheduler.progress import Progress, ProgressFeed
from storage import jobs, outbox
from storage.database import Database
from storage.errors import StorageError
from storage.records import Delivery, DeliveryState, Job, Kind, Place, utcnow

log = logging.getLogger("moqi.live")

TICK = 0.1  # seconds between two looks at what changed
PLACES = 1.0  # seconds between two looks at the places in the queue
SHOWN = 100  # queued jobs whose places are kept fresh


@dataclass(frozen=True, slots=True)
class Card:
    """A job's card as it was sent."""

    job: Job
    delivery: Delivery


class Live:
    """Moves the cards of running and waiting jobs."""

    def __init__(
        self,
        db: Database,
        feed: ProgressFeed,
        web: Feed,
        platforms: Mapping[str, ChatPlatform],
        render: Callable[[Connection, Job, Progress | None], Reply],
        cards: Cards,
    ) -> None:
        self._db = db
        self._feed = feed
        self._web = web
        self._platforms = platforms
        self._render = render
        self._cards = cards
        #: Whether any platform wants its cards updated by us; the web page watches the feed itself.
        self._moving = any(platform.progress_interval for platform in platforms.values())
        self._pending: dict[int, Progress] = {}
        self._last: dict[int, float] = {}  # when a job's card was last updated
        self._shown: dict[int, tuple[Place, Hold | None]] = {}
        self._written: dict[int, int] = {}  # characters of an answer the page has

    async def run(self) -> None:
        """Until cancelled."""
        with self._feed.listening(self._hear):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._update_cards())
                group.create_task(self._update_places())

    def _hear(self, item: Progress) -> None:
        if item.ended:
            self._pending.pop(item.job, None)
            self._last.pop(item.job, None)
            self._written.pop(item.job, None)
        else:
            self._to_page(item)
            if self._moving:
                self._pending[item.job] = item

    def _to_page(self, item: Progress) -> None:
        if item.text:
            piece = item.text[self._written.get(item.job, 0) :]
            self._written[item.job] = len(item.text)
            self._web.delta(item.user_id, job=item.job, text=piece)
        else:
            self._web.progress(item.user_id, job=item.job, state="running", done=item.done, total=item.total)

    async def _update_cards(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for item in list(self._pending.values()):
                self._pending.pop(item.job, None)
                try:
                    await self._update(item.job, item)
                except StorageError:
                    log.exception("progress of job %d not shown", item.job, extra={"action": "progress-failed"})

    async def _update(self, job_id: int, item: Progress | None) -> None:
        card = await self._db.read(_card, job_id)
        platform = self._platforms.get(card.delivery.origin.platform) if card else None
        if card is None or platform is None or not self._due(job_id, platform.progress_interval):
            return
        reply = await self._db.read(self._render, card.job, item)
        message = Outgoing(
            key=card.delivery.key, origin=card.delivery.origin, reply=reply, receipt=card.delivery.receipt
        )
        async with self._cards.progress(job_id) as wanted:
            if not wanted:
                return
            try:
                await platform.update(card.delivery.receipt, message, {})
            except PlatformError as error:
                log.info("progress of job %d dropped: %s", job_id, error, extra={"action": "progress-dropped"})

    def _due(self, job_id: int, interval: float) -> bool:
        """Whether a card may be updated now. Interval 0: that platform watches the feed itself."""
        now = time.monotonic()
        if not interval or now - self._last.get(job_id, 0.0) < interval:
            return False
        self._last[job_id] = now
        return True

    async def _update_places(self) -> None:
        while True:
            await asyncio.sleep(PLACES)
            try:
                found = await self._db.read(_places)
            except StorageError:
                log.exception("places not shown", extra={"action": "places-failed"})
                continue
            for job, place, holds in found:
                if self._shown.get(job.id) != (_said(place), holds):
                    title = (await self._db.read(self._render, job, None)).title if holds else ""
                    self._web.queued(job.user_id, job=job.id, place=place, title=title)
                    await self._update(job.id, None)
            self._shown = {job.id: (_said(place), holds) for job, place, holds in found}


def _said(place: Place) -> Place:
    """As exactly as a card says it: the seconds between two numbers go by without an update."""
    seconds = place.seconds if place.low is None else None
    return replace(place, seconds=None if seconds is None else float(estimate.rounded(seconds)))


def _card(conn: Connection, job_id: int) -> Card | None:
    job = jobs.get(conn, job_id)
    card = outbox.of_job(conn, job_id).get("card")
    if job is None or job.state.terminal or card is None or card.state is not DeliveryState.SENT:
        return None
    return Card(job, card)


def _places(conn: Connection) -> list[tuple[Job, Place, Hold | None]]:
    now = utcnow()
    return [
        (job, place, hold(lane, job.not_before, now))
        for kind, lane in ((kind, jobs.peek_lane(conn, kind)) for kind in Kind)
        for job, place in places.places(conn, kind, SHOWN, now)
    ]
