"""What happens right now, for those who watch: steps, pieces of an answer, changes of the queue.

In memory only. Losing all of it loses nothing: the row is the truth, this only saves looking at it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """One thing that happened to a running job."""

    job: int
    user_id: int
    done: int = 0  # steps finished
    total: int = 0
    text: str = ""  # the answer so far (all of it, so a late watcher misses nothing)
    ended: bool = False  # the job reached its outcome; the rest is in its row


class ProgressFeed:
    """Publish from anywhere, watch from the event loop. Keeps the latest state of each running job."""

    def __init__(self) -> None:
        self._latest: dict[int, Progress] = {}
        self._watchers: set[asyncio.Queue[Progress]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Name the loop that watchers live on; before that, publishing only remembers."""
        self._loop = loop

    def publish(self, item: Progress) -> None:
        """Tell the watchers. Safe to call from any thread, never blocks."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._spread, item)

    def latest(self, job_id: int) -> Progress | None:
        """The last thing known of a running job."""
        return self._latest.get(job_id)

    @contextmanager
    def _watching(self) -> Iterator[asyncio.Queue[Progress]]:
        queue: asyncio.Queue[Progress] = asyncio.Queue(maxsize=1000)
        self._watchers.add(queue)
        try:
            yield queue
        finally:
            self._watchers.discard(queue)

    async def watch(self) -> AsyncIterator[Progress]:
        """Everything published from now on."""
        with self._watching() as queue:
            while True:
                yield await queue.get()

    def _spread(self, item: Progress) -> None:
        if item.ended:
            self._latest.pop(item.job, None)
        else:
            self._latest[item.job] = item
        for queue in self._watchers:
            if queue.full():  # a watcher that fell behind loses the oldest, never the newest
                queue.get_nowait()
            queue.put_nowait(item)


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
