"""WeCom as one platform: whichever of its products a message came by, the answer takes the best way that is left.

A way is tried only when the one before is provably gone: a channel says so by Undelivered. Which way was taken stands
in the receipt, so that a later try, or a change of the message, takes the same one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from bot.events import ChatEvent
from bot.platforms.base import Blocked, Enclosed, Outgoing, PlatformError, Undelivered
from bot.platforms.wecom.channel import Channel, Images
from bot.platforms.wecom.places import PLATFORM, Place, Way, place_of
from storage.records import Origin

log = logging.getLogger("moqi.wecom")

WAY: Final = "way"  # in a receipt: by which product the message went
#: Seconds between two updates of one running message: a conversation takes 30 messages a minute, and perhaps counts
#: every change of a stream as one.
INTERVAL: Final = 2.0

Fetch = Callable[[ChatEvent, str, int], Awaitable[Enclosed | None]]


class WecomPlatform:
    """The robot, the app and the group robots, as far as they are enabled."""

    def __init__(self, channels: Mapping[Way, Channel], fetch: Fetch) -> None:
        """`fetch` gets the picture or file that an event points to, as Enclosing.enclosed does."""
        self._channels = channels
        self._fetch = fetch

    @property
    def name(self) -> str:
        return PLATFORM

    @property
    def reshows(self) -> bool:
        """WeCom knows no toasts, and the robot's cards can be changed for five seconds after a press only."""
        return True

    @property
    def progress_interval(self) -> float:
        return INTERVAL

    async def post(self, message: Outgoing, images: Images) -> dict[str, Any]:
        """Send a new message by the first way that takes it. Raises what the last one said."""
        return await self._post(list(ways(message.origin, self._channels)), message, images)

    async def update(self, receipt: Mapping[str, Any], message: Outgoing, images: Images) -> dict[str, Any]:
        """Change the message of `receipt` where it is; where that is gone, say an outcome by another way."""
        left = list(ways(message.origin, self._channels))
        taken = receipt[WAY]
        here = next((one for one in left if one.way == taken), None)
        if here is not None and message.receipt.get(WAY, taken) == taken:  # no earlier try had to take another
            left = left[left.index(here) + 1 :]
            try:
                return await self._by(here, lambda way, place: way.update(place, receipt, message, images))
            except Blocked:
                raise
            except Undelivered as gone:
                if _passing(message) or not left:
                    raise
                _note(here, gone)
        return await self._post(left, message, images)

    async def enclosed(self, event: ChatEvent, kind: str, limit: int) -> Enclosed | None:
        """The picture or file that a message carries or quotes. Raises PlatformError."""
        return await self._fetch(event, kind, limit)

    async def close(self) -> None:
        for channel in dict.fromkeys(self._channels.values()):
            await channel.close()

    async def _post(self, places: Sequence[Place], message: Outgoing, images: Images) -> dict[str, Any]:
        taken = message.receipt.get(WAY)  # by an earlier try: those before it are gone
        first = next((number for number, one in enumerate(places) if one.way == taken), 0)
        for number, place in enumerate(places[first:], first + 1):
            try:
                return await self._by(place, lambda way, place: way.post(place, message, images))
            except Blocked:
                raise
            except Undelivered as gone:
                if number == len(places):
                    raise
                _note(place, gone)
        raise Undelivered("nothing that is enabled in platforms.yaml (wecom) reaches this chat")

    async def _by(self, place: Place, send: Callable[[Channel, Place], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """One try; whatever comes of it, its receipt names the way."""
        try:
            receipt = await send(self._channels[place.way], place)
        except PlatformError as error:
            error.receipt = {**error.receipt, WAY: place.way.value}
            raise
        return {**receipt, WAY: place.way.value}


def ways(origin: Origin, enabled: Mapping[Way, object]) -> Iterator[Place]:
    """Where an answer to `origin` can go, the best first: where it was asked, then to the person alone. Pure."""
    place = place_of(origin)
    if place.way is not Way.ANY and place.way in enabled:
        yield place
    if place.way is Way.WEBHOOK:
        return  # what goes into a group goes to nobody else
    # To a person: the app reaches everybody in its scope, the robot only whom it has met.
    for way in (Way.APP, Way.ROBOT):
        if way in enabled and way is not place.way:
            yield Place(way=way, target=origin.sender)


def _passing(message: Outgoing) -> bool:
    """Whether it is not worth a message of its own."""
    return message.reply.state in ("queued", "running") or message.reply.tidies


def _note(place: Place, gone: Undelivered) -> None:
    log.info("not by the %s, another way follows: %s", place.way.value, gone, extra={"action": "wecom-other-way"})
