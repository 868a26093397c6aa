"""Leases on both databases: one holder at a time, also when many grasp at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from storage import leases
from storage.database import Database

NOW = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
HOLD = timedelta(seconds=12)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def take(db: Database, owner: str, at: datetime, name: str = "a") -> bool:
    return db.run_sync(leases.take, name, owner, at + HOLD, at)


def test_one_holds_it_until_it_ends_or_is_given_back(db: Database) -> None:
    assert take(db, "one", NOW)
    assert not take(db, "two", NOW + timedelta(seconds=11))
    assert take(db, "two", NOW, name="b")  # another lease
    assert take(db, "one", NOW + timedelta(seconds=8))  # renewed
    assert not take(db, "two", NOW + timedelta(seconds=13))
    assert take(db, "two", NOW + timedelta(seconds=20))  # it has died
    assert not take(db, "one", NOW + timedelta(seconds=21))
    assert not db.run_sync(leases.release, "a", "one", NOW + timedelta(seconds=22))
    assert db.run_sync(leases.release, "a", "two", NOW + timedelta(seconds=22))
    assert take(db, "one", NOW + timedelta(seconds=22))


def test_of_many_who_grasp_at_once_one_gets_it(db: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: take(db, f"process {number}", NOW), range(16)))
    assert got.count(True) == 1


def test_what_was_seen_outlives_the_holder_and_only_moves_on(db: Database) -> None:
    assert db.read_sync(leases.seen, "a") is None
    assert not db.run_sync(leases.mark, "a", "one", NOW)  # nobody holds it
    take(db, "one", NOW)
    assert db.read_sync(leases.seen, "a") is None
    assert db.run_sync(leases.mark, "a", "one", NOW)
    assert not db.run_sync(leases.mark, "a", "one", NOW - timedelta(seconds=1))
    assert not db.run_sync(leases.mark, "a", "two", NOW + timedelta(seconds=1))
    db.run_sync(leases.release, "a", "one", NOW)
    take(db, "two", NOW)
    assert db.read_sync(leases.seen, "a") == NOW


def test_the_sole_owner_of_the_data_ends_what_its_predecessor_held(db: Database) -> None:
    take(db, "killed", NOW)
    db.run_sync(leases.mark, "a", "killed", NOW)
    db.run_sync(leases.release_all, NOW + timedelta(seconds=1))
    assert take(db, "next", NOW + timedelta(seconds=1))
    assert db.read_sync(leases.seen, "a") == NOW
