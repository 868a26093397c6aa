"""The actor that owns the image model: one thread loads it, draws with it and frees it; everybody else awaits.

torch releases the interpreter lock while it computes, so a thread leaves the event loop undisturbed, and one thread is
what the pipeline needs: its calls must never overlap.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from enum import StrEnum
from functools import partial
from typing import Any, Protocol

from inference.errors import DeviceClosed, GpuBusy, InferenceError, ModelUnavailable, TakenBack
from inference.images.model import ImageModel, ModelCard, Taker, Watch
from inference.images.registry import Choice, LoadOptions, expected_card, load
from inference.requests import ImageRequest
from inference.results import ImageResult

log = logging.getLogger(__name__)


class DeviceState(StrEnum):
    """Where the engine stands."""

    LOADING = "loading"  # work may be handed in; it waits
    SWITCHING = "switching"  # the same, while another model takes the place of the present one
    READY = "ready"
    FAILED = "failed"  # `problem` says why; only a restart helps, or another model
    CLOSED = "closed"


class Room(Protocol):
    """The memory of the card that computes, where somebody else has some of it too (see inference/gpu/sharing.py)."""

    def drawing(self) -> AbstractAsyncContextManager[None]:
        """On the event loop, round what needs it: waits until it may be had."""

    def held(self) -> AbstractContextManager[None]:
        """On the device's thread, round what takes it or frees it. Raises GpuBusy; TakenBack for another turn."""


class Alone:
    """A Room that is all ours."""

    def drawing(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    def held(self) -> AbstractContextManager[None]:
        return nullcontext()


class ImageDevice:
    """A stub of the model for the event loop. Calls are served one after another in the order they came."""

    def __init__(self, load_model: Callable[[], ImageModel], card: ModelCard, room: Room | None = None) -> None:
        self._load_model = load_model
        self._card = card
        self._room = room or Alone()
        self._model: ImageModel | None = None
        self._state = DeviceState.LOADING
        self._problem: InferenceError | None = None
        self._closing = threading.Event()
        self._loaded: Future[Any] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="image-device")

    @classmethod
    def of(cls, choice: Choice, options: LoadOptions, room: Room | None = None) -> ImageDevice:
        """The device for a chosen checkpoint folder. Nothing is loaded before start()."""
        return cls(lambda: load(choice, options), expected_card(choice, options), room)

    @property
    def state(self) -> DeviceState:
        return self._state

    @property
    def problem(self) -> InferenceError | None:
        """Why the state is FAILED."""
        return self._problem

    @property
    def card(self) -> ModelCard:
        """What the model offers now; before it is loaded, what it is expected to offer."""
        return self._card if self._model is None else self._model.card

    def start(self) -> None:
        """Begin loading in the device's thread and return at once."""
        if self._loaded is None and not self._closing.is_set():
            self._loaded = self._thread.submit(self._load)

    async def ready(self) -> ModelCard:
        """Wait until the model is loaded. Raises ModelUnavailable."""
        self.start()
        if self._loaded is not None:
            await asyncio.shield(asyncio.wrap_future(self._loaded))
        self._require_usable()
        return self.card

    async def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        """Draw a batch (see ImageModel.generate), after loading and after the batches before it.

        Cancelling the waiting task stops the batch at its next step. Raises what the model raises, and DeviceClosed
        for a batch that close() stopped: its pictures were not cancelled by anybody and may be drawn after a restart.
        """
        self._require_usable()
        self.start()
        left = threading.Event()
        stoppable = _StoppableWatch(watch, left, self._closing)
        while True:
            async with self._room.drawing():
                self._require_usable()
                drawing = self._thread.submit(self._draw, tuple(batch), stoppable)
                try:
                    return await asyncio.wrap_future(drawing)
                except TakenBack:
                    continue
                except asyncio.CancelledError:
                    left.set()
                    raise

    async def switch(self, choice: Choice, options: LoadOptions) -> ModelCard:
        """Draw with this checkpoint from now on; see exchange(). Before start() it is the first to be loaded."""
        return await self.exchange(partial(load, choice, options), expected_card(choice, options))

    async def exchange(self, load_model: Callable[[], ImageModel], card: ModelCard) -> ModelCard:
        """Put another model in the place of the present one: what was handed in before is still drawn by that.

        The present one is freed before the other is loaded: two need not fit. Raises ModelUnavailable when the other
        cannot be loaded, after the one before was loaded again; DeviceClosed when the program ends meanwhile.
        """
        self._require_open()
        self._state = DeviceState.SWITCHING
        async with self._room.drawing():
            self._require_open()
            moving = self._loaded = self._thread.submit(self._exchange, load_model, card)
            problem = await asyncio.shield(asyncio.wrap_future(moving))
        self._require_open()
        if problem is not None:
            raise ModelUnavailable(problem.problem, problem.next_step) from problem
        return self._card

    async def close(self) -> None:
        """Stop the running batch at its next step, free the model, end the thread. Safe to repeat.

        A model that is being loaded is loaded to the end first: the import of torch cannot be interrupted.
        """
        if not self._closing.is_set():
            self._closing.set()
            self._thread.submit(self._freed)
        await asyncio.to_thread(self._thread.shutdown, wait=True)
        self._state = DeviceState.CLOSED

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise DeviceClosed("The image engine is shutting down.", "The picture can be drawn after the restart.")

    def _require_usable(self) -> None:
        self._require_open()
        if self._problem is not None:
            # A new exception each time: raising one object from many tasks would pile up their tracebacks.
            raise ModelUnavailable(self._problem.problem, self._problem.next_step) from self._problem

    # On the device's thread from here on.

    def _load(self) -> None:
        try:
            with self._room.held():
                problem = self._try(self._load_model, self._card)
        except GpuBusy as error:
            problem = error
        if problem is not None:
            self._fail(problem)

    def _exchange(self, load_model: Callable[[], ImageModel], card: ModelCard) -> InferenceError | None:
        """Returns why the other model could not be loaded, if so."""
        try:
            with self._room.held():
                return None if self._closing.is_set() else self._exchanged(load_model, card)
        except GpuBusy as error:  # nothing was touched
            self._state = DeviceState.READY if self._model is not None else DeviceState.FAILED
            return error

    def _exchanged(self, load_model: Callable[[], ImageModel], card: ModelCard) -> InferenceError | None:
        before = self._load_model, self._card
        self._unload()
        problem = self._try(load_model, card)
        if problem is None or self._closing.is_set():
            return problem
        log.error("image model %s cannot take over: %s", card.name, problem)
        _let_go(problem)
        worse = self._try(*before)
        if worse is not None:
            self._fail(worse)
        return problem

    def _try(self, load_model: Callable[[], ImageModel], card: ModelCard) -> InferenceError | None:
        """Load a model and draw with it from now on; returns why it cannot be, if so."""
        self._load_model, self._card = load_model, card
        try:
            self._model = load_model()
        except InferenceError as error:
            return error
        except Exception as error:  # whatever it is, waiting jobs must hear of it
            log.exception("loading the image model failed unexpectedly")
            return ModelUnavailable(f"The image model cannot be loaded: {error!r}.", "Look at the log.")
        self._card = self._model.card
        self._state, self._problem = DeviceState.READY, None
        log.info("image model %s is ready on %s", self._card.name, self._card.device)
        return None

    def _draw(self, batch: tuple[ImageRequest, ...], watch: Watch) -> list[ImageResult | None]:
        self._require_usable()
        assert self._model is not None, "loading comes first in the thread's queue"
        try:
            with self._room.held():
                results = self._model.generate(batch, watch)
        except ModelUnavailable as error:  # a device fault: this process will not draw again
            self._fail(error)
            raise
        if None in results:
            self._require_open()
        return results

    def _fail(self, error: InferenceError) -> None:
        self._problem = error
        self._state = DeviceState.FAILED
        log.error("image engine: %s", error)

    def _freed(self) -> None:
        with self._room.held():
            self._unload()

    def _unload(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None


def _let_go(error: BaseException | None) -> None:
    """Free what the frames of an error hold: parts of a model that could not be loaded. Another needs the room."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


class _StoppableWatch:
    """A member's Watch, which also reports "cancelled" when the caller left or the device closes."""

    def __init__(self, watch: Watch, *stops: threading.Event) -> None:
        self._watch = watch
        self._stops = stops

    def cancelled(self, index: int) -> bool:
        return any(stop.is_set() for stop in self._stops) or self._watch.cancelled(index)

    def step(self, index: int, done: int, total: int) -> None:
        self._watch.step(index, done, total)

    def preview(self, index: int) -> Taker | None:
        return self._watch.preview(index)
