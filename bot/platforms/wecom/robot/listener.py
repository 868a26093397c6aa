"""The robot's events over the long connection: one process holds it, and what comes is kept before anything is done.

WeCom gives a robot one connection and ends the older one, so of our processes only the holder of a lease connects. It
wants no acknowledgement and sends nothing again: what cannot be kept at once (a full disk) waits in memory, in order.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import replace
from typing import Final

from bot.events import ChatEvent, Ignored
from bot.platforms.holding import Holding, Rhythm
from bot.platforms.inbound import Accept, Act
from bot.platforms.wecom.places import PLATFORM
from bot.platforms.wecom.robot.channel import RobotChannel
from bot.platforms.wecom.robot.connection import Connection, Patience
from bot.platforms.wecom.robot.decode import decode
from bot.platforms.wecom.robot.frames import MESSAGE, Frame
from bot.platforms.wecom.robot.reach import CallKind, Reach
from bot.platforms.wecom.settings import WecomAibot
from bot.replies import Words
from storage.database import Database
from storage.errors import StorageError
from storage.records import utcnow

log = logging.getLogger("moqi.wecom")

TOGETHER: Final = 64  # events kept at once
LONGEST: Final = 30.0  # seconds between two tries to keep events
DISPLACED_PAUSE: Final = 30.0  # seconds before a robot is taken that was taken from us


class Keeping:
    """Keeps events in the order they came, as soon as that can be done."""

    def __init__(self, accept: Accept, again: float) -> None:
        """`again` is how many seconds to wait after a failure; longer each time."""
        self._accept = accept
        self._again = again
        self._waiting: deque[ChatEvent] = deque()
        self._running: asyncio.Task[None] | None = None

    def add(self, event: ChatEvent) -> None:
        """Keep an event; returns at once."""
        self._waiting.append(event)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="wecom events")

    async def finish(self, seconds: float) -> None:
        """Wait until everything is kept, but no longer."""
        if self._running is None:
            return
        await asyncio.wait({self._running}, timeout=seconds)
        if self._waiting:
            action = {"action": "wecom-events-lost"}
            log.error("wecom: %d messages could not be kept and are lost", len(self._waiting), extra=action)
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        wait = self._again
        try:
            while self._waiting:
                if await self._keep_some():
                    wait = self._again
                    continue
                await asyncio.sleep(wait)
                wait = min(2 * wait, LONGEST)
        finally:
            self._running = None

    async def _keep_some(self) -> bool:
        """Keep what has come, a chat in its order; whether that worked. What failed stays in its place."""
        group = [self._waiting[number] for number in range(min(TOGETHER, len(self._waiting)))]
        chats: dict[str, list[ChatEvent]] = {}
        for event in group:
            chats.setdefault(event.origin.chat_id, []).append(event)
        left = {id(event) for some in await asyncio.gather(*map(self._keep_chat, chats.values())) for event in some}
        failed = [event for event in group if id(event) in left]
        if failed:
            log.warning("wecom: %d events are not kept yet, trying again", len(failed))
        for _ in group:
            self._waiting.popleft()
        self._waiting.extendleft(reversed(failed))
        return not failed

    async def _keep_chat(self, events: list[ChatEvent]) -> list[ChatEvent]:
        """Keep one chat's events; those that are left."""
        for number, event in enumerate(events):
            try:
                await self._accept(event)
            except (StorageError, OSError):
                return events[number:]
            except Exception:  # a defect; the same again would be the same
                log.exception("wecom: event %s was not kept", event.key, extra={"action": "event-refused"})
        return []


class RobotListener:
    """Runs the robot's connection while this process holds its lease."""

    name = PLATFORM

    def __init__(
        self,
        settings: WecomAibot,
        db: Database,
        accept: Accept,
        act: Act,
        channel: RobotChannel,
        reach: Reach,
        *,
        rhythm: Rhythm = Rhythm(),  # noqa: B008 - frozen
        patience: Patience = Patience(),  # noqa: B008 - frozen
        pause: float = DISPLACED_PAUSE,
    ) -> None:
        """`accept` keeps an event for good, `act` does a button press; what is said goes by `channel`."""
        self._settings = settings
        self._act = act
        self._channel = channel
        self._reach = reach
        self._patience = patience
        self._pause = pause
        self._keeping = Keeping(accept, patience.keep)
        lease = f"long-connection:wecom:{settings.bot_id}"
        self._holding = Holding("wecom robot", lease, db, self._open, self._shut, rhythm=rhythm)
        self._connection: Connection | None = None
        self._running: asyncio.Task[None] | None = None
        self._pressing: set[asyncio.Task[None]] = set()
        self._displaced_at: float | None = None  # of the monotonic clock

    @property
    def connected(self) -> bool:
        """Whether events come in here."""
        return self._connection is not None and self._connection.connected

    @property
    def changed(self) -> float:
        """When `connected` changed last, of the monotonic clock; 0 while another process has the robot."""
        return 0.0 if self._connection is None else self._connection.changed

    def complaint(self, patience: float = 0.0) -> str:
        """Why no events come in here for more than `patience` seconds; empty when they do, or elsewhere.

        What does not mend by itself is said at once.
        """
        connection = self._connection
        if connection is None or connection.connected:
            return ""
        seconds = time.monotonic() - connection.changed
        lasting = connection.displaced or connection.refused
        why = connection.problem or "connecting"
        return f"wecom: the robot is not connected for {seconds:.0f} s: {why}" if lasting or seconds > patience else ""

    async def run(self) -> None:
        """Hold the lease, or wait for it, until `stop`; then finish what is in hand and give it back."""
        await self._holding.run()

    def stop(self) -> None:
        """Take no more events and return from `run`."""
        self._holding.stop()

    def _open(self) -> None:
        """The lease is ours. A robot that was taken from us is not taken back at once, whoever had the lease since."""
        wait = 0.0
        if self._displaced_at is not None:
            wait = max(0.0, self._displaced_at + self._pause - time.monotonic())
            self._displaced_at = None
        self._connection = Connection(
            self._settings, self._heard, self._reach.renew, wait=wait, patience=self._patience
        )
        self._reach.line = self._connection
        self._running = asyncio.create_task(self._connection.run(), name="wecom robot connection")

    async def _shut(self) -> None:
        """End the connection, what it brought finished."""
        if self._connection is None or self._running is None:
            return
        await self._channel.end_streams()
        await self._pressed()
        await self._connection.stop()
        self._running.cancel()  # it may just have been dialling
        await asyncio.gather(self._running, return_exceptions=True)
        await self._pressed()
        await self._keeping.finish(self._patience.work)  # WeCom sends nothing again: what came until now counts
        if self._connection.displaced:
            self._displaced_at = self._connection.changed
        self._reach.line = self._connection = self._running = None

    async def _pressed(self) -> None:
        if self._pressing:
            await asyncio.wait(set(self._pressing), timeout=self._patience.work)

    def _heard(self, frame: Frame) -> None:
        """Take one message or event. Called while the connection reads: nothing here may wait."""
        try:
            event = decode(frame.body, self._settings, utcnow())
        except Exception:  # a message that we cannot read must not end the connection for all others
            log.exception("wecom: a message cannot be read", extra={"action": "event-refused"})
            return
        if isinstance(event, Ignored):
            log.debug("wecom: ignored %s: %s", event.event_type, event.reason)
            return
        pressed = frame.event_type == "template_card_event"
        if event.kind == "chat":  # so that its welcome finds it
            origin = replace(event.origin, message_id=event.key.removeprefix("robot:"))
            event = replace(event, origin=origin)
        if pressed or frame.cmd == MESSAGE or event.kind == "chat":
            kind = CallKind.PRESS if pressed else CallKind.MESSAGE if frame.cmd == MESSAGE else CallKind.ENTERED
            self._reach.note(event.origin.message_id, frame.req_id, kind)
        if not pressed:
            self._keeping.add(event)
            return
        task = asyncio.create_task(self._press(event), name=f"press {event.key}")
        self._pressing.add(task)  # the loop keeps only a weak reference
        task.add_done_callback(self._pressing.discard)

    async def _press(self, event: ChatEvent) -> None:
        """Do what a pressed button says, once (the inbox knows its key), and show it."""
        try:
            await self._channel.answer(event, await self._act(event))
        except Exception:  # a defect in one press; its presser presses again
            log.exception("wecom: press %s failed", event.key, extra={"action": "press-failed"})


def open_robot(
    settings: WecomAibot,
    db: Database,
    accept: Accept,
    act: Act,
    words: Words,
    *,
    rhythm: Rhythm = Rhythm(),  # noqa: B008 - frozen
    patience: Patience = Patience(),  # noqa: B008 - frozen
) -> tuple[RobotChannel, RobotListener]:
    """The robot over its long connection: what it says, and what lets its events in. Nothing is opened yet."""
    reach = Reach()
    channel = RobotChannel(reach, words)
    return channel, RobotListener(settings, db, accept, act, channel, reach, rhythm=rhythm, patience=patience)
