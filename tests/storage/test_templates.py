"""Templates on both databases: versions, places, and people who save at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from scheduler import joining
from storage import templates, users
from storage.database import Database
from storage.records import Identity, Scope, Template, User
from storage.tables import templates as table
from storage.templates import Place
from storage.users import resolve

NOW = datetime(2026, 11, 22, 4, tzinfo=UTC)
TEAM: Place = (Scope.TEAM, "")


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def person(db: Database, name: str) -> User:
    return db.run_sync(resolve, Identity(platform="web", external_id=name), name, NOW)


def save(conn: Connection, place: Place, name: str, body: str | None, user_id: int | None = None) -> Template | None:
    templates.lock(conn, place)
    return templates.save(conn, place, name, body, user_id=user_id, saved_by="cli:root", now=NOW)


def mine(user: User) -> Place:
    return Scope.USER, str(user.id)


def test_every_version_stays_and_the_newest_counts(db: Database) -> None:
    anna = person(db, "anna")
    place = mine(anna)
    first = db.run_sync(save, place, "Poster", "a", anna.id)
    second = db.run_sync(save, place, "ｐoster", "b")
    assert first is not None
    assert second is not None
    assert (second.version, second.name, second.user_id) == (2, "ｐoster", anna.id), "whoever made it keeps it"
    assert db.read_sync(templates.newest, place, "POSTER") == second
    assert db.read_sync(templates.version, place, "poster", 1) == first
    assert db.read_sync(templates.get, first.id) == first
    assert db.run_sync(save, place, "poster", None) is None
    assert db.read_sync(templates.newest, place, "poster") is None
    assert db.read_sync(templates.held, [place]) == []
    assert db.read_sync(templates.version, place, "poster", 2) == second, "what an order was made from can be read"
    anew = db.run_sync(save, place, "poster", "c")
    assert anew is not None
    assert (anew.version, anew.user_id) == (4, None)


def test_places_keep_to_themselves(db: Database) -> None:
    anna, ben = person(db, "anna"), person(db, "ben")
    group: Place = (Scope.CHAT, "feishu:oc_1")
    for place, body in ((mine(anna), "mine"), (group, "ours"), (TEAM, "all"), (mine(ben), "his")):
        db.run_sync(save, place, "x", body)
    db.run_sync(save, mine(anna), "a", "first")
    found = db.read_sync(templates.held, [mine(anna), group, TEAM])
    assert [one.body for one in found] == ["first", "mine", "ours", "all"]


async def test_saved_at_once_by_several(db: Database) -> None:
    """Each becomes a version of its own, and none is lost."""
    kept = await asyncio.gather(*(db.run(save, TEAM, "x", f"text {n}") for n in range(8)))
    assert sorted(one.version for one in kept if one is not None) == list(range(1, 9))
    assert len({one.body for one in kept if one is not None}) == 8


def test_a_version_is_there_once(db: Database) -> None:
    db.run_sync(save, TEAM, "x", "a")

    def again(conn: Connection) -> None:
        row = conn.execute(select(table)).one()._mapping
        conn.execute(table.insert().values({name: value for name, value in row.items() if name != "id"}))

    with pytest.raises(IntegrityError):
        db.run_sync(again)


def test_whoever_turns_out_to_be_somebody_keeps_theirs(db: Database) -> None:
    former, real = person(db, "former"), person(db, "real")
    db.run_sync(save, mine(former), "Poster", "theirs", former.id)
    db.run_sync(save, mine(former), "only", "one", former.id)
    db.run_sync(save, mine(real), "poster", "own", real.id)
    assert db.run_sync(joining.join, former.id, real.id, UTC, NOW)
    found = {one.name: (one.body, one.user_id) for one in db.read_sync(templates.held, [mine(real)])}
    renamed = f"Poster-{former.id}"
    assert found == {"poster": ("own", real.id), renamed: ("theirs", real.id), "only": ("one", real.id)}
    assert db.read_sync(users.get, former.id) is not None
    assert not db.read_sync(joining.pending)
