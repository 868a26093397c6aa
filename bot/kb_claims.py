"""Holding a source while it is read: of all processes that use the database one reads it, and writes only while it
holds it."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from storage import owner, syncs
from storage.database import Database
from storage.errors import StorageError
from storage.records import utcnow
from storage.syncs import Lost

log = logging.getLogger("moqi.knowledge")

LEASE = timedelta(seconds=90)  # a claim is good for so long without a renewal
HEARTBEAT = 20.0  # seconds between two renewals


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A source that is ours for the time being."""

    db: Database
    source: str
    owner: str

    async def write(self, act: Callable[..., Any], *given: Any) -> Any:
        """`act(conn, …)` in one short transaction, which only counts while the source is ours. Raises `Lost`."""
        return await self.db.run(_guarded, self.source, self.owner, act, *given)

    async def finish(self, report: dict[str, Any], at: datetime) -> None:
        """Keep how it went, and let the source go. Raises `Lost`."""
        await self.db.run(syncs.finish, self.source, self.owner, report, at)


def _guarded(conn: Connection, source: str, owner: str, act: Callable[..., Any], *given: Any) -> Any:
    syncs.renew(conn, source, owner, utcnow() + LEASE)  # first: who waits for its row cannot be in another's way
    return act(conn, *given)


@asynccontextmanager
async def claimed(db: Database, source: str, unless_since: datetime | None = None) -> AsyncIterator[Claim | None]:
    """Hold a source and keep holding it; None when another process has it, or it was read since `unless_since`."""
    mine = f"{owner.name()}/{secrets.token_hex(4)}"
    claiming = asyncio.ensure_future(db.run(_take, source, mine, unless_since))
    beating = None
    try:
        # Who is cancelled here may have claimed all the same: what is under way in the database goes on.
        if not await asyncio.shield(claiming):
            yield None
            return
        beating = asyncio.create_task(_beat(db, source, mine), name=f"claim {source}")
        yield Claim(db=db, source=source, owner=mine)
    finally:
        if beating is not None:
            beating.cancel()
        await asyncio.gather(claiming, *filter(None, [beating]), return_exceptions=True)
        await db.run(syncs.release, source, mine)


def _take(conn: Connection, source: str, mine: str, unless_since: datetime | None) -> bool:
    """Claim a source, also from a process of this machine that was killed: it will not let go by itself."""
    holder = syncs.holder(conn, source)
    if holder and owner.is_gone(holder.partition("/")[0]):
        syncs.release(conn, source, holder)
    now = utcnow()
    return syncs.claim(conn, source, mine, now, now + LEASE, unless_since)


async def _beat(db: Database, source: str, mine: str) -> None:
    while True:
        await asyncio.sleep(HEARTBEAT)
        try:
            await db.run(syncs.renew, source, mine, utcnow() + LEASE)
        except Lost:
            return  # the next write says so
        except StorageError:
            log.exception("the claim of %s was not renewed", source, extra={"action": "knowledge-claim"})
