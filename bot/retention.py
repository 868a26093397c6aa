"""The retention rule: pictures are deleted after so many days, and cards then say so. How: storage/retention.py."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from storage import audit, retention
from storage.database import Database
from storage.faults import point
from storage.files import Files
from storage.retention import NOTHING, Retired
from storage.thumbnails import Thumbnails

BATCH = 500  # pictures of one transaction
#: A file that was put this lately belongs to somebody who has not said yet what it is (inference takes seconds).
UNTOUCHED = timedelta(minutes=10)


def _silent(sha: str) -> None:
    """Nobody watches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Keeper:
    """What is tidied up."""

    db: Database
    files: Files
    thumbnails: Thumbnails

    async def tidy(self, days: int, actor: str, now: datetime, report: Callable[[str], None] = _silent) -> Retired:
        """Delete what is older than `days` (0 = nothing is), and what an earlier turn left to do. Raises StorageError.

        `report` hears of each file that is gone. May be stopped at any moment.
        """
        done = await self._retire(days, actor, now) if days else NOTHING
        while shas := await self.db.read(retention.on_their_way, BATCH):
            left = await asyncio.to_thread(self._delete, shas, report)
            await self.db.run(retention.gone, [sha for sha in shas if sha not in left])
            if left:  # put again this very moment: the next turn looks whether a row needs them
                break
        await asyncio.to_thread(self.thumbnails.sweep, self.files.exists)
        return done

    async def due(self, days: int, now: datetime) -> Retired:
        """What `tidy` would delete. Changes nothing."""
        return await self.db.read(retention.due, now - timedelta(days=days)) if days else NOTHING

    async def _retire(self, days: int, actor: str, now: datetime) -> Retired:
        done = NOTHING
        while True:
            batch = await self.db.run(_retire, days, actor, now)
            point("pictures-retired")
            done += batch
            if not batch.pictures and not batch.given:
                return done

    def _delete(self, shas: list[str], report: Callable[[str], None]) -> set[str]:
        """Delete the files that no row needs; returns those that were just put again."""
        needed, left = self.db.read_sync(retention.needed, shas), set()
        for sha in shas:
            if sha in needed:
                continue
            if not self.files.retire(sha, UNTOUCHED):
                left.add(sha)
                continue
            self.thumbnails.forget(sha)
            point("picture-deleted")
            report(sha)
        return left


def _retire(conn: Connection, days: int, actor: str, now: datetime) -> Retired:
    """One batch, and its numbers in the audit log."""
    done = retention.retire(conn, now - timedelta(days=days), days, now, BATCH)
    if done.pictures or done.given:
        detail = {"days": days, "pictures": done.pictures, "given": done.given, "bytes": done.size}
        audit.append(conn, actor, "pictures.removed", "retention", detail, now)
    return done
