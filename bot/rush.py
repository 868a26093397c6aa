"""Acknowledging comes first: while events pour in, the work behind them takes turns instead of competing.

A platform waits three seconds for its acknowledgement and then sends again; an answer may take longer. Without this,
sixteen senders at once got a quarter of the acknowledgements a second, and waited up to a third of a second for one.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque

CROWD = 16  # events …
SPAN = 0.05  # … within so many seconds are a rush: 320 a second
TURN = 0.025  # seconds between two pieces of work in a rush: 40 a second go on, whatever comes in


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
        """Return at once in ordinary times; in a rush one caller after the other."""
        if self.on or self._line.locked():
            async with self._line:
                if self.on:
                    await asyncio.sleep(TURN)
