"""What happens right now, for those who watch: steps, pieces of an answer, changes of the queue.

In memory only. Losing all of it loses nothing: the row is the truth, this only saves looking at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """One thing that happened to a running job."""

    job: int
    user_id: int
    done: int = 0  # steps finished
    total: int = 0
    text: str = ""  # the answer so far (all of it, so a late watcher misses nothing)
    preview: bytes = field(default=b"", repr=False)  # a small JPEG of the unfinished picture, the latest
    ended: bool = False  # the job reached its outcome; the rest is in its row


class ProgressFeed:
    """Publish from anywhere, listen in the event loop. Keeps the latest state of each running job."""

    def __init__(self) -> None:
        self._latest: dict[int, Progress] = {}
        self._listeners: list[Callable[[Progress], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that listeners are called in; before that, nothing is told."""
        self._loop = loop

    def publish(self, item: Progress) -> None:
        """Tell the listeners. Safe to call from any thread, never blocks."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, item)

    def latest(self, job_id: int) -> Progress | None:
        """The last thing known of a running job."""
        return self._latest.get(job_id)

    @contextmanager
    def listening(self, hear: Callable[[Progress], None]) -> Iterator[None]:
        """Call `hear` with everything published from now on; it must return at once.

        A call, not a queue: each turn of the event loop takes the interpreter from the engine, at every step.
        """
        self._listeners.append(hear)
        try:
            yield
        finally:
            self._listeners.remove(hear)

    def _spread(self, item: Progress) -> None:
        if item.ended:
            self._latest.pop(item.job, None)
        else:
            self._latest[item.job] = item
        for hear in self._listeners:
            hear(item)


class Signal:
    """A wake-up that may be given from any thread; several before the next wait count as one."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop the waiter lives on."""
        self._loop = loop

    def give(self) -> None:
        """Wake the waiter."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self, seconds: float) -> bool:
        """Until the next wake-up (True), or that many seconds: the row is the truth, a lost hint only costs time."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True
