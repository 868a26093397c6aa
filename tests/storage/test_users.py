"""People: one row per person whoever meets them first, and found by what others write."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from storage import users
from storage.database import Database
from storage.errors import Missing
from storage.records import Identity, Role, User
from storage.tables import identities
from storage.tables import users as users_table
from tests.blank import blank

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def web(name: str) -> Identity:
    return Identity(platform="web", external_id=name)


def meet(conn: Connection, name: str, shown: str = "", *, first_is_admin: bool = False) -> User:
    return users.resolve(conn, web(name), shown or name, NOW, first_is_admin=first_is_admin)


def test_a_person_is_made_once_and_found_again(db: Database) -> None:
    made = db.run_sync(meet, "ada", "Ada")
    assert made == User(id=made.id, name="Ada", role=Role.USER, department="", banned=False, created_at=NOW)
    assert db.run_sync(meet, "ada", "Another name") == made
    assert db.read_sync(users.get, made.id) == db.read_sync(users.of_identity, web("ada")) == made
    assert db.read_sync(users.of_identity, Identity(platform="feishu", external_id="ada")) is None
    assert db.read_sync(users.get, made.id + 1) is None
    assert db.read_sync(users.identities_of, made.id) == [web("ada")]
    assert db.read_sync(users.identities_of, made.id + 1) == []


async def test_a_new_person_met_many_times_at_once_is_one(db: Database) -> None:
    met = await asyncio.gather(*(db.run(meet, f"p{n % 3}", first_is_admin=True) for n in range(60)))
    assert len({user.id for user in met}) == 3
    assert await db.read(count) == (3, 3)
    assert sum(user.role is Role.ADMIN for user in {user.id: user for user in met}.values()) == 1


def count(conn: Connection) -> tuple[int, int]:
    tables = (users_table, identities)
    people, names = (conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
    return people, names


def test_only_the_first_becomes_admin_and_only_where_wanted(db: Database) -> None:
    assert db.run_sync(meet, "a").role is Role.USER
    assert db.run_sync(meet, "a", first_is_admin=True).role is Role.USER
    assert db.run_sync(meet, "b", first_is_admin=True).role is Role.ADMIN
    assert db.run_sync(meet, "c", first_is_admin=True).role is Role.USER


def test_roles_bans_and_names_change(db: Database) -> None:
    made = db.run_sync(meet, "ada")
    assert db.run_sync(users.set_role, made.id, Role.REVIEWER).role is Role.REVIEWER
    assert db.run_sync(users.set_banned, made.id, True).banned is True
    assert db.run_sync(users.set_banned, made.id, False).banned is False
    assert db.run_sync(users.rename, made.id, " 艾达\n").name == "艾达"
    assert db.read_sync(users.get, made.id) == User(
        id=made.id, name="艾达", role=Role.REVIEWER, department="", banned=False, created_at=NOW
    )
    for change in (
        lambda conn: users.set_role(conn, 99, Role.ADMIN),
        lambda conn: users.set_banned(conn, 99, True),
        lambda conn: users.rename(conn, 99, "x"),
    ):
        with pytest.raises(Missing, match="no user 99"):
            db.run_sync(change)


def test_who_may_be_meant(db: Database) -> None:
    for name, shown in [("1", "Ada"), ("2", "adam"), ("3", "张三"), ("4", "张三"), ("5", "张三丰"), ("6", "100%_a/b")]:
        db.run_sync(meet, name, shown)
    found = {
        text: [user.name for user in db.read_sync(users.find, text)]
        for text in (
            "Ada",
            "@ADA",
            "ad",
            "张三",
            "张",
            " @张三丰 ",
            "web:2",
            "WEB:2",
            "web:9",
            "100%",
            "10__",
            "b",
            "",
            "@",
        )
    }
    assert found == {
        "Ada": ["Ada"],
        "@ADA": ["Ada"],
        "ad": ["Ada", "adam"],
        "张三": ["张三", "张三"],
        "张": ["张三", "张三", "张三丰"],
        " @张三丰 ": ["张三丰"],
        "web:2": ["adam"],
        "WEB:2": ["adam"],
        "web:9": [],
        "100%": ["100%_a/b"],
        "10__": [],
        "b": [],
        "": [],
        "@": [],
    }


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("  Ada\t Lovelace\r\n", "Ada Lovelace"),
        ("张\u3000三", "张 三"),
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("\u202egnp.exe", "gnp.exe"),
        ("\ud800x", "x"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("x" * 500, "x" * 64),
        ("\x00", "the-id"),
        ("", "the-id"),
    ],
)
def test_a_name_is_one_short_line_that_changes_nothing_around_it(given: str, shown: str, tmp_path: Path) -> None:
    with Database.open(blank(tmp_path / "moqi.db")) as db:
        assert db.run_sync(users.resolve, web("the-id"), given, NOW).name == shown
