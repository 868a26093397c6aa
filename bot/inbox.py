"""Events in: kept first, acknowledged, then worked on, in order and only once.

`accept` returns when the event is on disk; the platform may be told "ok" then and not before. The loop takes what is
open; a restart finds the rest. The transaction that deals with an event marks it, so dying in between repeats nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.events import ChatEvent
from scheduler.progress import Signal
from storage import inbox
from storage.database import Database
from storage.errors import StorageError
from storage.faults import point
from storage.records import InboxEntry, utcnow

log = logging.getLogger("moqi.inbox")

IDLE = 2.0  # seconds between two looks when nobody woke us
BATCH = 64  # events worked on at once: they share the writer's commits


class Inbox:
    """The door every event comes through."""

    def __init__(self, db: Database, handle: Callable[[InboxEntry, ChatEvent], Awaitable[None]]) -> None:
        self._db = db
        self._handle = handle
        self._wake = Signal()
        self._stopping = False

    async def accept(self, event: ChatEvent) -> bool:
        """Keep an event; False when it was kept before. Raises StorageError: then do not acknowledge."""
        entry = await self._db.run(inbox.accept, event.platform, event.key, event.to_json(), utcnow())
        point("inbox-accepted")
        self._wake.give()
        return entry is not None

    async def run(self) -> None:
        """Work on what is open until `stop`."""
        self._wake.attach(asyncio.get_running_loop())
        while not self._stopping:
            try:
                worked = await self._round()
            except StorageError:
                log.exception("cannot read the inbox; trying again", extra={"action": "inbox-failed"})
                worked = 0
            if not worked:
                await self._wake.wait(IDLE)

    def stop(self) -> None:
        """Finish the events at hand and return from `run`."""
        self._stopping = True
        self._wake.give()

    async def _round(self) -> int:
        entries = await self._db.read(inbox.waiting, 0, BATCH)
        # Different chats in parallel, one chat in its order: "/draw" then "/cancel" must not overtake each other.
        chats: dict[str, list[InboxEntry]] = {}
        for entry in entries:
            chats.setdefault(f"{entry.platform}/{entry.event['origin']['chat_id']}", []).append(entry)
        done = await asyncio.gather(*(self._chat(chat) for chat in chats.values()))
        return sum(done)

    async def _chat(self, entries: list[InboxEntry]) -> int:
        done = 0
        for entry in entries:
            point("inbox-handling")
            try:
                await self._handle(entry, ChatEvent.from_json(entry.event))
                done += 1
            except StorageError:
                log.exception("event %d stays open", entry.id, extra={"action": "event-failed", "entry": entry.id})
                return done  # a full disk: keep the order, try again later
        return done
