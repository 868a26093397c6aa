"""A robot in callback mode behind a real HTTP server, as WeCom finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bot.platforms.base import Elsewhere
from bot.platforms.wecom.places import place_of
from bot.platforms.wecom.robot.answers import HOW, Answers
from bot.platforms.wecom.robot.callback import CallbackRobot
from bot.platforms.wecom.robot.pulled import passes
from bot.platforms.wecom.settings import WecomAibot
from bot.replies import Words
from bot.reply import Picture, Reply
from storage.database import Database
from storage.errors import StorageError
from storage.records import Origin, utcnow
from tests.bot.platforms.wecom.robot.stage import House, Outbox
from tests.simulators.wecom import Asked, WecomSimulator

WORDS = Words("zh")
QUICK = 0.03  # seconds between two refreshes of the simulator
PATH = "/wecom/aibot"


@dataclass
class Clock:
    """Time that passes for us and for WeCom together."""

    wecom: WecomSimulator
    passed: timedelta = timedelta(0)

    def now(self) -> datetime:
        return utcnow() + self.passed

    def advance(self, seconds: float) -> None:
        self.passed += timedelta(seconds=seconds)
        self.wecom.advance(seconds)


@dataclass
class Bot:
    """The robot and what stands behind it."""

    robot: CallbackRobot
    house: House
    wecom: WecomSimulator
    clock: Clock

    async def say(self, text: str, **more: Any) -> Asked:
        return await asyncio.to_thread(self.wecom.say, text, **more)

    def outbox(self, reply: Reply, key: str = "event-1", origin: Origin | None = None) -> Outbox:
        return Outbox(key=key, origin=origin or self.house.last(), reply=reply)

    async def post(self, message: Outbox, images: Mapping[int, bytes] | None = None) -> dict[str, Any]:
        """Send as the delivery loop does: what is elsewhere is looked at again."""
        place = place_of(message.origin)
        return await self._there(message, lambda: self.robot.post(place, message.message(), images or {}))

    async def update(
        self, receipt: Mapping[str, Any], message: Outbox, images: Mapping[int, bytes] | None = None
    ) -> dict[str, Any]:
        place = place_of(message.origin)
        return await self._there(message, lambda: self.robot.update(place, receipt, message.message(), images or {}))

    async def _there(self, message: Outbox, send: Callable[[], Any]) -> dict[str, Any]:
        while True:
            try:
                found: dict[str, Any] = await send()
                break
            except Elsewhere:
                await asyncio.sleep(QUICK)
        if found[HOW] == "stream" and not passes(message.reply):  # it has left us, and is about to be shown
            await self.shown(lambda: self._ended(found["message_id"], bool(message.reply.buttons)))
        return found

    def _ended(self, name: str, carded: bool) -> bool:
        streams = [one.finished for one in self.wecom.messages if one.stream_id == name]  # none for a welcome
        return all(streams) and (not carded or any(one.task_id == name for one in self.wecom.messages))

    async def shown(self, what: Callable[[], Any]) -> None:
        await asyncio.to_thread(self.wecom.wait, what)


@asynccontextmanager
async def opened(wecom: WecomSimulator, house: House, db: Database, **more: Any) -> AsyncIterator[Bot]:
    """A robot that WeCom reaches; `more` for it (read)."""
    clock = Clock(wecom)
    settings = WecomAibot.model_validate(wecom.callback_settings)
    answers = Answers(db, WORDS, clock.now, wait=0.3)
    robot = CallbackRobot(settings, db, WORDS, now=clock.now, answers=answers, **more)
    async with serving(robot, house) as url:
        await robot.ready()
        wecom.robot.url = url
        wecom.sender.refresh_seconds = QUICK
        wecom.side.refreshes_count = False
        try:
            yield Bot(robot, house, wecom, clock)
        finally:
            await asyncio.to_thread(wecom.sender.stop)  # its threads wait for our answers
            await robot.close()


@asynccontextmanager
async def serving(robot: CallbackRobot, house: House) -> AsyncIterator[str]:
    """The address under which `robot` is reached: HTTP/1.1, a connection for each request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = head.split(" ", 2)
        given = next((line for line in head.splitlines() if line.lower().startswith("content-length:")), ":0")
        body = await reader.readexactly(int(given.partition(":")[2]))
        try:
            status, kind, text = await robot.handle(
                method, target.partition("?")[2].encode(), body, house.accept, house.act
            )
        except StorageError:  # the program's own net: what is not kept is answered with 500
            status, kind, text = 500, "text/plain", "failed"
        raw = text.encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{PATH}"
    finally:
        server.close()


def drawn(job: int = 17, *assets: int) -> Reply:
    """The outcome of a job."""
    pictures = tuple(Picture(asset=one, width=64, height=64, alt="猫") for one in assets)
    return Reply(title="画好了", state="done", job=job, text="一只猫", pictures=pictures)


def queued(job: int = 17) -> Reply:
    """The card of a job that waits."""
    return Reply(title="排队中 · 第 1 位", state="queued", job=job, text="一只猫")
