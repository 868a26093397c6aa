"""One at a time may take or free memory of a card: a lock with an owner's name, for the event loop and for threads.

vLLM asserts, while it starts and while it falls asleep, that nobody else's memory on the card shrinks or grows: a
picture drawn in that moment ends its process. So whoever starts, sleeps, wakes, loads, draws or unloads holds the gate
meanwhile. It is given in the order in which it was asked for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from inference.errors import GpuBusy

log = logging.getLogger(__name__)

PATIENCE = 900.0  # seconds: the first start of a language model may compile for minutes
TELLING = 60.0  # seconds between two lines in the log about somebody who waits


@dataclass(eq=False, slots=True)
class _Turn:
    """Somebody's place in the line."""

    owner: str
    given: Future[None] = field(default_factory=Future)


class Gate:
    """Of one card."""

    def __init__(
        self,
        *,
        patience: float = PATIENCE,
        telling: float = TELLING,
        changed: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`patience`: seconds that somebody waits at most. `changed` is called on any thread with each new owner."""
        self._patience, self._telling, self._changed, self._clock = patience, telling, changed, clock
        self._lock = threading.Lock()
        self._line: deque[_Turn] = deque()  # the first has it
        self._since = clock()
        self._open = False  # for everybody: the program ends

    @property
    def owner(self) -> str | None:
        """Who has it; None = nobody."""
        with self._lock:
            return self._line[0].owner if self._line else None

    @property
    def waiting(self) -> tuple[str, ...]:
        """Who waits, in order."""
        with self._lock:
            return tuple(turn.owner for turn in list(self._line)[1:])

    def of(self, owner: str) -> Callable[[str], AbstractAsyncContextManager[None]]:
        """The gate as one owner holds it, from the event loop, for one purpose or another."""
        return lambda purpose: self.hold(f"{owner} ({purpose})")

    @asynccontextmanager
    async def hold(self, owner: str) -> AsyncIterator[None]:
        """Hold it, from the event loop. Raises GpuBusy. Whoever has it must not ask again."""
        turn = self._ask(owner)
        try:
            given = asyncio.wrap_future(turn.given)
            for seconds in self._slices(turn):
                await asyncio.wait({given}, timeout=seconds)
            yield
        finally:
            self._leave(turn)

    @contextmanager
    def held(self, owner: str) -> Iterator[None]:
        """The same from a thread of one's own, which waits."""
        turn = self._ask(owner)
        try:
            for seconds in self._slices(turn):
                try:
                    turn.given.result(timeout=seconds)
                except TimeoutError:
                    pass  # it is looked at again, and told
            yield
        finally:
            self._leave(turn)

    def close(self) -> None:
        """Let everybody through from now on: the program ends, and what frees memory must not wait for anybody."""
        with self._lock:
            self._open = True
            for turn in self._line:
                _give(turn)

    def _ask(self, owner: str) -> _Turn:
        turn = _Turn(owner)
        with self._lock:
            self._line.append(turn)
            first = self._line[0] is turn
            if first:
                self._since = self._clock()
            if first or self._open:
                _give(turn)
        if first:
            self._changed()
        return turn

    def _slices(self, turn: _Turn) -> Iterator[float]:
        """Seconds to wait, again and again, until it is `turn`'s. Raises GpuBusy when that takes too long."""
        began = self._clock()
        while not turn.given.done():
            waited = self._clock() - began
            if waited >= self._patience:
                problem = f"The GPU was not free within {self._patience:.0f} s for {turn.owner}: {self._held()}."
                raise GpuBusy(problem, "If that does not end, restart Moqi.")
            if waited >= self._telling:
                said = f"{turn.owner} has waited for the GPU for {waited:.0f} s: {self._held()}"
                log.warning("%s", said, extra={"action": "gpu-waits"})
            yield min(self._telling, self._patience - waited)

    def _held(self) -> str:
        with self._lock:
            owner, seconds = self._line[0].owner, self._clock() - self._since
        return f"{owner} has had it for {seconds:.0f} s"

    def _leave(self, turn: _Turn) -> None:
        """Give it to the next; whoever leaves while waiting leaves no gap."""
        with self._lock:
            had = self._line[0] is turn
            self._line.remove(turn)
            if had:
                self._since = self._clock()
                if self._line:
                    _give(self._line[0])
        if had:
            self._changed()


def _give(turn: _Turn) -> None:
    if not turn.given.done():
        turn.given.set_result(None)
