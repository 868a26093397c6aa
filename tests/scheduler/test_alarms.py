"""Alarms and the sweep, with the real clock and a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from scheduler.alarms import Alarms
from scheduler.calendar import EveryInterval
from scheduler.clock import Clock
from scheduler.policy import Refusal
from storage import reservations
from storage.database import Database
from storage.records import Occurrence, Reservation, ReservationState, utcnow
from storage.tables import jobs, occurrences
from tests.blank import blank
from tests.scheduler.booked import POLICY, Front, booked, kept, once, person

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as opened:
        yield opened


@asynccontextmanager
async def ringing(
    db: Database, front: Front, fired: list[Occurrence], now: Callable[[], datetime] = utcnow
) -> AsyncIterator[Alarms]:
    clock = Clock({})

    def tell(fates: Sequence[Occurrence]) -> None:
        fired.extend(fates)

    alarms = Alarms(db, clock, lambda: front, lambda: POLICY, tell, now)
    loop = asyncio.create_task(alarms.run())
    clock.start()
    try:
        yield alarms
    finally:
        alarms.stop()
        await asyncio.wait_for(loop, 10)
        clock.stop()


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0.02)


def orders(db: Database) -> int:
    return db.read_sync(lambda conn: int(conn.execute(select(func.count()).select_from(jobs)).scalar_one()))


async def test_what_is_overdue_and_what_falls_due_fires_once_and_in_its_time(db: Database) -> None:
    user, soon = await asyncio.to_thread(person, db), utcnow() + SECOND
    numbers = [
        (await asyncio.to_thread(once, db, user, due)).id for due in (soon - HOUR, soon, soon + SECOND / 2, soon + HOUR)
    ]
    fired: list[Occurrence] = []
    async with ringing(db, Front(cost=0), fired):
        await until(lambda: len(fired) == 3)
        await asyncio.sleep(0.1)
    assert [fate.reservation_id for fate in fired] == numbers[:3]
    assert all(fate.at >= fate.due_at for fate in fired), "never early"
    assert await asyncio.to_thread(orders, db) == 3


async def test_a_confirmation_is_armed_at_once(db: Database) -> None:
    user = await asyncio.to_thread(person, db)
    fired: list[Occurrence] = []
    async with ringing(db, Front(), fired) as alarms:
        await asyncio.sleep(0.1)  # the first look has found nothing
        due = utcnow() + SECOND / 2
        number = (await asyncio.to_thread(once, db, user, due)).id
        alarms.arm(number, due)
        alarms.arm(number, due)
        await until(lambda: len(fired) == 1)
    [fate] = fired
    assert fate.at - due < SECOND, "rung by its alarm, not by the next look two seconds later"


async def test_one_that_meets_a_defect_does_not_hold_up_the_others(db: Database) -> None:
    user, due = await asyncio.to_thread(person, db), utcnow() - SECOND
    numbers = [(await asyncio.to_thread(once, db, user, due)).id for _ in range(4)]
    fired: list[Occurrence] = []
    async with ringing(db, Front(cost=0, defect={numbers[1]}), fired):
        await until(lambda: len(fired) == 4)
    assert {fate.reservation_id: fate.reason for fate in fired} == {
        number: "internal" if number == numbers[1] else "" for number in numbers
    }


async def test_one_that_cannot_even_be_refused_rests_and_the_others_go_on(db: Database) -> None:
    class Speechless(Front):
        def message(self, reservation: Reservation, fate: Occurrence, refusal: Refusal | None) -> dict[str, Any]:
            raise KeyError("no such sentence")

    user, due = await asyncio.to_thread(person, db), utcnow() - SECOND
    stuck, other = [(await asyncio.to_thread(once, db, user, due)).id for _ in range(2)]
    fired: list[Occurrence] = []
    async with ringing(db, Speechless(defect={stuck}), fired):
        await until(lambda: [fate.reservation_id for fate in fired] == [other])
        later = (await asyncio.to_thread(once, db, user, utcnow() - SECOND)).id
        await until(lambda: [fate.reservation_id for fate in fired] == [other, later])
    assert (await asyncio.to_thread(kept, db, stuck)).state is ReservationState.ACTIVE


async def test_the_clock_set_forward_and_back_again(db: Database) -> None:
    """Due in an hour; the clock jumps two hours ahead, then three back: it fires once, and tomorrow's stays."""
    step = timedelta()
    start = utcnow()
    user = await asyncio.to_thread(person, db)
    rule = EveryInterval(minutes=24 * 60, start=start + HOUR)
    number = (await asyncio.to_thread(booked, db, user, rule, start)).id
    fired: list[Occurrence] = []
    async with ringing(db, Front(), fired, lambda: utcnow() + step):
        await asyncio.sleep(0.2)
        assert fired == []
        step = 2 * HOUR
        await until(lambda: len(fired) == 1)  # the sweep reads the wall clock again within two seconds
        step = -HOUR
        await asyncio.sleep(2.5)
    assert len(fired) == 1
    assert (await asyncio.to_thread(kept, db, number)).next_at == start + 25 * HOUR
    assert await asyncio.to_thread(orders, db) == 1


async def test_hundreds_due_in_one_second_are_fired_a_few_at_a_time(db: Database) -> None:
    user, due = await asyncio.to_thread(person, db), utcnow() + SECOND / 2
    one = await asyncio.to_thread(once, db, user, due)

    def copy(conn: object) -> None:
        from storage.tables import reservations as table

        row = conn.execute(select(table)).one()._mapping  # type: ignore[attr-defined]
        values = {name: value for name, value in row.items() if name != "id"}
        conn.execute(table.insert(), [values] * 299)  # type: ignore[attr-defined]

    await db.run(copy)
    fired: list[Occurrence] = []
    async with ringing(db, Front(cost=0), fired):
        await until(lambda: len(fired) == 300)
    assert len({fate.reservation_id for fate in fired}) == 300
    assert one.id in {fate.reservation_id for fate in fired}
    assert await db.read(reservations.due, utcnow() + HOUR, 9) == []
    known = await db.read(lambda conn: conn.execute(select(func.count()).select_from(occurrences)).scalar_one())
    assert known == 300


def test_a_clock_set_back_wakes_every_chore(monkeypatch: pytest.MonkeyPatch) -> None:
    """APScheduler plans chores by the wall clock: set back an hour, they would all rest for an hour."""

    async def look() -> None:
        done = asyncio.Event()
        clock = Clock({"chore": (3600.0, lambda: _set(done))})
        clock.start()
        assert clock.notice_steps() is False
        monkeypatch.setattr("scheduler.clock._ahead", lambda: -7200.0)
        assert clock.notice_steps() is True
        await asyncio.wait_for(done.wait(), 10)
        assert clock.notice_steps() is False
        clock.stop()

    asyncio.run(look())


async def _set(event: asyncio.Event) -> None:
    event.set()
