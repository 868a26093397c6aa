"""Questions whose answer did not help: the documents did not say it, or somebody said 👎. And who has seen to them.

Nothing is kept twice: question, answer and the passages that were offered stand in the job (scheduler/runners/ask.py),
what people think of it in `feedback`. What a retention rule takes out of a job is gone from here, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Text, delete, exists, func, not_, select, text, type_coerce

from storage import jobs as orders
from storage.dialect import insert
from storage.feedback import DOWN
from storage.records import Job, JobState, Kind
from storage.tables import REFUSED, feedback, jobs, settled

#: As `Json` writes it: small talk, which has no sources and needs none.
_CHAT = '"chat":true'


@dataclass(frozen=True, kw_only=True, slots=True)
class Opinion:
    """What somebody thinks of an answer."""

    job_id: int
    user_id: int
    value: int  # 1 | -1
    reasons: tuple[str, ...]  # names in storage.feedback.REASONS
    said: str
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """A question whose answer did not help."""

    job: Job
    refused: bool  # the documents did not say it
    against: tuple[Opinion, ...]  # 👎, the oldest first


def unanswered(conn: Connection, since: datetime, limit: int) -> list[Doubt]:
    """The newest `limit` of the questions asked since `since` that did not get a good answer and were not seen to."""
    ids = sorted({*_refused(conn, since, limit), *_disliked(conn, since, limit)}, reverse=True)[:limit]
    found, said = orders.of_ids(conn, ids), _against(conn, ids)
    return [
        Doubt(job=found[each], refused=_is_refused(found[each]), against=tuple(said.get(each, ())))
        for each in ids
        if found[each].params.get("question")
    ]


def opinions(conn: Connection, since: datetime, limit: int = 5000) -> list[tuple[Opinion, Job]]:
    """What people think of answers since `since`, with question and answer: the newest `limit`, the newest first."""
    asked = select(feedback).join(jobs, jobs.c.id == feedback.c.job_id)
    asked = asked.where(jobs.c.kind == Kind.ASK, feedback.c.at >= since).order_by(feedback.c.at.desc()).limit(limit)
    told = [_opinion(row) for row in conn.execute(asked)]
    found = orders.of_ids(conn, {one.job_id for one in told})
    return [(one, found[one.job_id]) for one in told]


def settle(conn: Connection, ids: Collection[int], user_id: int | None, now: datetime) -> int:
    """Note that somebody has seen to these questions; returns how many were open until now. Others stay as they are."""
    asks = select(jobs.c.id).where(jobs.c.id.in_(ids), jobs.c.kind == Kind.ASK, jobs.c.state == JobState.DONE)
    known = conn.execute(asks).scalars().all()
    rows = [{"job_id": each, "user_id": user_id, "at": now} for each in known]
    if not rows:
        return 0
    added = insert(conn, settled).on_conflict_do_nothing(index_elements=["job_id"]).returning(settled.c.job_id)
    return len(conn.execute(added, rows).all())


def reopen(conn: Connection, ids: Collection[int]) -> int:
    """Take that back; returns how many are open again."""
    return conn.execute(delete(settled).where(settled.c.job_id.in_(ids))).rowcount


def _refused(conn: Connection, since: datetime, limit: int) -> list[int]:
    """What the documents did not say. In the words of its index: without that, everything ever asked would be read."""
    carries = func.instr if conn.dialect.name == "sqlite" else func.strpos
    chat = carries(type_coerce(jobs.c.result, Text), _CHAT) > 0
    return _newest(conn, select(jobs.c.id).where(text(REFUSED[conn.dialect.name]), not_(chat)), since, limit)


def _disliked(conn: Connection, since: datetime, limit: int) -> list[int]:
    against = select(feedback.c.job_id).where(feedback.c.value == DOWN)
    return _newest(conn, select(jobs.c.id).where(jobs.c.id.in_(against), jobs.c.kind == Kind.ASK), since, limit)


def _newest(conn: Connection, which: Select[Any], since: datetime, limit: int) -> list[int]:
    """Of these, those that were asked since `since` and that nobody has seen to."""
    seen_to = exists().where(settled.c.job_id == jobs.c.id)
    asked = which.where(jobs.c.state == JobState.DONE, jobs.c.created_at >= since, not_(seen_to))
    return list(conn.execute(asked.order_by(jobs.c.id.desc()).limit(limit)).scalars())


def _is_refused(job: Job) -> bool:
    return (job.result or {}).get("grounded") is False


def _against(conn: Connection, ids: Iterable[int]) -> dict[int, list[Opinion]]:
    statement = select(feedback).where(feedback.c.job_id.in_(list(ids)), feedback.c.value == DOWN)
    found: dict[int, list[Opinion]] = {}
    for row in conn.execute(statement.order_by(feedback.c.at, feedback.c.user_id)):
        found.setdefault(row.job_id, []).append(_opinion(row))
    return found


def _opinion(row: Row[Any]) -> Opinion:
    values = row._mapping
    return Opinion(**{**values, "reasons": tuple(values["reasons"])})
