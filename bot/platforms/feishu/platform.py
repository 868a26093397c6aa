"""Feishu as a ChatPlatform: events of the webhook or the long connection in, cards and texts out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bot.context import Shown
from bot.events import ChatEvent, Ignored
from bot.platforms.base import PROBLEM, Blocked, Enclosed, Outgoing, PlatformError, Unconfigured, Undelivered
from bot.platforms.feishu import receipts, render, resources, wire
from bot.platforms.feishu.cardkit import CardKit, content_of
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.codes import MessageGone
from bot.platforms.feishu.decode import PLATFORM
from bot.platforms.feishu.presses import Presses
from bot.platforms.feishu.previews import Previews
from bot.platforms.feishu.rules import check_card
from bot.platforms.feishu.settings import FeishuSettings, Mode, webhook_path
from bot.platforms.feishu.streaming import Streams
from bot.platforms.inbound import Accept, Act
from bot.platforms.wire import WireError
from bot.reply import PREVIEW, Reply
from storage.records import ChatType, Origin, utcnow

log = logging.getLogger(__name__)

_IDENTITY_PATIENCE: Final = 1.0  # seconds an event may wait for the bot's own id; Feishu waits 3 s for the answer
_IDENTITY_PAUSE: Final = timedelta(seconds=30)  # until asking again after a failure

Images = Mapping[int, bytes]


class FeishuPlatform:
    """One Feishu app. Implements ChatPlatform; `handle` is the whole of POST /feishu/events, `take` of a frame."""

    progress_interval = 1.0  # a card may change 5 times a second, the app 1000 times a minute

    def __init__(
        self,
        settings: FeishuSettings,
        client: FeishuClient | None = None,
        *,
        now: Callable[[], datetime] = utcnow,
        cut: str = render.CUT,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        name: str = PLATFORM,
    ) -> None:
        """`cut` ends a text which was too long for a card; `name` is the platform of its people and chats.

        The clocks (s) are for cards typed in.
        """
        self.name = name
        self._settings = settings
        self._client = client or FeishuClient(settings)
        self._now = now
        self._cut = cut
        self._presses = Presses()
        self._previews = Previews(self._client.upload_image, clock=clock)
        self._streams = Streams(CardKit(self._client), clock=clock, wall=wall)
        self._bot = ""  # our own open_id
        self._identifying: asyncio.Task[None] | None = None
        self._ask_after = now()

    @property
    def settings(self) -> FeishuSettings:
        """What the operator set for this app."""
        return self._settings

    @property
    def client(self) -> FeishuClient:
        """The app's one door to Feishu's API, with its token and its budgets."""
        return self._client

    async def handle(
        self, headers: Mapping[str, str], body: bytes, accept: Accept, act: Act
    ) -> tuple[int, dict[str, Any]]:
        """Answer one request of Feishu: (HTTP status, JSON). `accept` keeps an event, `act` does a button press.

        200 is only said after `accept` returned. What it raises is the caller's 500, and Feishu sends again.
        """
        try:
            received = await self._known(
                lambda: wire.receive(headers, body, self._settings, self._now(), self._bot, self.name)
            )
        except WireError as error:
            log.warning("refused a request to %s: %s: %s", self.path, type(error).__name__, error)
            return error.status, {"code": error.status, "msg": "not accepted"}
        if isinstance(received, wire.Challenge):
            return 200, {"challenge": received.text}
        return 200, await self._deal(received, accept, act) or {}

    async def take(self, payload: bytes, accept: Accept, act: Act) -> dict[str, Any] | None:
        """Deal with one event of the long connection; returns the answer to a button press, None for the rest.

        When it returns, the event is kept for good. What `accept` raises comes out: then Feishu is to send it again.
        """
        try:
            received = await self._known(
                lambda: wire.unwrap(payload, self._settings, self._now(), self._bot, self.name)
            )
        except WireError as error:  # sent again it would be the same: acknowledged, and the operator hears of it
            log.warning("%s: acknowledged and dropped an event: %s: %s", self.name, type(error).__name__, error)
            return None
        return await self._deal(received, accept, act)

    @property
    def path(self) -> str:
        """Where the webhook of this app stands."""
        return webhook_path(self.name)

    @property
    def dials(self) -> bool:
        """Whether events come over a long connection that we open."""
        return self._settings.mode is Mode.LONG_CONNECTION

    @property
    def bot(self) -> str:
        """The bot's own open_id; empty while unknown."""
        return self._bot

    async def answer(self, event: ChatEvent, act: Act) -> dict[str, Any]:
        """Do what a pressed button says; the JSON that answers it, a toast and perhaps the card anew."""
        async with self._presses.answering(event.origin.message_id):
            kind, text, shown = await act(event)
            card = None if shown is None or _spread(shown) else self._card(shown.reply, event.origin, shown.receipt)
            return wire.answer_toast(kind, text, card)

    async def identify(self) -> None:
        """Learn the bot's own open_id, by which it recognises its mention; after a failure not again for a while."""
        if (asking := self._start_identifying()) is not None:
            await asyncio.shield(asking)

    async def post(self, message: Outgoing, images: Images) -> dict[str, Any]:
        """Answer `message.origin`; repeating it under the same key within an hour shows nothing twice."""
        return await self._post(message, images, message.key, receipts.joined(message.receipt))

    async def update(self, receipt: Mapping[str, Any], message: Outgoing, images: Images) -> dict[str, Any]:
        """Change the card of `receipt`; where that is gone, too old or a text, say an outcome in a new message."""
        known = receipts.joined(message.receipt, receipt)
        passing = message.reply.state in ("queued", "running")  # not worth a message of its own
        if known.get("type") == "interactive":
            try:
                async with receipts.Keeping(known):
                    await self._change(message, images, known, passing)
                return known
            except Undelivered as gone:
                if message.reply.tidies:  # a card of long ago: of what has ended, its picture tells
                    log.info("a card that cannot be changed any more stays as it is: %s", gone)
                    return known
                # A card that was typed in and takes neither CardKit's nor an ordinary change has to be followed too.
                lost = isinstance(gone, MessageGone) or ("card_id" in known and not isinstance(gone, Blocked))
                if passing or not lost:
                    raise
                log.info("a card cannot be changed any more, a new message follows: %s", gone)
        elif passing:
            raise Undelivered("a text cannot show progress")
        known = {name: value for name, value in known.items() if name not in ("card_id", "since")}
        return await self._post(message, images, f"{message.key}-n", known)

    async def preview(self, receipt: Mapping[str, Any], jpeg: bytes) -> None:
        """Upload what a running picture looks like so far, for the next passing update of its card."""
        await self._previews.offer(receipt["message_id"], jpeg)

    async def enclosed(self, event: ChatEvent, kind: str, limit: int) -> Enclosed | None:
        """The picture or file that a message carries or answers. Raises PlatformError."""
        return await resources.enclosed(self._client, event, kind, limit)

    async def close(self) -> None:
        if self._identifying is not None:
            self._identifying.cancel()
            await asyncio.gather(self._identifying, return_exceptions=True)
        await self._streams.close()
        await self._client.close()

    async def _deal(self, received: wire.Received, accept: Accept, act: Act) -> dict[str, Any] | None:
        match received:
            case wire.Event(event=event) if event.kind == "action":
                return await self.answer(event, act)
            case wire.Event(event=event):
                await accept(event)
            case Ignored(event_type=event_type, reason=reason):
                log.debug("acknowledged and ignored %s: %s", event_type, reason)
                if event_type == "card.action.trigger":
                    return {}  # unanswered, Feishu shows an error to whoever pressed
        return None

    async def _known(self, receive: Callable[[], wire.Received]) -> wire.Received:
        """What `receive` decodes; in a group once more when the bot's own id has become known meanwhile."""
        received = receive()
        if self._bot or not isinstance(received, wire.Event):
            return received
        asking = self._start_identifying()
        if asking is None or received.event.origin.chat_type is ChatType.DIRECT:
            return received
        await asyncio.wait({asking}, timeout=_IDENTITY_PATIENCE)  # in a group it matters who was mentioned
        return receive()

    def _start_identifying(self) -> asyncio.Task[None] | None:
        """The task that asks for our id, started when it is due; None when we know it or asked just now."""
        if self._identifying is not None and not self._identifying.done():
            return self._identifying
        if self._bot or self._now() < self._ask_after:
            return None
        self._ask_after = self._now() + _IDENTITY_PAUSE
        self._identifying = asyncio.create_task(self._ask_identity())
        return self._identifying

    async def _ask_identity(self) -> None:
        try:
            self._bot = await self._client.bot_info()
        except PlatformError as error:
            log.warning("Feishu did not tell who the bot is, mentions go by their kind meanwhile: %s", error)

    async def _post(self, message: Outgoing, images: Images, key: str, receipt: dict[str, Any]) -> dict[str, Any]:
        origin = message.origin
        async with receipts.Keeping(receipt):
            first, *rest = await self._parts(message, images, receipt)
            uuid = receipts.uuid_of(key, origin)
            if not (message.reply.grows and await self._post_typed(message, uuid, receipt)):
                msg_type, content = self._rendered(first, origin, receipt)
                message_id = await self._deliver(origin, msg_type, content, uuid)
                receipt.update(message_id=message_id, type=msg_type)
            await self._go_on(rest, key, origin, receipt)
        return receipt

    async def _post_typed(self, message: Outgoing, uuid: str, receipt: dict[str, Any]) -> bool:
        """Send a card that will be typed in; False when CardKit does not play along and it must be an ordinary one."""
        card = self._card(message.reply, message.origin, receipt)
        if check_card(card):
            return False
        if "card_id" not in receipt:
            try:
                card_id, since = await self._streams.create(card)
            except PlatformError as error:
                log.info("an answer gets an ordinary card: %s", error)
                self._note_problem(receipt)
                return False
            receipt.update(card_id=card_id, since=since)
            # Sent, then lost in a crash, it must be this card that is sent again: of two, only one would be visible.
            await message.keep(receipt)
        try:
            content = content_of(receipt["card_id"])
            message_id = await self._deliver(message.origin, "interactive", content, uuid)
        except Blocked:
            raise
        except Undelivered as error:
            log.info("CardKit's card is not taken, an ordinary one follows: %s", error)
            del receipt["card_id"], receipt["since"]
            return False
        receipt.update(message_id=message_id, type="interactive")
        return True

    async def _change(self, message: Outgoing, images: Images, receipt: dict[str, Any], passing: bool) -> None:
        """Show a reply on the card it has: by CardKit where it is one of its cards, else by replacing the message."""
        first, *rest = [message.reply] if passing else await self._parts(message, images, receipt)
        card = self._card(first, message.origin, self._with_preview(receipt) if passing else receipt)
        await self._presses.over(receipt["message_id"])
        if not await self._type(message.reply, card, receipt, passing):
            await self._client.patch(receipt["message_id"], render.dumps(card), passing=passing)
        await self._go_on(rest, message.key, message.origin, receipt)

    async def _type(self, reply: Reply, card: render.Card, receipt: dict[str, Any], passing: bool) -> bool:
        """Show it by CardKit; False when that does not take the card and the message must be replaced."""
        if "card_id" not in receipt:
            return False
        card_id, since = receipt["card_id"], receipt["since"]
        try:
            if passing and reply.streaming:
                await self._streams.type(card_id, since, card)
            else:
                await self._streams.show(card_id, since, card, passing=passing)
        except (Blocked, MessageGone):
            raise
        except (Undelivered, Unconfigured) as error:
            log.info("CardKit does not change the card, its message is replaced: %s", error)
            self._note_problem(receipt)
            return False
        return True

    def _note_problem(self, receipt: dict[str, Any]) -> None:
        """The message arrives, but somebody should know why not as it is meant to."""
        if self._streams.problem:
            receipt[PROBLEM] = self._streams.problem

    async def _go_on(self, rest: list[Reply], key: str, origin: Origin, receipt: dict[str, Any]) -> None:
        """Send the rest of a text that was too long for one message, each part once."""
        sent: dict[str, str] = receipt.setdefault("parts", {}) if rest else {}
        for number, part in enumerate(rest, 2):
            if str(number) not in sent:
                msg_type, content = self._rendered(part, origin, receipt)
                sent[str(number)] = await self._deliver(
                    origin, msg_type, content, receipts.uuid_of(f"{key}-{number}", origin)
                )

    async def _deliver(self, origin: Origin, msg_type: str, content: str, uuid: str) -> str:
        """Answer the message; if that is gone, or there was none, write into the chat or to the person."""
        receiver, kind = (origin.chat_id, "chat_id") if origin.chat_id else (origin.sender, "open_id")
        if origin.message_id:
            in_thread = bool(origin.thread_id)
            try:
                return await self._client.reply(
                    origin.message_id, receiver, msg_type, content, uuid, in_thread=in_thread
                )
            except MessageGone as gone:
                log.info("the message to answer is gone, the answer goes into its chat: %s", gone)
        return await self._client.send(receiver, kind, msg_type, content, uuid)

    async def _parts(self, message: Outgoing, images: Images, receipt: dict[str, Any]) -> list[Reply]:
        """What it takes to say the reply, its pictures uploaded."""
        await self._upload(message.reply, images, receipt)
        return render.parts(message.reply, _keys(receipt), message.origin.chat_type, self._cut)

    async def _upload(self, reply: Reply, images: Images, receipt: dict[str, Any]) -> None:
        """Upload a reply's pictures; their keys stand in `receipt` as soon as they are known."""
        keys: dict[str, str] = receipt["images"]
        for picture in reply.pictures:
            if str(picture.asset) in keys:
                continue
            try:
                data = await asyncio.to_thread(images.__getitem__, picture.asset)
            except KeyError as error:
                raise Undelivered(f"picture {picture.asset} has no file to send") from error
            keys[str(picture.asset)] = await self._client.upload_image(await receipts.within_limit(data))

    def _card(self, reply: Reply, origin: Origin, receipt: Mapping[str, Any]) -> render.Card:
        return render.card(reply, _keys(receipt), origin.chat_type, self._cut)

    def _with_preview(self, receipt: Mapping[str, Any]) -> Mapping[str, Any]:
        """With the key of what a picture looks like so far. It is for this one update: no receipt keeps it."""
        key = self._previews.key(receipt["message_id"])
        return {**receipt, "images": {**receipt["images"], str(PREVIEW): key}} if key else receipt

    def _rendered(self, reply: Reply, origin: Origin, receipt: Mapping[str, Any]) -> tuple[str, str]:
        return render.message(reply, _keys(receipt), origin.chat_type, self._cut)


def _keys(receipt: Mapping[str, Any]) -> dict[int, str]:
    return {int(asset): key for asset, key in receipt["images"].items()}


def _spread(shown: Shown) -> bool:
    """Whether its text takes several messages: shown anew in one card, the pressed one would lose a part of it."""
    return not shown.reply.pictures and len(render.parts(shown.reply, {})) > 1
