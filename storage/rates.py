"""How fast each person orders: one moment per person and scope. What it means is decided in scheduler/rates.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from storage.dialect import insert
from storage.tables import rates


def of_user(conn: Connection, user_id: int, scopes: Sequence[str]) -> dict[str, datetime]:
    """The moments kept for a person, by scope."""
    statement = select(rates.c.scope, rates.c.at).where(rates.c.user_id == user_id, rates.c.scope.in_(scopes))
    return {row.scope: row.at for row in conn.execute(statement)}


def keep(conn: Connection, user_id: int, moments: Mapping[str, datetime]) -> None:
    """Keep new moments for a person."""
    statement = insert(conn, rates)
    statement = statement.on_conflict_do_update(index_elements=["user_id", "scope"], set_={"at": statement.excluded.at})
    conn.execute(statement, [{"user_id": user_id, "scope": scope, "at": at} for scope, at in moments.items()])
