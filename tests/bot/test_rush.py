"""While events pour in, the work behind them takes turns; the inbox keeps what arrives together, once each."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from bot.events import ChatEvent
from bot.inbox import Inbox
from bot.rush import CROWD, Rush
from storage.database import Database
from storage.records import ChatType, Identity, InboxEntry, Origin
from storage.tables import inbox as inbox_table
from tests.blank import blank


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as opened:
        yield opened


def event(key: str, text: str = "hello") -> ChatEvent:
    origin = Origin(platform="web", chat_id=key, chat_type=ChatType.DIRECT, message_id=key, sender="anna")
    return ChatEvent(
        platform="web",
        key=key,
        kind="message",
        sender=Identity(platform="web", external_id="anna"),
        sender_name="anna",
        origin=origin,
        at=datetime(2026, 11, 21, tzinfo=UTC),
        text=text,
    )


def kept(conn: Connection) -> list[str]:
    return list(conn.execute(select(inbox_table.c.key).order_by(inbox_table.c.id)).scalars())


async def nothing(entry: InboxEntry, event: ChatEvent) -> None:
    """No work."""


async def test_events_that_arrive_together_are_kept_once_each_in_their_order(db: Database) -> None:
    inbox = Inbox(db, nothing)
    await asyncio.gather(*(inbox.accept(event(f"k{number % 200:03}")) for number in range(300)))
    assert await db.read(kept) == [f"k{number:03}" for number in range(200)]


async def test_an_event_that_cannot_be_kept_takes_no_other_with_it(db: Database) -> None:
    inbox = Inbox(db, nothing)
    events = [event("a"), event("b", "\ud800"), event("c")]  # half a character: no database takes it
    outcomes = await asyncio.gather(*map(inbox.accept, events), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), UnicodeEncodeError, type(None)]
    assert await db.read(kept) == ["a", "c"]


async def test_accepting_waits_for_the_commit(db: Database) -> None:
    inbox = Inbox(db, nothing)
    await inbox.accept(event("a"))
    assert await db.read(lambda conn: conn.execute(select(func.count()).select_from(inbox_table)).scalar_one()) == 1


async def test_a_sender_that_leaves_does_not_disturb_the_others(db: Database) -> None:
    inbox = Inbox(db, nothing)
    waiting = [asyncio.create_task(inbox.accept(event(key))) for key in "abc"]
    await asyncio.sleep(0)
    waiting[1].cancel()
    assert [type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)] == [
        type(None),
        asyncio.CancelledError,
        type(None),
    ]


async def test_in_a_rush_work_goes_on_one_after_the_other() -> None:
    rush = Rush()

    async def pour() -> None:
        while True:
            rush.arrived()
            await asyncio.sleep(0.0005)

    for _ in range(CROWD):
        rush.arrived()
    assert rush.on
    pouring = asyncio.create_task(pour())
    waiting = {asyncio.create_task(rush.turn()) for _ in range(3)}
    done, left = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert (len(done), len(left)) == (1, 2)
    await asyncio.wait(left)  # it goes on even so
    pouring.cancel()


async def test_in_ordinary_times_nobody_waits() -> None:
    rush = Rush()
    for _ in range(CROWD - 1):
        rush.arrived()
    assert not rush.on
    turn = asyncio.create_task(rush.turn())
    await asyncio.sleep(0)
    assert turn.done()


async def test_what_no_platform_waits_for_slows_nobody_down(db: Database) -> None:
    """A robot's connection knows no acknowledgements: there the answer is all that anybody waits for."""
    inbox = Inbox(db, nothing)
    await asyncio.gather(*(inbox.accept(event(f"a{number}"), waited_for=False) for number in range(CROWD)))
    assert not inbox.rush.on
    await asyncio.gather(*(inbox.accept(event(f"b{number}")) for number in range(CROWD)))
    assert inbox.rush.on
