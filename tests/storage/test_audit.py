"""The audit log: whatever is done to sealed entries, with triggers or around them, is refused or found."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from storage import audit
from storage.audit import EMPTY
from storage.database import Database

NOW = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


@pytest.fixture
def sealed(db: Database) -> Database:
    """Five sealed entries."""
    db.run_sync(append, 5)
    assert db.run_sync(audit.seal) == 5
    return db


def append(conn: Connection, count: int) -> None:
    for n in range(count):
        detail = {"第": n, "ratio": 0.1, "none": None, "emoji": "🐼", "list": [1, "a"]}
        audit.append(conn, f"user:{n}", "quota.set", "user:9", detail, NOW + timedelta(seconds=n))


def execute(db: Database, *statements: str) -> None:
    db.run_sync(lambda conn: [conn.execute(text(statement)) for statement in statements] and None)


def without_triggers(db: Database) -> None:
    """What somebody with the file or the server in hand can do."""
    if db.url.get_backend_name() == "postgresql":
        execute(db, "alter table audit disable trigger user", "alter table audit_head disable trigger user")
    else:
        found = "select name from sqlite_master where type = 'trigger' and name like 'audit_%'"
        names = db.read_sync(lambda conn: conn.execute(text(found)).scalars().all())
        assert len(names) == 4
        execute(db, *(f"drop trigger {name}" for name in names))


def test_entries_are_chained_in_order(sealed: Database) -> None:
    assert sealed.read_sync(audit.verify) == []
    found = sealed.read_sync(audit.entries)
    assert [entry.seq for entry in found] == [5, 4, 3, 2, 1]
    assert found[0].at == NOW + timedelta(seconds=4)
    assert found[0].detail["emoji"] == "🐼"
    assert len({entry.hash for entry in found}) == 5
    head = sealed.read_sync(audit.head)
    assert (head.seq, head.hash) == (5, found[0].hash)


def test_an_empty_log_is_unbroken(db: Database) -> None:
    assert db.read_sync(audit.verify) == []
    assert db.run_sync(audit.seal) == 0
    assert db.read_sync(audit.head) == EMPTY


def test_unsealed_entries_are_listed_and_not_broken(sealed: Database) -> None:
    sealed.run_sync(append, 2)
    assert sealed.read_sync(audit.verify) == []
    assert [entry.seq for entry in sealed.read_sync(audit.entries, 3)] == [None, None, 5]


def test_sealing_goes_on_in_portions(db: Database) -> None:
    db.run_sync(append, 7)
    assert [db.run_sync(audit.seal, 3) for _ in range(4)] == [3, 3, 1, 0]
    assert db.read_sync(audit.verify) == []
    assert db.read_sync(audit.head).seq == 7


async def test_many_sealers_and_writers_at_once_make_one_chain(db: Database) -> None:
    await asyncio.gather(*(db.run(append, 3) if n % 2 else db.run(audit.seal, 4) for n in range(60)))
    while await db.run(audit.seal):
        pass
    assert await db.read(audit.verify) == []
    assert (await db.read(audit.head)).seq == 90


def test_entries_are_found_by_actor_action_subject_and_page(sealed: Database) -> None:
    def ids(**wanted: str | int) -> list[int | None]:
        return [entry.seq for entry in sealed.read_sync(lambda conn: audit.entries(conn, **wanted))]  # type: ignore[arg-type]

    assert ids(actor="user:3") == [4]
    assert ids(action="quota.set", subject="user:9", limit=2) == [5, 4]
    assert ids(action="other") == []
    oldest = sealed.read_sync(audit.entries)[-2]
    assert ids(before=oldest.id) == [1]


REFUSED = [
    "update audit set detail = '{}' where seq = 3",
    "update audit set seq = null, prev = null, hash = null where seq = 5",
    "delete from audit where seq = 5",
    "update audit_head set seq = 4",
    "delete from audit_head",
]


def test_the_database_itself_refuses_to_change_what_is_sealed(sealed: Database) -> None:
    postgresql = sealed.url.get_backend_name() == "postgresql"
    for statement in [*REFUSED, *(["truncate audit", "truncate audit_head"] if postgresql else [])]:
        with pytest.raises(DBAPIError, match="audit"):
            execute(sealed, statement)
    assert sealed.read_sync(audit.verify) == []


#: What is done around the triggers, and what `verify` says then.
TAMPERING = [
    (["update audit set actor = 'nobody' where seq = 3"], "entry 3 .* changed"),
    (["update audit set at = '2020-01-01T00:00:00.000000Z' where seq = 1"], "entry 1 .* changed"),
    (["update audit set detail = '{}' where seq = 5"], "entry 5 .* changed"),
    (["delete from audit where seq = 3"], "entries 3 to 3 are missing"),
    (["delete from audit where seq <= 2"], "entries 1 to 2 are missing"),
    (["delete from audit where seq = 5"], "ends at entry 4, but its head is entry 5"),
    (["delete from audit"], "ends at entry 0, but its head is entry 5"),
    (["delete from audit_head"], "its end was changed"),
    (["update audit set seq = null where seq = 4"], "entries 4 to 4 are missing"),
    (
        [
            "update audit set seq = 99 where seq = 2",
            "update audit set seq = 2 where seq = 3",
            "update audit set seq = 3 where seq = 99",
        ],
        "entry 2 .* changed",
    ),
    (
        [
            """insert into audit (id, at, actor, action, subject, detail, seq, prev, hash)
            select 99, at, actor, action, subject, detail, 6, hash, hash from audit where seq = 5"""
        ],
        "entry 6 .* changed",
    ),
]


class Undo(Exception):
    """Takes what was found out of a transaction that is to be rolled back."""


def test_tampering_around_the_triggers_is_found(sealed: Database) -> None:
    def tamper(conn: Connection, statements: list[str]) -> None:
        for statement in statements:
            conn.execute(text(statement))
        raise Undo(*audit.verify(conn))

    without_triggers(sealed)
    for statements, found in TAMPERING:
        with pytest.raises(Undo, match=found):
            sealed.run_sync(tamper, statements)
    assert sealed.read_sync(audit.verify) == []


def test_a_chain_written_anew_is_found_by_a_head_saved_elsewhere(sealed: Database) -> None:
    saved = sealed.read_sync(audit.head)
    sealed.run_sync(append, 2)
    sealed.run_sync(audit.seal)
    assert sealed.read_sync(audit.verify, saved) == []
    without_triggers(sealed)
    execute(
        sealed,
        "update audit set seq = null, prev = null, hash = null",
        "update audit set actor = 'nobody' where actor = 'user:2'",
        "delete from audit_head",
    )
    sealed.run_sync(audit.seal)
    assert sealed.read_sync(audit.verify) == []
    assert "written anew" in sealed.read_sync(audit.verify, saved)[0]


def test_what_is_rolled_back_is_not_noted(db: Database) -> None:
    def act(conn: Connection) -> None:
        append(conn, 1)
        raise LookupError

    with pytest.raises(LookupError):
        db.run_sync(act)
    assert db.read_sync(audit.entries) == []
