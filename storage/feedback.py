"""What people think of finished jobs: one 👍 or 👎 per person and job, and why, where their platform asks for that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from storage.dialect import insert
from storage.tables import feedback

UP, DOWN = 1, -1
TWICE = timedelta(seconds=2)  # two presses this close are one: the second takes nothing back


#: Why somebody did not like an answer, as WeCom lets them say: 1 to 4. Words: bot/replies, `vote.reason.<name>`.
REASONS: Mapping[int, str] = {1: "beside", 2: "incomplete", 3: "wrong", 4: "figures"}
LONGEST = 500  # characters of what somebody says beside it


@dataclass(frozen=True, kw_only=True, slots=True)
class Votes:
    """What a job got."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Remarks:
    """Why people did not like a job."""

    reasons: Mapping[str, int] = field(default_factory=dict)  # how many gave which, by its name in REASONS
    said: tuple[str, ...] = ()  # in their own words, the oldest first


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
    return say(conn, job_id, user_id, value, now)


def say(
    conn: Connection, job_id: int, user_id: int, value: int, now: datetime, reasons: Iterable[str] = (), said: str = ""
) -> int:
    """Keep what somebody thinks now, and why; 0 takes it back. The same again changes nothing. Returns `value`.

    Raises IntegrityError as `vote` does.
    """
    if not value:
        conn.execute(delete(feedback).where(feedback.c.job_id == job_id, feedback.c.user_id == user_id))
        return 0
    changed = {"value": value, "reasons": sorted(set(reasons)), "said": said[:LONGEST], "at": now}
    statement = insert(conn, feedback).values(job_id=job_id, user_id=user_id, **changed)
    conn.execute(statement.on_conflict_do_update(index_elements=["job_id", "user_id"], set_=changed))
    return value


def of(conn: Connection, job_id: int, user_id: int) -> int:
    """What somebody thinks of a job now: 1, -1, or 0 for nothing."""
    mine = (feedback.c.job_id == job_id) & (feedback.c.user_id == user_id)
    return conn.execute(select(feedback.c.value).where(mine)).scalar_one_or_none() or 0


def of_job(conn: Connection, job_id: int) -> Votes:
    """How many liked a job, and how many did not."""
    counted = func.count().filter
    statement = select(counted(feedback.c.value == UP), counted(feedback.c.value == DOWN))
    up, down = conn.execute(statement.where(feedback.c.job_id == job_id)).one()
    return Votes(up=up, down=down)


def remarks(conn: Connection, job_id: int) -> Remarks:
    """Why those did not like a job who did not."""
    statement = select(feedback.c.reasons, feedback.c.said).where(feedback.c.job_id == job_id)
    rows = conn.execute(statement.order_by(feedback.c.at, feedback.c.user_id)).all()
    reasons = Counter(reason for row in rows for reason in row.reasons)
    return Remarks(reasons=dict(sorted(reasons.items())), said=tuple(row.said for row in rows if row.said))
