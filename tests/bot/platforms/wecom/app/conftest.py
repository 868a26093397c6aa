"""A simulated WeCom and the app connected to it over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.context import Pressed
from bot.events import ChatEvent
from bot.platforms.base import Outgoing
from bot.platforms.wecom.app.channel import AppChannel
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.app.limits import Sends
from bot.platforms.wecom.places import Place, Way
from bot.platforms.wecom.settings import WecomApp
from bot.reply import Reply
from storage.records import ChatType, Origin
from tests.simulators.wecom import WecomSimulator

ALICE = Place(way=Way.APP, target="alice")


class Clock:
    """Time that passes for us and for WeCom together."""

    def __init__(self, wecom: WecomSimulator) -> None:
        self._wecom, self._passed = wecom, 0.0

    def advance(self, seconds: float) -> None:
        self._passed += seconds
        self._wecom.advance(seconds)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def monotonic(self) -> float:
        return time.monotonic() + self._passed

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._passed)


@dataclass
class Kept:
    """What the outbox has of one message."""

    key: str = "reply-1"
    receipt: dict[str, Any] = field(default_factory=dict)
    kept: int = 0

    def message(self, reply: Reply, message_id: str = "m1") -> Outgoing:
        async def keep(receipt: Mapping[str, Any]) -> None:
            self.receipt.update(receipt)
            self.kept += 1

        origin = Origin(
            platform="wecom",
            chat_id="app:alice",
            chat_type=ChatType.DIRECT,
            message_id=message_id,
            sender="alice",
        )
        return Outgoing(key=self.key, origin=origin, reply=reply, receipt=dict(self.receipt), keep=keep)


class Inbox:
    """What the rest of the program would be given, and what it answers to a press."""

    def __init__(self) -> None:
        self.events: list[ChatEvent] = []
        self.presses: list[ChatEvent] = []
        self.answer = Pressed("info", "")
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # what happens during a press
        self.broken: Exception | None = None

    async def accept(self, event: ChatEvent) -> None:
        if self.broken is not None:
            raise self.broken
        self.events.append(event)

    async def act(self, event: ChatEvent) -> Pressed:
        self.presses.append(event)
        if self.meanwhile is not None:
            await self.meanwhile()
        return self.answer


@pytest.fixture
def wecom() -> Iterator[WecomSimulator]:
    with WecomSimulator() as simulator:
        yield simulator


@pytest.fixture
def clock(wecom: WecomSimulator) -> Clock:
    return Clock(wecom)


@pytest.fixture
def settings(wecom: WecomSimulator) -> WecomApp:
    return WecomApp.model_validate(wecom.app_settings)


@pytest.fixture
async def client(settings: WecomApp, clock: Clock) -> AsyncIterator[WecomClient]:
    client = WecomClient(settings, timeout=5.0, clock=clock.monotonic)
    yield client
    await client.close()


@pytest.fixture
async def app(settings: WecomApp, client: WecomClient, clock: Clock) -> AsyncIterator[AppChannel]:
    sends = Sends(clock=clock.monotonic, sleep=clock.sleep)
    channel = AppChannel(settings, "(…)", client=client, sends=sends, now=clock.now)
    yield channel
    await channel.close()


@pytest.fixture
async def inbox(app: AppChannel, wecom: WecomSimulator) -> AsyncIterator[Inbox]:
    """The app's door, where WeCom posts to."""
    inbox = Inbox()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.split("\r\n")
        method, target, _ = first.split(" ")
        sizes = [line.partition(":")[2] for line in lines if line.lower().startswith("content-length")]
        body = await reader.readexactly(int(sizes[0]) if sizes else 0)
        try:
            status, media, said = await app.handle(
                method, target.partition("?")[2].encode(), body, inbox.accept, inbox.act
            )
        except RuntimeError:  # what the program makes of it: its own 503
            status, media, said = 503, "text/plain", ""
        data = said.encode()
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Type: {media}\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        writer.write(data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    wecom.app.url = f"http://{host}:{port}/wecom/app"
    yield inbox
    server.close()
    await server.wait_closed()
