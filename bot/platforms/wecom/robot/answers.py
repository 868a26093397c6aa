"""What the robot says in callback mode. Implements Channel: each message's answer is a row that WeCom fetches.

A message counts as sent when WeCom has fetched the answer that ends with it. When it does not come, the end is taken
back, which only one of the two can do, and the message goes by its response_url: markdown or a card, once, and no
pictures. What neither takes is Undelivered.

Whoever waits looks at the row: WeCom may have asked another process. No try waits for long; it is put off (Elsewhere)
and looked at again, so a stop or a crash at any point finds the row as it was left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from bot.platforms.base import Elsewhere, Outgoing, Retry, Undelivered
from bot.platforms.wecom import render
from bot.platforms.wecom.channel import Images
from bot.platforms.wecom.places import Place, chat_id
from bot.platforms.wecom.robot import pulled
from bot.platforms.wecom.robot.codes import Unsure
from bot.platforms.wecom.robot.pulled import stream_of
from bot.platforms.wecom.robot.responses import Refused, Responses
from bot.reply import Reply
from storage import wecom_replies as replies
from storage.database import Database
from storage.wecom_replies import OpenReply, ReplyState

if TYPE_CHECKING:  # for its name only
    from bot.replies import Words

log = logging.getLogger("moqi.wecom")

HOW: Final = "how"  # in a receipt: stream | response_url | later (nothing is shown, the outcome will be)
WAIT: Final = 1.2  # seconds that a try waits for WeCom to come: it comes about once a second
LOOK: Final = 0.3  # seconds between two looks at the row, which another process may have moved
STUCK: Final = 2 * pulled.PATIENCE  # an end that nobody waits for any more is in nobody's way
CAME_LATE: Final = "late-"  # keys of the word that a message came late (bot/router.py), beside its answer
HELD: Final = 100  # answers whose pictures this process can read


class Answers:
    """The answers that are open, and the ways left to those that are not."""

    def __init__(
        self,
        db: Database,
        words: Words,
        now: Callable[[], datetime],
        *,
        responses: Responses | None = None,
        wait: float = WAIT,
    ) -> None:
        self._db = db
        self._words = words
        self._now = now
        self._wait = wait
        self._responses = responses or Responses()
        self._fetched: dict[str, asyncio.Event] = {}
        self._images: dict[str, Images] = {}  # by stream, the latest only

    async def post(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        """Answer the message of `message.origin`. Raises PlatformError."""
        if pulled.passes(message.reply):
            return await self._pass(place, message)
        return await self._end(place, message, images)

    async def update(
        self, place: Place, receipt: Mapping[str, Any], message: Outgoing, images: Images
    ) -> dict[str, Any]:
        """Say how a job stands where WeCom still asks; an outcome ends the answer, or goes separately."""
        if pulled.passes(message.reply):
            if receipt.get(HOW) == "stream":
                await self._db.run(replies.say, stream_of(message.origin.message_id), message.reply.to_json())
            return dict(receipt)
        if message.reply.job is None:  # a card that is not being pressed cannot be changed, and what did it was said
            return dict(receipt)
        return await self._end(place, message, images)

    async def close(self) -> None:
        await self._responses.close()

    def fetched(self, stream: str) -> None:
        """WeCom has come for the end of an answer, to this process."""
        if stream in self._fetched:
            self._fetched[stream].set()

    def images(self, stream: str) -> Images:
        """The pictures of the message that ends an answer, as far as this process was given them."""
        return self._images.get(stream, {})

    # -- how a job stands --------------------------------------------------------------------------------------------

    async def _pass(self, place: Place, message: Outgoing) -> dict[str, Any]:
        how = await self._db.run(_passing, place, message, self._now())
        if not how:
            raise Undelivered("nothing is open in this chat that this could stand in")
        return {"message_id": stream_of(message.origin.message_id) if how == "stream" else "", HOW: how}

    # -- a message that is whole -------------------------------------------------------------------------------------

    async def _end(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        name = stream_of(message.origin.message_id)
        row = await self._row(name, place)
        if row is not None and row.state is ReplyState.OPEN and self._now() < row.opened_at + pulled.LAST:
            self._hold(name, images)
            row = await self._db.run(replies.close, name, message.key, message.reply.to_json(), self._now())
        if row is not None and row.delivery == message.key:
            self._hold(name, images)
            if await self._was_fetched(row):
                return {"message_id": name, HOW: "stream"}
        elif row is not None and row.state is ReplyState.CLOSING:  # by another message: that one first
            if row.closing_at is not None and self._now() - row.closing_at < STUCK:
                raise Elsewhere("another message ends this answer just now")
            await self._db.run(replies.take_back, name)
        if message.key.startswith(CAME_LATE):
            raise Undelivered("the one answer that is left is kept for what was asked")
        return await self._by_url(place, message, name if row is not None else "")

    async def _row(self, name: str, place: Place) -> OpenReply | None:
        row = await self._db.read(replies.get, name)
        return row if row is not None and row.chat_id == chat_id(place) else None

    def _hold(self, name: str, images: Images) -> None:
        self._images.pop(name, None)
        self._images[name] = images
        while len(self._images) > HELD:
            del self._images[next(iter(self._images))]

    async def _was_fetched(self, row: OpenReply) -> bool:
        """Wait for WeCom to fetch the end. False when it goes another way; raises Elsewhere to be asked again."""
        assert row.closing_at is not None
        waits = self._wait - (self._now() - row.closing_at).total_seconds()
        state = await self._watched(row, waits)
        if state is ReplyState.CLOSING:
            if self._now() - row.closing_at < pulled.PATIENCE:
                raise Elsewhere("WeCom has not come for the end of this answer yet")
            log.info("wecom: nobody comes for the end of an answer, it goes another way")
            return not await self._db.run(replies.take_back, row.stream)
        return state is ReplyState.TOLD

    async def _watched(self, row: OpenReply, seconds: float) -> ReplyState:
        """The state of an end after at most so many seconds."""
        came = self._fetched.setdefault(row.stream, asyncio.Event())
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                while (state := await self._state(row.stream)) is ReplyState.CLOSING:
                    await _within(came.wait(), LOOK)
                return state
        except TimeoutError:
            return await self._state(row.stream)
        finally:
            self._fetched.pop(row.stream, None)

    async def _state(self, stream: str) -> ReplyState:
        row = await self._db.read(replies.get, stream)
        return ReplyState.OVER if row is None else row.state

    # -- by response_url ---------------------------------------------------------------------------------------------

    async def _by_url(self, place: Place, message: Outgoing, name: str) -> dict[str, Any]:
        sender = message.origin.sender if place.group else None
        row = await self._db.read(replies.way, message.key, name, chat_id(place), sender, self._now())
        if row is None:
            raise Undelivered("it can be answered no more: its stream has ended and no response_url is left")
        tried = row.used_by == message.key
        if not (tried and not row.response_url):  # else it has gone already, and only that was not kept
            if not await self._db.run(replies.use, row.stream, message.key):
                raise Elsewhere("another message has just taken this response_url")
            await self._say(row, message, name, tried=tried)
            await self._db.run(replies.spent, row.stream, message.key)
        return {"message_id": row.stream if row.stream == name else "", HOW: "response_url"}

    async def _say(self, row: OpenReply, message: Outgoing, name: str, *, tried: bool) -> None:
        if tried and row.until <= self._now():
            log.warning("wecom: message %s may have arrived; WeCom never said so", message.key)
            return
        try:
            await self._responses.post(row.response_url, self._body(row, message, name))
        except Unsure:  # asked again, the address tells: it works once
            raise
        except Retry:
            if not tried:
                await self._db.run(replies.unused, row.stream)
            raise
        except Refused as error:
            if tried:  # the address works once: it was the try before that was taken
                log.warning("wecom: message %s has most likely arrived: %s", message.key, error)
                return
            await self._db.run(replies.spent, row.stream, "")
            raise

    def _body(self, row: OpenReply, message: Outgoing, name: str) -> dict[str, Any]:
        """A card where there is something to decide, else all that is said; pictures have to be asked for."""
        reply = message.reply
        uncarded = row.stream == name and row.state in (ReplyState.PROMISED, ReplyState.OVER)
        card = render.card(reply, name) if reply.job is None and uncarded else None
        if card is not None:
            return pulled.template_card(card)
        text = pulled.said(
            replace(reply, buttons=()), message.origin.chat_type, self._words.cut(), self.pictures_apart(reply)
        )
        return pulled.markdown(text)

    def pictures_apart(self, reply: Reply) -> str:
        """Where to see the pictures of a reply that cannot be shown with it; empty when it has none."""
        if not reply.pictures:
            return ""
        return self._words.say("robot.pictures", job=reply.job) if reply.job else self._words.say("robot.no_pictures")


def _passing(conn: Connection, place: Place, message: Outgoing, now: datetime) -> str:
    """Say how a job stands, where WeCom still asks: how that was done; empty when its outcome has no way either."""
    name, where, said = stream_of(message.origin.message_id), chat_id(place), message.reply.to_json()
    row = replies.get(conn, name)
    if row is not None and row.chat_id == where and row.state is ReplyState.OPEN and now - row.opened_at < pulled.LIFE:
        others = replies.open_of(conn, row.sender, now - timedelta(minutes=6), name)
        if others >= pulled.OPEN_MAX:
            replies.promise(conn, name, said)
        else:
            replies.say(conn, name, said)
        return "stream"
    sender = message.origin.sender if place.group else None
    own = name if row is not None and row.chat_id == where else ""
    return "later" if replies.way(conn, message.key, own, where, sender, now) is not None else ""


async def _within(what: Awaitable[object], seconds: float) -> None:
    """Wait for it, and no longer than so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await what
    except TimeoutError:
        return
