"""The web chat's own history: what was written and what was answered, per person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select, update

from storage.dialect import insert_on
from storage.records import aware
from storage.tables import messages

# Built once: building a statement takes longer than running it.
_CHANGE = update(messages).where(messages.c.id == bindparam("of_id")).returning(messages)


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One bubble of the web chat."""

    id: int  # grows with time: the order of the page
    key: str  # unique: what makes a repeated insert harmless
    user_id: int  # whose page it stands on
    author: str  # user | bot
    body: dict[str, Any]  # user: {"text"}; bot: bot.reply.Reply as JSON
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        aware(self.created_at, "created_at")
        aware(self.updated_at, "updated_at")


@cache
def _insert(dialect: str) -> Any:
    return insert_on(dialect, messages).on_conflict_do_nothing(index_elements=["key"]).returning(messages)


def add(
    conn: Connection, *, key: str, user_id: int, author: str, body: dict[str, Any], now: datetime
) -> tuple[Message, bool]:
    """Keep a message once; returns it and whether it is new. With a known key the kept one wins, unchanged.

    Raises IntegrityError where `user_id` names nobody.
    """
    row = {"key": key, "user_id": user_id, "author": author, "body": body, "created_at": now, "updated_at": now}
    added = conn.execute(_insert(conn.dialect.name), row).one_or_none()
    if added is not None:
        return _message(added), True
    return _message(conn.execute(select(messages).where(messages.c.key == key)).one()), False


def change(conn: Connection, message_id: int, body: dict[str, Any], now: datetime) -> Message | None:
    """Replace what a message says; None when it is gone."""
    row = conn.execute(_CHANGE, {"of_id": message_id, "body": body, "updated_at": now}).one_or_none()
    return None if row is None else _message(row)


def reword(conn: Connection, keys: Iterable[str], body: dict[str, Any], now: datetime) -> None:
    """Replace what the messages of these keys say; unknown ones are no matter."""
    conn.execute(update(messages).where(messages.c.key.in_(list(keys))).values(body=body, updated_at=now))


def page(conn: Connection, user_id: int, *, before: int | None = None, limit: int = 50) -> list[Message]:
    """The newest `limit` messages of a person, older than message `before` if given; oldest first."""
    query = select(messages).where(messages.c.user_id == user_id)
    if before is not None:
        query = query.where(messages.c.id < before)
    rows = conn.execute(query.order_by(messages.c.id.desc()).limit(limit)).all()
    return [_message(row) for row in reversed(rows)]


def _message(row: Row[Any]) -> Message:
    return Message(**row._mapping)
