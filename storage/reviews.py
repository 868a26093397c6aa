"""Reviews of held pictures: rows only. Who may decide, and what a decision does, stands in scheduler/reviewing.py.

A job's row is locked before its review's, by whoever changes both.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from storage.records import Review, ReviewState
from storage.tables import reviews


def add(
    conn: Connection,
    job_id: int,
    why: Sequence[dict[str, Any]],
    now: datetime,
    *,
    appeal_of: int | None = None,
    plea: str = "",
) -> Review:
    """Ask whether a job's pictures may be delivered."""
    values = {
        "job_id": job_id,
        "state": ReviewState.PENDING,
        "why": list(why),
        "appeal_of": appeal_of,
        "plea": plea,
        "reason": "",
        "created_at": now,
    }
    return _review(conn.execute(reviews.insert().values(values).returning(reviews)).one())


def get(conn: Connection, review_id: int) -> Review | None:
    """The review of this id."""
    row = conn.execute(select(reviews).where(reviews.c.id == review_id)).one_or_none()
    return None if row is None else _review(row)


def newest(conn: Connection, job_id: int) -> Review | None:
    """A job's open review, or the one that was decided last."""
    statement = select(reviews).where(reviews.c.job_id == job_id).order_by(reviews.c.id.desc()).limit(1)
    row = conn.execute(statement).one_or_none()
    return None if row is None else _review(row)


def of_job(conn: Connection, job_id: int) -> list[Review]:
    """A job's reviews, the first one first."""
    statement = select(reviews).where(reviews.c.job_id == job_id).order_by(reviews.c.id)
    return [_review(row) for row in conn.execute(statement)]


def pending(conn: Connection, limit: int) -> list[Review]:
    """The open ones, those that have waited longest first."""
    statement = select(reviews).where(reviews.c.state == ReviewState.PENDING).order_by(reviews.c.id).limit(limit)
    return [_review(row) for row in conn.execute(statement)]


def standing(conn: Connection) -> tuple[int, datetime | None]:
    """How many are open, and since when the oldest of them waits."""
    statement = select(func.count(), func.min(reviews.c.created_at)).where(reviews.c.state == ReviewState.PENDING)
    count, oldest = conn.execute(statement).one()
    return int(count), oldest


def decide(
    conn: Connection, review_id: int, state: ReviewState, now: datetime, *, reviewer_id: int | None, reason: str = ""
) -> bool:
    """Close a review; False when that was done before."""
    statement = update(reviews).where(reviews.c.id == review_id, reviews.c.state == ReviewState.PENDING)
    values = {"state": state, "decided_at": now, "reviewer_id": reviewer_id, "reason": reason}
    return conn.execute(statement.values(values)).rowcount == 1


def withdraw(conn: Connection, job_id: int, now: datetime) -> list[int]:
    """Close a job's open review without a decision; returns its id."""
    statement = update(reviews).where(reviews.c.job_id == job_id, reviews.c.state == ReviewState.PENDING)
    closed = statement.values(state=ReviewState.WITHDRAWN, decided_at=now).returning(reviews.c.id)
    return list(conn.execute(closed).scalars())


def _review(row: Row[Any]) -> Review:
    data = dict(row._mapping)
    return Review(**{**data, "state": ReviewState(data["state"]), "why": tuple(data["why"])})
