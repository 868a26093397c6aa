"""Two engines on one card: who may use its memory now, and the moves from one to the other.

The gate (gate.py) keeps either from disturbing the other in the moments that vLLM cannot bear. That is all where both
fit beside each other. Where they do not, the language model lends its memory to pictures: turns.py decides when, here
it is done. Pictures take the memory only within the gate and leave none of it taken, so that a language model which
died meanwhile and is started anew, again within the gate, finds room.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, inf
from typing import Protocol

from inference.errors import InferenceError, TakenBack, TextError
from inference.gpu.gate import Gate
from inference.gpu.turns import Demand, Holder, Move, Situation, Verdict, decide, patience

log = logging.getLogger(__name__)

TICK = 1.0  # seconds between two looks at the queues; what this process hears of is looked at at once
ANSWER_WAITS = 45.0  # seconds that an answer which has begun waits for the memory, at most
LEND_AGAIN = (30.0, 120.0, 600.0)  # seconds until a language model that could not fall asleep is asked again
ROUGHLY = 10  # seconds, to which the wait for a pause in a conversation is told
NEWEST = 0.3  # what the newest measurement of a move counts
PICTURES = "pictures"  # as they are called at the gate


class Sleeper(Protocol):
    """A language model that can lend its memory. It holds the gate while it starts, falls asleep and wakes, and mends
    itself: one that cannot be turned is started anew."""

    @property
    def sleeping(self) -> bool:
        """Whether its memory is lent."""

    @property
    def awake(self) -> bool:
        """Whether it runs and has its memory. Neither: it starts, or died."""

    async def start(self) -> None:
        """Begin to run; returns when the first start has ended, well or not."""

    async def sleep(self) -> None:
        """Finish what is being written, then give the memory back. Raises InferenceError."""

    async def wake(self) -> None:
        """Take the memory again and prove it. Raises InferenceError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Queued:
    """What the queue holds of one kind of work."""

    waiting: bool = False  # a job that could begin now
    running: bool = False


class Cause(StrEnum):
    """Why one of the sides waits for the card, as people are told."""

    NOTHING = ""
    PICTURES = "pictures"  # the memory is lent to pictures, or just comes back
    ANSWERS = "answers"  # the language model has it
    LOADING = "loading"  # the language model is started


@dataclass(frozen=True, kw_only=True, slots=True)
class Waits:
    """What each side waits for, and the seconds that takes beyond what the other one computes now."""

    text: Cause = Cause.NOTHING
    text_seconds: float = 0.0
    pictures: Cause = Cause.NOTHING
    pictures_seconds: float = 0.0


Look = Callable[[], Awaitable[tuple[Queued, Queued]]]  # at the questions, at the pictures
Tell = Callable[[Waits], Awaitable[None]]


@dataclass(slots=True)
class _Side:
    """What is known of one side."""

    queued: Queued = Queued()
    outside: int = 0  # under way, and waiting for the memory
    inside: int = 0  # computing
    since: float = inf  # when somebody began to wait; infinity = nobody does
    used: float = -inf  # when it was last at work

    def note(self, now: float) -> None:
        """Keep when the waiting began."""
        waits = not self.inside and (self.queued.waiting or self.queued.running or self.outside)
        self.since = min(self.since, now) if waits else inf

    def demand(self) -> Demand:
        return Demand(
            waiting=self.queued.waiting or self.outside > 0,
            computing=self.inside > 0,
            running=self.queued.running,
            since=self.since,
            used=self.used,
        )


class Sharing:
    """The card's memory, as one event loop sees it. `alternates`: the two do not fit beside each other."""

    def __init__(
        self,
        gate: Gate,
        model: Sleeper,
        look: Look,
        tell: Tell,
        *,
        alternates: bool,
        empty: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`look` asks the queue, `tell` hears what each side waits for; `empty` gives back, on the pictures' thread,
        what their library keeps of the card's memory for later."""
        self._gate, self._model, self._look, self._tell = gate, model, look, tell
        self._alternates, self._empty, self._clock = alternates, empty, clock
        self._text, self._pictures = _Side(), _Side()
        self._moving: Holder | None = None
        self._moved = self._lend_after = -inf
        self._refused = 0  # times in a row that it could not be put to sleep
        self._takes = {Move.LEND: 3.0, Move.TAKE_BACK: 2.0}  # seconds; published figures, until they are measured
        self._told: Waits | None = None
        self._hint, self._turned = asyncio.Event(), asyncio.Condition()

    @property
    def holder(self) -> Holder:
        """Whose the memory is. The engine itself says so, unless it is on its way."""
        if self._moving is not None:
            return self._moving
        if self._model.awake:
            return Holder.TEXT
        return Holder.PICTURES if self._model.sleeping else Holder.NOBODY

    @property
    def may_answer(self) -> bool:
        """Whether a question may be begun now. If not, whose turn it is is looked at anew."""
        return self._asked(_text)

    @property
    def may_draw(self) -> bool:
        """Whether a picture may be begun now; as above."""
        return not self._starting and self._asked(_pictures)

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Round everything that the language model computes. Raises TextError where its memory does not come back."""
        try:
            async with asyncio.timeout(ANSWER_WAITS):
                await self._enter(self._text, _text)
        except TimeoutError as error:
            problem = "The language model has lent its memory to pictures for too long."
            raise TextError(problem, "Ask again in a moment.") from error
        try:
            yield
        finally:
            self._text.inside -= 1
            self._hint.set()

    @asynccontextmanager
    async def drawing(self) -> AsyncIterator[None]:
        """Round everything that needs the card for pictures, from the event loop."""
        await self._enter(self._pictures, _pictures)
        try:
            yield
        finally:
            self._pictures.inside -= 1
            self._pictures.used = self._clock()
            self._hint.set()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Round everything that takes or frees the card's memory for pictures, on their thread. Raises GpuBusy;
        TakenBack where the language model was started anew since the memory was lent."""
        with self._gate.held(PICTURES):
            if self._alternates and self._model.awake:
                raise TakenBack("The language model has its memory back.", "The picture is drawn in its next turn.")
            try:
                yield
            finally:
                if self._alternates:
                    self._empty()

    async def run(self, placed: Callable[[], Awaitable[object]]) -> None:
        """Start the language model once the image model is `placed`; then watch whose turn it is."""
        starting = asyncio.create_task(self._start(placed), name="start the language model")
        try:
            while True:
                await self._step()
                try:
                    async with asyncio.timeout(TICK):
                        await self._hint.wait()
                except TimeoutError:
                    pass  # time has passed: that may change whose turn it is
                self._hint.clear()
        finally:
            starting.cancel()

    async def _start(self, placed: Callable[[], Awaitable[object]]) -> None:
        await placed()
        await self._model.start()
        self._hint.set()

    async def _step(self) -> None:
        """Look, do what is to be done, and let in whose turn it is."""
        if self._alternates:
            self._text.queued, self._pictures.queued = await self._look()
            move = decide(self._situation()).move
            if move is Move.LEND:
                await self._move(move, Holder.LENDING, self._lend)
            elif move is Move.TAKE_BACK:
                await self._move(move, Holder.RETURNING, self._model.wake)
        await self._tell_all()

    async def _move(self, move: Move, towards: Holder, turn: Callable[[], Awaitable[None]]) -> None:
        self._moving, began = towards, self._clock()
        try:
            await self._tell_all()
            await turn()
        except InferenceError as error:  # it mends itself: it is started anew
            log.warning("the card's memory was not handed over: %s", error, extra={"action": "gpu-not-moved"})
        else:
            took = self._clock() - began
            self._takes[move] += NEWEST * (took - self._takes[move])
            log.info("%s the card's memory: %.1f s", move.value, took, extra={"action": "gpu-moved", "move": move})
        finally:
            self._moving, self._moved = None, self._clock()

    async def _lend(self) -> None:
        try:
            await self._model.sleep()
            if not self._model.sleeping:
                raise TextError("The language model did not fall asleep.")
        except InferenceError:
            self._lend_after = self._clock() + LEND_AGAIN[min(self._refused, len(LEND_AGAIN) - 1)]
            self._refused += 1
            raise
        self._refused = 0

    async def _enter(self, side: _Side, may: _May) -> None:
        """Wait until it is this side's turn, and begin."""
        if not self._may(may):
            side.outside += 1
            self._hint.set()
            try:
                async with self._turned:
                    await self._turned.wait_for(lambda: self._may(may))
            finally:
                side.outside -= 1
        side.inside += 1  # nothing may run between the look and this

    @property
    def _starting(self) -> bool:
        """Whether the language model is being started: what is begun now would only wait for the gate."""
        return self._moving is None and self._gate.owner not in (None, PICTURES)

    def _asked(self, may: _May) -> bool:
        if self._may(may):
            return True
        self._hint.set()
        return False

    def _may(self, may: _May) -> bool:
        return not self._alternates or may(decide(self._situation()))

    def _situation(self) -> Situation:
        now = self._clock()
        self._text.note(now)
        self._pictures.note(now)
        if self._text.queued.waiting or self._text.queued.running:
            self._text.used = now
        return Situation(
            holder=self.holder,
            text=self._text.demand(),
            pictures=self._pictures.demand(),
            now=now,
            moved=self._moved,
            lend_after=self._lend_after,
        )

    async def _tell_all(self) -> None:
        """Whom it may concern: those who wait within this process, and those who wait in the queue."""
        async with self._turned:
            self._turned.notify_all()
        waits = self._waits()
        if waits != self._told:
            await self._tell(waits)
            self._told = waits

    def _waits(self) -> Waits:
        """What each side waits for."""
        if self._starting:
            return Waits(pictures=Cause.LOADING)
        if not self._alternates:
            return Waits()
        back, lent = (round(self._takes[move], 1) for move in (Move.TAKE_BACK, Move.LEND))
        match self.holder:
            case Holder.TEXT:
                talking = ceil(patience(self._situation()) / ROUGHLY) * ROUGHLY
                return Waits(pictures=Cause.ANSWERS, pictures_seconds=talking + lent)
            case Holder.LENDING:
                return Waits(pictures=Cause.ANSWERS, pictures_seconds=lent)
            case Holder.PICTURES:
                return Waits(text=Cause.PICTURES, text_seconds=back)
            case Holder.RETURNING:
                return Waits(text=Cause.PICTURES, text_seconds=back, pictures=Cause.ANSWERS, pictures_seconds=lent)
            case _:
                return Waits()


_May = Callable[[Verdict], bool]


def _text(verdict: Verdict) -> bool:
    return verdict.text


def _pictures(verdict: Verdict) -> bool:
    return verdict.pictures
