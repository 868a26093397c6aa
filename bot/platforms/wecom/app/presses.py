"""Pressed cards: what a button says is done once, before WeCom is answered; what its card then shows follows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

from bot.context import Pressed, Shown
from bot.events import ChatEvent
from bot.platforms.base import PlatformError, Retry, Undelivered
from bot.platforms.inbound import Act
from bot.platforms.wecom import render

log = logging.getLogger(__name__)

REMEMBERED: Final = 1000  # presses and cards
_AGAIN: Final = (0.5, 2.0)  # seconds before each further try

#: Changes a card: (member, code, card or None, title).
Replace = Callable[[str, str, render.Card | None, str], Awaitable[None]]
Say = Callable[[str, str], Awaitable[None]]  # (member, text)


class Presses:
    """Answers presses, and keeps their answers from covering what is newer."""

    def __init__(self, replace: Replace, say: Say, code_of: Callable[[Mapping[str, Any]], str]) -> None:
        """`code_of` finds the code of its own that a receipt's card has."""
        self._replace = replace
        self._say = say
        self._code_of = code_of
        self._dealt: dict[str, None] = {}  # presses that were dealt with: WeCom repeats those, too
        self._changes: dict[str, int] = {}  # by task_id: how often its card was changed by an outcome
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # one writer per card
        self._under_way: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def outcome(self, task: str) -> AsyncIterator[None]:
        """Change a card by something newer than any press before."""
        async with self._turn(task):
            remember(self._changes, task, self._changes.get(task, 0) + 1)
            yield

    async def take(self, event: ChatEvent, code: str, act: Act) -> None:
        """Do what a button says, once. `code` changes the card, once."""
        if event.key in self._dealt:
            return
        remember(self._dealt, event.key, None)
        changes = self._changes.get(event.origin.message_id, 0)
        answer = asyncio.create_task(self._answer(event, code, await act(event), changes))
        self._under_way.add(answer)
        answer.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Give up what is not answered yet."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _answer(self, event: ChatEvent, code: str, pressed: Pressed, changes: int) -> None:
        """Show on the pressed card what became of it, else say it."""
        text, shown = pressed.text, pressed.shown
        try:
            if shown is not None:
                if await self._reshow(event, code, text, shown, changes):
                    return
                text = text or shown.reply.title
            if text:
                await self._say(event.origin.sender, text)
        except PlatformError as error:
            log.warning("the answer to press %s is lost: %s", event.key, error, extra={"action": "press-unanswered"})

    async def _reshow(self, event: ChatEvent, code: str, text: str, shown: Shown, changes: int) -> bool:
        """Show the card anew, with what the press did; False when it cannot be changed."""
        task, reply = event.origin.message_id, shown.reply
        card = render.card(reply, task, notice=text)
        async with self._turn(task):
            if self._changes.get(task, 0) != changes:
                return True  # it shows an outcome by now, which is newer than what we would show
            for each in filter(None, (code, self._code_of(shown.receipt))):
                try:
                    await _patiently(partial(self._replace, event.origin.sender, each, card, reply.title))
                    return True
                except Undelivered as refused:
                    log.info("a pressed card cannot be changed: %s", refused)
        return False

    def _turn(self, task: str) -> asyncio.Lock:
        return self._turns.setdefault(task, asyncio.Lock())


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    for pause in _AGAIN:
        try:
            return await work()
        except Retry as error:
            log.info("answering a press again: %s", error)
            await asyncio.sleep(pause)
    return await work()


def remember(known: dict[str, Any], name: str, value: Any) -> None:
    """Keep something under a name, and the latest REMEMBERED of all."""
    known.pop(name, None)
    known[name] = value
    while len(known) > REMEMBERED:
        del known[next(iter(known))]
