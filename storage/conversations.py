"""Where a conversation began, and the turns since then. The turns themselves are the finished ask jobs."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from storage import jobs
from storage.dialect import insert
from storage.records import ChatType, Job, Origin
from storage.tables import conversations

LOOK_BACK = 60  # answers that are looked through: a conversation may be one of several that go on


def key(origin: Origin) -> str:
    """One conversation per person, chat and thread; with the bot alone, per person and thread.

    What was moved out of a group into the person's own chat is part of that, though nobody knows its id yet.
    """
    chat = origin.chat_id if origin.chat_type is ChatType.GROUP else ""
    return "/".join((origin.platform, chat, origin.thread_id, origin.sender))


def restart(conn: Connection, conversation: str, now: datetime) -> None:
    """Forget: earlier turns are no longer part of it."""
    conn.execute(
        insert(conn, conversations)
        .values(key=conversation, started_at=now)
        .on_conflict_do_update(index_elements=["key"], set_={"started_at": now})
    )


def turns(conn: Connection, user_id: int, conversation: str, limit: int, *, before: int | None = None) -> list[Job]:
    """The last answered questions of this conversation, oldest first; those before job `before` if given."""
    began = conn.execute(
        select(conversations.c.started_at).where(conversations.c.key == conversation)
    ).scalar_one_or_none()
    answered = jobs.answered(conn, user_id, since=began, before=before, limit=LOOK_BACK)
    return [job for job in answered if key(job.origin) == conversation][:limit][::-1]
