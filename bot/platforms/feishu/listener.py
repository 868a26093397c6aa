"""One Feishu app's events over the long connection: one process holds it, and what it missed is fetched.

Feishu gives each event to one of an app's connections at random. So of all processes only the holder of a lease
connects; when it dies, another takes over before 15 s are over, and at once when it stops in order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime

from bot.platforms.base import PlatformError, Retry
from bot.platforms.feishu.backfill import catch_up
from bot.platforms.feishu.connection import Connection, Patience
from bot.platforms.feishu.platform import FeishuPlatform
from bot.platforms.holding import Holding, Rhythm
from bot.platforms.inbound import Accept, Act
from storage.database import Database
from storage.errors import StorageError

log = logging.getLogger("moqi.feishu")


class Listener:
    """Runs the long connection of one app while this process holds its lease."""

    def __init__(
        self,
        platform: FeishuPlatform,
        db: Database,
        accept: Accept,
        act: Act,
        *,
        rhythm: Rhythm = Rhythm(),  # noqa: B008 - frozen
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
        self._holding = Holding(self.name, self._lease, db, self._open, self._shut, whole=self._whole, rhythm=rhythm)
        self._connection: Connection | None = None
        self._running: asyncio.Task[None] | None = None
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
        await self._holding.run()

    def stop(self) -> None:
        """Take no more events and return from `run`."""
        self._holding.stop()

    def _whole(self) -> datetime | None:
        """Until when nothing was missed. While missed messages are still being fetched, it does not move."""
        if self._connection is not None and self._connection.connected and self._catching is None:
            self._whole_until = self._connection.heard_at
        return self._whole_until

    def _open(self) -> None:
        self._whole_until = self._holding.seen
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
