"""Answers that are written while one looks on: the text of each is replaced as a whole until it is finished.

WeCom lets a person have three messages in work at once and a stream live for about six minutes. So a stream is ended
early, with the promise that the result follows by itself, when there are two open already, or after five minutes.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, field
from typing import Final

from bot.platforms.base import PlatformError
from bot.platforms.wecom.places import Place
from bot.platforms.wecom.robot import frames
from bot.platforms.wecom.robot.codes import Busy, Unsure, WindowClosed
from bot.platforms.wecom.robot.reach import Call, Reach
from bot.platforms.wecom.texts import cut

log = logging.getLogger("moqi.wecom")

OPEN_MAX: Final = 2  # of one person at once: WeCom allows three, and the next message needs one
LIFE: Final = 300.0  # seconds
PARTING: Final = 2.0  # seconds that ending all of them may take when the program stops


@dataclass(slots=True)
class Stream:
    """A stream that is open."""

    id: str
    call: Call  # what it answers
    session: int  # the connection that came by
    person: str
    place: Place
    text: str  # as it was said last
    ending: str  # what it shall say when its time is over
    rated: bool = False  # WeCom shows 👍 and 👎 under it
    timer: asyncio.TimerHandle | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


def stream_id(key: str, message_id: str) -> str:
    """The id of the stream in which an outgoing message answers; the same at every try."""
    return hashlib.sha256(f"{key}/{message_id}".encode()).hexdigest()[:32]


def with_ending(text: str, ending: str) -> str:
    """A text that ends with a sentence of its own, within what a stream holds."""
    tail = f"\n\n{ending}"
    return cut(text, frames.TEXT_MAX - len(tail.encode())) + tail


class Streams:
    """The open streams of this process. Methods raise what Reach.ask raises."""

    def __init__(self, reach: Reach, *, life: float = LIFE) -> None:
        self._reach = reach
        self._life = life
        self._open: dict[str, Stream] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def of_person(self, person: str) -> int:
        """How many a person has open."""
        return sum(stream.person == person and self._lives(stream) for stream in self._open.values())

    def get(self, name: str) -> Stream | None:
        """An open stream; None once it is finished, or its connection is gone."""
        stream = self._open.get(name)
        return stream if stream is not None and self._lives(stream) else None

    async def open(self, stream: Stream, feedback: str = "") -> None:
        """Say the first of a stream that will go on. `feedback` is the id with which 👍 and 👎 come back."""
        self._forget_dead()
        self._open[stream.id] = stream
        stream.rated = bool(feedback)
        try:
            body = frames.stream(stream.id, stream.text, finish=False, feedback=feedback)
            await self._reach.respond(frames.RESPOND, body, stream.call, stream.place)
        except Unsure:
            self._watch(stream)  # it may stand there, and then it must be ended
            raise
        except PlatformError:
            del self._open[stream.id]
            raise
        self._watch(stream)

    async def show(self, stream: Stream, text: str) -> None:
        """Replace its text by a passing one; dropped (Busy) when there is no room for that."""
        if text == stream.text:
            return
        if stream.writing.locked():
            raise Busy("the stream is being written on", after=0.2)
        async with stream.writing:
            if self.get(stream.id) is not stream:
                return
            self._reach.pace_passing(stream.place)
            stream.text = text  # also where no answer comes: what is said next replaces it
            try:
                body = frames.stream(stream.id, text, finish=False)
                await self._reach.respond(frames.RESPOND, body, stream.call, stream.place)
            except WindowClosed:
                self._drop(stream)
                raise

    async def finish(self, stream: Stream, text: str) -> None:
        """Say its last text. When this raises WindowClosed or Elsewhere, that text is provably not there."""
        async with stream.writing:
            if self.get(stream.id) is not stream:
                raise WindowClosed("the stream is over")
            await finish(self._reach, stream.id, stream.call, stream.place, text)
            self._drop(stream)

    async def close(self) -> None:
        """End all that are open, because the program stops: their results follow by themselves."""
        endings = [self._end_early(stream) for stream in list(self._open.values()) if self._lives(stream)]
        tasks = [*map(asyncio.create_task, endings), *self._ending]
        _, late = await asyncio.wait(tasks, timeout=PARTING) if tasks else ((), ())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for stream in list(self._open.values()):
            self._drop(stream)

    def _lives(self, stream: Stream) -> bool:
        return stream.session == self._reach.session and self._reach.line is not None

    def _watch(self, stream: Stream) -> None:
        stream.timer = asyncio.get_running_loop().call_later(self._life, self._expire, stream)

    def _expire(self, stream: Stream) -> None:
        task = asyncio.create_task(self._end_early(stream), name="wecom stream ends")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_early(self, stream: Stream) -> None:
        try:
            await self.finish(stream, with_ending(stream.text, stream.ending))
        except PlatformError as error:
            log.info("wecom: a stream is left open: %s", error)
            self._drop(stream)

    def _drop(self, stream: Stream) -> None:
        if stream.timer is not None:
            stream.timer.cancel()
        self._open.pop(stream.id, None)

    def _forget_dead(self) -> None:
        for stream in [stream for stream in self._open.values() if not self._lives(stream)]:
            self._drop(stream)


async def finish(reach: Reach, name: str, call: Call, place: Place, text: str, feedback: str = "") -> None:
    """Say the last, or the only, frame of a stream: not answered, once more, for the same again does no harm.

    Raises WindowClosed when it cannot be said there, Unsure when it may stand there.
    """
    body = frames.stream(name, text, finish=True, feedback=feedback)
    try:
        await reach.respond(frames.RESPOND, body, call, place)
    except Unsure:
        try:
            await reach.respond(frames.RESPOND, body, call, place)
        except PlatformError as error:  # whatever it says: the first one may have been taken
            raise Unsure(f"the end of a stream was not answered, and then: {error}") from error
