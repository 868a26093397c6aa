"""The app as a way to a member: texts, pictures and one card with buttons out, encrypted callbacks in.

WeCom shows no progress on an app's message, so a job has one card while it waits and runs, which becomes its outcome's.
A card can be changed once with the code that WeCom gave for it, and once more with the code of every press.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from bot.events import ChatEvent, Ignored
from bot.platforms.base import PROBLEM, Enclosed, Outgoing, PlatformError, Undelivered
from bot.platforms.inbound import Accept, Act
from bot.platforms.wecom import render
from bot.platforms.wecom.app import callback, cards, wechat
from bot.platforms.wecom.app.client import WecomClient
from bot.platforms.wecom.app.codes import UNREACHED, MediaGone
from bot.platforms.wecom.app.decode import decode, response_code
from bot.platforms.wecom.app.limits import Sends
from bot.platforms.wecom.app.presses import Presses, remember
from bot.platforms.wecom.app.receipts import MEDIA_KEPT, Achieved, code_of, fresh, task_of
from bot.platforms.wecom.channel import Images
from bot.platforms.wecom.pictures import JPEG, fitting
from bot.platforms.wecom.places import Place, Way
from bot.platforms.wecom.settings import WecomApp
from bot.platforms.wire import WireError
from bot.reply import Picture, Reply
from storage.records import utcnow

log = logging.getLogger(__name__)

MAX_IMAGE: Final = 10_000_000  # bytes
SHOWN_LATELY: Final = timedelta(minutes=10)  # a picture is what the next message is about
_CARD, _CHANGE = "card", "change"
_TEXT: Final = "text/plain; charset=utf-8"
_MEMBER: Final = re.compile(r"[\w.@-]{1,64}", re.ASCII)

Answer = tuple[int, str, str]  # HTTP status, media type, body


class AppChannel:
    """One self-built app. Implements Channel; `handle` is the whole of GET and POST /wecom/app."""

    def __init__(
        self,
        settings: WecomApp,
        cut: str,
        *,
        client: WecomClient | None = None,
        sends: Sends | None = None,
        now: Callable[[], datetime] = utcnow,
    ) -> None:
        """`cut` ends a text which was too long."""
        self.client = client or WecomClient(settings)
        self._settings = settings
        self._cut = cut
        self._sends = sends or Sends()
        self._now = now
        self._presses = Presses(self._replace, self._tell, lambda receipt: code_of(receipt, now()))
        self._pictures: dict[str, tuple[datetime, Mapping[str, Any]]] = {}  # the last one of each member
        self._loaded = False

    async def post(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        """Send a new message to a member; under the same key within four hours nothing shows twice."""
        member, reply = _member(place), message.reply
        scope = cards.scope_of(message.key, message.origin)
        task = render.task_id_of(scope)
        async with Achieved(message.receipt, message.keep) as done:
            card = cards.card_of(reply, task)
            # A card whose fate nobody knows comes first, and as it was: what it says by now, its outcome will say.
            alone = done.trying.get("step") == _CARD or cards.overtaken(message)
            shown = card is not None and (reply.state in cards.PASSING or cards.says_all(card, reply))
            if not (alone or shown):
                await self._say(done, member, reply, scope, pressable=card is not None)
            if not alone and reply.state not in cards.PASSING:
                await self._show(done, member, reply, images)
            if card is not None:
                await self._send_card(done, member, task, card)
            return done.receipt

    async def update(
        self, place: Place, receipt: Mapping[str, Any], message: Outgoing, images: Images
    ) -> dict[str, Any]:
        """Show an outcome: what there is to read and see as new messages, what to press on the card of `receipt`.

        Progress is not shown. A card that cannot be changed any more is followed by a new one, unless it only tidies.
        """
        member, reply = _member(place), message.reply
        if reply.state in cards.PASSING:
            return dict(receipt)
        async with Achieved(message.receipt, message.keep) as done:
            scope, task = cards.scope_of(message.key, message.origin), task_of(receipt)
            card = cards.card_of(reply, task or render.task_id_of(scope))
            quiet = card is not None and cards.says_all(card, reply) and reply.state != "failed"
            if not (quiet or reply.tidies):  # a change makes no sound: who waits is to hear of it
                await self._say(done, member, reply, scope, pressable=card is not None)
            await self._show(done, member, reply, images)
            changed = bool(task) and await self._change(done, member, receipt, card, reply.title)
            if changed or reply.tidies:
                done.card = {"task": task}
            elif card is not None:
                task = render.task_id_of(scope)
                await self._send_card(done, member, task, {**card, "task_id": task})
            return done.receipt

    async def handle(self, method: str, query: bytes, body: bytes, accept: Accept, act: Act) -> Answer:
        """Answer one request of WeCom: (HTTP status, media type, body). `accept` keeps an event, `act` does a press.

        200 is only said after `accept` returned. What it raises is the caller's 500, and WeCom sends again.
        """
        if not self._settings.listens:
            return 404, _TEXT, ""
        await self._load()
        try:
            if method == "GET":
                return 200, _TEXT, callback.verify(query, self._settings, self._now()).text
            fields = callback.receive(query, body, self._settings, self._now()).fields
        except WireError as error:
            log.warning("refused a request to the WeCom app: %s: %s", type(error).__name__, error)
            return error.status, _TEXT, ""
        decoded = decode(fields, self._settings, self._now())
        match decoded:
            case Ignored(event_type=event_type, reason=reason):
                log.debug("acknowledged and ignored %s: %s", event_type, reason)
            case ChatEvent(kind="action"):
                await self._presses.take(decoded, response_code(fields), act)
            case ChatEvent():
                await accept(self._with_picture(decoded))
        return 200, _TEXT, ""

    async def enclosed(self, event: ChatEvent, kind: str, limit: int) -> Enclosed | None:
        """The picture that the member sent before this message; None = there was none. Raises PlatformError."""
        images = event.value.get("images") or ()
        media = images[0].get("media") if kind == "picture" and images else None
        return await self.client.download(str(media), limit) if media else None

    async def close(self) -> None:
        await self._presses.close()
        await self.client.close()

    async def _load(self) -> None:
        """wechatpy takes a third of a second to import: in a thread, and only where somebody posts to us."""
        if not self._loaded:
            await asyncio.to_thread(wechat.load)
            self._loaded = True

    # What goes out ----------------------------------------------------------------------------------------------------

    async def _say(self, done: Achieved, member: str, reply: Reply, scope: str, *, pressable: bool) -> None:
        """What there is to read."""
        for number, text in enumerate(cards.texts(reply, scope, self._cut, pressable=pressable), 1):
            await self._send(done, member, f"text-{number}", "text", {"content": text})

    async def _show(self, done: Achieved, member: str, reply: Reply, images: Images) -> None:
        """What there is to see."""
        for picture in reply.pictures:
            await self._send_picture(done, member, picture, images)

    async def _send(
        self, done: Achieved, member: str, step: str, kind: str, content: Mapping[str, Any]
    ) -> dict[str, Any]:
        """One message, once; returns WeCom's answer, which is empty when the message was there before."""
        if step in done.sent:
            return {}
        await self._sends.turn(member)
        content, again = await done.begin(step, content)
        answer: dict[str, Any] = {}
        try:
            request = cards.message(self._settings.agent_id, member, kind, content)
            answer = await self.client.call("POST", "message/send", data=request)
            _check_reached(answer, member)
        except PlatformError as refused:
            done.refused(refused, again)
            if isinstance(refused, Undelivered) and refused.code in UNREACHED:
                raise _unreached(member, str(refused), refused.code) from None
            if not (again and step == _CARD and isinstance(refused, Undelivered)) or PROBLEM in refused.receipt:
                raise
            # The try that nobody answered did its work: this task_id stands on the card already.
            log.info("a card stands there already: %s", refused)
        done.done(step, str(answer.get("msgid", "")))
        return answer

    async def _send_picture(self, done: Achieved, member: str, picture: Picture, images: Images) -> None:
        step = f"picture-{picture.asset}"
        if step in done.sent:
            return
        media = await self._upload(done, picture, images)
        try:
            await self._send(done, member, step, "image", {"media_id": media})
        except MediaGone as gone:
            log.info("a picture is uploaded again: %s", gone)
            del done.media[str(picture.asset)]
            done.trying = {}
            await self._send(done, member, step, "image", {"media_id": await self._upload(done, picture, images)})

    async def _upload(self, done: Achieved, picture: Picture, images: Images) -> str:
        """The media_id of a picture, which is kept for three days."""
        asset = str(picture.asset)
        media, at = done.media.get(asset, ("", ""))
        if fresh(at, self._now(), MEDIA_KEPT):
            return media
        try:
            given = await asyncio.to_thread(images.__getitem__, picture.asset)
        except KeyError as error:
            raise Undelivered(f"picture {picture.asset} has no file to send") from error
        data, kind = await fitting(given, MAX_IMAGE)
        media = await self.client.upload("image", f"moqi-{asset}.{'jpg' if kind == JPEG else 'png'}", data, kind)
        done.media[asset] = [media, self._now().isoformat()]
        return media

    async def _send_card(self, done: Achieved, member: str, task: str, card: render.Card) -> None:
        answer = await self._send(done, member, _CARD, "template_card", card)
        if answer or not done.card:
            code = str(answer.get("response_code") or "")
            done.card = {"task": task, **({"code": code, "at": self._now().isoformat()} if code else {})}

    async def _change(
        self, done: Achieved, member: str, receipt: Mapping[str, Any], card: render.Card | None, title: str
    ) -> bool:
        """Change the card of `receipt`, once; False when it cannot be changed any more."""
        if _CHANGE in done.sent:
            return True
        task, code = task_of(receipt), code_of(receipt, self._now())
        async with self._presses.outcome(task):
            if not code:
                return False
            _, again = await done.begin(_CHANGE, {})
            try:
                await self._replace(member, code, card, title)
            except PlatformError as refused:
                done.refused(refused, again)
                if not isinstance(refused, Undelivered):
                    raise
                if not again:
                    log.info("a card cannot be changed any more: %s", refused)
                    return False
                # The code is used up by the try that nobody answered.
            done.done(_CHANGE, task)
            return True

    async def _replace(self, member: str, code: str, card: render.Card | None, title: str) -> None:
        request = cards.change(self._settings.agent_id, member, code, card, title)
        await self.client.call("POST", "message/update_template_card", data=request)

    async def _tell(self, member: str, text: str) -> None:
        """Say what only matters now, where there is room for it."""
        await self._sends.turn(member, passing=True)
        request = cards.message(self._settings.agent_id, member, "text", {"content": text}, once=False)
        await self.client.call("POST", "message/send", data=request)

    # What comes in ----------------------------------------------------------------------------------------------------

    def _with_picture(self, event: ChatEvent) -> ChatEvent:
        """In the app a picture and what is to be done with it are two messages: the second one points to the first."""
        who, images = event.sender.external_id, event.value.get("images")
        if images:
            remember(self._pictures, who, (self._now(), {"images": images}))
        elif event.kind == "message" and event.text and who in self._pictures:
            at, value = self._pictures[who]
            if self._now() - at < SHOWN_LATELY:
                return replace(event, value={**value, **event.value})
        return event


def _member(place: Place) -> str:
    """The one member that a place stands for: never @all, nor several."""
    if place.way not in (Way.APP, Way.ANY) or not _MEMBER.fullmatch(place.target) or place.target.startswith("@"):
        raise Undelivered(f"the app reaches one member at a time, not {place.way.value} {place.target!r}")
    return place.target


def _check_reached(answer: Mapping[str, Any], member: str) -> None:
    """WeCom says success although nobody got it, and names whom it left out."""
    for name in ("invaliduser", "unlicenseduser"):
        if member in str(answer.get(name) or "").lower().split("|"):
            raise _unreached(member, f"it names them in {name}", 0)


def _unreached(member: str, why: str, code: int | None) -> Undelivered:
    text = (
        f"the WeCom app cannot write to {member}: are they in its visible range (管理后台 > 应用管理 > the app > "
        f"可见范围), active and licensed? {why}"
    )
    error = Undelivered(text)
    error.code = code
    error.receipt = {PROBLEM: text}
    return error
