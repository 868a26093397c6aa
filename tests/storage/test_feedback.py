"""Votes: one word per person and job, the last one counts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from storage import feedback, jobs, users
from storage.database import Database
from storage.feedback import DOWN, UP, Votes
from storage.records import ChatType, Identity, Kind, Origin

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORIGIN = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="anna")

#: Who pressed what at which second; what stands then of the last one's, and of all.
CASES: list[tuple[list[tuple[int, int, int]], int, Votes]] = [
    ([(1, UP, 0)], UP, Votes(up=1)),
    ([(1, UP, 0), (1, DOWN, 1)], DOWN, Votes(down=1)),  # another mind
    ([(1, UP, 0), (1, UP, 60)], 0, Votes()),  # taken back
    ([(1, UP, 0), (1, UP, 1)], UP, Votes(up=1)),  # pressed twice at once
    ([(1, UP, 0), (1, UP, 60), (1, UP, 120)], UP, Votes(up=1)),
    ([(1, UP, 0), (2, UP, 0)], UP, Votes(up=2)),
    ([(1, UP, 0), (2, DOWN, 0)], DOWN, Votes(up=1, down=1)),
]


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        opened.run_sync(_people)
        yield opened


def _people(conn: Connection) -> None:
    for name in ("anna", "ben"):
        users.resolve(conn, Identity(platform="web", external_id=name), name, NOW)
    values = {"user_id": 1, "params": {}, "cost": 1, "weight": 1.0, "vtag": 0.0}
    for number in range(1, len(CASES) + 1):
        assert jobs.add(conn, key=f"web:{number}", kind=Kind.DRAW, now=NOW, origin=ORIGIN, **values) is not None


def test_votes(db: Database) -> None:
    for job, (presses, stands, votes) in enumerate(CASES, 1):
        for user, value, at in presses:
            found = db.run_sync(feedback.vote, job, user, value, NOW + timedelta(seconds=at))
        assert found == stands, presses
        assert db.read_sync(feedback.of_job, job) == votes, presses
    assert db.read_sync(feedback.of_job, 99) == Votes()
    for job, value in ((99, UP), (1, 5)):
        with pytest.raises(IntegrityError):
            db.run_sync(feedback.vote, job, 2, value, NOW)
