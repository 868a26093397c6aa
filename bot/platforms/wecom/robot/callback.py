"""The robot in callback mode: WeCom posts what happens to /wecom/aibot, and fetches the answers there.

A message: its answer is kept as open, then the event, then WeCom is told that an answer is coming. In this order: an
event that is kept is worked on at once, and what it says must find the answer it belongs to.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection

from bot.events import ChatEvent, Ignored
from bot.platforms.base import Outgoing, PlatformError
from bot.platforms.inbound import Accept, Act
from bot.platforms.wecom import pictures, render
from bot.platforms.wecom.channel import Images
from bot.platforms.wecom.places import PLATFORM, Place
from bot.platforms.wecom.robot import pulled
from bot.platforms.wecom.robot.answers import Answers
from bot.platforms.wecom.robot.crypto import Seal, read_body, read_object, read_query
from bot.platforms.wecom.robot.decode import decode, feedback_id
from bot.platforms.wecom.robot.pulled import Body, Stage, stream_of
from bot.platforms.wecom.settings import WecomAibot
from bot.platforms.wire import Malformed, WireError
from bot.reply import PREVIEW, Button, Reply
from storage import inbox
from storage import wecom_replies as replies
from storage.database import Database
from storage.records import Origin, utcnow
from storage.wecom_replies import OpenReply, ReplyState

if TYPE_CHECKING:  # for its name only
    from bot.replies import Words

log = logging.getLogger("moqi.wecom")

WELCOME: Final = 4.0  # seconds in which a welcome is found; WeCom waits five
LOOK: Final = 0.1  # seconds between two looks for it
CLEANED: Final = timedelta(hours=1)  # between two looks for answers that nobody asks for any more
LARGE: Final = 100_000  # characters of an answer that are sealed in a thread: it has pictures
JSON: Final = "application/json"
TEXT: Final = "text/plain"
_KINDS: Final = frozenset({pictures.JPEG, pictures.PNG})

Read = Callable[[int, Origin], bytes]  # a picture, by its asset's id, as it is shown in a chat


class CallbackRobot:
    """One robot. `handle` is the whole of GET and POST /wecom/aibot."""

    def __init__(
        self,
        settings: WecomAibot,
        db: Database,
        words: Words,
        *,
        read: Read | None = None,
        now: Callable[[], datetime] = utcnow,
        answers: Answers | None = None,
    ) -> None:
        """`read` (it may block) is for pictures of messages that another process sends; without it, that one has to be
        asked by WeCom."""
        self._settings = settings
        self._db = db
        self._words = words
        self._read = read
        self._now = now
        self._seal = Seal(settings.token.get_secret_value(), settings.encoding_aes_key.get_secret_value())
        self._seal.load()
        self._answers = answers or Answers(db, words, now)
        self._clean_after = now()

    async def ready(self) -> None:
        """Wait until requests are answered without delay; they are answered before, too."""
        await self._seal.ready()

    async def post(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        """Answer the message of `message.origin`. Raises PlatformError."""
        return await self._answers.post(place, message, images)

    async def update(
        self, place: Place, receipt: Mapping[str, Any], message: Outgoing, images: Images
    ) -> dict[str, Any]:
        """Say how a job stands where WeCom still asks; an outcome ends the answer, or goes separately."""
        return await self._answers.update(place, receipt, message, images)

    async def close(self) -> None:
        await self._answers.close()

    async def handle(self, method: str, query: bytes, body: bytes, accept: Accept, act: Act) -> tuple[int, str, str]:
        """Answer one request of WeCom: (HTTP status, media type, text). `query` is the raw one.

        A message is answered after `accept` returned. What it raises is the caller's 500, and WeCom sends again.
        """
        try:
            await self._seal.ready()
            asked = read_query(query)
            if method == "GET":
                return 200, TEXT, self._seal.open(asked, asked.get("echostr", ""), self._now())
            opened = read_object(self._seal.open(asked, read_body(body), self._now()))
            answer = await self._deal(opened, accept, act)
        except WireError as error:
            log.warning("refused a request to /wecom/aibot: %s: %s", type(error).__name__, error)
            return error.status, TEXT, "not accepted"
        if answer is None:
            return 200, TEXT, ""
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        if len(text) < LARGE:
            return 200, JSON, self._sealed(text, asked.get("nonce", ""))
        return 200, JSON, await asyncio.to_thread(self._sealed, text, asked.get("nonce", ""))

    def _sealed(self, text: str, nonce: str) -> str:
        return json.dumps(self._seal.close(text, nonce, self._now()))

    # -- what happens ------------------------------------------------------------------------------------------------

    async def _deal(self, body: Body, accept: Accept, act: Act) -> Body | None:
        if body.get("msgtype") == "stream":
            return await self._refresh(_text(_object(body.get("stream")).get("id")))
        body = await self._about_job(body)
        url = _text(body.pop("response_url", ""))
        match decode(body, self._settings, self._now()):
            case Ignored(event_type=event_type, reason=reason):
                log.debug("wecom: ignored %s: %s", event_type, reason)
                return None
            case ChatEvent(kind="message") as event:
                return await self._message(event, url, accept)
            case ChatEvent(kind="action", action="vote_up" | "vote_down" | "vote_none") as event if not _card(body):
                await act(event)  # an opinion takes no answer
                return None
            case ChatEvent(kind="action") as event:
                return await self._press(event, _text(body.get("msgid")), url, act)
            case event:
                return await self._entered(event, accept)

    async def _message(self, event: ChatEvent, url: str, accept: Accept) -> Body:
        now = self._now()
        row = _row(event, event.origin.message_id, url, now)
        new = await self._db.run(replies.begin, row)
        await accept(event)
        await self._clean(now)
        if new:
            return pulled.stream(row.stream, self._said(row), finish=False, feedback=row.stream)
        known = await self._db.read(replies.get, row.stream)  # the same again: perhaps it is answered by now
        return await self._told(row if known is None else known, feedback=row.stream)

    async def _press(self, event: ChatEvent, msgid: str, url: str, act: Act) -> Body | None:
        """Do what a button says, and show its card as it is then."""
        pressed = await act(event)
        if url:  # whatever the press ordered can be told by it
            row = _row(event, msgid, url, self._now())
            await self._db.run(replies.begin, replace(row, state=ReplyState.TOLD))
        if pressed.shown is None:
            return None
        task = event.origin.message_id
        card = render.card(pressed.shown.reply, task, notice=pressed.text)
        if card is None:  # nothing is left to press, but a card needs something: what was pressed
            done = Button(action=event.action or "done", label=self._words.say("robot.done"), value=event.value)
            card = render.card(replace(pressed.shown.reply, buttons=(done,)), task, notice=pressed.text)
        return None if card is None else pulled.card_update(card)

    async def _entered(self, event: ChatEvent, accept: Accept) -> Body | None:
        """Somebody opens the chat: what is said then, can be said in the answer to this only."""
        row = _row(event, event.origin.message_id, "", self._now())
        await self._db.run(replies.begin, row)
        await accept(event)
        until = asyncio.get_running_loop().time() + WELCOME
        while asyncio.get_running_loop().time() < until:
            found, over = await self._db.read(_look, row.stream, event.key)
            if found is not None and found.state in (ReplyState.CLOSING, ReplyState.TOLD) and found.reply is not None:
                if await self._db.run(replies.told, row.stream):
                    self._answers.fetched(row.stream)
                    return pulled.welcome(Reply.from_json(found.reply), self._words.cut())
            elif over:  # it was greeted before
                break
            await asyncio.sleep(LOOK)
        return None

    async def _about_job(self, body: Body) -> Body:
        """An opinion is about an answer; which job that was is known now, not when the answer began."""
        event = _object(body.get("event"))
        feedback = _object(event.get("feedback_event"))
        row = await self._db.read(replies.get, _text(feedback.get("id"))) if feedback else None
        job = _object(row.reply).get("job") if row is not None else None
        if not isinstance(job, int):
            return body
        return {**body, "event": {**event, "feedback_event": {**feedback, "id": feedback_id(job)}}}

    # -- what WeCom fetches ------------------------------------------------------------------------------------------

    async def _refresh(self, name: str) -> Body:
        """WeCom asks for an answer: what it says now."""
        if not name:
            raise Malformed("a refresh without the stream's id")
        row = await self._db.read(replies.get, name)
        if row is None:
            return pulled.stream(name, self._words.say("robot.lost"), finish=True)
        return await self._told(row)

    async def _told(self, row: OpenReply, feedback: str = "") -> Body:
        """What WeCom is told about an answer now; `feedback` the first time."""
        match pulled.stage(row, self._now()):
            case Stage.GOING if row.reply is None and await self._db.read(_nothing_follows, row):
                nothing = Reply(text=self._words.say("robot.seen")).to_json()
                return await self._again(await self._db.run(replies.close, row.stream, "", nothing, self._now()), row)
            case Stage.GOING:
                return pulled.stream(row.stream, self._said(row), finish=False, feedback=feedback)
            case Stage.LATE:
                if not await self._db.run(replies.promise, row.stream):  # it has just ended
                    return await self._again(await self._db.read(replies.get, row.stream), row)
                return pulled.stream(row.stream, self._said(row, self._words.say("robot.longer")), finish=True)
            case Stage.PROMISED:
                ending = self._words.say("robot.queued")
                return pulled.stream(row.stream, self._said(row, ending), finish=True, feedback=feedback)
            case Stage.SEPARATE:
                return pulled.stream(row.stream, self._words.say("robot.separate"), finish=True)
            case Stage.ENDING:
                return await self._end(row, feedback)

    async def _again(self, found: OpenReply | None, row: OpenReply) -> Body:
        """The same for an answer that has moved meanwhile."""
        return await self._told(row if found is None else found)

    async def _end(self, row: OpenReply, feedback: str) -> Body:
        """The whole of what an answer came to. It counts as sent from here on, unless it was taken back just now."""
        reply = Reply() if row.reply is None else Reply.from_json(row.reply)
        shown = [one.asset for one in reply.pictures if one.asset != PREVIEW][: pulled.PICTURES_MAX]
        images, missing = await self._pictures(row, shown)
        if missing and self._read is None and row.state is ReplyState.CLOSING:
            # The process that sends it has them: it is asked next time, or sends it another way.
            return pulled.stream(row.stream, self._said(row), finish=False)
        if not await self._db.run(replies.told, row.stream):
            return pulled.stream(row.stream, self._words.say("robot.separate"), finish=True)
        self._answers.fetched(row.stream)
        apart = self._answers.pictures_apart(reply) if missing else ""
        card = render.card(reply, row.stream, votes=False)  # WeCom has its own below the text
        below = replace(reply, buttons=()) if card is not None else reply
        text = pulled.said(below, pulled.chat_type(row.chat_id), self._words.cut(), apart)
        body = await asyncio.to_thread(pulled.stream, row.stream, text, finish=True, feedback=feedback, images=images)
        return pulled.with_card(body, card)

    async def _pictures(self, row: OpenReply, assets: Iterable[int]) -> tuple[list[bytes], bool]:
        """The pictures as WeCom takes them, and whether some could not be had."""
        held, found, missing = self._answers.images(row.stream), [], False
        for asset in assets:
            read = held.__getitem__ if asset in held else self._reader(row)
            try:
                data = await asyncio.to_thread(read, asset) if read is not None else b""
                if data:
                    found.append((await pictures.fitting(data, pulled.PICTURE_MAX, _KINDS))[0])
            except (PlatformError, LookupError, OSError) as error:
                log.warning("wecom: picture %d cannot be shown: %s", asset, error)
                data = b""
            missing = missing or not data
        return found, missing

    def _reader(self, row: OpenReply) -> Callable[[int], bytes] | None:
        """Who gets the pictures of an answer that another process sends."""
        read = self._read
        if read is None:
            return None
        kind = pulled.chat_type(row.chat_id)
        origin = Origin(platform=PLATFORM, chat_id=row.chat_id, chat_type=kind, message_id="", sender="")
        return lambda asset: read(asset, origin)

    def _said(self, row: OpenReply, *tail: str) -> str:
        """What an answer says so far."""
        if row.reply is None:
            return "\n\n".join((self._words.say("robot.received"), *tail))
        reply = Reply.from_json(row.reply)
        return pulled.said(reply, pulled.chat_type(row.chat_id), self._words.cut(), *tail)

    async def _clean(self, now: datetime) -> None:
        if now < self._clean_after:
            return
        self._clean_after = now + CLEANED
        await self._db.run(replies.forget, now - pulled.KEPT)


def _row(event: ChatEvent, msgid: str, url: str, now: datetime) -> OpenReply:
    return OpenReply(
        stream=stream_of(msgid),
        msgid=msgid,
        chat_id=event.origin.chat_id,
        sender=event.origin.sender,
        opened_at=now,
        response_url=url,
        until=now + pulled.URL_LIFE,
    )


def _look(conn: Connection, stream: str, key: str) -> tuple[OpenReply | None, bool]:
    """An answer, and whether what it answers was dealt with without a word."""
    return replies.get(conn, stream), _ignored(conn, key)


def _nothing_follows(conn: Connection, row: OpenReply) -> bool:
    return _ignored(conn, f"robot:{row.msgid}")


def _ignored(conn: Connection, key: str) -> bool:
    entry = inbox.find(conn, PLATFORM, key)
    return entry is not None and entry.outcome.startswith("ignored:")


def _card(body: Body) -> bool:
    return "template_card_event" in _object(body.get("event"))


def _object(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _text(found: object) -> str:
    return found if isinstance(found, str) else ""
