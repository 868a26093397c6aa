"""Group robots that only post: finished reservations and alerts. Implements Channel.

WeCom takes 20 messages a minute from each, and knows no key under which a message shows once: what was begun and never
answered is not sent again, and the group is told (see robot/journal.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import httpx

from bot.platforms.base import Outgoing, PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.budget import Budget
from bot.platforms.wecom import pictures, posting, render
from bot.platforms.wecom.channel import Images
from bot.platforms.wecom.places import Place
from bot.platforms.wecom.robot.codes import Busy
from bot.platforms.wecom.robot.journal import Journal
from bot.platforms.wecom.robot.pulled import picture
from bot.platforms.wecom.settings import WecomWebhook
from bot.platforms.wecom.texts import CUT, split
from bot.reply import PREVIEW, Reply
from storage.records import ChatType

if TYPE_CHECKING:  # for its name only
    from bot.replies import Words

TEXT_MAX: Final = 4096  # bytes
PICTURE_MAX: Final = 2_000_000  # bytes before base64
MINUTE: Final = 20  # messages of one group robot
PATIENCE: Final = 5.0  # seconds to wait for room; a longer wait goes back to the queue
#: Seconds: a try must end before the outbox (bot/delivery.py, LEASE) gives the message to another one.
TURN, BEGINNING = 20.0, 55.0
_MARGIN: Final = 1.05  # of a minute, for what the network pushes together
_KINDS: Final = frozenset({pictures.JPEG, pictures.PNG})
_WRONG_KEY: Final = 93000

Body = dict[str, Any]


class Webhooks:
    """The group robots of platforms.yaml, by name."""

    def __init__(
        self,
        settings: Mapping[str, WecomWebhook],
        base_url: str,
        words: Words,
        *,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`base_url`: the address of WeCom's API, for those of which only the key is known."""
        self._settings = settings
        self._base_url = base_url
        self._words = words
        self._http = http or posting.client()
        self._clock = clock
        self._sleep = sleep
        self._minute = Budget(MINUTE, 60 * _MARGIN)
        self._turns = {name: asyncio.Lock() for name in settings}

    async def post(self, place: Place, message: Outgoing, images: Images) -> dict[str, Any]:
        """Say it in the group, its pictures below. Raises PlatformError, with the receipt of what was said."""
        if place.target not in self._settings:
            raise Undelivered(f"platforms.yaml has no group robot “{place.target}” (wecom.webhooks)")
        journal = Journal(message)
        try:
            end = self._clock() + BEGINNING
            async with self._turn(place.target):
                await self._say(place.target, message.reply, images, journal, end)
        except PlatformError as error:
            await journal.failed(error)
            raise
        return journal.receipt()

    async def update(
        self, place: Place, receipt: Mapping[str, Any], message: Outgoing, images: Images
    ) -> dict[str, Any]:
        """What a group robot has said stays as it is; what does not only pass is said anew."""
        if message.reply.state in ("queued", "running") or message.reply.tidies:
            return dict(receipt)
        return await self.post(place, message, images)

    async def close(self) -> None:
        await self._http.aclose()

    @asynccontextmanager
    async def _turn(self, name: str) -> AsyncIterator[None]:
        """One message at a time in a group, so that a picture stands under its own text."""
        try:
            async with asyncio.timeout(TURN):
                await self._turns[name].acquire()
        except TimeoutError:
            raise Busy("other messages to this group are on their way", after=1.0) from None
        try:
            yield
        finally:
            self._turns[name].release()

    async def _say(self, name: str, reply: Reply, images: Images, journal: Journal, end: float) -> None:
        steps: list[tuple[str, Callable[[], Awaitable[Body]]]] = [
            (f"text-{number}", partial(_text, text))
            for number, text in enumerate(split(render.whole(reply, ChatType.GROUP), TEXT_MAX) or [CUT])
        ]
        shown = [one.asset for one in reply.pictures if one.asset != PREVIEW]
        steps += [(f"image-{asset}", partial(_image, images, asset)) for asset in shown]
        for step, made in steps:
            if journal.due(step):
                self._in_time(end)
                body = await made()
                await self._pace(name)
                await journal.take(step, partial(self._send, name, body))
        if journal.unsure:
            self._in_time(end)
            await self._pace(name)
            doubt = await _text(self._doubt(reply))
            await journal.take("unsure", partial(self._send, name, doubt), optional=True)

    def _in_time(self, end: float) -> None:
        if self._clock() > end:
            raise Retry("there is more to say than fits into one try", after=0.0)

    async def _pace(self, name: str) -> None:
        """Count a message, and wait for its turn. Raises Busy when that is far off."""
        now = self._clock()
        wait = self._minute.wait(name, now)
        if wait > PATIENCE:
            raise Busy(
                f"WeCom takes {MINUTE} messages a minute from “{name}”: the next one in {wait:.0f} s", after=wait
            )
        self._minute.take(name, now + wait)
        if wait > 0:
            await self._sleep(wait)

    async def _send(self, name: str, body: Body) -> None:
        code = await posting.post(self._http, self._address(name), body)
        if code in posting.BUSY:
            self._minute.hold(name, self._clock() + posting.BUSY[code])
            raise Busy(f"WeCom {code}: “{name}” is to wait", after=posting.BUSY[code])
        if code:
            error = _error(name, code)
            error.code = code
            raise error

    def _address(self, name: str) -> str:
        written = self._settings[name].url.get_secret_value()
        key = self._settings[name].key
        return written if "://" in written else f"{self._base_url}/cgi-bin/webhook/send?key={key}"

    def _doubt(self, reply: Reply) -> str:
        return self._words.say("webhook.unsure.job", job=reply.job) if reply.job else self._words.say("webhook.unsure")


async def _text(text: str) -> Body:
    return {"msgtype": "markdown_v2", "markdown_v2": {"content": text}}


async def _image(images: Images, asset: int) -> Body:
    """A picture of at most 2 MB: a large PNG goes as a JPEG."""
    try:
        data = await asyncio.to_thread(images.__getitem__, asset)
    except (LookupError, OSError) as error:
        raise Undelivered(f"picture {asset} has no file to send") from error
    data, _ = await pictures.fitting(data, PICTURE_MAX, _KINDS)
    return {"msgtype": "image", "image": await asyncio.to_thread(picture, data)}


def _error(name: str, code: int) -> PlatformError:
    if code == _WRONG_KEY:
        return Unconfigured(
            f"WeCom {code}: the group robot “{name}” is not known (any more): copy its address again from the group's"
            f" settings (群设置 > 消息推送) into wecom.webhooks.{name} of platforms.yaml, or take it out there"
        )
    return Undelivered(f"WeCom {code}: the group of “{name}” does not take this message")
