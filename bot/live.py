"""Cards that move: steps, growing answers and places in the queue, while a job is under way.

Best effort by design: an update that fails or comes too late is dropped, the outbox brings the outcome anyway.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bot.delivery import Cards
from bot.platforms.base import ChatPlatform, Outgoing, PlatformError, Previewing, Retry
from bot.platforms.web.feed import Feed
from bot.reply import Reply
from scheduler import estimate, places
from scheduler.pausing import Hold, hold
from scheduler.progress import Progress, ProgressFeed
from storage import jobs, outbox
from storage.database import Database
from storage.errors import StorageError
from storage.records import Delivery, DeliveryState, Job, JobState, Kind, Place, utcnow

log = logging.getLogger("moqi.live")

TICK = 0.1  # seconds between two looks at what changed
TYPING = 0.2  # seconds between two updates of a growing answer, at least; a platform that is slower drops some
NO_CARD = 0.5  # seconds until looking again for a card that is still on its way
PLACES = 1.0  # seconds between two looks at the places in the queue
REFUSED = 30.0  # seconds until trying again to show progress that the platform has refused
REMEMBERED = 1000  # jobs of which it is known how long their cards rest
SHOWN = 100  # queued jobs whose places are kept fresh
_MOVING = (JobState.QUEUED, JobState.RUNNING)


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
        self._pending: dict[int, Progress] = {}  # the latest of each job that its card does not show yet
        self._rest: dict[int, float] = {}  # a job's card is left alone until then
        self._writing: set[int] = set()  # jobs whose card is being updated: one slow platform holds nobody else up
        self._shown: dict[int, tuple[Place, Hold | None]] = {}
        self._written: dict[int, int] = {}  # characters of an answer the page has
        self._previewed: dict[int, bytes] = {}  # the preview the page has

    async def run(self) -> None:
        """Until cancelled."""
        with self._feed.listening(self._hear):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._update_cards())
                group.create_task(self._update_places())

    def _hear(self, item: Progress) -> None:
        if item.ended:
            self._pending.pop(item.job, None)
            self._rest.pop(item.job, None)
            self._written.pop(item.job, None)
            self._previewed.pop(item.job, None)
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
            if item.preview and item.preview is not self._previewed.get(item.job):
                self._previewed[item.job] = item.preview
                self._web.preview(item.user_id, job=item.job, jpeg=item.preview)

    async def _update_cards(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(TICK)
                for job in [job for job in self._pending if self._may_move(job)]:
                    self._writing.add(job)
                    group.create_task(self._move(job, self._pending.pop(job)))

    def _may_move(self, job_id: int) -> bool:
        return job_id not in self._writing and time.monotonic() >= self._rest.get(job_id, 0.0)

    async def _move(self, job_id: int, item: Progress) -> None:
        try:
            if not await self._update(job_id, item):
                self._pending.setdefault(job_id, item)  # its card is on its way; unless there is newer progress
        except Exception:  # the net of this loop: a defect with one card must not stop those of the others
            log.exception("progress of job %d not shown", job_id, extra={"action": "progress-failed"})
        finally:
            self._writing.discard(job_id)

    async def _update(self, job_id: int, item: Progress | None) -> bool:
        """Show how a job stands on its card; False when that is to be tried again soon."""
        card = await self._db.read(_card, job_id)
        if card is None:
            self._pause(job_id, NO_CARD)
            return self._feed.latest(job_id) is None  # ended meanwhile
        platform = self._platforms.get(card.delivery.origin.platform)
        if platform is None or not platform.progress_interval:  # 0: that platform watches the feed itself
            return True
        self._pause(
            job_id, min(platform.progress_interval, TYPING) if item and item.text else platform.progress_interval
        )
        reply = await self._db.read(self._render, card.job, item)
        message = Outgoing(
            key=card.delivery.key, origin=card.delivery.origin, reply=reply, receipt=card.delivery.receipt
        )
        if item and item.preview and isinstance(platform, Previewing):
            await platform.preview(card.delivery.receipt, item.preview)
        async with self._cards.progress(job_id) as wanted:
            return not wanted or await self._show(platform, job_id, card.delivery.receipt, message)

    async def _show(self, platform: ChatPlatform, job_id: int, receipt: Mapping[str, Any], message: Outgoing) -> bool:
        try:
            await platform.update(receipt, message, {})
        except Retry as error:
            log.debug("progress of job %d put off: %s", job_id, error)
            return False
        except PlatformError as error:
            log.info("progress of job %d dropped: %s", job_id, error, extra={"action": "progress-dropped"})
            self._pause(job_id, REFUSED)
        return True

    def _pause(self, job_id: int, seconds: float) -> None:
        now = time.monotonic()
        if len(self._rest) > REMEMBERED:
            self._rest = {job: until for job, until in self._rest.items() if until > now}
        self._rest[job_id] = now + seconds

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
                    if self._may_move(job.id):
                        await self._update(job.id, None)
            self._shown = {job.id: (_said(place), holds) for job, place, holds in found}


def _said(place: Place) -> Place:
    """As exactly as a card says it: the seconds between two numbers go by without an update."""
    seconds = place.seconds if place.low is None else None
    return replace(place, seconds=None if seconds is None else float(estimate.rounded(seconds)))


def _card(conn: Connection, job_id: int) -> Card | None:
    job = jobs.get(conn, job_id)
    card = outbox.of_job(conn, job_id).get("card")
    if job is None or job.state not in _MOVING or card is None or card.state is not DeliveryState.SENT:
        return None
    return Card(job, card)


def _places(conn: Connection) -> list[tuple[Job, Place, Hold | None]]:
    now = utcnow()
    return [
        (job, place, hold(lane, job.not_before, now))
        for kind, lane in ((kind, jobs.peek_lane(conn, kind)) for kind in Kind)
        for job, place in places.places(conn, kind, SHOWN, now)
    ]
