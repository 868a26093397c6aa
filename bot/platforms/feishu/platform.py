"""Feishu as a ChatPlatform: events of the webhook or the long connection in, cards and texts out."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from bot.events import ChatEvent
from bot.platforms.base import Outgoing, PlatformError, Undelivered
from bot.platforms.feishu import render, wire
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.codes import MessageGone
from bot.platforms.feishu.decode import PLATFORM, Ignored
from bot.platforms.feishu.settings import FeishuSettings, Mode
from storage.records import ChatType, Origin, utcnow

log = logging.getLogger(__name__)

MAX_IMAGE_BYTES: Final = 10_000_000  # Feishu takes 10 MB
_IDENTITY_PATIENCE: Final = 1.0  # seconds an event may wait for the bot's own id; Feishu waits 3 s for the answer
_IDENTITY_PAUSE: Final = timedelta(seconds=30)  # until asking again after a failure

Accept = Callable[[ChatEvent], Awaitable[object]]  # keeps the event for good; when it raises, Feishu comes again
Act = Callable[[ChatEvent], Awaitable[tuple[str, str]]]  # (info|success|warning|error, words) for the presser
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
        name: str = PLATFORM,
    ) -> None:
        """`cut` ends a text which was too long for a card; `name` is the platform of its people and chats."""
        self.name = name
        self._settings = settings
        self._client = client or FeishuClient(settings)
        self._now = now
        self._cut = cut
        self._bot = ""  # our own open_id
        self._identifying: asyncio.Task[None] | None = None
        self._ask_after = now()

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
        except wire.WireError as error:
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
        except wire.WireError as error:  # sent again it would be the same: acknowledged, and the operator hears of it
            log.warning("%s: acknowledged and dropped an event: %s: %s", self.name, type(error).__name__, error)
            return None
        return await self._deal(received, accept, act)

    @property
    def path(self) -> str:
        """Where the webhook of this app stands."""
        suffix = self.name.removeprefix(PLATFORM).removeprefix("-")
        return f"/feishu/{suffix}/events" if suffix else "/feishu/events"

    @property
    def dials(self) -> bool:
        """Whether events come over a long connection that we open."""
        return self._settings.mode is Mode.LONG_CONNECTION

    @property
    def settings(self) -> FeishuSettings:
        """What the operator set for this app."""
        return self._settings

    @property
    def client(self) -> FeishuClient:
        """The app's one door to Feishu's API, with its token and its budgets."""
        return self._client

    @property
    def bot(self) -> str:
        """The bot's own open_id; empty while unknown."""
        return self._bot

    async def identify(self) -> None:
        """Learn the bot's own open_id, by which it recognises its mention; after a failure not again for a while."""
        if (asking := self._start_identifying()) is not None:
            await asyncio.shield(asking)

    async def post(self, message: Outgoing, images: Images) -> dict[str, Any]:
        """Answer `message.origin`; repeating it under the same key within an hour shows nothing twice."""
        return await self._post(message, images, _uuid(message.key, message.origin), _joined(message.receipt))

    async def update(self, receipt: Mapping[str, Any], message: Outgoing, images: Images) -> dict[str, Any]:
        """Change the card of `receipt`; where that is gone, too old or a text, say an outcome in a new message."""
        known = _joined(message.receipt, receipt)
        passing = message.reply.state in ("queued", "running")  # not worth a message of its own
        if known.get("type") == "interactive":
            try:
                async with _Keeping(known):
                    _, content = await self._content(message, images, known, card=True)
                    await self._client.patch(known["message_id"], content)
                return known
            except MessageGone as gone:
                if passing:
                    raise
                log.info("a card cannot be changed any more, a new message follows: %s", gone)
        elif passing:
            raise Undelivered("a text cannot show progress")
        return await self._post(message, images, _uuid(f"{message.key}-n", message.origin), known)

    async def close(self) -> None:
        if self._identifying is not None:
            self._identifying.cancel()
            await asyncio.gather(self._identifying, return_exceptions=True)
        await self._client.close()

    async def _deal(self, received: wire.Received, accept: Accept, act: Act) -> dict[str, Any] | None:
        match received:
            case wire.Event(event=event) if event.kind == "action":
                return wire.answer_toast(*await act(event))
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

    async def _post(self, message: Outgoing, images: Images, uuid: str, receipt: dict[str, Any]) -> dict[str, Any]:
        async with _Keeping(receipt):
            msg_type, content = await self._content(message, images, receipt)
            message_id = await self._deliver(message.origin, msg_type, content, uuid)
            receipt.update(message_id=message_id, type=msg_type)
        return receipt

    async def _deliver(self, origin: Origin, msg_type: str, content: str, uuid: str) -> str:
        """Answer the message; if that is gone, or there was none, write into the chat or to the person."""
        receiver, kind = (origin.chat_id, "chat_id") if origin.chat_id else (origin.sender, "open_id")
        if origin.message_id:
            try:
                return await self._client.reply(origin.message_id, receiver, msg_type, content, uuid)
            except MessageGone as gone:
                log.info("the message to answer is gone, the answer goes into its chat: %s", gone)
        return await self._client.send(receiver, kind, msg_type, content, uuid)

    async def _content(
        self, message: Outgoing, images: Images, receipt: dict[str, Any], card: bool = False
    ) -> tuple[str, str]:
        """(msg_type, content) with its pictures uploaded; their keys stand in `receipt` as soon as they are known."""
        keys: dict[str, str] = receipt["images"]
        for picture in message.reply.pictures:
            if str(picture.asset) in keys:
                continue
            try:
                data = images[picture.asset]
            except KeyError as error:
                raise Undelivered(f"picture {picture.asset} has no file to send") from error
            keys[str(picture.asset)] = await self._client.upload_image(await _within_limit(data))
        known = {int(asset): key for asset, key in keys.items()}
        if card:
            return "interactive", render.dumps(render.card(message.reply, known, message.origin.chat_type, self._cut))
        return render.message(message.reply, known, message.origin.chat_type, self._cut)


class _Keeping:
    """Puts the pictures uploaded so far into a PlatformError that leaves the block: they need no second upload."""

    def __init__(self, receipt: dict[str, Any]) -> None:
        self._receipt = receipt

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PlatformError):
            error.receipt = {"images": dict(self._receipt["images"])}


def _joined(*receipts: Mapping[str, Any]) -> dict[str, Any]:
    """One receipt of several, later ones winning, with all their image keys; the originals stay as they are."""
    joined = {name: value for receipt in receipts for name, value in receipt.items()}
    images = {asset: key for receipt in receipts for asset, key in receipt.get("images", {}).items()}
    return {**joined, "images": images}


async def _within_limit(data: bytes) -> bytes:
    if len(data) <= MAX_IMAGE_BYTES:
        return data
    from inference.images.finish import to_chat_jpeg

    return await asyncio.to_thread(to_chat_jpeg, data, MAX_IMAGE_BYTES)


def _uuid(key: str, origin: Origin) -> str:
    """The idempotency key as Feishu takes it: at most 50 characters, the same at every try.

    Our keys count from 1 in every new data folder, and Feishu remembers an hour: without the message that is answered,
    a fresh installation would repeat the keys of the one before and its first answers would be swallowed.
    """
    whole = "/".join((key, origin.chat_id, origin.message_id, origin.sender))
    return f"{key[:33]}-{hashlib.sha256(whole.encode()).hexdigest()[:16]}"
