"""Acknowledging comes first: while events pour in, the work behind them takes turns instead of competing.

A platform waits three seconds for its acknowledgement and then sends again; an answer may take longer. Without this,
sixteen senders at once got a quarter of the acknowledgements a second, and waited up to a third of a second for one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

CROWD = 16  # events …
SPAN = 0.2  # … within so many seconds are a rush: 80 a second
CALM = 0.010  # seconds without an arrival in which a piece of work may slip in
TURN = 0.02  # seconds that it waits for such a moment at most: 50 a second go on, whatever comes in


class Rush:
    """Counts arrivals and slows work down. Used from the event loop only."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=CROWD)
        self._line = asyncio.Lock()

    def arrived(self) -> None:
        """An event has come in."""
        self._last.append(time.monotonic())

    @property
    def on(self) -> bool:
        """Whether events are pouring in right now."""
        return len(self._last) == CROWD and time.monotonic() - self._last[0] < SPAN

    async def turn(self) -> None:
        """Return at once in ordinary times; in a rush one caller after the other, between two waves of arrivals."""
        if self.on or self._line.locked():
            async with self._line:
                await self._calm()

    async def _calm(self) -> None:
        until = time.monotonic() + TURN
        while self.on and self._since_last() < CALM and time.monotonic() < until:  # noqa: ASYNC110 - see below
            await asyncio.sleep(CALM)  # no event can say that nothing has come for a while

    def _since_last(self) -> float:
        return time.monotonic() - self._last[-1]
