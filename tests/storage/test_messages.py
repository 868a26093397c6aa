"""The web chat's history, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from storage import messages, users
from storage.database import Database
from storage.records import Identity

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def person(db: Database, name: str) -> int:
    return db.run_sync(users.resolve, Identity(platform="web", external_id=name), name, NOW).id


def test_a_key_is_kept_once_and_the_first_wins(db: Database) -> None:
    user = person(db, "小墨")
    first, new = db.run_sync(messages.add, key="k", user_id=user, author="user", body={"text": "一"}, now=NOW)
    again, newer = db.run_sync(
        messages.add, key="k", user_id=user, author="user", body={"text": "二"}, now=NOW + timedelta(1)
    )
    assert (new, newer) == (True, False)
    assert first == again
    assert first.body == {"text": "一"}
    assert first.created_at == first.updated_at == NOW


def test_pages_are_oldest_first_and_ones_own(db: Database) -> None:
    mine, other = person(db, "小墨"), person(db, "阿契")
    for n in range(4):
        for user in (mine, other):
            db.run_sync(messages.add, key=f"{user}:{n}", user_id=user, author="bot", body={"n": n}, now=NOW)
    newest = db.read_sync(messages.page, mine, limit=2)
    assert [one.body["n"] for one in newest] == [2, 3]
    older = db.read_sync(messages.page, mine, before=newest[0].id, limit=9)
    assert [one.body["n"] for one in older] == [0, 1]
    assert {one.user_id for one in newest + older} == {mine}


def test_a_change_keeps_its_place(db: Database) -> None:
    user = person(db, "小墨")
    kept, _ = db.run_sync(messages.add, key="k", user_id=user, author="bot", body={"n": 1}, now=NOW)
    later = NOW + timedelta(seconds=1)
    changed = db.run_sync(messages.change, kept.id, {"n": 2}, later)
    assert changed is not None
    assert (changed.id, changed.body, changed.created_at, changed.updated_at) == (kept.id, {"n": 2}, NOW, later)
    assert db.run_sync(messages.change, 999, {"n": 3}, later) is None
