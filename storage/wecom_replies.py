"""What WeCom is answered when it asks about a message of the robot in callback mode: one row for each message.

state    | what WeCom is told when it asks                                   | leaves it when
---------|------------------------------------------------------------------|------------------------------------------
open     | what the reply says now, more follows                            | a message ends it, or it gets too long
promised | what it said last, and that the result comes separately: the end | (stays)
closing  | the end, of the message `delivery`                               | WeCom has fetched that, or never came
told     | the same again, when it asks again                               | (stays)
over     | that the result comes separately: the end                        | (stays)

Whoever moves a row says from which state, so two processes never both do; the one that came late sees where it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from storage.dialect import insert
from storage.tables import wecom_replies as table


class ReplyState(StrEnum):
    """Where the answer to a message stands: see the table above."""

    OPEN = "open"
    PROMISED = "promised"
    CLOSING = "closing"
    TOLD = "told"
    OVER = "over"


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenReply:
    """The answer to one message, as it stands."""

    stream: str  # what WeCom asks by
    msgid: str
    chat_id: str
    sender: str
    opened_at: datetime
    state: ReplyState = ReplyState.OPEN
    reply: dict[str, Any] | None = None  # bot.reply.Reply as JSON; None = nothing is said yet
    delivery: str = ""  # key of the message that ends it
    closing_at: datetime | None = None
    response_url: str = field(default="", repr=False)  # a secret; empty = none, or used
    until: datetime  # the response_url can be used
    used_by: str = ""  # key of the message that goes, or went, by response_url


def begin(conn: Connection, reply: OpenReply) -> bool:
    """Keep an answer that begins. False for the same message again, which changes nothing."""
    values = {name: getattr(reply, name) for name in OpenReply.__dataclass_fields__}
    kept = insert(conn, table).values(**values).on_conflict_do_nothing(index_elements=["stream"])
    return conn.execute(kept.returning(table.c.stream)).scalar_one_or_none() is not None


def get(conn: Connection, stream: str) -> OpenReply | None:
    """The answer that WeCom asks for as `stream`."""
    row = conn.execute(select(table).where(table.c.stream == stream)).one_or_none()
    return None if row is None else _reply(row)


def say(conn: Connection, stream: str, reply: dict[str, Any]) -> bool:
    """What an open answer says from now on. False when it is not open any more."""
    return _move(conn, stream, ReplyState.OPEN, reply=reply)


def promise(conn: Connection, stream: str, reply: dict[str, Any] | None = None) -> bool:
    """End an open answer early: its result comes separately. False when it was ended meanwhile."""
    said = {} if reply is None else {"reply": reply}
    return _move(conn, stream, ReplyState.OPEN, state=ReplyState.PROMISED, **said)


def close(conn: Connection, stream: str, delivery: str, reply: dict[str, Any], now: datetime) -> OpenReply | None:
    """End an open answer with the message `delivery`; as it stands afterwards, whoever ended it."""
    _move(conn, stream, ReplyState.OPEN, state=ReplyState.CLOSING, delivery=delivery, reply=reply, closing_at=now)
    return get(conn, stream)


def told(conn: Connection, stream: str) -> bool:
    """WeCom fetches the end now. False when that was taken back meanwhile."""
    if _move(conn, stream, ReplyState.CLOSING, state=ReplyState.TOLD):
        return True
    found = get(conn, stream)
    return found is not None and found.state is ReplyState.TOLD


def take_back(conn: Connection, stream: str) -> bool:
    """WeCom did not come for the end: it goes another way. False when it has come meanwhile."""
    return _move(conn, stream, ReplyState.CLOSING, state=ReplyState.OVER)


def open_of(conn: Connection, sender: str, since: datetime, but: str) -> int:
    """How many other answers to somebody, begun after `since`, have not ended."""
    unended = table.c.state.in_((ReplyState.OPEN, ReplyState.CLOSING))
    counted = select(func.count()).where(
        table.c.sender == sender, table.c.opened_at > since, unended, table.c.stream != but
    )
    return conn.execute(counted).scalar_one()


def way(
    conn: Connection, delivery: str, stream: str, chat_id: str, sender: str | None, now: datetime
) -> OpenReply | None:
    """The answer by whose response_url the message `delivery` goes, or went; None = there is none.

    The one it began with, else that of its own message, else one of the same chat (and `sender`) that nothing waits
    for.
    """
    usable = (table.c.response_url != "", table.c.until > now, table.c.used_by == "")
    ended = table.c.state.in_((ReplyState.TOLD, ReplyState.OVER))
    spare = [table.c.chat_id == chat_id, ended] + ([] if sender is None else [table.c.sender == sender])
    for wanted in ((table.c.used_by == delivery,), (table.c.stream == stream, *usable), (*spare, *usable)):
        row = conn.execute(select(table).where(*wanted).order_by(table.c.until.desc()).limit(1)).one_or_none()
        if row is not None:
            return _reply(row)
    return None


def use(conn: Connection, stream: str, delivery: str) -> bool:
    """Let the message `delivery` go by this response_url, and no other. False when another does."""
    mine = update(table).where(table.c.stream == stream, table.c.used_by.in_(("", delivery)))
    return conn.execute(mine.values(used_by=delivery)).rowcount == 1


def spent(conn: Connection, stream: str, delivery: str) -> None:
    """The response_url has been used, for `delivery` (empty: it was refused, and nothing came of it)."""
    conn.execute(update(table).where(table.c.stream == stream).values(response_url="", used_by=delivery))


def unused(conn: Connection, stream: str) -> None:
    """Nothing has left: the response_url is free again."""
    conn.execute(update(table).where(table.c.stream == stream).values(used_by=""))


def forget(conn: Connection, before: datetime) -> int:
    """Drop the answers that nobody asks for any more; how many."""
    return conn.execute(delete(table).where(table.c.until < before)).rowcount


def _move(conn: Connection, stream: str, left: ReplyState, **values: Any) -> bool:
    statement = update(table).where(table.c.stream == stream, table.c.state == left)
    return conn.execute(statement.values(**values)).rowcount == 1


def _reply(row: Row[Any]) -> OpenReply:
    return OpenReply(**{**row._mapping, "state": ReplyState(row.state)})
