"""Who of several processes has what only one may have at a time, such as a long connection: the holder of a lease.

When the holder dies, another takes over before `Rhythm.hold` seconds are over, and at once when it stops in order.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection as Transaction

from storage import leases, owner
from storage.database import Database
from storage.errors import StorageError
from storage.records import utcnow

log = logging.getLogger("moqi.holding")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythm:
    """How often the lease is looked at, in seconds."""

    hold: float = 12.0  # a lease that was not renewed for so long is free
    renew: float = 3.0  # by its holder
    look: float = 2.0  # by those who would take it
    again: float = 5.0  # until what the holder could not do is tried again; longer each time


def _unknown() -> datetime | None:
    return None


class Holding:
    """Holds a lease, or waits for it, and tells when it is ours."""

    def __init__(
        self,
        name: str,
        lease: str,
        db: Database,
        take_up: Callable[[], None],
        lay_down: Callable[[], Awaitable[None]],
        *,
        whole: Callable[[], datetime | None] = _unknown,
        rhythm: Rhythm = Rhythm(),
    ) -> None:
        """`take_up` is called when the lease is ours, `lay_down` when it no longer is; both of `name`, for the log.

        `whole` says until when nothing was missed: that is kept with the lease, for whoever has it next.
        """
        self._name = name
        self._lease = lease
        self._db = db
        self._take_up = take_up
        self._lay_down = lay_down
        self._whole = whole
        self._rhythm = rhythm
        self._owner = f"{owner.name()}/{secrets.token_hex(4)}"
        self._stopping = asyncio.Event()
        self._held_until = 0.0  # of the monotonic clock: no longer than others think
        self.held = False
        self.seen: datetime | None = None  # until when nothing was missed, as the lease said when we took it

    async def run(self) -> None:
        """Hold the lease, or wait for it, until `stop`; then lay down what it stands for and give it back."""
        try:
            while not self._stopping.is_set():
                ours = await self._hold()
                if ours and not self.held:
                    self.held = True
                    self._take_up()
                elif not ours and self.held:
                    log.warning("%s: another process has taken the long connection over", self._name)
                    self.held = False
                    await self._lay_down()
                try:
                    await asyncio.wait_for(self._stopping.wait(), self._rhythm.renew if ours else self._rhythm.look)
                except TimeoutError:
                    continue
        finally:
            if self.held:
                self.held = False
                await self._lay_down()
                await self._give_back()

    def stop(self) -> None:
        """Return from `run`."""
        self._stopping.set()

    async def _hold(self) -> bool:
        """Take or renew the lease. While nobody can be asked, it is ours until others may take it."""
        asked = time.monotonic()
        try:
            if not await self._db.run(self._renew, self._whole(), utcnow()):
                return False
            if not self.held:
                self.seen = await self._db.read(leases.seen, self._lease)
        except StorageError as error:
            log.warning("%s: the lease cannot be renewed: %s", self._name, error)
            return self.held and asked < self._held_until
        self._held_until = asked + self._rhythm.hold
        return True

    def _renew(self, conn: Transaction, whole: datetime | None, now: datetime) -> bool:
        held = leases.take(conn, self._lease, self._owner, now + timedelta(seconds=self._rhythm.hold), now)
        if held and whole is not None:
            leases.mark(conn, self._lease, self._owner, whole)
        return held

    async def _give_back(self) -> None:
        try:
            await self._db.run(self._release, self._whole(), utcnow())
        except StorageError as error:
            log.warning("%s: the lease could not be given back, it ends by itself: %s", self._name, error)

    def _release(self, conn: Transaction, whole: datetime | None, now: datetime) -> None:
        if whole is not None:
            leases.mark(conn, self._lease, self._owner, whole)
        leases.release(conn, self._lease, self._owner, now)
