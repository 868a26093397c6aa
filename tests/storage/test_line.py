"""Counts of the line: always those of the jobs, whatever happens to it, and a place is what counting rows would say."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, func, select, tuple_

from storage import jobs, line, users
from storage.database import Database
from storage.records import ChatType, Identity, Job, JobState, Kind, Origin, utcnow
from storage.tables import jobs as rows
from storage.tables import stretches

ORIGIN = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="1")
SMALL = 8


@pytest.fixture
def db(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setattr(line, "FULL", SMALL)
    with Database.open(migrated_url) as opened:
        for name in ("anna", "ben"):
            opened.run_sync(users.resolve, Identity(platform="web", external_id=name), name, utcnow())
        yield opened


def add(conn: Connection, number: int, *, priority: int = 0, vtag: float = 0.0, kind: Kind = Kind.DRAW) -> int:
    found = jobs.add(
        conn,
        key=f"{number}",
        kind=kind,
        now=utcnow(),
        origin=ORIGIN,
        user_id=1 + number % 2,
        params={"count": 1},
        cost=1,
        weight=0.5 + number % 3,
        priority=priority,
        vtag=vtag,
        notices=[],
    )
    assert found is not None
    return found.id


def counted(conn: Connection, job: Job) -> tuple[int, float]:
    """What `line.ahead` must say, by counting rows."""
    before = tuple_(rows.c.priority, rows.c.vtag, rows.c.id) < tuple_(job.priority, job.vtag, job.id)
    statement = select(func.count(), func.coalesce(func.sum(rows.c.weight), 0.0))
    count, work = conn.execute(statement.where(rows.c.kind == job.kind, rows.c.state == JobState.QUEUED, before)).one()
    return int(count), float(work)


def check(conn: Connection) -> int:
    """How many wait; every place and every count is right."""
    assert line.wrong(conn) == []
    waiting = [job for kind in Kind for job in jobs.waiting(conn, kind, utcnow(), 1000)]
    for job in waiting:
        (count, work), (rows_before, their_work) = line.ahead(conn, job), counted(conn, job)
        assert count == rows_before
        assert work == pytest.approx(their_work)
    for kind in Kind:
        mine = [job for job in waiting if job.kind is kind]
        assert line.waiting(conn, kind) == len(mine)
        for user in (1, 2):
            assert line.person(conn, kind, user).waiting == sum(job.user_id == user for job in mine)
    return len(waiting)


def some_life(conn: Connection, dice: random.Random) -> None:
    """Jobs come at any place, run, come back, end, rise; most of them stay."""
    for number in range(120):
        priority, kind = dice.choice((0, 0, 0, 10, 20)), dice.choice((Kind.DRAW, Kind.DRAW, Kind.ASK))
        add(conn, number, priority=priority, vtag=float(dice.randrange(12)), kind=kind)
        if number % 4:
            continue
        waiting = jobs.waiting(conn, kind, utcnow(), 1000)
        job = dice.choice(waiting)
        match dice.randrange(4):
            case 0:
                jobs.lease(conn, [job, *(one for one in waiting[:2] if one.id != job.id)], "t", utcnow(), utcnow())
            case 1:
                assert jobs.end_queued(conn, job.id, JobState.CANCELLED, utcnow())
            case 2:
                jobs.lease(conn, [job], "back", utcnow(), utcnow())
                assert jobs.requeue(conn, job.id, "back", lost=1, priority=50)
            case 3:
                jobs.rise(conn, job.id, 0, dice.random() * 12, 1.0, utcnow())


@pytest.mark.parametrize("seed", range(3))
def test_places_and_counts_are_those_of_the_rows(db: Database, seed: int) -> None:
    db.run_sync(some_life, random.Random(seed))
    assert db.read_sync(check) > 60


def test_a_line_is_cut_as_it_grows_and_gone_when_it_is_empty(db: Database) -> None:
    def grow(conn: Connection) -> int:
        for number in range(40):
            add(conn, number)  # all with the same tag: even these are cut
        check(conn)
        return int(conn.execute(select(func.count()).select_from(stretches)).scalar_one())

    assert 40 / SMALL <= db.run_sync(grow) <= 2 * 40 / SMALL

    def drain(conn: Connection) -> int:
        for job in jobs.waiting(conn, Kind.DRAW, utcnow(), 1000):
            jobs.lease(conn, [job], "t", utcnow(), utcnow())
        return check(conn) + int(conn.execute(select(func.count()).select_from(stretches)).scalar_one())

    assert db.run_sync(drain) == 0


def test_what_was_not_done_is_forgiven(db: Database) -> None:
    def order_and_cancel(conn: Connection) -> list[float]:
        conn.execute(rows.update().where(rows.c.id == add(conn, 2)).values(span=10.0))
        line.set_vfinish(conn, Kind.DRAW, 1, 0, 30.0)
        before = line.person(conn, Kind.DRAW, 1).end(0)
        job = jobs.waiting(conn, Kind.DRAW, utcnow(), 1)[0]
        jobs.end_queued(conn, job.id, JobState.CANCELLED, utcnow())
        return [before, line.person(conn, Kind.DRAW, 1).end(0), line.person(conn, Kind.DRAW, 1).end(10)]

    assert db.run_sync(order_and_cancel) == [30.0, 20.0, 0.0]
