"""Firing a reservation, as one transaction, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, func, select, update

from scheduler import firing, queue, quota
from scheduler import reservations as acts
from scheduler.calendar import EveryDay, window_from_text
from scheduler.policy import RESERVED, Refusal
from scheduler.verify import verify
from storage import jobs, reservations
from storage.database import Database
from storage.files import Files
from storage.records import Fate, Kind, Occurrence, ReservationState, Unit, User, utcnow
from storage.tables import jobs as jobs_table
from storage.tables import occurrences
from storage.tables import reservations as reservations_table
from tests.scheduler.booked import HOUR, POLICY, Front, act, booked, fates, kept, once, person, told

DUE = datetime(2026, 11, 23, 1, tzinfo=UTC)  # 9:00 in Shanghai
DAILY = EveryDay(times=(time(9),))
DAY = timedelta(days=1)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def left(db: Database, user: User) -> int:
    """What the person may still draw."""
    standing = db.run_sync(quota.standing, quota.subject(user.id), Unit.DRAW, POLICY, DUE)
    assert standing is not None
    return standing.total


def fire(db: Database, number: int, now: datetime, front: Front | None = None) -> Occurrence | None:
    return db.run_sync(firing.fire, number, front or Front(), POLICY, now)


def orders(db: Database) -> int:
    return db.read_sync(lambda conn: int(conn.execute(select(func.count()).select_from(jobs_table)).scalar_one()))


def broken(db: Database, tmp_path: Path, now: datetime) -> list[str]:
    checks = db.read_sync(verify, Files(tmp_path / "files"), now)
    return next(check.broken for check in checks if "reservation" in check.invariant)


def test_it_fires_once_when_it_is_due_and_not_before(db: Database, tmp_path: Path) -> None:
    user = person(db)
    number = once(db, user, DUE).id
    assert fire(db, number, DUE - timedelta(seconds=1)) is None
    fate = fire(db, number, DUE)
    assert fate is not None
    assert (fate.fate, fate.key, fate.due_at) == (Fate.FIRED, "2026-11-23T01:00:00Z", DUE)
    assert fire(db, number, DUE) is None, "it has fired"
    job = db.read_sync(jobs.by_key, f"res:{number}:2026-11-23T01:00:00Z")
    assert job is not None
    assert (job.id, job.priority, job.user_id, job.params) == (
        fate.job_id,
        RESERVED,
        user.id,
        {"prompt": "cat", "count": 1},
    )
    assert left(db, user) == 4, "the price is held when it fires"
    ended = kept(db, number)
    assert (ended.state, ended.next_at, ended.reason) == (ReservationState.ENDED, None, "fired")
    assert broken(db, tmp_path, DUE + HOUR) == []


def test_a_rule_goes_on_to_its_next_time(db: Database, tmp_path: Path) -> None:
    number = booked(db, person(db), DAILY, DUE - HOUR).id
    for day in range(3):
        assert kept(db, number).next_at == DUE + day * DAY
        assert fire(db, number, DUE + day * DAY) is not None
    assert (kept(db, number).state, orders(db)) == (ReservationState.ACTIVE, 3)
    assert broken(db, tmp_path, DUE + 2 * DAY) == []


def test_the_same_occurrence_never_orders_twice(db: Database) -> None:
    """A row put back by hand, as by a restored backup: what was ordered stays ordered, and it moves on."""
    number = booked(db, person(db), DAILY, DUE - HOUR).id
    fire(db, number, DUE)
    db.run_sync(lambda conn: conn.execute(update(reservations_table).values(next_at=DUE)).rowcount)
    fate = fire(db, number, DUE + timedelta(seconds=5))
    assert fate is not None
    assert fate.at == DUE, "what became of it is what is known"
    assert (orders(db), kept(db, number).next_at) == (1, DUE + DAY)


async def test_two_clocks_at_the_same_instant_fire_each_once(db: Database, migrated_url: str) -> None:
    """Two processes, seen by the database as two writers; each sees all of them due."""
    user = await asyncio.to_thread(person, db)
    numbers = [(await asyncio.to_thread(once, db, user, DUE, params={"count": 1, "n": n})).id for n in range(12)]
    with Database.open(migrated_url) as other:
        free = Front(cost=0)
        calls = [
            house.run(firing.fire_all, order, free, POLICY, DUE)
            for house, order in ((db, numbers), (other, numbers[::-1]), (db, numbers), (other, numbers))
        ]
        found = [fate for fates_ in await asyncio.gather(*calls) for fate in fates_]
    # What another process held at that instant was left to it; nothing is left over.
    assert sorted(fate.reservation_id for fate in found) == numbers
    assert await asyncio.to_thread(orders, db) == len(numbers)


def test_while_somebody_holds_the_row_the_others_leave_it(migrated_url: str, db: Database) -> None:
    if migrated_url.startswith("sqlite"):
        pytest.skip("SQLite has one writer at a time: there is nobody to wait for")
    number = once(db, person(db), DUE).id
    holding, done = threading.Event(), threading.Event()

    def hold(conn: Connection) -> None:
        assert reservations.lock(conn, number) is not None
        holding.set()
        assert done.wait(30)

    with Database.open(migrated_url) as other:
        holder = threading.Thread(target=other.run_sync, args=(hold,))
        holder.start()
        assert holding.wait(30)
        assert fire(db, number, DUE) is None
        done.set()
        holder.join()
    assert fire(db, number, DUE) is not None


def test_missed_while_down_the_latest_runs_and_the_others_are_recorded(db: Database, tmp_path: Path) -> None:
    number, front = booked(db, person(db), DAILY, DUE - HOUR).id, Front()
    now = DUE + 3 * DAY + timedelta(minutes=12)
    assert fire(db, number, now, front) is not None
    assert fates(db, number) == [("skipped", "missed")] * 3 + [("fired", "")]
    [told_of] = front.firings
    assert (told_of.late, told_of.missed, told_of.due) == (timedelta(minutes=12), 3, DUE + 3 * DAY)
    assert (orders(db), kept(db, number).next_at, told(db)) == (1, DUE + 4 * DAY, [])
    assert broken(db, tmp_path, now) == []


def test_too_late_by_its_policy_is_skipped_told_and_free(db: Database, tmp_path: Path) -> None:
    user = person(db)
    number = once(db, user, DUE, late_limit=timedelta(minutes=30)).id
    fate = fire(db, number, DUE + timedelta(minutes=31))
    assert fate is not None
    assert (fate.fate, fate.reason, orders(db)) == (Fate.SKIPPED, "too_late", 0)
    assert told(db) == ["too_late"]
    assert (kept(db, number).state, kept(db, number).reason) == (ReservationState.ENDED, "too_late")
    assert left(db, user) == 5
    assert broken(db, tmp_path, DUE + HOUR) == []


def test_refused_by_the_quota_costs_nothing_is_told_and_the_next_time_stands(db: Database, tmp_path: Path) -> None:
    user = person(db)
    number = booked(db, user, DAILY, DUE - HOUR).id
    fate = fire(db, number, DUE, Front(cost=6))
    assert fate is not None
    assert (fate.fate, fate.reason, fate.job_id) == (Fate.REFUSED, "quota", None)
    assert (told(db), orders(db), kept(db, number).next_at) == (["quota"], 0, DUE + DAY)
    assert left(db, user) == 5
    assert fire(db, number, DUE + DAY) is not None
    assert fates(db, number) == [("refused", "quota"), ("fired", "")]
    assert broken(db, tmp_path, DUE + DAY) == []


def test_refused_before_the_queue_is_asked(db: Database) -> None:
    number = once(db, person(db), DUE).id
    fate = fire(db, number, DUE, Front(refusal=Refusal(code="image_model_unavailable")))
    assert fate is not None
    assert (fate.reason, told(db)) == ("image_model_unavailable", ["image_model_unavailable"])


def test_a_defect_is_recorded_and_told_and_does_not_come_again(db: Database) -> None:
    number = booked(db, person(db), DAILY, DUE - HOUR).id
    front = Front(defect={number})
    with pytest.raises(ZeroDivisionError):
        fire(db, number, DUE, front)
    assert fates(db, number) == [], "nothing of it was kept"
    db.run_sync(firing.give_up, number, front, DUE)
    assert (fates(db, number), told(db)) == ([("refused", "internal")], ["internal"])
    assert kept(db, number).next_at == DUE + DAY


def test_a_rule_that_cannot_be_read_any_more_ends(db: Database) -> None:
    number = booked(db, person(db), DAILY, DUE - HOUR).id
    db.run_sync(lambda conn: conn.execute(update(reservations_table).values(rule={"rule": "moon"})).rowcount)
    assert db.run_sync(firing.give_up, number, Front(), DUE) is None
    assert (kept(db, number).state, kept(db, number).reason) == (ReservationState.CANCELLED, "unreadable")


@pytest.mark.parametrize("state", ["paused", "cancelled", "proposed"])
def test_only_active_ones_fire(db: Database, state: str) -> None:
    user = person(db)
    number = once(db, user, DUE).id
    values = {"state": state, "next_at": DUE}
    db.run_sync(lambda conn: conn.execute(update(reservations_table).values(**values)).rowcount)
    assert fire(db, number, DUE) is None
    assert db.read_sync(reservations.due, DUE, 9) == []


def test_the_night_that_shows_an_hour_twice_fires_once(db: Database, tmp_path: Path) -> None:
    """Berlin, 25 October 2026: 2:30 comes at 0:30 and again at 1:30 UTC."""
    berlin = ZoneInfo("Europe/Berlin")
    here = datetime(2026, 10, 24, 12, tzinfo=UTC)
    policy = replace(POLICY, timezone=berlin)
    number = booked(db, person(db), EveryDay(times=(time(2, 30),)), here, policy=policy).id
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert kept(db, number).next_at == first
    assert fire(db, number, first) is not None
    again = first + HOUR
    assert fire(db, number, again) is None
    assert kept(db, number).next_at == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    db.run_sync(lambda conn: conn.execute(update(reservations_table).values(next_at=again)).rowcount)
    assert fire(db, number, again) is not None, "a clock that came to the second 2:30 all the same …"
    assert orders(db) == 1, "… meets the key of the first"
    assert broken(db, tmp_path, again + HOUR) == []


def test_a_window_is_worked_off_before_it_closes(db: Database, tmp_path: Path) -> None:
    user, window = person(db), window_from_text("09:00-12:00")
    closes = DUE + 3 * HOUR
    number = once(db, user, DUE, window=window, closes_at=closes).id
    assert fire(db, number, DUE + timedelta(minutes=40)) is not None, "any time in it will do"
    [job] = db.read_sync(jobs.recent)
    assert job.not_after == closes
    assert db.read_sync(jobs.waiting, Kind.DRAW, closes - timedelta(seconds=1), 9) == [job]
    assert db.read_sync(jobs.waiting, Kind.DRAW, closes, 9) == [], "it may not start after the closing"
    assert db.run_sync(queue.close, closes - timedelta(seconds=1)) == []
    assert db.run_sync(queue.close, closes) == [job.id]
    ended = db.read_sync(jobs.get, job.id)
    assert ended is not None
    assert (ended.state.value, ended.error) == ("failed", "window_closed")
    assert left(db, user) == 5
    assert broken(db, tmp_path, closes) == []


def test_a_window_that_passed_while_down_is_skipped_and_told(db: Database) -> None:
    window = window_from_text("09:00-12:00")
    number = once(db, person(db), DUE, window=window, closes_at=DUE + 3 * HOUR).id
    fire(db, number, DUE + 3 * HOUR)
    assert (fates(db, number), told(db), orders(db)) == ([("skipped", "window_closed")], ["window_closed"], 0)


def test_what_is_cancelled_while_it_was_due_is_recorded(db: Database, tmp_path: Path) -> None:
    number = booked(db, person(db), DAILY, DUE - HOUR).id
    act(db, number, acts.cancel, "user:1", DUE + DAY + HOUR)
    assert fates(db, number) == [("skipped", "cancelled")] * 2
    assert fire(db, number, DUE + DAY + HOUR) is None
    assert broken(db, tmp_path, DUE + 2 * DAY) == []


def test_ten_weeks_asleep_are_one_firing(db: Database, tmp_path: Path) -> None:
    number = booked(db, person(db), DAILY, DUE - HOUR).id
    now = DUE + 70 * DAY
    assert fire(db, number, now) is not None
    assert fates(db, number) == [("skipped", "missed")] * 29 + [("fired", "")]
    assert broken(db, tmp_path, now) == []


def test_the_oracle_sees_what_is_missing(db: Database, tmp_path: Path) -> None:
    number = booked(db, person(db), DAILY, DUE - HOUR).id
    late = DUE + timedelta(minutes=3)
    assert "has not fired" in broken(db, tmp_path, late)[0]
    fire(db, number, DUE)
    assert broken(db, tmp_path, late) == []
    db.run_sync(lambda conn: conn.execute(occurrences.delete()).rowcount)
    said = " / ".join(broken(db, tmp_path, late))
    assert "nothing is known of what was due at 2026-11-23T09:00" in said
    assert "belongs to no due time" in said


def test_what_is_due_soon_is_found_soonest_first(db: Database) -> None:
    user = person(db)
    numbers = [once(db, user, DUE + timedelta(minutes=n)).id for n in range(3)]
    assert db.read_sync(reservations.due, DUE + timedelta(minutes=1), 9) == [
        (numbers[0], DUE),
        (numbers[1], DUE + timedelta(minutes=1)),
    ]
    assert len(db.read_sync(reservations.due, utcnow() + 3650 * DAY, 2)) == 2
