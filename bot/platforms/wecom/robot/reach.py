"""What this process can reach through the robot now: its connection, the messages that can be answered over it, pace.

A message is answered with the req_id it came with, over the connection it came by, and with one stream. A connection
that ends takes all of that with it: what is said later is sent by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from bot.platforms.base import Elsewhere, PlatformError
from bot.platforms.budget import Budget
from bot.platforms.wecom.places import Place
from bot.platforms.wecom.robot import frames
from bot.platforms.wecom.robot.codes import Busy
from bot.platforms.wecom.robot.frames import Body, Frame

PATIENCE: Final = 5.0  # seconds to wait for room in a conversation; a longer wait goes back to the queue
WINDOW: Final = 4.5  # seconds in which a welcome or a pressed card is answered: WeCom counts 5 from its side
MESSAGE_WINDOW: Final = 23 * 3600.0  # in which a message is: WeCom allows 24 hours
REMEMBERED: Final = 10_000  # messages
MINUTE, HOUR = 30, 1000  # messages of one conversation
PASSING_MINUTE, PASSING_HOUR = 18, 600  # of which so many may be progress
UPLOADS_MINUTE, UPLOADS_HOUR = 30, 1000  # files of the robot
_MARGIN: Final = 1.05  # of a window, for what the network pushes together


class CallKind(StrEnum):
    """What can be answered, and how."""

    MESSAGE = "message"  # by a stream
    ENTERED = "entered"  # by a welcome
    PRESS = "press"  # by the pressed card anew


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """Something that came over this connection and waits for its one answer."""

    kind: CallKind
    req_id: str
    at: float  # of the monotonic clock


class Line(Protocol):
    """The connection, as far as something can be asked over it."""

    def unavailable(self) -> PlatformError | None: ...

    async def ask(self, cmd: str, body: Body | None = None, *, req_id: str = "") -> Frame: ...


def interval(sent: int) -> float:
    """Seconds between two passing updates of a conversation that had `sent` messages in the last minute.

    The first ones follow quickly, as an answer is written; the budget of a minute then still lasts for a minute.
    """
    return 0.8 + sent / 3


class Reach:
    """The door to the robot's connection. Nothing is asked but through it."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._calls: dict[str, Call] = {}
        self._minute = Budget(MINUTE, 60 * _MARGIN, passing=PASSING_MINUTE)
        self._hour = Budget(HOUR, 3600 * _MARGIN, passing=PASSING_HOUR)
        self._uploads = (Budget(UPLOADS_MINUTE, 60 * _MARGIN), Budget(UPLOADS_HOUR, 3600 * _MARGIN))
        self._passed: dict[str, float] = {}  # when a conversation was last sent progress
        self.line: Line | None = None
        self.session = 0  # counts connections: what came by an earlier one cannot be answered

    def renew(self) -> None:
        """A new connection: nothing that came before can be answered over it."""
        self._calls.clear()
        self.session += 1

    def note(self, message_id: str, req_id: str, kind: CallKind) -> None:
        """Something came that can be answered; a message that comes again, by the req_id it came with last."""
        while len(self._calls) >= REMEMBERED:
            del self._calls[next(iter(self._calls))]
        self._calls[message_id] = Call(kind=kind, req_id=req_id, at=self._clock())

    def call(self, message_id: str, kind: CallKind) -> Call | None:
        """What can still be answered in this way."""
        found = self._calls.get(message_id)
        window = MESSAGE_WINDOW if kind is CallKind.MESSAGE else WINDOW
        if found is None or found.kind is not kind or self._clock() - found.at > window:
            return None
        return found

    def used(self, message_id: str) -> None:
        """It is answered: a second answer is refused."""
        self._calls.pop(message_id, None)

    def check(self) -> None:
        """Raise Elsewhere, or Unconfigured, when nothing can be asked from here."""
        error = Elsewhere("the robot's connection is not here") if self.line is None else self.line.unavailable()
        if error is not None:
            raise error

    async def ask(self, cmd: str, body: Body) -> Frame:
        """Ask over the connection, whatever the pace. Raises what Connection.ask raises."""
        return await self._ask(cmd, body, "")

    async def respond(self, cmd: str, body: Body, call: Call, place: Place) -> Frame:
        """Answer what came. Wait with `pace` first. Raises what Connection.ask raises."""
        with self._heeding(place):
            return await self._ask(cmd, body, call.req_id)

    async def send(self, place: Place, body: Body) -> Frame:
        """Send a message that is no answer. Wait with `pace` first. Raises what Connection.ask raises."""
        with self._heeding(place):
            return await self._ask(frames.SEND, frames.sent_to(place, body), "")

    async def pace(self, place: Place) -> None:
        """Count a message that matters, and wait for its turn. Raises Busy when that is far off."""
        await self._turn([(self._minute, place.target), (self._hour, place.target)])

    async def pace_upload(self) -> None:
        """Count a file, and wait for its turn. Raises Busy when that is far off."""
        await self._turn([(budget, "") for budget in self._uploads])

    def pace_passing(self, place: Place) -> None:
        """Count a message that only passes. Raises Busy when there is no room for it now."""
        now, key = self._clock(), place.target
        rest = self._passed.get(key, -1e9) + interval(self._minute.used(key, now)) - now
        if rest > 0 or not (self._minute.room(key, now) and self._hour.room(key, now)):
            raise Busy("the part of a conversation's messages that progress may use is used up", after=max(rest, 0.2))
        if len(self._passed) > REMEMBERED:
            self._passed = {place: at for place, at in self._passed.items() if at + 60 > now}
        self._passed[key] = now
        self._minute.take(key, now)
        self._hour.take(key, now)

    async def _ask(self, cmd: str, body: Body, req_id: str) -> Frame:
        self.check()
        assert self.line is not None
        return await self.line.ask(cmd, body, req_id=req_id)

    @contextmanager
    def _heeding(self, place: Place) -> Iterator[None]:
        """Leave a conversation alone for a while when WeCom says that it has had enough."""
        try:
            yield
        except Busy as error:
            self._minute.hold(place.target, self._clock() + (error.after or 0.0))
            raise

    async def _turn(self, budgets: list[tuple[Budget, str]]) -> None:
        now = self._clock()
        wait = max(budget.wait(key, now) for budget, key in budgets)
        if wait > PATIENCE:
            raise Busy(f"as many messages as WeCom allows are on their way, {wait:.0f} s of them", after=wait)
        for budget, key in budgets:
            budget.take(key, now + wait)
        if wait > 0:
            await self._sleep(wait)
