"""What the queue says to whoever shares out a card's memory, and what those who wait are told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from inference.gpu.sharing import Cause, Queued, Waits
from scheduler import lending, pausing, places, queue
from scheduler.policy import Policy
from scheduler.queue import Submission
from storage import jobs, users
from storage.database import Database
from storage.records import Allowance, ChatType, Identity, Job, Kind, Origin, Unit, utcnow

POLICY = Policy(timezone=UTC, allowances={unit: (Allowance(amount=50, period="day"),) for unit in Unit})
IDLE, WAITS, RUNS = Queued(), Queued(waiting=True), Queued(running=True)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


@pytest.fixture
def now() -> datetime:
    return utcnow()


def order(conn: Connection, kind: Kind, now: datetime, later: timedelta | None = None) -> Job:
    key = f"{kind}-{later}"
    person = users.resolve(conn, Identity(platform="web", external_id=key), key, now)
    wanted = Submission(
        key=key,
        kind=kind,
        user=person,
        origin=Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id=key, sender=key),
        params={"count": 1},
        cost=1,
        work=1.0,
        not_before=None if later is None else now + later,
    )
    submitted = queue.submit(conn, wanted, POLICY, now)
    assert isinstance(submitted, Job)
    return submitted


def claim(conn: Connection, kind: Kind, now: datetime) -> None:
    assert queue.claim(conn, kind, lambda head: 1, POLICY, now, "me") is not None


def test_what_waits_and_what_runs(db: Database, now: datetime) -> None:
    def within(conn: Connection) -> None:
        assert lending.look(conn, now) == (IDLE, IDLE)
        order(conn, Kind.ASK, now)
        order(conn, Kind.DRAW, now, timedelta(hours=1))  # not before then: nobody's memory is needed for it
        assert lending.look(conn, now) == (WAITS, IDLE)
        assert lending.look(conn, now + timedelta(hours=1)) == (WAITS, WAITS)
        claim(conn, Kind.ASK, now)
        assert lending.look(conn, now) == (RUNS, IDLE)

    db.run_sync(within)


@pytest.mark.parametrize(
    "stopped", [{"paused": True}, {"switching": True}, {"open_until": datetime(2099, 1, 1, tzinfo=UTC)}]
)
def test_a_lane_that_may_not_begin_wants_nothing(db: Database, now: datetime, stopped: dict[str, object]) -> None:
    def within(conn: Connection) -> None:
        order(conn, Kind.DRAW, now)
        jobs.set_lane(conn, Kind.DRAW, **stopped)
        assert lending.look(conn, now) == (IDLE, IDLE)

    db.run_sync(within)


def test_who_waits_hears_for_what_and_how_long(db: Database, now: datetime) -> None:
    def within(conn: Connection) -> None:
        order(conn, Kind.DRAW, now)
        asked = order(conn, Kind.ASK, now)
        jobs.set_lane(conn, Kind.ASK, rate=2.0, samples=10)
        jobs.set_lane(conn, Kind.DRAW, rate=6.0, samples=10)
        claim(conn, Kind.DRAW, now)
        alone = places.place(conn, asked, now).seconds
        assert alone is not None
        lending.note(conn, Waits(text=Cause.PICTURES, text_seconds=1.5))
        told = places.place(conn, asked, now)
        assert told.seconds == pytest.approx(alone + 6.0 + 1.5, rel=0.01), "the picture that is drawn, then the waking"
        assert places.places(conn, Kind.ASK, 5, now)[0][1] == told
        hold = pausing.held(conn, asked, UTC, now)
        assert hold is not None
        assert (hold.why, hold.until) == ("pictures", None)
        lending.forget(conn)
        assert pausing.held(conn, asked, UTC, now) is None
        assert places.place(conn, asked, now).seconds == alone

    db.run_sync(within)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause])
def test_every_cause_is_one_that_waiting_times_know(cause: Cause) -> None:
    assert cause.value in pausing.MEMORY
