"""A language model that runs in a process of its own, kept running: started, started again when it dies, put to sleep.

Questions never wait for a process that died: they get EngineDown at once, whoever asked falls back to the passages,
and the engine is started again behind them, sooner or later (`pause`) as it keeps dying.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from enum import StrEnum
from typing import Protocol

from inference.errors import EngineDown, InferenceError, TextError
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.model import TextCard

log = logging.getLogger(__name__)

FIRST_START = 45.0  # seconds that a question waits for the first start; then it gets what there is without
STEADY = 300.0  # seconds: one that ran so long was no failed start
SHORTEST, LONGEST = 1.0, 120.0  # seconds between two starts

#: Held while the engine starts, falls asleep or wakes: nobody else may change the GPU's memory then. Its argument says
#: what for.
Gate = Callable[[str], AbstractAsyncContextManager[None]]


class EngineState(StrEnum):
    """Where the engine stands."""

    STARTING = "starting"  # for the first time, or again
    READY = "ready"
    ASLEEP = "asleep"  # its memory is lent; the next question wakes it
    DOWN = "down"  # it could not be started, `problem` says why; it will be tried again
    CLOSED = "closed"


class RunningEngine(Protocol):
    """An engine that runs, until it dies or is closed."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        """As ChatModel.stream. Raises EngineDown where it died."""

    async def died(self) -> None:
        """Return when it has died."""

    async def sleep(self) -> None: ...

    async def wake(self) -> None: ...

    async def close(self) -> None:
        """End its process, dead or alive."""


def pause(failures: int) -> float:
    """Seconds until the next start, after so many failures one after another."""
    return float(min(LONGEST, SHORTEST * 2 ** min(failures - 1, 20))) if failures else 0.0


class SupervisedModel:
    """A ChatModel of an engine that may die. Safe for concurrent streams on one event loop."""

    def __init__(
        self,
        card: TextCard,
        start: Callable[[], Awaitable[RunningEngine]],
        *,
        gate: Gate | None = None,
        clock: Callable[[], float] = time.monotonic,
        pauses: Callable[[int], float] = pause,
        patience: float = FIRST_START,
    ) -> None:
        """`start` makes a running engine, and raises TextError. `pauses`: seconds before a start, by failures."""
        self._card = card
        self._start = start
        self._gate = gate or (lambda purpose: nullcontext())
        self._clock, self._pauses, self._patience = clock, pauses, patience
        self._engine: RunningEngine | None = None
        self._problem: TextError | None = None
        self._asleep = False
        self._turning = asyncio.Lock()  # asleep or awake, one change at a time
        self._settled = asyncio.Event()  # the first start has ended, well or not
        self._broken = asyncio.Event()  # the engine lives and is of no use: start another
        self._tending: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def card(self) -> TextCard:
        return self._card

    @property
    def state(self) -> EngineState:
        if self._closed:
            return EngineState.CLOSED
        if self._engine is not None:
            return EngineState.ASLEEP if self._asleep else EngineState.READY
        return EngineState.DOWN if self._problem is not None else EngineState.STARTING

    @property
    def problem(self) -> TextError | None:
        """Why the state is DOWN."""
        return self._problem

    @property
    def sleeping(self) -> bool:
        return self._asleep

    @property
    def awake(self) -> bool:
        """Whether it runs and has its memory."""
        return self._engine is not None and not self._asleep

    async def start(self) -> None:
        """Start the engine and keep it running; returns when the first start has ended, well or not. Idempotent."""
        if self._tending is None and not self._closed:
            self._tending = asyncio.create_task(self._tend(), name="text engine")
        await self._settled.wait()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        engine = await self._running()
        async with aclosing(engine.stream(request)) as pieces:
            async for piece in pieces:
                yield piece

    async def sleep(self) -> None:
        """Give back its memory, once what is being written is written. Raises TextError; EngineDown where it is not
        running, and then there is nothing to give back."""
        async with self._turning:
            if self._asleep:
                return
            engine = self._present()
            await self._turned(engine, engine.sleep, "sleep")
            self._asleep = self._engine is engine

    async def wake(self) -> None:
        """Take its memory again. Raises TextError; it is started anew then."""
        async with self._turning:
            if not self._asleep:
                return
            engine = self._present()
            await self._turned(engine, engine.wake, "wake")
            self._asleep = False

    async def close(self) -> None:
        """End the engine, started or starting. Safe to repeat."""
        self._closed = True
        self._settled.set()
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait({self._tending})
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.close()

    async def _running(self) -> RunningEngine:
        """The engine, awake. Raises TextError."""
        if not self._settled.is_set():
            try:
                await asyncio.wait_for(self.start(), self._patience)
            except TimeoutError as error:
                raise EngineDown("The language model is still being started.", "Ask again in a minute.") from error
        if self._asleep:
            await self.wake()
        return self._present()

    def _present(self) -> RunningEngine:
        if self._closed:
            raise TextError("The language model is shut down.", "Ask again after the restart.")
        if self._engine is None:
            why = f": {self._problem.problem}" if self._problem else "."
            raise EngineDown(f"The language model is not running{why}", "It is being started again.")
        return self._engine

    async def _turned(self, engine: RunningEngine, turn: Callable[[], Awaitable[None]], purpose: str) -> None:
        """Put it to sleep or wake it. An engine that cannot be turned is of no use any more."""
        try:
            async with self._gate(purpose):
                await turn()
        except InferenceError:
            if self._engine is engine:
                self._broken.set()
            raise

    async def _tend(self) -> None:
        failures = 0
        while True:
            await asyncio.sleep(self._pauses(failures))
            engine = await self._started(failures)
            self._settled.set()
            if engine is None:
                failures += 1
                continue
            began = self._clock()
            await self._ended(engine)
            failures = 1 if self._clock() - began > STEADY else failures + 1

    async def _started(self, failures: int) -> RunningEngine | None:
        began = self._clock()
        try:
            async with self._gate("start"):
                self._engine = await self._start()
        except InferenceError as error:
            self._failed(TextError(error.problem, error.next_step), failures)
            return None
        except TimeoutError:
            self._failed(TextError("The GPU was not free in time.", "It will be tried again."), failures)
            return None
        except Exception as error:  # a defect must not end this loop: there would never be an engine again
            log.exception("starting the language model failed unexpectedly")
            self._failed(TextError(f"The language model cannot be started: {error!r}."), failures)
            return None
        self._problem = None
        took = self._clock() - began
        log.info("language model %s is ready (%.1f s)", self._card.model, took, extra={"action": "text-engine-ready"})
        return self._engine

    def _failed(self, problem: TextError, failures: int) -> None:
        self._problem = problem
        log.error("language model: %s", problem, extra={"action": "text-engine-failed", "failures": failures + 1})

    async def _ended(self, engine: RunningEngine) -> None:
        """Wait until the engine has died or is of no use, and clear it away."""
        self._broken.clear()
        waiting = [asyncio.ensure_future(one) for one in (engine.died(), self._broken.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        log.error("the language model died; starting it again", extra={"action": "text-engine-died"})
        self._engine, self._asleep = None, False
        await engine.close()
