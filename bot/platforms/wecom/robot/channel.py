"""The robot as a Channel: streams, pictures, cards and welcomes over its long connection.

A command's answer is a stream that goes on until the outcome stands in it. What has no message to answer any more is
sent by itself. Nothing of that can be repeated under a key, so what was begun and not answered is not sent again: the
person is told in a line of its own (see journal).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

from bot.context import Pressed
from bot.events import ChatEvent
from bot.platforms.base import Outgoing, PlatformError, Retry, Undelivered
from bot.platforms.wecom import pictures, render, texts
from bot.platforms.wecom.channel import Images
from bot.platforms.wecom.places import Place, place_of
from bot.platforms.wecom.robot import frames, streams
from bot.platforms.wecom.robot.codes import Busy, MediaGone, Unsure
from bot.platforms.wecom.robot.decode import feedback_id
from bot.platforms.wecom.robot.frames import Body, Frame
from bot.platforms.wecom.robot.journal import Journal, is_task, kept
from bot.platforms.wecom.robot.reach import Call, CallKind, Reach
from bot.platforms.wecom.robot.streams import OPEN_MAX, Stream, Streams, with_ending
from bot.platforms.wecom.robot.uploads import upload
from bot.replies import Words
from bot.reply import PREVIEW, Picture, Reply

log = logging.getLogger("moqi.wecom")

IMAGE_MAX: Final = 10_000_000  # bytes
IMAGE_KINDS: Final = frozenset({pictures.JPEG, pictures.PNG})
WELCOME_MAX: Final = 2048  # bytes
#: Seconds: a try must end before the outbox (bot/delivery.py, LEASE) gives the message to another one.
TURN, UPLOADING, BEGINNING = 10.0, 30.0, 45.0


class RobotChannel:
    """What the robot says. Implements Channel; `answer` is for presses."""

    def __init__(
        self,
        words: Words,
        *,
        life: float = streams.LIFE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`life` is how many seconds a stream is left open. Until a listener connects, everything is Elsewhere."""
        self._reach = Reach()
        self._words = words
        self._clock = clock
        self._streams = Streams(self._reach, life=life)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # by conversation

    @property
    def reach(self) -> Reach:
        """The door to the connection, for the listener that opens it."""
        return self._reach

    async def post(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        """Answer the message of `message.origin` while that can be answered, else send. Raises PlatformError."""
        if _passes(message.reply):
            return await self._deliver(place, message, lambda journal: self._begin(place, message, journal))
        return await self._deliver(place, message, lambda journal: self._say(place, message, images, journal, None))

    async def update(
        self, place: Place, receipt: Mapping[str, Any], message: Outgoing, images: Images
    ) -> dict[str, Any]:
        """Write on the stream of `receipt` while it is open; an outcome is sent when it is not."""
        stream = self._streams.get(kept(receipt).get("stream", ""))
        if _passes(message.reply):
            if stream is not None:
                await self._streams.show(stream, self._fitted(message))
            return dict(receipt)
        if message.reply.tidies:  # a card that was not just pressed cannot be changed
            return dict(receipt)
        return await self._deliver(place, message, lambda journal: self._say(place, message, images, journal, stream))

    async def answer(self, event: ChatEvent, pressed: Pressed) -> None:
        """Show what a press did: the card as it is now, else a message where there is something to tell."""
        card = None
        if pressed.shown is not None:
            card = render.card(pressed.shown.reply, event.origin.message_id, notice=pressed.text)
        try:
            if card is not None and await self._change(event, card):
                return
            if pressed.text and (pressed.kind in ("warning", "error") or pressed.shown is not None):
                place = place_of(event.origin)
                await self._reach.pace(place)
                await self._reach.send(place, frames.markdown(texts.markdown(pressed.text)))
        except PlatformError as error:
            log.warning("wecom: press %s is not answered: %s", event.key, error)

    async def end_streams(self) -> None:
        """End what is open, while there is a connection; what they promise follows after the next start."""
        await self._streams.close()

    async def close(self) -> None:
        await self._streams.close()

    async def _change(self, event: ChatEvent, card: Body) -> bool:
        """Whether the pressed card is shown anew, or may be."""
        call = self._reach.call(event.origin.message_id, CallKind.PRESS)
        if call is None:
            return False
        self._reach.used(event.origin.message_id)
        try:
            await self._reach.respond(frames.UPDATE, frames.card_update(card), call, place_of(event.origin))
        except Unsure as error:
            log.info("wecom: a card may not have changed: %s", error)
        except PlatformError as error:
            log.info("wecom: a card cannot be changed: %s", error)
            return False
        return True

    async def _deliver(
        self, place: Place, message: Outgoing, send: Callable[[Journal], Awaitable[None]]
    ) -> dict[str, Any]:
        """One try of a message; its receipt."""
        self._reach.check()
        journal = Journal(message)
        try:
            await send(journal)
        except PlatformError as error:
            await journal.failed(error)
            raise
        return journal.receipt()

    @asynccontextmanager
    async def _turn(self, place: Place) -> AsyncIterator[None]:
        """One message at a time in a conversation, so that a picture stands under its own text."""
        turn = self._turns.setdefault(place.target, asyncio.Lock())
        try:
            async with asyncio.timeout(TURN):
                await turn.acquire()
        except TimeoutError:
            raise Busy("other messages to this chat are on their way", after=1.0) from None
        try:
            yield
        finally:
            turn.release()

    # -- a message that will change ----------------------------------------------------------------------------------

    async def _begin(self, place: Place, message: Outgoing, journal: Journal) -> None:
        """Say that a job waits or runs: in a stream that goes on, if one can be opened."""
        async with self._turn(place):
            call = self._reach.call(message.origin.message_id, CallKind.MESSAGE)
            text = self._fitted(message)
            if call is None:
                if not is_task(message.origin.message_id):  # a pressed card has said that it is under way
                    await journal.take("text", lambda: self._send(place, frames.markdown(text)))
                return
            journal.stream = streams.stream_id(message.key, message.origin.message_id)
            await journal.take("text", lambda: self._stream(place, message, journal, call, text))

    async def _stream(self, place: Place, message: Outgoing, journal: Journal, call: Call, text: str) -> None:
        await self._reach.pace(place)
        self._reach.used(message.origin.message_id)
        person, feedback = message.origin.sender, rated_as(message.reply)
        try:
            if self._streams.of_person(person) >= OPEN_MAX:
                text = with_ending(text, self._words.say("robot.queued"))
                await streams.finish(self._reach, journal.stream, call, place, text)
                return
            stream = Stream(
                id=journal.stream,
                call=call,
                session=self._reach.session,
                person=person,
                place=place,
                text=text,
                ending=self._words.say("robot.longer"),
            )
            await self._streams.open(stream, feedback)
        except Undelivered as gone:
            log.info("wecom: a message cannot be answered, it is sent: %s", gone)
            await self._send(place, frames.markdown(text), paced=True)

    def _fitted(self, message: Outgoing) -> str:
        whole = render.whole(message.reply, message.origin.chat_type)
        return texts.cut(whole, frames.TEXT_MAX, self._words.cut())

    # -- a message that is whole -------------------------------------------------------------------------------------

    async def _say(
        self, place: Place, message: Outgoing, images: Images, journal: Journal, stream: Stream | None
    ) -> None:
        reply, end = message.reply, self._clock() + BEGINNING
        shown = [picture for picture in reply.pictures if picture.asset != PREVIEW]
        due = [picture for picture in shown if journal.due(f"image-{picture.asset}")]
        await self._upload(message, due, images, journal)
        async with self._turn(place):
            # Where nothing waits for words, pictures and a card that says how they were drawn are enough.
            waited_for = stream is not None or self._asked(message) or not journal.due("text")
            quiet = bool(shown and reply.buttons) and not waited_for
            if not quiet:
                await self._text(place, message, journal, stream, end)
            for picture in shown:
                self._in_time(end)
                await journal.take(f"image-{picture.asset}", partial(self._picture, place, picture, journal))
            card = render.card(reply, journal.task, votes=not journal.rated, brief=not quiet)
            if card is not None:
                self._in_time(end)
                await journal.take("card", partial(self._send, place, frames.card(card)), optional=True)
            if quiet and (card is None or journal.refused("card")):
                await self._text(place, message, journal, stream, end)
            if journal.unsure:
                self._in_time(end)
                said = partial(self._send, place, frames.markdown(self._doubt(reply)))
                await journal.take("unsure", said, optional=True)

    def _asked(self, message: Outgoing) -> bool:
        """Whether something that somebody did still waits for its answer."""
        asked = message.origin.message_id
        return any(self._reach.call(asked, kind) is not None for kind in (CallKind.MESSAGE, CallKind.ENTERED))

    async def _text(self, place: Place, message: Outgoing, journal: Journal, stream: Stream | None, end: float) -> None:
        """Say what it says, in as many messages as that takes."""
        whole = render.whole(message.reply, message.origin.chat_type)
        first, *rest = texts.split(whole, frames.TEXT_MAX) or [texts.CUT]
        await journal.take("text", lambda: self._first(place, message, first, journal, stream))
        for number, text in enumerate(rest, 2):
            self._in_time(end)
            await journal.take(f"text-{number}", partial(self._send, place, frames.markdown(text)))

    async def _first(self, place: Place, message: Outgoing, text: str, journal: Journal, stream: Stream | None) -> None:
        """Say it where it was asked for; where that is provably gone, send it."""
        await self._reach.pace(place)
        asked = message.origin.message_id
        try:
            if stream is not None:
                await self._streams.finish(stream, text)
                journal.rated = stream.rated
                return
            if (call := self._reach.call(asked, CallKind.MESSAGE)) is not None:
                self._reach.used(asked)
                feedback = rated_as(message.reply)
                name = streams.stream_id(message.key, asked)
                await streams.finish(self._reach, name, call, place, text, feedback)
                journal.rated = bool(feedback)
                return
            if (call := self._reach.call(asked, CallKind.ENTERED)) is not None:
                self._reach.used(asked)
                said = frames.welcome(texts.cut(render.plain(message.reply), WELCOME_MAX, self._words.cut()))
                await self._reach.respond(frames.WELCOME, said, call, place)
                return
        except Undelivered as gone:
            log.info("wecom: a message cannot be answered, it is sent: %s", gone)
        await self._send(place, frames.markdown(text), paced=True)

    async def _send(self, place: Place, body: Body, *, paced: bool = False) -> Frame:
        if not paced:
            await self._reach.pace(place)
        return await self._reach.send(place, body)

    async def _picture(self, place: Place, picture: Picture, journal: Journal) -> None:
        try:
            await self._send(place, frames.image(journal.media(picture.asset)))
        except MediaGone as error:
            journal.uploaded(picture.asset, "")
            raise Retry(f"it is to be uploaded again: {error}") from error

    async def _upload(self, message: Outgoing, due: list[Picture], images: Images, journal: Journal) -> None:
        """Give WeCom pictures that it has not yet. Nobody sees that: what fails here may be done again."""
        try:
            async with asyncio.timeout(UPLOADING):
                for picture in due:
                    if not journal.media(picture.asset):
                        journal.uploaded(picture.asset, await self._uploaded(message, picture, images))
        except TimeoutError:
            raise Retry(f"the pictures were not uploaded in {UPLOADING:.0f} s") from None

    async def _uploaded(self, message: Outgoing, picture: Picture, images: Images) -> str:
        try:
            data = await asyncio.to_thread(images.__getitem__, picture.asset)
        except KeyError as error:
            raise Undelivered(f"picture {picture.asset} has no file to send") from error
        data, kind = await pictures.fitting(data, IMAGE_MAX, IMAGE_KINDS)
        await self._reach.pace_upload()
        name = f"{message.reply.job or 'picture'}-{picture.asset}.{'png' if kind == pictures.PNG else 'jpg'}"
        return await upload(self._reach.ask, "image", name, data)

    def _in_time(self, end: float) -> None:
        if self._clock() > end:
            raise Busy("the message takes too long, the rest of it follows", after=0.5)

    def _doubt(self, reply: Reply) -> str:
        """That something may not have arrived, and how to see it."""
        if reply.job is None:
            return texts.markdown(self._words.say("robot.unsure"))
        return texts.markdown(self._words.say("robot.unsure.job", job=reply.job))


def _passes(reply: Reply) -> bool:
    """Whether another state of the same message follows."""
    return reply.state in ("queued", "running") or reply.streaming


def rated_as(reply: Reply) -> str:
    """The id with which WeCom's own 👍 and 👎 come back; empty for what is no answer to a question."""
    answers = reply.grows or (any(button.quiet for button in reply.buttons) and not reply.pictures)
    return feedback_id(reply.job) if reply.job is not None and answers else ""
