"""What a message is meant as, asked of the language model before the message is dealt with, where rules are not sure.

As with what messages point to (enclosures.py): the event is kept and acknowledged by then; while the model is asked,
its sender's later messages wait, and nobody else's. The model has two seconds; without its opinion it is a question.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from bot import access, commands, outsiders
from bot.commands import Conversation, Tone
from bot.context import House
from bot.events import ChatEvent
from bot.inbox import NotYet
from bot.router import talk_of_others
from bot.tenancy import Standing
from inference.text.routing import Meant, Purpose, Routing
from storage import users
from storage.database import Database
from storage.records import InboxEntry

AT_ONCE = 4  # messages the model is asked about; more are questions, rather than that anybody waits
QUESTION = Meant(purpose=Purpose.QUESTION)


class Understanding:
    """Asks about messages, in the background."""

    def __init__(
        self, db: Database, routing: Routing | None, house: Callable[[], House], wake: Callable[[], None]
    ) -> None:
        """`routing`: None where there is no language model."""
        self._db = db
        self._routing = routing
        self._house = house
        self._wake = wake
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._ready: dict[int, Meant] = {}

    async def complete(self, entry: InboxEntry, event: ChatEvent) -> ChatEvent:
        """The event with what it is meant as; NotYet while that is being asked."""
        if entry.id in self._ready:
            return replace(event, meant=self._ready[entry.id])
        if entry.id in self._under_way:
            raise NotYet
        if self._routing is None or len(self._under_way) >= AT_ONCE or not await self._unsure(event):
            return event
        task = asyncio.create_task(self._ask(self._routing, entry.id, event.text))
        self._under_way[entry.id] = task
        task.add_done_callback(partial(self._asked, entry.id))
        raise NotYet

    def forget(self, entry: InboxEntry) -> None:
        """The event is dealt with."""
        self._ready.pop(entry.id, None)

    async def close(self) -> None:
        """Ask no more; the events stay open."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _unsure(self, event: ChatEvent) -> bool:
        if event.kind != "message" or talk_of_others(event) or event.value.get("quote"):
            return False  # what quotes something is about that
        wanted = commands.parse(event.text, self._house().rules)
        if not isinstance(wanted, Conversation) or wanted.tone is not Tone.UNSURE:
            return False
        return await self._db.read(self._may, event, wanted)

    def _may(self, conn: Connection, event: ChatEvent, wanted: Conversation) -> bool:
        """Whether it would be answered at all: for others the model is not troubled, they are refused as always."""
        if outsiders.look(conn, self._house(), event) is Standing.OUTSIDER:
            return False
        user = users.of_identity(conn, event.sender)
        return user is None or access.allowed(user, wanted) is None

    def _asked(self, entry: int, _task: asyncio.Task[None]) -> None:
        self._under_way.pop(entry, None)
        self._wake()

    async def _ask(self, routing: Routing, entry: int, text: str) -> None:
        meant = None
        try:
            meant = await routing.meant(text)
        finally:
            self._ready[entry] = meant or QUESTION  # whatever happens, it is answered
