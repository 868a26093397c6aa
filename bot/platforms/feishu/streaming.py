"""Answers that type along: one writer per card, sequences that only rise, and a card that never stays "being written".

The next sequence needs no row of its own: it is the hundredths of a second since the card was made, so whoever comes
after a crash counts on above everything said before. Should a clock have been set back, the card says so (Stale), and
the sequence leaps ahead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bot.platforms.base import PlatformError, Unconfigured, Undelivered
from bot.platforms.feishu.cardkit import PRINTING, CardKit
from bot.platforms.feishu.codes import CardRefused, Stale, StreamClosed
from bot.platforms.feishu.render import TEXT, Card

log = logging.getLogger(__name__)

OPEN: Final = 540.0  # seconds after which the typing is switched on anew: Feishu switches it off after ten minutes
LEAP: Final = 2**24  # added to a sequence that was too low: more than a clock is ever wrong by
LEAPS: Final = 3
PARTING: Final = 2.0  # seconds that the last state of open cards may take when the program stops
WITHOUT: Final = 600.0  # seconds for which CardKit is not tried after it was refused altogether
REMEMBERED: Final = 1000  # cards; a card forgotten here goes on by its clock


@dataclass(slots=True)
class Stream:
    """A card in this process' hands."""

    last: int = 0  # the highest sequence used
    opened: float | None = None  # when typing was switched on; None = it is off
    card: Card = field(default_factory=dict)  # as it was last said as a whole
    text: str = ""  # what stands in its text element
    refused: str = ""  # why nothing more is typed in it
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)


class Streams:
    """The cards of answers. Methods raise what CardKit's calls raise, and CardRefused while it is not even tried."""

    def __init__(
        self,
        kit: CardKit,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._kit = kit
        self._clock = clock
        self._wall = wall
        self._streams: dict[str, Stream] = {}
        self._without_until = 0.0
        self.problem = ""  # why CardKit is not tried at the moment, for an operator

    async def create(self, card: Card) -> tuple[str, float]:
        """A new card and the instant from which its sequences are counted."""
        async with self._allowed():
            return await self._kit.create(card), self._wall()

    async def type(self, card_id: str, since: float, card: Card) -> None:
        """Let the text of `card` be typed; dropped (Busy) when there is no room for progress."""
        stream = self._stream(card_id)
        async with stream.writing, self._allowed(stream):
            text = text_of(card)
            if stream.opened is None or _frame(card) != _frame(stream.card):
                await self._whole(stream, card_id, since, _typing(card), passing=True)
                stream.opened = self._clock()
            elif text != stream.text:
                await self._write(stream, card_id, since, text)
            stream.text = text

    async def show(self, card_id: str, since: float, card: Card, *, passing: bool) -> None:
        """Replace the whole card and end the typing: only this takes "being written" out of the chat list."""
        stream = self._stream(card_id)
        async with stream.writing, self._allowed():
            await self._whole(stream, card_id, since, card, passing=passing)
            stream.opened, stream.text = None, text_of(card)
        if not passing:
            self._streams.pop(card_id, None)

    async def close(self) -> None:
        """End the typing of every card that is open; what is lost here ends by itself, or with the outcome."""
        open_cards = [(card_id, stream) for card_id, stream in self._streams.items() if stream.opened is not None]
        endings = [self._part(card_id, stream) for card_id, stream in open_cards]
        _, late = await asyncio.wait(map(asyncio.create_task, endings), timeout=PARTING) if endings else ((), ())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    @asynccontextmanager
    async def _allowed(self, typed: Stream | None = None) -> AsyncIterator[None]:
        """Call CardKit, unless it has refused that just now: five times a second would be no better."""
        if why := self.problem if self._clock() < self._without_until else typed.refused if typed else "":
            raise CardRefused(f"not tried again: {why}")
        try:
            yield
        except Unconfigured as error:
            self.problem, self._without_until = str(error), self._clock() + WITHOUT
            raise
        except Undelivered as error:
            if typed is not None:
                typed.refused = str(error)
            raise
        self.problem = ""

    async def _part(self, card_id: str, stream: Stream) -> None:
        card = with_text({**stream.card, "config": _quiet(stream.card)}, stream.text)
        try:
            await self._whole(stream, card_id, self._wall(), card, passing=False)
        except PlatformError as error:
            log.info("card %s is left being written: %s", card_id, error)

    async def _write(self, stream: Stream, card_id: str, since: float, text: str) -> None:
        if stream.opened is not None and self._clock() - stream.opened >= OPEN:
            await self._reopen(stream, card_id, since)
        try:
            await self._content(stream, card_id, since, text)
        except StreamClosed:
            await self._reopen(stream, card_id, since)
            await self._content(stream, card_id, since, text)

    async def _content(self, stream: Stream, card_id: str, since: float, text: str) -> None:
        await self._say(stream, since, lambda n: self._kit.content(card_id, TEXT, text, n, passing=True))

    async def _reopen(self, stream: Stream, card_id: str, since: float) -> None:
        await self._say(stream, since, lambda n: self._kit.reopen(card_id, n, passing=True))
        stream.opened = self._clock()

    async def _whole(self, stream: Stream, card_id: str, since: float, card: Card, *, passing: bool) -> None:
        await self._say(stream, since, lambda n: self._kit.put(card_id, card, n, passing=passing))
        stream.card = card

    async def _say(self, stream: Stream, since: float, say: Callable[[int], Awaitable[None]]) -> None:
        for leap in range(LEAPS + 1):
            stream.last = max(stream.last + 1, int((self._wall() - since) * 100) + 1)
            try:
                await say(stream.last)
            except Stale:
                if leap == LEAPS:
                    raise
                stream.last += LEAP
            else:
                return

    def _stream(self, card_id: str) -> Stream:
        while len(self._streams) >= REMEMBERED and card_id not in self._streams:
            del self._streams[next(iter(self._streams))]
        return self._streams.setdefault(card_id, Stream())


def text_of(card: Card) -> str:
    """What stands in a card's text element."""
    return next((str(item["content"]) for item in card["body"]["elements"] if item.get("element_id") == TEXT), "")


def with_text(card: Card, text: str) -> Card:
    """The card with another text."""
    elements = [{**item, "content": text} if item.get("element_id") == TEXT else item for item in _elements(card)]
    return {**card, "body": {**card["body"], "elements": elements}}


def _frame(card: Card) -> tuple[object, object]:
    """Everything of a card but its text and what the chat list says."""
    return card.get("header"), with_text(card, "")["body"]


def _elements(card: Card) -> list[dict[str, object]]:
    return list(card["body"]["elements"])


def _typing(card: Card) -> Card:
    return {**card, "config": {**card["config"], "streaming_mode": True, "streaming_config": PRINTING}}


def _quiet(card: Card) -> dict[str, object]:
    return {name: value for name, value in card["config"].items() if not name.startswith("streaming_")}
