"""Admins hear of a platform's problem once an hour and cause, through what still works."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from bot.alerts import impersonal, tell_admins, tell_resting
from bot.replies import Words
from storage import jobs, users
from storage.database import Database
from storage.records import Identity, Kind, Role, utcnow
from storage.tables import identities, outbox
from tests.blank import blank

SCOPE = "Feishu 99991672 (HTTP 400): a scope is missing: grant it in the console; it said: log 1"
SECRET = "Feishu 10014 (HTTP 400): feishu.app_secret is wrong"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = blank(tmp_path / "moqi.db")
    with Database.open(url) as db:
        yield db


def staff(conn: Connection) -> None:
    """An admin on the web and in Feishu, and somebody else."""
    now = utcnow()
    boss = users.resolve(conn, Identity(platform="web", external_id="boss"), "boss", now)
    users.resolve(conn, Identity(platform="web", external_id="anna"), "anna", now)
    users.set_role(conn, boss.id, Role.ADMIN)
    conn.execute(identities.insert(), {"user_id": boss.id, "platform": "feishu", "external_id": "ou_boss"})


def told(conn: Connection) -> list[tuple[str, str, str]]:
    return [
        (row.origin["platform"], row.origin["chat_id"], row.origin["sender"]) for row in conn.execute(select(outbox))
    ]


def test_every_admin_once_an_hour_and_cause(db: Database) -> None:
    def tell(conn: Connection) -> None:
        for problem in (SCOPE, SCOPE.replace("log 1", "log 2"), SCOPE):
            tell_admins(conn, Words("zh"), "feishu", problem, working=True, through=("web", "feishu"))

    db.run_sync(staff)
    db.run_sync(tell)
    assert sorted(db.read_sync(told)) == [("feishu", "", "ou_boss"), ("web", "1", "boss")]
    db.run_sync(lambda conn: tell_admins(conn, Words("en"), "feishu", SECRET, working=False, through=("web",)))
    assert len(db.read_sync(told)) == 3


@pytest.mark.parametrize(
    ("language", "working", "says"),
    [
        ("zh", True, "消息照常送达"),
        ("zh", False, "发不出去"),
        ("en", True, "Messages arrive"),
        ("en", False, "cannot be sent"),
    ],
)
def test_it_says_what_is_wrong_and_what_to_do(db: Database, language: str, working: bool, says: str) -> None:
    db.run_sync(staff)
    db.run_sync(lambda conn: tell_admins(conn, Words(language), "feishu", SCOPE, working=working, through=("web",)))
    (body,) = db.read_sync(lambda conn: [row.body for row in conn.execute(select(outbox))])
    assert says in body["text"]
    assert SCOPE in body["text"]
    assert "moqi doctor" in body["text"]


PERSONAL = (
    "WeCom 60011 (HTTP 200): widen the app's visibility: ou_7d8a6e6df7621556ce0d21922b676706, anna@example.com,"
    " 13800138000, wmqYxSbQAAfHQ8jGV_Qp3ltGMLpF-2Bw; it said: no privilege for zhangsan"
)


@pytest.mark.parametrize(
    ("problem", "left"),
    [
        (PERSONAL, "WeCom 60011 (HTTP 200): widen the app's visibility: …, …, …, …"),
        (SCOPE, "Feishu 99991672 (HTTP 400): a scope is missing: grant it in the console"),
        ("WeCom 60020: add 203.0.113.7 to 企业可信IP (app 1000002)", None),
        ("the group robot “设计群” is not known (any more): wecom.webhooks.设计群 of platforms.yaml", None),
    ],
)
def test_a_group_is_told_nothing_about_anybody(problem: str, left: str | None) -> None:
    assert impersonal(problem) == (left or problem)


def test_groups_are_told_once_each_but_not_of_themselves(db: Database) -> None:
    def tell(conn: Connection) -> None:
        words, names = Words("zh"), ("设计群", "运维")
        for _ in range(2):
            tell_admins(conn, words, "wecom", PERSONAL, working=False, through=("web",), groups=names)
        tell_admins(conn, words, "wecom", "“设计群” is gone", working=False, through=("web",), groups=names)

    db.run_sync(tell)  # nobody is an admin yet: the groups hear of it all the same
    assert db.read_sync(told) == [
        ("wecom", "webhook:设计群", ""),
        ("wecom", "webhook:运维", ""),
        ("wecom", "webhook:运维", ""),
    ]
    bodies = db.read_sync(lambda conn: [row.body["text"] for row in conn.execute(select(outbox))])
    assert not any("zhangsan" in text or "anna@" in text or "ou_7d8a" in text for text in bodies)
    assert "moqi doctor" in bodies[0]


def test_without_anybody_to_tell_nothing_is_written(db: Database) -> None:
    db.run_sync(lambda conn: tell_admins(conn, Words("zh"), "feishu", SCOPE, working=True, through=("web",)))
    assert db.read_sync(told) == []


def test_a_resting_engine_is_told_with_its_cause_to_admins_and_without_to_groups(db: Database) -> None:
    failing = tuple((number, "CUDA error in /srv/models") for number in (1, 2, 3))

    def tell(conn: Connection, until: datetime) -> list[bool]:
        jobs.lane(conn, Kind.DRAW)
        jobs.set_lane(conn, Kind.DRAW, failing=failing, open_until=until)
        lane = jobs.lane(conn, Kind.DRAW)
        return [tell_resting(conn, Words("zh"), lane, UTC, through=("web",), groups=("设计群",)) for _ in range(2)]

    db.run_sync(staff)
    assert db.run_sync(tell, utcnow() - timedelta(seconds=1)) == [False, False]
    assert db.run_sync(tell, utcnow() + timedelta(minutes=5)) == [True, False]
    admin, group = (row.body["text"] for row in db.read_sync(lambda conn: conn.execute(select(outbox)).all()))
    assert "连续 3 个任务画失败了" in admin
    assert "CUDA error in /srv/models" in admin
    assert "/resume" in group
    assert "CUDA" not in group
