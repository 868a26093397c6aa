"""Answers that WeCom fetches: who moves one first has moved it, and a response_url is given once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy

import pytest

from storage import wecom_replies as replies
from storage.database import Database
from storage.migrations import migrate
from storage.wecom_replies import OpenReply, ReplyState

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPEN = OpenReply(
    stream="s1", msgid="m1", chat_id="robot:alice", sender="alice", opened_at=NOW, response_url="u1", until=NOW + HOUR
)
SAID = {"text": "画好了"}


@pytest.fixture
def both(migrated_url: str) -> Iterator[Database]:
    """On SQLite, and on PostgreSQL."""
    with Database.open(migrated_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replies")
    migrate(f"sqlite:///{folder / 'moqi.db'}")
    return folder


@pytest.fixture
def db(migrated: Path, tmp_path: Path) -> Iterator[Database]:
    copy(migrated / "moqi.db", tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


def state(db: Database, stream: str = "s1") -> ReplyState:
    found = db.read_sync(replies.get, stream)
    assert found is not None
    return found.state


def test_a_row_comes_back_as_it_was_kept_and_its_address_is_in_no_repr(db: Database) -> None:
    assert db.run_sync(replies.begin, OPEN)
    assert not db.run_sync(replies.begin, replace(OPEN, sender="bob"))  # the same message again
    assert db.read_sync(replies.get, "s1") == OPEN
    assert db.read_sync(replies.get, "s2") is None
    assert "u1" not in repr(OPEN)


def test_the_way_of_an_answer(db: Database) -> None:
    db.run_sync(replies.begin, OPEN)
    assert db.run_sync(replies.say, "s1", SAID)
    closed = db.run_sync(replies.close, "s1", "job-1-outcome", SAID, NOW)
    assert closed is not None
    assert (closed.state, closed.delivery, closed.closing_at) == (ReplyState.CLOSING, "job-1-outcome", NOW)
    again = db.run_sync(replies.close, "s1", "event-2", SAID, NOW)  # another message comes too late
    assert again == closed
    assert not db.run_sync(replies.say, "s1", SAID)
    assert not db.run_sync(replies.promise, "s1")
    assert db.run_sync(replies.told, "s1")
    assert db.run_sync(replies.told, "s1")  # asked again, it is told again
    assert not db.run_sync(replies.take_back, "s1")
    assert state(db) is ReplyState.TOLD


async def test_of_fetching_and_taking_back_at_the_same_instant_one_wins(both: Database) -> None:
    db = both
    for number in range(6):
        name = f"s{number}"
        await db.run(replies.begin, replace(OPEN, stream=name, msgid=name))
        await db.run(replies.close, name, "job-1-outcome", SAID, NOW)
        told, taken = await asyncio.gather(db.run(replies.told, name), db.run(replies.take_back, name))
        assert told is not taken
        assert state(db, name) is (ReplyState.TOLD if told else ReplyState.OVER)


def test_how_many_somebody_has_open(db: Database) -> None:
    for name, sender, opened in (
        ("a", "alice", NOW),
        ("b", "alice", NOW - HOUR),
        ("c", "bob", NOW),
        ("d", "alice", NOW),
    ):
        db.run_sync(replies.begin, replace(OPEN, stream=name, sender=sender, opened_at=opened))
    db.run_sync(replies.promise, "d", SAID)
    since = NOW - timedelta(minutes=6)
    assert db.read_sync(replies.open_of, "alice", since, "") == 1
    assert db.read_sync(replies.open_of, "alice", since, "a") == 0


def test_by_which_address_a_message_goes(db: Database) -> None:
    told = replace(OPEN, state=ReplyState.TOLD)
    for row in (
        replace(OPEN, state=ReplyState.PROMISED),  # its own result goes by it
        replace(told, stream="s2", response_url="u2", until=NOW + HOUR / 2),
        replace(told, stream="s3", response_url="u3", until=NOW - HOUR),
        replace(told, stream="s4", response_url="u4", chat_id="group", sender="bob"),
        replace(told, stream="s5", response_url=""),
    ):
        db.run_sync(replies.begin, row)

    def way(delivery: str, stream: str = "", chat: str = "robot:alice", sender: str | None = None) -> str:
        found = db.read_sync(replies.way, delivery, stream, chat, sender, NOW)
        return "" if found is None else found.stream

    assert way("job-1-outcome", "s1") == "s1"
    assert way("job-2-outcome") == "s2"  # never the one that is promised to another
    assert way("job-2-outcome", chat="group", sender="alice") == ""
    assert way("job-2-outcome", chat="group", sender="bob") == "s4"
    assert db.run_sync(replies.use, "s2", "job-2-outcome")
    assert not db.run_sync(replies.use, "s2", "job-3-outcome")
    assert way("job-2-outcome") == "s2"  # tried again, the same
    assert way("job-3-outcome") == ""
    db.run_sync(replies.spent, "s2", "job-2-outcome")
    assert way("job-2-outcome") == "s2"  # so that it is known to have gone
    db.run_sync(replies.unused, "s4")
    assert db.run_sync(replies.forget, NOW) == 1
    assert db.read_sync(replies.get, "s3") is None
