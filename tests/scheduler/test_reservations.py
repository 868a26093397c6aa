"""Proposing, confirming, changing, pausing, cancelling and lapsing, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from scheduler import queue
from scheduler import reservations as acts
from scheduler.calendar import EveryDay, Once, to_json, window_from_text
from scheduler.due import LAPSE
from scheduler.policy import Refusal
from scheduler.reservations import When
from storage import reservations
from storage.database import Database
from storage.records import Kind, Reservation, ReservationState
from tests.scheduler.booked import HOUR, POLICY, act, booked, booking, fates, kept, once, person, proposed

DUE = datetime(2026, 11, 23, 1, tzinfo=UTC)  # 9:00 in Shanghai
NOW = DUE - HOUR
DAY = timedelta(days=1)
DAILY = EveryDay(times=(time(9),))
NIGHT = window_from_text("22:00-06:00")
OPENS, CLOSES = datetime(2026, 11, 23, 14, tzinfo=UTC), datetime(2026, 11, 23, 22, tzinfo=UTC)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def code(found: object) -> str:
    assert isinstance(found, Refusal), found
    return found.code


def measured(db: Database, rate: float) -> None:
    """The lane draws one unit of work in `rate` seconds."""
    db.run_sync(queue.learn, Kind.DRAW, rate)


def into_window(db: Database, name: str, work: float) -> Reservation:
    """A proposal for tonight."""
    wanted = booking(person(db, name), Once(at=OPENS), window=NIGHT, closes_at=CLOSES, work=work)
    return proposed(db, wanted, NOW)


def test_nothing_fires_before_it_is_confirmed(db: Database) -> None:
    kept_ = proposed(db, booking(person(db), Once(at=DUE)), NOW)
    assert (kept_.state, kept_.next_at, kept_.zone, kept_.version) == (
        ReservationState.PROPOSED,
        DUE,
        "Asia/Shanghai",
        1,
    )
    assert db.read_sync(reservations.due, DUE, 9) == []
    done = act(db, kept_.id, acts.confirm, 1, "user:1", NOW)
    assert (done.state, done.since, done.next_at) == (ReservationState.ACTIVE, NOW, DUE)
    assert db.read_sync(reservations.due, DUE, 9) == [(kept_.id, DUE)]
    assert act(db, kept_.id, acts.confirm, 1, "user:1", NOW) == kept(db, kept_.id), "a second press changes nothing"


def test_a_card_of_an_earlier_time_confirms_nothing(db: Database) -> None:
    number = proposed(db, booking(person(db), Once(at=DUE)), NOW).id
    act(db, number, acts.change, When(rule=Once(at=DUE + DAY)), "user:1", NOW)
    assert code(act(db, number, acts.confirm, 1, "user:1", NOW)) == "reservation_stale"
    assert act(db, number, acts.confirm, 2, "user:1", NOW).next_at == DUE + DAY


def test_confirmed_after_its_time_it_is_refused(db: Database) -> None:
    number = proposed(db, booking(person(db), Once(at=DUE)), NOW).id
    assert code(act(db, number, acts.confirm, 1, "user:1", DUE)) == "reservation_past"
    assert kept(db, number).state is ReservationState.PROPOSED


def test_a_reading_is_chosen_before_it_is_confirmed(db: Database) -> None:
    user, readings = person(db), (Once(at=DUE), Once(at=DUE + 12 * HOUR))
    wanted = replace(booking(user, readings[0]), when=When(rule=readings[0], choices=readings))
    number = proposed(db, wanted, NOW).id
    assert kept(db, number).next_at is None
    assert code(act(db, number, acts.confirm, 1, "user:1", NOW)) == "reservation_choose"
    assert code(act(db, number, acts.choose, 1, 2, "user:1", NOW)) == "reservation_stale"
    chosen = act(db, number, acts.choose, 1, 1, "user:1", NOW)
    assert (chosen.state, chosen.next_at, chosen.choices, chosen.version) == (
        ReservationState.PROPOSED,
        DUE + 12 * HOUR,
        (),
        2,
    )
    assert act(db, number, acts.confirm, 2, "user:1", NOW).state is ReservationState.ACTIVE


def test_a_reading_that_has_passed_meanwhile_is_refused(db: Database) -> None:
    readings = (Once(at=DUE), Once(at=DUE + DAY))
    wanted = replace(booking(person(db), readings[0]), when=When(rule=readings[0], choices=readings))
    number = proposed(db, wanted, NOW).id
    assert code(act(db, number, acts.choose, 1, 0, "user:1", DUE)) == "reservation_past"


def test_what_is_booked_is_moved_at_once(db: Database) -> None:
    number = booked(db, person(db), DAILY, NOW).id
    moved = act(db, number, acts.change, When(rule=Once(at=DUE + 5 * HOUR)), "user:1", NOW)
    assert (moved.state, moved.next_at, moved.version) == (ReservationState.ACTIVE, DUE + 5 * HOUR, 2)
    assert moved == kept(db, number)
    assert code(act(db, number, acts.change, When(rule=Once(at=NOW)), "user:1", NOW)) == "reservation_past"
    assert kept(db, number) == moved


def test_a_booked_one_keeps_its_time_until_a_reading_is_chosen(db: Database) -> None:
    number = booked(db, person(db), DAILY, NOW).id
    readings = (Once(at=DUE + HOUR), Once(at=DUE + 13 * HOUR))
    asked = act(db, number, acts.change, When(rule=readings[0], choices=readings), "user:1", NOW)
    assert (asked.state, asked.next_at, asked.rule) == (ReservationState.ACTIVE, DUE, to_json(DAILY))
    chosen = act(db, number, acts.choose, asked.version, 0, "user:1", NOW)
    assert (chosen.state, chosen.next_at, chosen.choices) == (ReservationState.ACTIVE, DUE + HOUR, ())


def test_pausing_leaves_out_what_falls_due(db: Database) -> None:
    number = booked(db, person(db), DAILY, NOW).id
    paused = act(db, number, acts.pause, "user:1", NOW)
    assert (paused.state, paused.next_at) == (ReservationState.PAUSED, None)
    assert act(db, number, acts.pause, "user:1", NOW) == paused
    resumed = act(db, number, acts.resume, "user:1", DUE + 2 * DAY + HOUR)
    assert (resumed.state, resumed.next_at) == (ReservationState.ACTIVE, DUE + 3 * DAY)
    assert fates(db, number) == []
    paused_once = once(db, person(db), DUE).id
    act(db, paused_once, acts.pause, "user:1", NOW)
    assert code(act(db, paused_once, acts.resume, "user:1", DUE)) == "reservation_past"
    act(db, paused_once, acts.change, When(rule=Once(at=DUE + DAY)), "user:1", DUE)
    assert kept(db, paused_once).state is ReservationState.PAUSED
    assert act(db, paused_once, acts.resume, "user:1", DUE).next_at == DUE + DAY


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        (acts.confirm, (None, "user:1", NOW)),
        (acts.cancel, ("user:1", NOW)),
        (acts.pause, ("user:1", NOW)),
        (acts.resume, ("user:1", NOW)),
        (acts.change, (When(rule=DAILY), "user:1", NOW)),
    ],
)
def test_what_is_over_stays_over(db: Database, what: Any, arguments: tuple[Any, ...]) -> None:
    number = once(db, person(db), DUE).id
    act(db, number, acts.cancel, "user:1", NOW)
    before = kept(db, number)
    assert (before.state, before.reason, before.next_at) == (ReservationState.CANCELLED, "cancelled", None)
    assert code(act(db, number, what, *arguments)) == "reservation_over"
    assert kept(db, number) == before


def test_a_proposal_lapses_after_a_day(db: Database) -> None:
    user = person(db)
    forgotten, confirmed = proposed(db, booking(user, DAILY), NOW).id, booked(db, user, DAILY, NOW).id
    assert db.run_sync(acts.lapse, NOW + LAPSE) == []
    assert db.run_sync(acts.lapse, NOW + LAPSE + HOUR) == [forgotten]
    assert (kept(db, forgotten).state, kept(db, forgotten).reason) == (ReservationState.CANCELLED, "lapsed")
    assert kept(db, confirmed).state is ReservationState.ACTIVE
    assert code(act(db, forgotten, acts.confirm, 1, "user:1", NOW)) == "reservation_lapsed"


def test_one_person_has_so_many_open_at_once(db: Database) -> None:
    user, few = person(db), replace(POLICY, reservations_per_user=2)
    first = proposed(db, booking(user, DAILY), NOW, few).id
    booked(db, user, DAILY, NOW, few)
    assert code(db.run_sync(acts.propose, booking(user, DAILY), few, NOW)) == "too_many_reservations"
    proposed(db, booking(person(db, "bert"), DAILY), NOW, few)
    act(db, first, acts.cancel, "user:1", NOW)
    proposed(db, booking(user, DAILY), NOW, few)


# --- windows ------------------------------------------------------------------------------------------------------


def test_a_window_takes_what_its_length_allows(db: Database) -> None:
    """Eight hours at 100 s a unit and four fifths of it: 230.4 units."""
    measured(db, 100.0)
    first, second = into_window(db, "anna", 200.0), into_window(db, "bert", 40.0)
    assert act(db, first.id, acts.confirm, 1, "user:1", NOW).next_at == OPENS
    free = db.run_sync(acts.free_window, NIGHT, Kind.DRAW, 40.0, _zone(), NOW)
    assert free is not None
    opening, full = free
    assert (opening.opens, full is not None and full.opens) == (OPENS + DAY, OPENS)
    moved = act(db, second.id, acts.confirm, 1, "user:2", NOW)
    assert (moved.state, moved.next_at, moved.closes_at, moved.version) == (
        ReservationState.PROPOSED,
        OPENS + DAY,
        CLOSES + DAY,
        2,
    )
    assert act(db, second.id, acts.confirm, 2, "user:2", NOW).state is ReservationState.ACTIVE
    assert act(db, into_window(db, "carl", 30.0).id, acts.confirm, 1, "user:3", NOW).next_at == OPENS


def test_when_all_the_coming_windows_are_full_it_says_so(db: Database) -> None:
    measured(db, 100.0)
    assert db.run_sync(acts.free_window, NIGHT, Kind.DRAW, 300.0, _zone(), NOW) is None
    assert code(act(db, into_window(db, "anna", 300.0).id, acts.confirm, 1, "user:1", NOW)) == "windows_full"


def test_confirmed_inside_its_window_it_fires_at_once(db: Database) -> None:
    inside = OPENS + 2 * HOUR
    number = into_window(db, "anna", 1.0).id
    assert act(db, number, acts.confirm, 1, "user:1", inside).next_at == inside
    other = into_window(db, "bert", 1.0).id
    late = act(db, other, acts.confirm, 1, "user:2", CLOSES)
    assert (late.state, late.next_at) == (ReservationState.PROPOSED, OPENS + DAY), "it has closed: the next one"


def test_two_confirmations_for_the_last_room_at_once_and_one_gets_it(db: Database) -> None:
    """The first holds its transaction open until the second is through, if nothing makes that one wait."""
    measured(db, 100.0)
    first, second = (into_window(db, name, 150.0).id for name in ("anna", "bert"))
    confirmed, through = threading.Event(), threading.Event()

    def confirm(conn: Connection, number: int) -> None:
        held = reservations.lock(conn, number)
        assert held is not None
        acts.confirm(conn, held, 1, "user:1", NOW)

    def slowly(conn: Connection) -> None:
        confirm(conn, first)
        confirmed.set()
        through.wait(1)

    slow = threading.Thread(target=db.run_sync, args=(slowly,))
    slow.start()
    assert confirmed.wait(30)
    db.run_sync(confirm, second)
    through.set()
    slow.join()
    assert [kept(db, number).state.value for number in (first, second)] == ["active", "proposed"]


def _zone() -> Any:
    return POLICY.timezone
