"""The robot connected to a simulated WeCom over real sockets, with a real inbox behind it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from bot.context import Pressed
from bot.events import ChatEvent
from bot.platforms.base import Outgoing
from bot.platforms.holding import Rhythm
from bot.platforms.wecom.places import place_of
from bot.platforms.wecom.robot.channel import RobotChannel
from bot.platforms.wecom.robot.connection import Patience
from bot.platforms.wecom.robot.listener import RobotListener, open_robot
from bot.platforms.wecom.settings import WecomAibot
from bot.replies import Words
from bot.reply import Reply
from storage import inbox
from storage.database import Database
from storage.errors import StorageError
from storage.records import Origin, utcnow
from storage.tables import inbox as inbox_table
from tests.simulators.wecom import WecomSimulator

SOON = Patience(dial=5.0, retry=0.02, refused=30.0, keep=0.02, work=2.0)
BRISK = replace(SOON, answer=0.6, ping=0.3)  # where something shall not be answered
QUICK = Rhythm(hold=0.8, renew=0.1, look=0.1)


class House:
    """What stands behind the robot: a real inbox, and whatever shall go wrong."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.fails = 0  # so many of the next events are not kept
        self.open = asyncio.Event()  # events wait for it
        self.open.set()
        self.events: list[ChatEvent] = []  # that were kept, each time they came
        self.pressed: list[ChatEvent] = []
        self.answers: list[Pressed] = []  # to the next presses

    async def accept(self, event: ChatEvent) -> None:
        await self.open.wait()
        if self.fails:
            self.fails -= 1
            raise StorageError("the disk is full")
        await self.db.run(inbox.accept, event.platform, event.key, event.to_json(), utcnow())
        self.events.append(event)

    async def act(self, event: ChatEvent) -> Pressed:
        self.pressed.append(event)
        return self.answers.pop(0) if self.answers else Pressed("info", "")

    def texts(self) -> list[str]:
        """What was kept, in its order."""

        def look(conn: Transaction) -> list[str]:
            rows = conn.execute(select(inbox_table.c.event).order_by(inbox_table.c.id)).scalars()
            return [event["text"] for event in rows]

        return self.db.read_sync(look)

    def last(self) -> Origin:
        """Where an answer to the newest event goes."""
        return self.events[-1].origin


@dataclass
class Outbox:
    """One message that is sent, perhaps in several tries: keeps what the outbox keeps."""

    key: str
    origin: Origin
    reply: Reply
    receipt: dict[str, Any] = field(default_factory=dict)
    kept: list[dict[str, Any]] = field(default_factory=list)

    def message(self, reply: Reply | None = None) -> Outgoing:
        async def keep(receipt: Mapping[str, Any]) -> None:
            self.kept.append(dict(receipt))
            self.receipt.update(receipt)

        return Outgoing(
            key=self.key, origin=self.origin, reply=reply or self.reply, receipt=dict(self.receipt), keep=keep
        )


@dataclass
class Bot:
    """The robot's two halves and what stands behind them."""

    channel: RobotChannel
    listener: RobotListener
    house: House

    async def asked(self, count: int = 1) -> Origin:
        """Wait until so many events were kept; where an answer to the last one goes."""
        await until(lambda: len(self.house.events) >= count)
        return self.house.last()

    async def post(self, message: Outbox, images: Mapping[int, bytes] | None = None) -> dict[str, Any]:
        return await self.channel.post(place_of(message.origin), message.message(), images or {})

    async def update(
        self, receipt: Mapping[str, Any], message: Outbox, images: Mapping[int, bytes] | None = None
    ) -> dict[str, Any]:
        return await self.channel.update(place_of(message.origin), receipt, message.message(), images or {})


@asynccontextmanager
async def running(
    wecom: WecomSimulator,
    house: House,
    *,
    connected: bool = True,
    settings: Mapping[str, Any] | None = None,
    **more: Any,
) -> AsyncIterator[Bot]:
    """A running robot, stopped in order at the end."""
    made = WecomAibot.model_validate({**wecom.aibot_settings, **(settings or {})})
    channel, listener = open_robot(
        made, house.db, house.accept, house.act, Words("zh"), **{"rhythm": QUICK, "patience": SOON, **more}
    )
    task = asyncio.create_task(listener.run())
    try:
        if connected:
            await until(lambda: listener.connected)
        yield Bot(channel, listener, house)
    finally:
        listener.stop()
        await task
        await channel.close()


async def until(look: Callable[[], Any], patience: float = 20.0) -> None:
    """Wait for something in this process, or at the simulator."""
    end = time.monotonic() + patience
    while not look():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.005)
