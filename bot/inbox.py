"""Events in: kept first, acknowledged, then worked on, in order and only once.

`accept` returns when the event is on disk; the platform may be told "ok" then and not before. The loop takes what is
open; a restart finds the rest. The transaction that deals with an event marks it, so dying in between repeats nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bot.events import ChatEvent
from bot.rush import Rush
from scheduler.progress import Signal
from storage import inbox
from storage.database import Database
from storage.errors import StorageError
from storage.faults import point
from storage.records import InboxEntry, utcnow

log = logging.getLogger("moqi.inbox")

IDLE = 2.0  # seconds between two looks when nobody woke us
BATCH = 64  # events looked at in one round
PARALLEL = 8  # events worked on at once: they share the writer's commits, and an arriving one waits behind them
TOGETHER = 64  # arriving events kept by one call


class NotYet(Exception):
    """The event waits for something that is being fetched: it stays open, and `wake` is given when it has come."""


@dataclass(frozen=True, slots=True)
class _Arrival:
    """An event that waits to be kept."""

    event: tuple[str, str, dict[str, Any]]
    kept: asyncio.Future[None]

    def succeed(self) -> None:
        if not self.kept.done():  # its sender may have left
            self.kept.set_result(None)

    def fail(self, error: Exception) -> None:
        if not self.kept.done():
            self.kept.set_exception(error)


class Inbox:
    """The door every event comes through."""

    def __init__(self, db: Database, handle: Callable[[InboxEntry, ChatEvent], Awaitable[None]]) -> None:
        self._db = db
        self._handle = handle
        self.wake = Signal()
        self._stopping = False
        self._arriving: list[_Arrival] = []
        self._keeping: asyncio.Task[None] | None = None
        self.rush = Rush()

    async def accept(self, event: ChatEvent, *, waited_for: bool = True) -> None:
        """Keep an event, once however often it comes. Raises StorageError: then do not acknowledge.

        `waited_for`: a platform waits for its acknowledgement, which comes before all other work.
        """
        if waited_for:
            self.rush.arrived()
        arrival = _Arrival((event.platform, event.key, event.to_json()), asyncio.get_running_loop().create_future())
        self._arriving.append(arrival)
        if self._keeping is None:
            self._keeping = asyncio.create_task(self._keep())
        await arrival.kept
        point("inbox-accepted")
        self.wake.give()

    async def _keep(self) -> None:
        """Keep what has arrived, all that came during the last call with the next one."""
        while self._arriving:
            group, self._arriving = self._arriving[:TOGETHER], self._arriving[TOGETHER:]
            await self._keep_group(group)
        self._keeping = None

    async def _keep_group(self, group: list[_Arrival]) -> None:
        try:
            await self._db.run(inbox.accept_all, [arrival.event for arrival in group], utcnow())
        except Exception as error:  # noqa: BLE001 - whatever it was, the one who waits must hear it
            if len(group) == 1:
                group[0].fail(error)
            else:  # one that cannot be kept must not take the others with it
                for arrival in group:
                    await self._keep_group([arrival])
        else:
            for arrival in group:
                arrival.succeed()

    async def run(self) -> None:
        """Work on what is open until `stop`."""
        self.wake.attach(asyncio.get_running_loop())
        while not self._stopping:
            try:
                more = await self._round()
            except StorageError:
                log.exception("cannot read the inbox; trying again", extra={"action": "inbox-failed"})
                more = False
            if not more:
                await self.wake.wait(IDLE)

    def stop(self) -> None:
        """Finish the events at hand and return from `run`."""
        self._stopping = True
        self.wake.give()

    async def _round(self) -> bool:
        """Work on what is open. Whether there was more: whatever comes meanwhile wakes us."""
        held: set[str] = set()  # whose events must wait, and chats whose order must be kept
        after = 0
        while True:
            entries = await self._db.read(inbox.waiting, after, BATCH)
            # Different chats in parallel, one chat in its order: "/draw" then "/cancel" must not overtake each other.
            chats: dict[str, list[InboxEntry]] = {}
            for entry in entries:
                chats.setdefault(f"{entry.platform}/{entry.event['origin']['chat_id']}", []).append(entry)
            places = asyncio.Semaphore(PARALLEL)
            done = await asyncio.gather(*(self._chat(name, chat, places, held) for name, chat in chats.items()))
            if len(entries) < BATCH or any(done) or self._stopping:
                return len(entries) == BATCH and any(done)
            after = entries[-1].id  # all of these wait for something: those behind them do not wait for that

    async def _chat(self, name: str, entries: list[InboxEntry], places: asyncio.Semaphore, held: set[str]) -> int:
        """Work on a chat's events; how many were dealt with. Who must wait with one is held with their later ones."""
        done = 0
        for entry in entries:
            who = f"{name}/{entry.event['origin']['sender']}"
            if name in held or who in held:
                continue
            async with places:
                await self.rush.turn()
                point("inbox-handling")
                try:
                    await self._handle(entry, ChatEvent.from_json(entry.event))
                    done += 1
                except NotYet:
                    held.add(who)
                except StorageError:
                    log.exception("event %d stays open", entry.id, extra={"action": "event-failed", "entry": entry.id})
                    held.add(name)  # a full disk: keep the order, try again later
        return done
