"""Chats as the platform tells of them: whether the bot is in, and whether it has said hello there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Text, func, select, type_coerce, update

from storage.dialect import insert
from storage.tables import chats


class ChatState(StrEnum):
    """Whether anything can be said in a chat."""

    MEMBER = "member"  # the bot is in
    REMOVED = "removed"  # the bot was taken out
    DISBANDED = "disbanded"  # the chat is gone for everybody


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """A group, or one person's chat with the bot."""

    platform: str
    chat_id: str
    name: str  # empty when the platform does not tell
    state: ChatState
    changed_at: datetime  # when that became so
    greeted_at: datetime | None  # None: nobody has been told yet what can be done here
    removed_at: datetime | None  # the last time


def get(conn: Connection, platform: str, chat_id: str) -> Chat | None:
    """What is known of a chat."""
    row = conn.execute(select(chats).where(chats.c.platform == platform, chats.c.chat_id == chat_id)).one_or_none()
    return None if row is None else Chat(**{**row._mapping, "state": ChatState(row.state)})


def moved(conn: Connection, platform: str, chat_id: str, state: ChatState, name: str, at: datetime) -> bool:
    """The bot came into a chat, or is out of it, since `at`. False when something later is known: nothing is changed.

    Platforms tell again, and not always in order.
    """
    out = {"removed_at": at} if state is not ChatState.MEMBER else {}
    row = {"platform": platform, "chat_id": chat_id, "name": name, "state": state, "changed_at": at, **out}
    new = {"state": state, "changed_at": at, **out, **({"name": name} if name else {})}
    statement = (
        insert(conn, chats)
        .values(**row)
        .on_conflict_do_update(index_elements=["platform", "chat_id"], set_=new, where=chats.c.changed_at < at)
    )
    return conn.execute(statement.returning(chats.c.chat_id)).one_or_none() is not None


def greet(conn: Connection, platform: str, chat_id: str, now: datetime) -> bool:
    """Whether hello is to be said in a known chat: the first time only."""
    statement = update(chats).where(
        chats.c.platform == platform, chats.c.chat_id == chat_id, chats.c.greeted_at.is_(None)
    )
    return conn.execute(statement.values(greeted_at=now)).rowcount == 1


def within(origin: Column[Any], platform: str, chat_id: str) -> ColumnElement[bool]:
    """Whether what an `origin` column holds lies in this chat. It is kept as text that begins with these two."""
    begins = json.dumps({"platform": platform, "chat_id": chat_id}, ensure_ascii=False, separators=(",", ":"))
    begins = begins.removesuffix("}") + ","
    return func.substr(type_coerce(origin, Text), 1, len(begins)) == begins  # LIKE would not see the case of letters
