"""How often somebody may order: the arithmetic as a table, and the rows on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from scheduler import rates
from scheduler.policy import Policy, Rate, Refusal
from scheduler.rates import turn
from storage import users
from storage.database import Database
from storage.records import Identity

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
SIX = Rate(count=6, name="minute")
POLICY = Policy(timezone=UTC, allowances={}, rates={"user": SIX, "draw": Rate(count=2, name="minute")})


def s(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("moment", "kept", "wait"),
    [
        (None, 10, 0),  # the first ever
        (-999, 10, 0),  # long ago: nothing is saved up beyond one period
        (20, 30, 0),
        (50, 60, 0),  # the last of six at once
        (60, 70, 10),  # the seventh waits for its share
        (55, 65, 5),
        (4000, 70, 10),  # the clock was set back: never more than a period
    ],
)
def test_one_more_order(moment: float | None, kept: float, wait: float) -> None:
    found = turn(None if moment is None else NOW + s(moment), SIX, NOW)
    assert (found.moment, found.wait) == (NOW + s(kept), s(wait))


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def person(db: Database, name: str) -> int:
    return db.run_sync(users.resolve, Identity(platform="web", external_id=name), name, NOW).id


def test_the_tightest_scope_refuses_and_counts_nothing(db: Database) -> None:
    anna, ben = person(db, "anna"), person(db, "ben")

    def order(who: int, *scopes: str, at: float = 0) -> Refusal | None:
        return db.run_sync(rates.take, who, scopes, POLICY, NOW + s(at))

    assert [order(anna, "user", "draw") for _ in range(2)] == [None, None]
    refused = order(anna, "user", "draw")
    assert refused is not None
    assert refused.detail == {"scope": "draw", "count": 2, "period": "minute", "wait": 30.0}
    assert [order(anna, "user", "ask") for _ in range(4)] == [None] * 4  # the refused one did not count
    refused = order(anna, "user", "ask")
    assert refused is not None
    assert (refused.detail["scope"], refused.detail["wait"]) == ("user", 10.0)
    assert order(ben, "user", "draw") is None
    assert order(anna, "user", "draw", at=30) is None
    assert order(anna) is None


async def test_orders_at_the_same_instant_are_counted_one_by_one(db: Database) -> None:
    anna = person(db, "anna")
    found = await asyncio.gather(*(db.run(rates.take, anna, ("user",), POLICY, NOW) for _ in range(20)))
    assert found.count(None) == 6


def test_a_restart_forgets_nothing(migrated_url: str) -> None:
    for expected in (None, "too_fast"):
        with Database.open(migrated_url) as db:
            for _ in range(2):
                found = db.run_sync(rates.take, person(db, "anna"), ("draw",), POLICY, NOW)
            assert (found.code if found else None) == expected
