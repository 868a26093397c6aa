"""Assets: which file is which picture of which job."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, NoResultFound

from storage import assets, users
from storage.database import Database
from storage.records import Asset, Identity

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    """A database with the jobs 1 and 2."""
    with Database.open(migrated_url) as opened:
        opened.run_sync(two_jobs)
        yield opened


def two_jobs(conn: Connection) -> None:
    from storage.tables import jobs

    user = users.resolve(conn, Identity(platform="web", external_id="ada"), "Ada", NOW)
    values = {"kind": "draw", "user_id": user.id, "state": "done", "params": {}, "origin": {}, "cost": 1, "weight": 1.0}
    values |= {"vtag": 0.0, "span": 0.0, "created_at": NOW, "since": NOW}
    for n in (1, 2):
        conn.execute(jobs.insert().values(values | {"id": n, "key": str(n)}))


def add(conn: Connection, job_id: int, index: int, sha256: str) -> int:
    return assets.add(
        conn,
        sha256=sha256,
        media_type="image/png",
        size=1234,
        width=64,
        height=48,
        job_id=job_id,
        index=index,
        now=NOW,
    )


def test_pictures_of_a_job_come_in_their_order(db: Database) -> None:
    second, first, other = (db.run_sync(add, *row) for row in ((1, 1, "b"), (1, 0, "a"), (2, 0, "a")))
    assert [asset.id for asset in db.read_sync(assets.of_job, 1)] == [first, second]
    assert [asset.id for asset in db.read_sync(assets.of_job, 2)] == [other]
    assert db.read_sync(assets.of_job, 3) == []
    assert db.read_sync(assets.get, second) == Asset(
        id=second,
        sha256="b",
        media_type="image/png",
        size=1234,
        width=64,
        height=48,
        job_id=1,
        index=1,
        created_at=NOW,
        day=f"{NOW:%Y-%m-%d}",
        seq=1,
    )
    assert db.read_sync(assets.get, 99) is None


def test_the_number_of_a_picture_counts_its_day_where_the_team_is_and_stays(db: Database) -> None:
    def made(number: int, moment: datetime) -> tuple[str, int]:
        def work(conn: Connection) -> int:
            return assets.add(
                conn,
                sha256="a",
                media_type="image/png",
                size=1,
                width=1,
                height=1,
                job_id=1,
                index=number,
                now=moment,
                zone=ZoneInfo("Asia/Shanghai"),
            )

        found = db.read_sync(assets.get, db.run_sync(work))
        assert found is not None
        return found.day, found.seq

    before, after = datetime(2026, 11, 21, 15, 59, tzinfo=UTC), datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
    assert [made(n, before) for n in (0, 1)] == [("2026-11-21", 1), ("2026-11-21", 2)]
    assert made(2, after) == ("2026-11-22", 1)
    db.run_sync(lambda conn: conn.execute(text("delete from assets where position = 0")))
    assert made(3, before) == ("2026-11-21", 3)


def test_every_file_that_is_needed_is_named_once(db: Database) -> None:
    assert db.read_sync(assets.shas) == set()
    for row in ((1, 0, "a"), (1, 1, "b"), (2, 0, "a")):
        db.run_sync(add, *row)
    assert db.read_sync(assets.shas) == {"a", "b"}


def test_a_job_has_one_picture_in_each_place(db: Database) -> None:
    db.run_sync(add, 1, 0, "a")
    with pytest.raises(IntegrityError):
        db.run_sync(add, 1, 0, "b")
    with pytest.raises(NoResultFound):
        db.run_sync(add, 99, 0, "b")
    assert db.read_sync(lambda conn: conn.execute(text("select count(*) from assets")).scalar()) == 1


def test_the_same_picture_given_twice_is_one(db: Database) -> None:
    values: dict[str, Any] = {"sha256": "ab" * 32, "media_type": "image/png", "size": 9, "width": 4, "height": 3}
    first = db.run_sync(lambda conn: assets.take(conn, now=NOW, **values))
    later = db.run_sync(lambda conn: assets.take(conn, now=NOW.replace(year=2027), **values))
    assert replace(first, created_at=NOW.replace(year=2027)) == later == db.read_sync(assets.given, "ab" * 32)
    assert db.read_sync(assets.given, "cd" * 32) is None
    db.run_sync(add, 1, 0, "ef" * 32)
    assert db.read_sync(assets.shas) == {"ab" * 32, "ef" * 32}, "a backup takes both"
