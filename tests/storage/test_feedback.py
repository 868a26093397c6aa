"""Votes: one word per person and job, the last one counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from storage import feedback, jobs, users
from storage.database import Database
from storage.feedback import DOWN, UP, Votes
from storage.migrations import migrate
from storage.records import ChatType, Identity, Kind, Origin

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORIGIN = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="anna")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'moqi.db'}"
    migrate(url)
    with Database.open(url) as opened:
        opened.run_sync(_people)
        yield opened


def _people(conn: Connection) -> None:
    for name in ("anna", "ben"):
        users.resolve(conn, Identity(platform="web", external_id=name), name, NOW)
    values = {"user_id": 1, "params": {}, "cost": 1, "weight": 1.0, "vtag": 0.0}
    assert jobs.add(conn, key="web:1", kind=Kind.DRAW, now=NOW, origin=ORIGIN, **values) is not None


@pytest.mark.parametrize(
    ("presses", "stands", "votes"),
    [
        ([(1, UP, 0)], UP, Votes(up=1)),
        ([(1, UP, 0), (1, DOWN, 1)], DOWN, Votes(down=1)),  # another mind
        ([(1, UP, 0), (1, UP, 60)], 0, Votes()),  # taken back
        ([(1, UP, 0), (1, UP, 1)], UP, Votes(up=1)),  # pressed twice at once
        ([(1, UP, 0), (1, UP, 60), (1, UP, 120)], UP, Votes(up=1)),
        ([(1, UP, 0), (2, UP, 0)], UP, Votes(up=2)),
        ([(1, UP, 0), (2, DOWN, 0)], DOWN, Votes(up=1, down=1)),
    ],
)
def test_votes(db: Database, presses: list[tuple[int, int, int]], stands: int, votes: Votes) -> None:
    found = [db.run_sync(feedback.vote, 1, user, value, NOW + timedelta(seconds=at)) for user, value, at in presses]
    assert found[-1] == stands
    assert db.read_sync(feedback.of_job, 1) == votes


def test_a_job_nobody_spoke_of_has_none(db: Database) -> None:
    assert db.read_sync(feedback.of_job, 99) == Votes()


@pytest.mark.parametrize(("job", "value"), [(99, UP), (1, 5)])
def test_what_is_not_there_cannot_be_voted_on(db: Database, job: int, value: int) -> None:
    with pytest.raises(IntegrityError):
        db.run_sync(feedback.vote, job, 1, value, NOW)
