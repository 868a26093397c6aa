"""Taking questions and answers out after a time: who asked when, and what it cost, stays; what was said goes.

A question's words lie in its job, in the messages about it and in the event it came as; its answer in the job, in the
messages, and in what somebody said about it. They go in one transaction, with what a platform keeps here for itself
(bot/forgetting.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select, text, tuple_, update

from storage.outbox import reply_key
from storage.records import DeliveryState
from storage.tables import feedback, inbox, jobs, outbox

_TELLING = text("jobs.kind = 'ask' and jobs.cleared is null and jobs.finished_at is not null")  # as its index says it
_CLEAR = update(jobs).where(jobs.c.id == bindparam("of_id"))
_EVENTS = select(inbox.c.id, inbox.c.platform, inbox.c.key, inbox.c.event)
_EVENT = update(inbox).where(inbox.c.id == bindparam("of_id"))

#: What of a kept event is words; the rest says who, where and when.
_WORDS = frozenset({"text", "value", "meant"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleared:
    """What was taken out."""

    jobs: int
    events: tuple[tuple[str, str], ...]  # platform and key of each event that was a question
    messages: tuple[str, ...]  # keys of what was sent about them


def due(conn: Connection, before: datetime) -> int:
    """How many questions ended before that instant and still have their words. Changes nothing."""
    return conn.execute(select(func.count()).select_from(_old(before, None).subquery())).scalar_one()


def clear(conn: Connection, before: datetime, days: int, limit: int) -> Cleared:
    """Take the words of up to `limit` questions out that ended before that instant, `days` being the rule.

    One about which a message is still on its way waits: the message is made of its words.
    """
    rows = conn.execute(_old(before, limit)).all()
    ids = [row.id for row in rows]
    if not ids:
        return Cleared(jobs=0, events=(), messages=())
    _clear_jobs(conn, rows, days)
    conn.execute(update(feedback).where(feedback.c.job_id.in_(ids)).values(said=""))
    events = _clear_events(conn, [(platform, key) for platform, _, key in (row.key.partition(":") for row in rows)])
    told = outbox.c.job_id.in_(ids) | outbox.c.key.in_([reply_key(event.id) for event in events])
    sent = tuple(conn.execute(update(outbox).where(told).values(body={}).returning(outbox.c.key)).scalars())
    return Cleared(jobs=len(ids), events=tuple((one.platform, one.key) for one in events), messages=sent)


def _old(before: datetime, limit: int | None) -> Select[Any]:
    telling = select(outbox.c.id).where(outbox.c.job_id == jobs.c.id, outbox.c.state == DeliveryState.PENDING)
    return (
        select(jobs.c.id, jobs.c.key, jobs.c.result)
        .where(_TELLING, jobs.c.finished_at < before, ~telling.exists())
        .order_by(jobs.c.finished_at)
        .limit(limit)
    )


def _clear_jobs(conn: Connection, rows: Sequence[Row[Any]], days: int) -> None:
    emptied = [
        {"of_id": row.id, "params": {"question": ""}, "result": None if row.result is None else {}, "cleared": days}
        for row in rows
    ]
    conn.execute(_CLEAR, emptied)


def _clear_events(conn: Connection, keys: Sequence[tuple[str, str]]) -> list[Any]:
    """The events the questions came as. Of one that was asked by a press, also the message that the press was about."""
    found: list[Any] = list(conn.execute(_EVENTS.where(tuple_(inbox.c.platform, inbox.c.key).in_(keys))))
    about = [row.event["value"]["entry"] for row in found if "entry" in row.event.get("value", {})]
    found += conn.execute(_EVENTS.where(inbox.c.id.in_(about)))
    if found:
        conn.execute(_EVENT, [{"of_id": row.id, "event": _wordless(row.event)} for row in found])
    return found


def _wordless(event: dict[str, Any]) -> dict[str, Any]:
    return {**{name: value for name, value in event.items() if name not in _WORDS}, "text": "", "value": {}}
