"""Chats: in or out as the platform last told, greeted once, and told apart to the letter."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from storage import chats, jobs, users
from storage.chats import ChatState
from storage.database import Database
from storage.records import ChatType, Identity, JobState, Kind, Origin

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEMBER, REMOVED, DISBANDED = ChatState.MEMBER, ChatState.REMOVED, ChatState.DISBANDED

#: What was told of which day, whether it was news, and what is known then.
CASES = [
    ([(MEMBER, 0)], [True], MEMBER),
    ([(MEMBER, 0), (REMOVED, 1)], [True, True], REMOVED),
    ([(REMOVED, 1), (MEMBER, 0)], [True, False], REMOVED),  # the older event came later
    ([(REMOVED, 1), (REMOVED, 1)], [True, False], REMOVED),  # told again
    ([(MEMBER, 0), (REMOVED, 1), (MEMBER, 2)], [True, True, True], MEMBER),
    ([(REMOVED, 1), (DISBANDED, 2)], [True, True], DISBANDED),
]


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def test_the_latest_news_counts_and_hello_is_said_once(db: Database) -> None:
    for number, (told, news, state) in enumerate(CASES):
        room = f"oc_{number}"
        assert db.run_sync(chats.greet, "feishu", room, NOW) is False  # unknown
        found = []
        for at, (new, day) in enumerate(told):
            name = "" if at else "设计组"  # a name that is not told again is not forgotten
            found.append(db.run_sync(chats.moved, "feishu", room, new, name, NOW + timedelta(days=day)))
        assert found == news, told
        chat = db.read_sync(chats.get, "feishu", room)
        assert chat is not None
        gone = [NOW + timedelta(days=at) for new, at in told if new is not MEMBER]
        assert (chat.state, chat.name, chat.removed_at) == (state, "设计组", gone[-1] if gone else None)
        assert [db.run_sync(chats.greet, "feishu", room, NOW) for _ in range(3)] == [True, False, False]


def test_what_was_ordered_in_a_chat_is_found_to_the_letter(db: Database) -> None:
    db.run_sync(_ordered, "feishu", "oc_1")
    for platform, room in (
        ("feishu", "OC_1"),
        ("feishu", "oc_"),
        ("feishu", "oc_11"),
        ("feishu", "oc%1"),
        ("web", "oc_1"),
    ):
        assert db.read_sync(jobs.in_chat, platform, room, (JobState.QUEUED,)) == []
    assert db.read_sync(jobs.in_chat, "feishu", "oc_1", (JobState.RUNNING,)) == []
    assert len(db.read_sync(jobs.in_chat, "feishu", "oc_1", tuple(JobState))) == 1


def _ordered(conn: Connection, platform: str, room: str) -> None:
    user = users.resolve(conn, Identity(platform=platform, external_id="anna"), "anna", NOW).id
    origin = Origin(platform=platform, chat_id=room, chat_type=ChatType.GROUP, message_id="m", sender="anna")
    values = {"user_id": user, "params": {}, "cost": 1, "weight": 1.0, "vtag": 0.0}
    assert jobs.add(conn, key="k", kind=Kind.DRAW, now=NOW, origin=origin, **values) is not None
