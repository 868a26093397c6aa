"""Leases: what only one process at a time may do. Each call is one statement, the same on SQLite and PostgreSQL.

A holder renews well before the end; whoever finds a lease past its end may take it. The clocks of the machines must
agree to a few seconds (NTP): an end is an instant, and each machine reads its own clock.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, select, update

from storage.dialect import insert
from storage.tables import leases

_RELEASE = (
    update(leases)
    .where(leases.c.name == bindparam("of_name"), leases.c.owner == bindparam("of_owner"))
    .values(owner="", until=bindparam("now"))
)


def take(conn: Connection, name: str, owner: str, until: datetime, now: datetime) -> bool:
    """Take or renew the lease `name` for `owner` (unique per process); False while somebody else holds it."""
    statement = insert(conn, leases).values(name=name, owner=owner, until=until)
    taken = statement.on_conflict_do_update(
        index_elements=["name"],
        set_={"owner": owner, "until": until},
        where=or_(leases.c.owner == owner, leases.c.until <= now),
    )
    return conn.execute(taken.returning(leases.c.name)).scalar_one_or_none() is not None


def release(conn: Connection, name: str, owner: str, now: datetime) -> bool:
    """Give the lease back, so that another can take it at once. False when `owner` did not hold it."""
    return conn.execute(_RELEASE, {"of_name": name, "of_owner": owner, "now": now}).rowcount == 1


def release_all(conn: Connection, now: datetime) -> None:
    """End every lease: for the sole owner of the data, whose predecessor may have died holding them."""
    conn.execute(update(leases).where(leases.c.until > now).values(owner="", until=now))


def release_of(conn: Connection, owner: str, now: datetime) -> None:
    """End every lease of a process that is gone: its owners are called `owner/…` (storage/owner.py)."""
    held = leases.c.owner.startswith(f"{owner}/", autoescape=True)
    conn.execute(update(leases).where(held, leases.c.until > now).values(owner="", until=now))


def mark(conn: Connection, name: str, owner: str, at: datetime) -> bool:
    """Remember that nothing was missed until `at`; it only moves on, and only its holder moves it."""
    moved = update(leases).where(
        leases.c.name == name,
        leases.c.owner == owner,
        or_(leases.c.seen.is_(None), leases.c.seen < at),
    )
    return conn.execute(moved.values(seen=at)).rowcount == 1


def seen(conn: Connection, name: str) -> datetime | None:
    """Until when nothing was missed; None when nobody ever said so."""
    found: datetime | None = conn.execute(select(leases.c.seen).where(leases.c.name == name)).scalar_one_or_none()
    return found
