"""In which groups somebody has spoken: what is drawn there is shown to everybody there, so to them."""

from __future__ import annotations

from sqlalchemy import Connection, bindparam, select

from storage.dialect import insert
from storage.tables import attendance

# Built once: every message in a group passes here.
_KNOWN = select(attendance.c.chat).where(
    attendance.c.user_id == bindparam("user"), attendance.c.chat == bindparam("chat")
)


def note(conn: Connection, user_id: int, chat: str) -> None:
    """Somebody is in the group `platform:chat id`; empty = they write in a chat of their own."""
    if chat and conn.execute(_KNOWN, {"user": user_id, "chat": chat}).one_or_none() is None:
        conn.execute(insert(conn, attendance).values(user_id=user_id, chat=chat).on_conflict_do_nothing())


def of(conn: Connection, user_id: int) -> frozenset[str]:
    """The groups somebody has spoken in."""
    return frozenset(conn.execute(select(attendance.c.chat).where(attendance.c.user_id == user_id)).scalars())


def hand_over(conn: Connection, former: int, person: int) -> None:
    """Both turned out to be one person. Safe to repeat."""
    for chat in of(conn, former):
        note(conn, person, chat)
    conn.execute(attendance.delete().where(attendance.c.user_id == former))
