"""What to do with an outgoing message, when to try again, and one writer per card."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.delivery import Cards, Post, Sender, Skip, Update, Wait, decide, next_try, reply_row
from bot.platforms.base import Outgoing
from bot.reply import Reply
from storage.database import Database
from storage.migrations import migrate
from storage.records import ChatType, Delivery, DeliveryState, Origin, utcnow
from storage.tables import outbox

ORIGIN = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_1", sender="ou_1")


def delivery(slot: str, state: DeliveryState = DeliveryState.PENDING, *, attempts: int = 1) -> Delivery:
    return Delivery(
        id=1,
        key=f"job-1-{slot}",
        origin=ORIGIN,
        job_id=1,
        slot=slot,
        body={},
        state=state,
        attempts=attempts,
        receipt={"message_id": "om_9"} if state is DeliveryState.SENT else {},
        reason="",
        created_at=utcnow(),
        sent_at=None,
    )


CARD, OUTCOME = delivery("card"), delivery("outcome")


@pytest.mark.parametrize(
    ("message", "siblings", "expected"),
    [
        (delivery("reply"), (), Post()),
        (CARD, (CARD,), Post()),
        (CARD, (CARD, OUTCOME), Skip()),  # never tried, and the outcome says it all
        (replace(CARD, attempts=2), (CARD, OUTCOME), Post()),  # it may be there already: find out, under the same key
        (OUTCOME, (OUTCOME,), Post()),  # ordered on the command line: no card
        (OUTCOME, (delivery("card", DeliveryState.SENT), OUTCOME), Update({"message_id": "om_9"})),
        (OUTCOME, (CARD, OUTCOME), Wait()),
        (OUTCOME, (delivery("card", DeliveryState.SKIPPED), OUTCOME), Post()),
        (OUTCOME, (delivery("card", DeliveryState.FAILED), OUTCOME), Post()),
    ],
)
def test_what_to_do(message: Delivery, siblings: tuple[Delivery, ...], expected: object) -> None:
    assert decide(message, {one.slot: one for one in siblings}) == expected


@pytest.mark.parametrize(
    ("attempts", "asked", "expected"),
    [(1, None, 0.5), (2, None, 1.0), (5, None, 8.0), (50, None, 60.0), (1, 30.0, 30.0)],
)
def test_tries_grow_apart_unless_the_platform_names_its_wait(
    attempts: int, asked: float | None, expected: float
) -> None:
    assert next_try(attempts, asked, 0.5) == timedelta(seconds=expected)
    assert next_try(attempts, asked, 0.0) < next_try(attempts, asked, 1.0)


async def test_progress_never_covers_the_outcome() -> None:
    cards, order = Cards(), []
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def progress() -> None:
        async with cards.progress(1) as wanted:
            if wanted:
                entered.set()
                await go_on.wait()
                order.append("progress")

    async def outcome() -> None:
        async with cards.outcome(1):
            order.append("outcome")

    slow = asyncio.create_task(progress())
    await entered.wait()
    last = asyncio.create_task(outcome())
    await asyncio.sleep(0)
    late = asyncio.create_task(progress())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(slow, last, late)
    assert order == ["progress", "outcome"]
    async with cards.progress(2) as wanted:
        assert wanted


class Wall:
    """A platform that takes what it is given once its gate is open."""

    name = "feishu"
    progress_interval = 0.0

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.posted: list[str] = []

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        await self.gate.wait()
        self.posted.append(message.key)
        return {"message_id": message.key}

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        raise AssertionError("nothing is updated here")

    async def close(self) -> None:
        """Nothing is open."""


def sender_of(db: Database, wall: Wall) -> Sender:
    def render(conn: Connection, delivery: Delivery) -> Reply:
        return Reply.from_json(delivery.body)

    return Sender(db, {"feishu": wall}, render, lambda asset: b"", Cards())


def row_of(conn: Connection) -> Any:
    return conn.execute(select(outbox)).one()


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'moqi.db'}"
    migrate(url)
    return url


async def test_what_a_stop_meets_while_it_is_claimed_is_sent_and_not_left_under_its_lease(url: str) -> None:
    with Database.open(url) as db:
        wall, busy = Wall(), threading.Event()
        wall.gate.set()
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        await asyncio.sleep(0)
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        blocked = asyncio.create_task(db.run(lambda conn: busy.wait(20)))  # the claim has to stand in line
        sender.wake.give()
        await asyncio.sleep(0.2)
        asyncio.get_running_loop().call_later(0.2, busy.set)
        await sender.stop(20)
        running.cancel()
        await blocked
        row = await db.run(row_of)
        assert (row.state, row.lease_until) in ((DeliveryState.SENT, None), (DeliveryState.PENDING, None))
        assert wall.posted == ([row.key] if row.state == DeliveryState.SENT else [])


async def test_what_a_stop_cuts_off_is_due_at_once_under_the_same_key(url: str) -> None:
    with Database.open(url) as db:
        wall = Wall()
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        sender.wake.give()
        while (await db.run(row_of)).lease_until is None:
            await asyncio.sleep(0.01)
        await sender.stop(0.05)
        await running
        row = await db.run(row_of)
        assert (row.state, row.lease_until, row.attempts) == (DeliveryState.PENDING, None, 1)
        wall.gate.set()
        again = sender_of(db, wall)
        running = asyncio.create_task(again.run())
        while (await db.run(row_of)).state != DeliveryState.SENT:
            await asyncio.sleep(0.01)
        await again.stop(20)
        await running
        assert wall.posted == ["event-1"]
