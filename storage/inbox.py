"""Accepted events: kept once, before the acknowledgement, and marked in the transaction that dealt with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Row, bindparam, select, update

from storage.dialect import insert_on
from storage.records import InboxEntry
from storage.tables import inbox

# Built once: every event passes here, and building a statement takes longer than running it.
_HANDLED = update(inbox).where(inbox.c.id == bindparam("of_id"), inbox.c.handled_at.is_(None))
_WAITING = (
    select(inbox)
    .where(inbox.c.handled_at.is_(None), inbox.c.id > bindparam("after"))
    .order_by(inbox.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_FIND = select(inbox).where(inbox.c.platform == bindparam("platform"), inbox.c.key == bindparam("key"))


def accept(conn: Connection, platform: str, key: str, event: dict[str, Any], now: datetime) -> int | None:
    """Keep an event. Returns its id, or None when this key was kept before (a redelivery)."""
    statement = _keep(conn.dialect.name).returning(inbox.c.id)
    found = conn.execute(statement, _row(platform, key, event, now)).scalar_one_or_none()
    return None if found is None else int(found)


def accept_all(conn: Connection, events: Sequence[tuple[str, str, dict[str, Any]]], now: datetime) -> None:
    """Keep events that arrived together, each (platform, key, event); those kept before stay as they are."""
    conn.execute(_keep(conn.dialect.name), [_row(*event, now) for event in events])


@cache
def _keep(dialect: str) -> Any:
    """The INSERT, built once: building it took longer than running it, and a flood of events is made of it."""
    return insert_on(dialect, inbox).on_conflict_do_nothing(index_elements=["platform", "key"])


def _row(platform: str, key: str, event: dict[str, Any], now: datetime) -> dict[str, Any]:
    return {"platform": platform, "key": key, "event": event, "received_at": now, "outcome": ""}


def handled(conn: Connection, entry_id: int, outcome: str, now: datetime) -> bool:
    """Mark an event as dealt with. False when somebody else did so already: then change nothing else."""
    return conn.execute(_HANDLED, {"of_id": entry_id, "handled_at": now, "outcome": outcome}).rowcount == 1


def get(conn: Connection, entry_id: int) -> InboxEntry | None:
    """The event of this id."""
    row = conn.execute(select(inbox).where(inbox.c.id == entry_id)).one_or_none()
    return None if row is None else _entry(row)


def reword(conn: Connection, entry_id: int, event: dict[str, Any]) -> None:
    """Keep an event as it is understood by now."""
    conn.execute(update(inbox).where(inbox.c.id == entry_id).values(event=event))


def rename(conn: Connection, entry_id: int, key: str) -> None:
    """Keep an event under another key: what it was to do once was not done, and may be tried again."""
    conn.execute(update(inbox).where(inbox.c.id == entry_id).values(key=key))


def waiting(conn: Connection, after: int, limit: int) -> list[InboxEntry]:
    """Events not dealt with yet, oldest first, beyond id `after`."""
    return [_entry(row) for row in conn.execute(_WAITING, {"after": after, "limit": limit})]


def find(conn: Connection, platform: str, key: str) -> InboxEntry | None:
    """The event kept under this key."""
    row = conn.execute(_FIND, {"platform": platform, "key": key}).one_or_none()
    return None if row is None else _entry(row)


def recent(conn: Connection, platform: str, since: datetime, limit: int) -> list[dict[str, Any]]:
    """The newest events of a platform, newest first, kept after `since`."""
    newest = select(inbox.c.event).where(inbox.c.platform == platform, inbox.c.received_at > since)
    return list(conn.execute(newest.order_by(inbox.c.id.desc()).limit(limit)).scalars())


def _entry(row: Row[Any]) -> InboxEntry:
    return InboxEntry(**row._mapping)
