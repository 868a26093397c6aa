"""One Feishu app's events over the long connection: one process holds it, and what it missed is fetched.

Feishu gives each event to one of an app's connections at random. So of all processes only the holder of a lease
connects; when it dies, another takes over before 15 s are over, and at once when it stops in order.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection as Transaction

from bot.platforms.base import PlatformError, Retry
from bot.platforms.feishu.backfill import catch_up
from bot.platforms.feishu.connection import Connection, Patience
from bot.platforms.feishu.platform import Accept, Act, FeishuPlatform
from storage import leases, owner
from storage.database import Database
from storage.errors import StorageError
from storage.records import utcnow

log = logging.getLogger("moqi.feishu")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rhythm:
    """How often the lease is looked at, in seconds."""

    hold: float = 12.0  # a lease that was not renewed for so long is free
    renew: float = 3.0  # by its holder
    look: float = 2.0  # by those who would take it
    again: float = 5.0  # until fetching missed messages is tried again; longer each time


class Listener:
    """Runs the long connection of one app while this process holds its lease."""

    def __init__(
        self,
        platform: FeishuPlatform,
        db: Database,
        accept: Accept,
        act: Act,
        *,
        rhythm: Rhythm = Rhythm(),
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> None:
        """`accept` keeps an event for good, `act` does a button press: see FeishuPlatform.handle."""
        self.name = platform.name
        self._platform = platform
        self._db = db
        self._accept = accept
        self._act = act
        self._rhythm = rhythm
        self._patience = patience
        self._lease = f"long-connection:{platform.settings.app_id}"
        self._owner = f"{owner.name()}/{secrets.token_hex(4)}"
        self._stopping = asyncio.Event()
        self._connection: Connection | None = None
        self._running: asyncio.Task[None] | None = None
        self._held_until = 0.0  # of the monotonic clock: no longer than others think
        self._whole_until: datetime | None = None  # nothing before it was missed
        self._catching: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether events come in here."""
        return self._connection is not None and self._connection.connected

    def complaint(self, patience: float = 0.0) -> str:
        """Why no events come in here for more than `patience` seconds; empty when they do, or elsewhere."""
        if self._connection is None or self._connection.connected:
            return ""
        seconds = time.monotonic() - self._connection.changed
        why = self._connection.problem or "connecting"
        return f"{self.name}: not connected for {seconds:.0f} s: {why}" if seconds > patience else ""

    async def run(self) -> None:
        """Hold the lease, or wait for it, until `stop`; then acknowledge what is in hand and give it back."""
        try:
            while not self._stopping.is_set():
                held = await self._hold()
                if held and self._connection is None:
                    self._open()
                elif not held and self._connection is not None:
                    log.warning("%s: another process has taken the long connection over", self.name)
                    await self._shut()
                try:
                    await asyncio.wait_for(self._stopping.wait(), self._rhythm.renew if held else self._rhythm.look)
                except TimeoutError:
                    continue
        finally:
            if self._connection is not None:
                await self._shut()
                await self._give_back()

    def stop(self) -> None:
        """Take no more events and return from `run`."""
        self._stopping.set()

    async def _hold(self) -> bool:
        """Take or renew the lease. While nobody can be asked, it is ours until others may take it."""
        asked = time.monotonic()
        try:
            if not await self._db.run(self._renew, self._whole(), utcnow()):
                return False
            if self._connection is None:
                self._whole_until = await self._db.read(leases.seen, self._lease)
        except StorageError as error:
            log.warning("%s: the lease cannot be renewed: %s", self.name, error)
            return asked < self._held_until
        self._held_until = asked + self._rhythm.hold
        return True

    def _renew(self, conn: Transaction, whole: datetime | None, now: datetime) -> bool:
        held = leases.take(conn, self._lease, self._owner, now + timedelta(seconds=self._rhythm.hold), now)
        if held and whole is not None:
            leases.mark(conn, self._lease, self._owner, whole)
        return held

    async def _give_back(self) -> None:
        try:
            await self._db.run(self._release, self._whole_until, utcnow())
        except StorageError as error:
            log.warning("%s: the lease could not be given back, it ends by itself: %s", self.name, error)

    def _release(self, conn: Transaction, whole: datetime | None, now: datetime) -> None:
        if whole is not None:
            leases.mark(conn, self._lease, self._owner, whole)
        leases.release(conn, self._lease, self._owner, now)

    def _whole(self) -> datetime | None:
        """Until when nothing was missed. While missed messages are still being fetched, it does not move."""
        if self._connection is not None and self._connection.connected and self._catching is None:
            self._whole_until = self._connection.heard_at
        return self._whole_until

    def _open(self) -> None:
        section = self.name.replace("-", "_apps.", 1)
        self._connection = Connection(
            self._platform.settings, self._take, self._opened, section=section, patience=self._patience
        )
        self._running = asyncio.create_task(self._connection.run(), name=f"{self.name} connection")

    async def _shut(self) -> None:
        """Close the connection, its work finished."""
        self._whole()
        self._cancel_catching()
        if self._connection is not None and self._running is not None:
            await self._connection.stop()
            self._running.cancel()  # it may just have been asking for an address
            await asyncio.gather(self._running, return_exceptions=True)
        self._connection = self._running = None

    async def _take(self, payload: bytes) -> dict[str, object] | None:
        return await self._platform.take(payload, self._accept, self._act)

    def _opened(self) -> None:
        """A connection stands: fetch what was missed before it."""
        self._cancel_catching()
        if self._whole_until is None:  # the first connection ever: nothing was missed
            return
        self._catching = asyncio.create_task(self._catch_up(self._whole_until), name=f"{self.name} back-fill")

    async def _catch_up(self, since: datetime) -> None:
        """Fetch until it has worked; a lost connection ends it, and the next one begins again."""
        wait = self._rhythm.again
        while True:
            try:
                found = await catch_up(self._platform, self._db, self._accept, since)
            except (Retry, StorageError) as error:
                log.info("%s: missed messages not fetched yet: %s", self.name, error)
                await asyncio.sleep(wait)
                wait = min(2 * wait, 60.0)
                continue
            except PlatformError as error:
                log.warning("%s: missed messages cannot be fetched: %s", self.name, error)
            except Exception:  # a defect here must not keep what comes in now from being counted as seen
                log.exception("%s: missed messages could not be fetched", self.name)
            else:
                log.info("%s: fetched since %s: %d messages for the bot", self.name, since, found)
            self._catching = None
            return

    def _cancel_catching(self) -> None:
        if self._catching is not None:
            self._catching.cancel()
            self._catching = None
