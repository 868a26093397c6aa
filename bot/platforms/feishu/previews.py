"""Previews on running cards: pictures that Feishu must have before a card can name them.

They are worth little: at most one upload a card in EVERY seconds, only while there is room in the budgets, and what
fails leaves the card with the one it has, or without.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from bot.platforms.base import PlatformError, Retry

log = logging.getLogger(__name__)

EVERY: Final = 3.0  # seconds between two uploads for one card
REFUSED: Final = 60.0  # seconds without any, after Feishu refused one (a scope is missing, say)
PATIENCE: Final = 3.0  # seconds an upload may take
CARDS: Final = 200  # cards whose preview is remembered


class Upload(Protocol):
    """FeishuClient.upload_image."""

    async def __call__(self, data: bytes, *, passing: bool = False) -> str: ...


@dataclass(slots=True)
class _Shown:
    """A card's preview."""

    jpeg: bytes
    key: str
    next: float  # when another may follow


class Previews:
    """The image key of each running card's preview, by message id. Its own clock counts seconds."""

    def __init__(self, upload: Upload, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._upload = upload
        self._clock = clock
        self._shown: OrderedDict[str, _Shown] = OrderedDict()
        self._not_before = clock()

    def key(self, message_id: str) -> str:
        """What the card shows; empty when there is nothing."""
        shown = self._shown.get(message_id)
        return shown.key if shown else ""

    async def offer(self, message_id: str, jpeg: bytes) -> None:
        """Upload it, if it is new, due and there is room. Raises nothing of Feishu's."""
        shown, now = self._shown.get(message_id), self._clock()
        if now < self._not_before or (shown and (shown.jpeg == jpeg or now < shown.next)):
            return
        try:
            async with asyncio.timeout(PATIENCE):
                key = await self._upload(jpeg, passing=True)
        except (Retry, TimeoutError) as error:
            log.debug("a preview is left out: %s", error)
            self._not_before = now + EVERY
        except PlatformError as error:
            log.info("no previews for %.0f s: %s", REFUSED, error, extra={"action": "previews-refused"})
            self._not_before = now + REFUSED
        else:
            self._shown[message_id] = _Shown(jpeg, key, now + EVERY)
            self._shown.move_to_end(message_id)
            while len(self._shown) > CARDS:
                self._shown.popitem(last=False)
