"""What people think of finished jobs: one 👍 or 👎 per person and job."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from storage.dialect import insert
from storage.tables import feedback

UP, DOWN = 1, -1
TWICE = timedelta(seconds=2)  # two presses this close are one: the second takes nothing back


@dataclass(frozen=True, kw_only=True, slots=True)
class Votes:
    """What a job got."""

    up: int = 0
    down: int = 0


def vote(conn: Connection, job_id: int, user_id: int, value: int, now: datetime) -> int:
    """Keep what somebody thinks; the same again takes it back. Returns what stands now: 1, -1 or 0.

    Raises IntegrityError where the job or the person does not exist, or `value` is another number.
    """
    mine = (feedback.c.job_id == job_id) & (feedback.c.user_id == user_id)
    known = conn.execute(select(feedback.c.value, feedback.c.at).where(mine)).one_or_none()
    if known is not None and known.value == value:
        if now - known.at < TWICE:
            return value
        conn.execute(delete(feedback).where(mine))
        return 0
    statement = insert(conn, feedback).values(job_id=job_id, user_id=user_id, value=value, at=now)
    changed = {"value": value, "at": now}
    conn.execute(statement.on_conflict_do_update(index_elements=["job_id", "user_id"], set_=changed))
    return value


def of_job(conn: Connection, job_id: int) -> Votes:
    """How many liked a job, and how many did not."""
    counted = func.count().filter
    statement = select(counted(feedback.c.value == UP), counted(feedback.c.value == DOWN))
    up, down = conn.execute(statement.where(feedback.c.job_id == job_id)).one()
    return Votes(up=up, down=down)
