"""Outgoing messages: written in the transaction of what they tell, sent afterwards, marked once confirmed."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Row, Text, and_, bindparam, cast, or_, select, update

from storage.dialect import insert_on, serialise
from storage.records import Delivery, DeliveryState, Origin
from storage.tables import outbox

BLOCKED = "blocked"  # in a receipt: why the platform's audit refused what it said; it says that instead
#: Whether a message had to say something else than it was to say.
REPLACED = cast(outbox.c.receipt, Text).contains(f'"{BLOCKED}":')

# Built once: building a statement takes longer than running it, and these run for every message.
_OPEN = and_(
    outbox.c.state == DeliveryState.PENDING,
    or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < bindparam("now")),
)
_DUE = (
    select(outbox.c.id)
    .where(_OPEN, outbox.c.next_at <= bindparam("now"))
    .order_by(outbox.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_NEXT_FREE = select(outbox.c.next_at).where(_OPEN).order_by(outbox.c.next_at).limit(1)
_LEASE = (
    update(outbox)
    .where(outbox.c.id.in_(bindparam("ids", expanding=True)))
    .values(lease_until=bindparam("until"), owner=bindparam("by"), attempts=outbox.c.attempts + 1)
)
_TAKE = (
    update(outbox)
    .where(outbox.c.key == bindparam("of_key"), outbox.c.next_at <= bindparam("now"), _OPEN)
    .values(lease_until=bindparam("until"), owner=bindparam("by"), attempts=outbox.c.attempts + 1)
    .returning(outbox)
)
_THESE = select(outbox).where(outbox.c.id.in_(bindparam("ids", expanding=True))).order_by(outbox.c.id)
_SETTLE = update(outbox).where(outbox.c.id == bindparam("of_id"))  # sets what it is executed with
_RELEASE = (
    update(outbox)
    .where(outbox.c.state == DeliveryState.PENDING, outbox.c.lease_until.is_not(None))
    .values(lease_until=None)
)
_OF_JOB = select(outbox).where(outbox.c.job_id == bindparam("job")).order_by(outbox.c.id)


@cache
def _add(dialect: str) -> Any:
    return insert_on(dialect, outbox).on_conflict_do_nothing(index_elements=["key"]).returning(outbox.c.id)


def reply_key(entry_id: int) -> str:
    """The key of the answer to a kept event, where it belongs to no job."""
    return f"event-{entry_id}"


def add(
    conn: Connection,
    key: str,
    origin: Origin,
    *,
    slot: str,
    now: datetime,
    job_id: int | None = None,
    body: Any = None,
    replaces: str = "",
) -> int | None:
    """Put a message into the outbox; None when this key is there already."""
    values = {
        "key": key,
        "origin": origin.to_json(),
        "job_id": job_id,
        "slot": slot,
        "body": body or {},
        "state": DeliveryState.PENDING,
        "attempts": 0,
        "next_at": now,
        "receipt": {},
        "reason": "",
        "created_at": now,
        "replaces": replaces,
    }
    found = conn.execute(_add(conn.dialect.name), values).scalar_one_or_none()
    return None if found is None else int(found)


def claim(conn: Connection, now: datetime, lease: timedelta, limit: int, owner: str = "") -> list[Delivery]:
    """Lease what is due, oldest first. A lease that ran out (its sender died) is due again, under the same key."""
    serialise(conn, "outbox")
    ids = list(conn.execute(_DUE, {"now": now, "limit": limit}).scalars())
    if not ids:
        return []
    conn.execute(_LEASE, {"ids": ids, "until": now + lease, "by": owner})
    return [_delivery(row) for row in conn.execute(_THESE, {"ids": ids})]


def take(conn: Connection, key: str, now: datetime, lease: timedelta, owner: str = "") -> Delivery | None:
    """Lease one message, best in the transaction that wrote it; None when it is not there or not due."""
    row = conn.execute(_TAKE, {"of_key": key, "now": now, "until": now + lease, "by": owner}).one_or_none()
    return None if row is None else _delivery(row)


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


def keep(conn: Connection, delivery_id: int, receipt: dict[str, Any]) -> None:
    """Keep what a try has achieved so far, while it goes on."""
    conn.execute(update(outbox).where(outbox.c.id == delivery_id).values(receipt=receipt))


def hand_back(conn: Connection, delivery_id: int, now: datetime) -> None:
    """Give a lease back without having tried (the program stops, or its turn has not come)."""
    statement = update(outbox).where(outbox.c.id == delivery_id)
    conn.execute(statement.values(lease_until=None, next_at=now, attempts=outbox.c.attempts - 1))


def release_all(conn: Connection) -> int:
    """Free the leases a dead process left behind. Only for the one process that owns the data folder."""
    return conn.execute(_RELEASE).rowcount


def release_of(conn: Connection, owner: str) -> int:
    """Free the leases of a process that is gone (storage/owner.py)."""
    return conn.execute(_RELEASE.where(outbox.c.owner == owner)).rowcount


def of_job(conn: Connection, job_id: int) -> dict[str, Delivery]:
    """The messages of a job by slot."""
    return {row.slot: _delivery(row) for row in conn.execute(_OF_JOB, {"job": job_id})}


def by_key(conn: Connection, key: str) -> Delivery | None:
    """The message of this key."""
    row = conn.execute(select(outbox).where(outbox.c.key == key)).one_or_none()
    return None if row is None else _delivery(row)


def of_message(conn: Connection, platform: str, message_id: str) -> Delivery | None:
    """The newest message that the platform knows as `message_id`. Reads the outbox from its end."""
    if not message_id:
        return None
    written = cast(outbox.c.receipt, Text).contains(f'"{message_id}"', autoescape=True)
    sent = map(_delivery, conn.execute(select(outbox).where(written).order_by(outbox.c.id.desc())))
    ours = (one for one in sent if (one.origin.platform, one.receipt.get("message_id")) == (platform, message_id))
    return next(ours, None)


def job_of_message(conn: Connection, platform: str, message_id: str) -> int | None:
    """The job whose card or outcome the platform knows as `message_id`."""
    found = of_message(conn, platform, message_id)
    return None if found is None else found.job_id


def newest_revision(conn: Connection, key: str) -> Delivery | None:
    """What was last written to take the place of the message of this key."""
    later = select(outbox).where(outbox.c.replaces == key).order_by(outbox.c.id.desc()).limit(1)
    row = conn.execute(later).one_or_none()
    return None if row is None else _delivery(row)


def revise(conn: Connection, prefix: str, now: datetime) -> None:
    """For every message whose key begins so, one that takes its place: it says how things stand when it is sent."""
    found = conn.execute(
        select(outbox).where(outbox.c.key.startswith(prefix, autoescape=True), outbox.c.replaces == "")
    )
    for one in found.all():
        origin = Origin.from_json(one.origin)
        add(conn, f"{one.key}-over", origin, slot="revision", body=one.body, now=now, replaces=one.key)


def redirect(conn: Connection, delivery_id: int, origin: Origin, receipt: dict[str, Any], now: datetime) -> None:
    """Send it to another place instead, from the beginning."""
    _settle(conn, delivery_id, origin=origin.to_json(), receipt=receipt, attempts=0, next_at=now)


def next_free(conn: Connection, now: datetime) -> datetime | None:
    """When the next message that nobody is sending may be tried; None when there is none."""
    return conn.execute(_NEXT_FREE, {"now": now}).scalar_one_or_none()


def next_due(conn: Connection) -> datetime | None:
    """Since when the oldest message waits, or when the next one wants to be tried; None when nothing waits."""
    statement = (
        select(outbox.c.next_at).where(outbox.c.state == DeliveryState.PENDING).order_by(outbox.c.next_at).limit(1)
    )
    return conn.execute(statement).scalar_one_or_none()


def _settle(conn: Connection, delivery_id: int, **values: Any) -> None:
    conn.execute(_SETTLE, {"of_id": delivery_id, "lease_until": None, **values})


def _delivery(row: Row[Any]) -> Delivery:
    data = {k: v for k, v in row._mapping.items() if k not in ("next_at", "lease_until", "owner")}
    data["origin"] = Origin.from_json(data["origin"])
    data["state"] = DeliveryState(data["state"])
    return Delivery(**data)
