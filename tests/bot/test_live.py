"""Cards that move: what is put off is shown later, what is refused is left alone, nobody holds others up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import live as live_module
from bot.delivery import Cards
from bot.live import Live
from bot.platforms.base import Outgoing, Retry, Undelivered
from bot.platforms.web.feed import Feed, News, Subscription
from bot.reply import Reply
from scheduler import queue
from scheduler.policy import Policy
from scheduler.progress import Progress, ProgressFeed
from scheduler.queue import Submission
from storage import outbox, users
from storage.database import Database
from storage.records import Allowance, ChatType, Identity, Job, Kind, Origin, Unit, utcnow
from tests.blank import blank

ORIGIN = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_1", sender="ou_1")


class Wall:
    """A platform that shows progress, each job's after its own gate, unless it has an error to raise first."""

    name = "feishu"
    progress_interval = 0.01

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.slow: set[int] = set()
        self.gate = asyncio.Event()
        self.shown: list[tuple[int | None, str]] = []
        self.tries = 0

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        raise AssertionError("nothing is posted here")

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        if message.reply.job in self.slow:
            await self.gate.wait()
        self.shown.append((message.reply.job, message.reply.text))
        return dict(receipt)

    async def close(self) -> None:
        """Nothing is open."""


def said(conn: Connection, job: Job, progress: Progress | None) -> Reply:
    return Reply(text=progress.text if progress else "", job=job.id, state="running")


def asked(conn: Connection, number: int) -> int:
    """A question whose card was sent; returns its job."""
    user = users.resolve(conn, Identity(platform="feishu", external_id="ou_1"), "anna", utcnow())
    wanted = Submission(
        key=f"event-{number}",
        kind=Kind.ASK,
        user=user,
        origin=ORIGIN,
        params={"question": "年假?"},
        cost=1,
        work=1.0,
        card=lambda conn, job, place: Reply(text="排队中").to_json(),
    )
    policy = Policy(timezone=UTC, allowances={unit: (Allowance(amount=9, period="day"),) for unit in Unit})
    job = queue.submit(conn, wanted, policy, utcnow())
    assert isinstance(job, Job)
    outbox.sent(conn, outbox.of_job(conn, job.id)["card"].id, {"message_id": f"om_{number}"}, utcnow())
    return job.id


@asynccontextmanager
async def moving(
    db: Database, wall: Wall, web: Feed | None = None, cards: Cards | None = None
) -> AsyncIterator[ProgressFeed]:
    feed = ProgressFeed()
    feed.attach(asyncio.get_running_loop())
    running = asyncio.create_task(Live(db, feed, web or Feed(), {"feishu": wall}, said, cards or Cards()).run())
    await asyncio.sleep(0)
    try:
        yield feed
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(wall: Wall, *expected: tuple[int, str]) -> None:
    async with asyncio.timeout(20):
        while not set(expected) <= set(wall.shown):
            await asyncio.sleep(0.01)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(live_module, "TICK", 0.01)
    monkeypatch.setattr(live_module, "PLACES", 3600.0)
    return blank(tmp_path / "moqi.db")


async def test_the_last_words_are_shown_although_they_came_too_soon(url: str) -> None:
    with Database.open(url) as db:
        wall, job = Wall(), await db.run(asked, 1)
        wall.errors = [Retry("no room for progress"), Retry("no room for progress")]
        async with moving(db, wall) as feed:
            for text in ("满", "满一", "满一年"):
                feed.publish(Progress(job=job, user_id=1, text=text))
            await until(wall, (job, "满一年"))
        assert wall.shown == [(job, "满一年")]


async def test_what_is_refused_is_left_alone_for_a_while(url: str) -> None:
    with Database.open(url) as db:
        wall, job, other = Wall(), await db.run(asked, 1), await db.run(asked, 2)
        wall.errors = [Undelivered("the audit")]
        async with moving(db, wall) as feed:
            feed.publish(Progress(job=job, user_id=1, text="满"))
            async with asyncio.timeout(20):
                while not wall.tries:
                    await asyncio.sleep(0.01)
            for number in range(20):
                feed.publish(Progress(job=job, user_id=1, text="满" * number))
                feed.publish(Progress(job=other, user_id=1, text=f"{number}"))
                await until(wall, (other, f"{number}"))
        assert {number for number, _ in wall.shown} == {other}


async def test_a_card_that_hangs_holds_no_other_up(url: str) -> None:
    with Database.open(url) as db:
        wall, slow, quick = Wall(), await db.run(asked, 1), await db.run(asked, 2)
        wall.slow = {slow}
        async with moving(db, wall) as feed:
            feed.publish(Progress(job=slow, user_id=1, text="慢"))
            for text in ("快", "快快"):
                feed.publish(Progress(job=quick, user_id=1, text=text))
                await until(wall, (quick, text))
            feed.publish(Progress(job=slow, user_id=1, text="慢慢"))
            wall.gate.set()
            await until(wall, (slow, "慢慢"))


async def test_a_defect_with_one_card_does_not_stop_those_of_the_others(url: str) -> None:
    with Database.open(url) as db:
        wall, job, other = Wall(), await db.run(asked, 1), await db.run(asked, 2)
        wall.errors = [KeyError("way")]
        async with moving(db, wall) as feed:
            feed.publish(Progress(job=job, user_id=1, text="满"))
            async with asyncio.timeout(20):
                while not wall.tries:
                    await asyncio.sleep(0.01)
            feed.publish(Progress(job=other, user_id=1, text="一"))
            await until(wall, (other, "一"))


class Gallery(Wall):
    """A wall that must be given its pictures before; `late` holds the gift up."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[str, bytes]] = []
        self.late: asyncio.Event | None = None

    async def preview(self, receipt: Mapping[str, Any], jpeg: bytes) -> None:
        self.given.append((receipt["message_id"], jpeg))
        if self.late is not None:
            await self.late.wait()


async def test_a_preview_is_given_before_the_card_and_told_to_the_page_once(url: str) -> None:
    with Database.open(url) as db:
        wall, web, job = Gallery(), Feed(), await db.run(asked, 1)
        async with moving(db, wall, web) as feed:
            with web.subscribe(1) as page, web.subscribe(2) as other:
                for done, preview in ((2, b"one"), (3, b"one"), (4, b"two")):
                    feed.publish(Progress(job=job, user_id=1, done=done, total=8, preview=preview))
                async with asyncio.timeout(20):
                    while ("om_1", b"two") not in wall.given or not wall.shown:
                        await asyncio.sleep(0.01)
                page.end()
                other.end()
                told = [news.event async for news in _read(page)]
                assert told.count("preview") == 2
                assert [news async for news in _read(other)] == []


async def test_no_outcome_waits_for_a_preview(url: str) -> None:
    with Database.open(url) as db:
        wall, cards, job = Gallery(), Cards(), await db.run(asked, 1)
        wall.late = asyncio.Event()
        async with moving(db, wall, cards=cards) as feed:
            feed.publish(Progress(job=job, user_id=1, done=2, total=8, preview=b"one"))
            async with asyncio.timeout(20):
                while not wall.given:
                    await asyncio.sleep(0.01)
                async with cards.outcome(job):
                    """The picture is on its card."""
            wall.late.set()
            feed.publish(Progress(job=job, user_id=1, ended=True))
            await asyncio.sleep(0.1)
        assert wall.shown == [], "what came late covers nothing"


async def _read(page: Subscription) -> AsyncIterator[News]:
    while (news := await page.get()) is not None:
        yield news
