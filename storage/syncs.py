"""Who reads which source of the knowledge base now, and how it went the last time.

A claim is a row with an end: whoever holds it renews it, and writes only in transactions in which that worked. So a
process that was away too long cannot write over what its successor did.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from storage.dialect import insert
from storage.tables import syncs


class Lost(Exception):
    """Another process reads this source by now: leave it alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sync:
    """How the reading of one source stands."""

    source: str
    owner: str  # who reads it now; empty = nobody
    claimed_until: datetime | None
    finished_at: datetime | None  # when it was last read to its end, or found as it was then; None = never
    report: dict[str, Any] | None  # of the last reading that ended


def claim(
    conn: Connection, source: str, owner: str, now: datetime, until: datetime, unless_since: datetime | None = None
) -> bool:
    """Take a source for `owner` until `until`; False while somebody has it, or when it was read since `unless_since`.

    The condition stands in the update itself, so of two that try at once one wins, on both databases.
    """
    conn.execute(insert(conn, syncs).values(source=source, owner="").on_conflict_do_nothing())
    free = or_(syncs.c.claimed_until.is_(None), syncs.c.claimed_until <= now)
    wanted = update(syncs).where(syncs.c.source == source, free)
    if unless_since is not None:
        wanted = wanted.where(or_(syncs.c.finished_at.is_(None), syncs.c.finished_at <= unless_since))
    return conn.execute(wanted.values(owner=owner, claimed_until=until)).rowcount == 1


def holder(conn: Connection, source: str) -> str:
    """Who has a source now; empty = nobody."""
    return conn.execute(select(syncs.c.owner).where(syncs.c.source == source)).scalar_one_or_none() or ""


def renew(conn: Connection, source: str, owner: str, until: datetime) -> None:
    """Keep a claim; locks its row until the transaction ends. Raises `Lost`."""
    mine = update(syncs).where(syncs.c.source == source, syncs.c.owner == owner)
    if conn.execute(mine.values(claimed_until=until)).rowcount != 1:
        raise Lost(source)


def finish(conn: Connection, source: str, owner: str, report: dict[str, Any], now: datetime) -> None:
    """Keep the report and let the source go. Raises `Lost`."""
    mine = update(syncs).where(syncs.c.source == source, syncs.c.owner == owner)
    if conn.execute(mine.values(owner="", claimed_until=None, finished_at=now, report=report)).rowcount != 1:
        raise Lost(source)


def note(conn: Connection, source: str, report: dict[str, Any], now: datetime) -> None:
    """Keep the report of a source that needs no claim."""
    values = {"finished_at": now, "report": report}
    row = insert(conn, syncs).values(source=source, owner="", **values)
    conn.execute(row.on_conflict_do_update(index_elements=["source"], set_=values))


def confirm(conn: Connection, source: str, now: datetime) -> None:
    """A source was looked at and is as its report says."""
    conn.execute(update(syncs).where(syncs.c.source == source).values(finished_at=now))


def release(conn: Connection, source: str, owner: str) -> None:
    """Let a source go without a report, if it is still ours."""
    conn.execute(
        update(syncs).where(syncs.c.source == source, syncs.c.owner == owner).values(owner="", claimed_until=None)
    )


def release_of(conn: Connection, owner: str) -> None:
    """Let go every source of a process that is gone: its owners are called `owner/…` (storage/owner.py)."""
    held = syncs.c.owner.startswith(f"{owner}/", autoescape=True)
    conn.execute(update(syncs).where(held).values(owner="", claimed_until=None))


def all_syncs(conn: Connection) -> list[Sync]:
    """Every source that was ever read, by name."""
    rows = conn.execute(select(syncs).order_by(syncs.c.source))
    return [Sync(**row._mapping) for row in rows]


def report_of(conn: Connection, source: str) -> dict[str, Any] | None:
    """How the last reading of a source went; None when it never was read to its end."""
    return conn.execute(select(syncs.c.report).where(syncs.c.source == source)).scalar_one_or_none()


def keep_only(conn: Connection, sources: Collection[str]) -> None:
    """Forget the sources that are no longer read."""
    conn.execute(delete(syncs).where(syncs.c.source.not_in(sources)))
