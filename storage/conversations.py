"""Where a conversation began, and the turns since then. The turns themselves are the finished ask jobs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from storage.dialect import insert
from storage.jobs import recent
from storage.records import Job, JobState, Kind, Origin
from storage.tables import conversations


def key(origin: Origin) -> str:
    """One conversation per person, chat and thread."""
    return "/".join((origin.platform, origin.chat_id, origin.thread_id, origin.sender))


def restart(conn: Connection, conversation: str, now: datetime) -> None:
    """Forget: earlier turns are no longer part of it."""
    conn.execute(
        insert(conn, conversations)
        .values(key=conversation, started_at=now)
        .on_conflict_do_update(index_elements=["key"], set_={"started_at": now})
    )


def turns(conn: Connection, user_id: int, conversation: str, limit: int) -> list[Job]:
    """The last answered questions of this conversation, oldest first."""
    began = conn.execute(
        select(conversations.c.started_at).where(conversations.c.key == conversation)
    ).scalar_one_or_none()
    answered = recent(conn, user_id=user_id, states=(JobState.DONE,), limit=limit * 4)
    mine = [
        job
        for job in answered
        if job.kind is Kind.ASK and key(job.origin) == conversation and (began is None or job.created_at > began)
    ]
    return mine[:limit][::-1]
