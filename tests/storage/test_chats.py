"""Chats: in or out as the platform last told, and greeted once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import chats
from storage.chats import ChatState
from storage.database import Database
from storage.migrations import migrate

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MEMBER, REMOVED, DISBANDED = ChatState.MEMBER, ChatState.REMOVED, ChatState.DISBANDED


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'moqi.db'}"
    migrate(url)
    with Database.open(url) as opened:
        yield opened


@pytest.mark.parametrize(
    ("told", "news", "state"),
    [
        ([(MEMBER, 0)], [True], MEMBER),
        ([(MEMBER, 0), (REMOVED, 1)], [True, True], REMOVED),
        ([(REMOVED, 1), (MEMBER, 0)], [True, False], REMOVED),  # the older event came later
        ([(REMOVED, 1), (REMOVED, 1)], [True, False], REMOVED),  # told again
        ([(MEMBER, 0), (REMOVED, 1), (MEMBER, 2)], [True, True, True], MEMBER),
        ([(REMOVED, 1), (DISBANDED, 2)], [True, True], DISBANDED),
    ],
)
def test_the_latest_news_counts(
    db: Database, told: list[tuple[ChatState, int]], news: list[bool], state: ChatState
) -> None:
    found = [db.run_sync(chats.moved, "feishu", "oc_1", new, "设计组", NOW + timedelta(days=at)) for new, at in told]
    assert found == news
    chat = db.read_sync(chats.get, "feishu", "oc_1")
    assert chat is not None
    assert (chat.state, chat.name) == (state, "设计组")
    gone = [NOW + timedelta(days=at) for new, at in told if new is not MEMBER]
    assert chat.removed_at == (gone[-1] if gone else None)


def test_hello_is_said_once(db: Database) -> None:
    assert db.run_sync(chats.greet, "feishu", "oc_1", NOW) is False  # unknown
    db.run_sync(chats.moved, "feishu", "oc_1", MEMBER, "", NOW)
    assert [db.run_sync(chats.greet, "feishu", "oc_1", NOW) for _ in range(3)] == [True, False, False]


def test_a_name_that_is_not_told_is_not_forgotten(db: Database) -> None:
    db.run_sync(chats.moved, "feishu", "oc_1", MEMBER, "设计组", NOW)
    db.run_sync(chats.moved, "feishu", "oc_1", REMOVED, "", NOW + timedelta(hours=1))
    chat = db.read_sync(chats.get, "feishu", "oc_1")
    assert chat is not None
    assert chat.name == "设计组"
