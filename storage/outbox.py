"""Outgoing messages: written in the transaction of what they tell, sent afterwards, marked once confirmed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, or_, select, update

from storage.dialect import insert, serialise
from storage.records import Delivery, DeliveryState, Origin
from storage.tables import outbox


def add(
    conn: Connection, key: str, origin: Origin, *, slot: str, now: datetime, job_id: int | None = None, body: Any = None
) -> int | None:
    """Put a message into the outbox; None when this key is there already."""
    statement = (
        insert(conn, outbox)
        .values(
            key=key,
            origin=origin.to_json(),
            job_id=job_id,
            slot=slot,
            body=body or {},
            state=DeliveryState.PENDING,
            attempts=0,
            next_at=now,
            receipt={},
            reason="",
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(outbox.c.id)
    )
    found = conn.execute(statement).scalar_one_or_none()
    return None if found is None else int(found)


def claim(conn: Connection, now: datetime, lease: timedelta, limit: int) -> list[Delivery]:
    """Lease what is due, oldest first. A lease that ran out (its sender died) is due again, under the same key."""
    serialise(conn, "outbox")
    free = or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < now)
    due = (
        select(outbox.c.id)
        .where(outbox.c.state == DeliveryState.PENDING, outbox.c.next_at <= now, free)
        .order_by(outbox.c.id)
        .limit(limit)
    )
    ids = list(conn.execute(due).scalars())
    if not ids:
        return []
    conn.execute(
        update(outbox)
        .where(outbox.c.id.in_(ids))
        .values(lease_until=now + lease, attempts=outbox.c.attempts + 1)
    )
    rows = conn.execute(select(outbox).where(outbox.c.id.in_(ids)).order_by(outbox.c.id))
    return [_delivery(row) for row in rows]


def sent(conn: Connection, delivery_id: int, receipt: dict[str, Any], now: datetime) -> None:
    """The platform confirmed it."""
    _settle(conn, delivery_id, state=DeliveryState.SENT, receipt=receipt, sent_at=now, reason="")


def gave_up(conn: Connection, delivery_id: int, reason: str, receipt: dict[str, Any]) -> None:
    """It will never arrive; the reason is kept."""
    _settle(conn, delivery_id, state=DeliveryState.FAILED, reason=reason, receipt=receipt)


def skipped(conn: Connection, delivery_id: int, reason: str) -> None:
    """A later message says it all; this one was never sent."""
    _settle(conn, delivery_id, state=DeliveryState.SKIPPED, reason=reason)


def postpone(conn: Connection, delivery_id: int, until: datetime, reason: str, receipt: dict[str, Any]) -> None:
    """Try again later, keeping what earlier tries achieved."""
    _settle(conn, delivery_id, next_at=until, reason=reason, receipt=receipt)


def hand_back(conn: Connection, delivery_id: int, now: datetime) -> None:
    """Give a lease back without having tried (the program stops, or its turn has not come)."""
    _settle(conn, delivery_id, next_at=now, attempts=outbox.c.attempts - 1)


def release_all(conn: Connection) -> int:
    """Free the leases a dead process left behind. Only for the one process that owns the data folder."""
    statement = update(outbox).where(outbox.c.state == DeliveryState.PENDING, outbox.c.lease_until.is_not(None))
    return conn.execute(statement.values(lease_until=None)).rowcount


def of_job(conn: Connection, job_id: int) -> dict[str, Delivery]:
    """The messages of a job by slot."""
    rows = conn.execute(select(outbox).where(outbox.c.job_id == job_id).order_by(outbox.c.id))
    return {row.slot: _delivery(row) for row in rows}


def next_due(conn: Connection) -> datetime | None:
    """When the next message wants to be tried; None when nothing waits."""
    statement = (
        select(outbox.c.next_at).where(outbox.c.state == DeliveryState.PENDING).order_by(outbox.c.next_at).limit(1)
    )
    return conn.execute(statement).scalar_one_or_none()


def _settle(conn: Connection, delivery_id: int, **values: Any) -> None:
    conn.execute(update(outbox).where(outbox.c.id == delivery_id).values(lease_until=None, **values))


def _delivery(row: Row[Any]) -> Delivery:
    data = {k: v for k, v in row._mapping.items() if k not in ("next_at", "lease_until")}
    data["origin"] = Origin.from_json(data["origin"])
    data["state"] = DeliveryState(data["state"])
    return Delivery(**data)
