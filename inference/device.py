"""The actor that owns the image model: one thread loads it, draws with it and frees it; everybody else awaits.

torch releases the interpreter lock while it computes, so a thread leaves the event loop undisturbed, and one thread is
what the pipeline needs: its calls must never overlap.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum

from inference.errors import DeviceClosed, InferenceError, ModelUnavailable
from inference.images.model import ImageModel, ModelCard, Taker, Watch
from inference.images.registry import Choice, LoadOptions, expected_card, load
from inference.requests import ImageRequest
from inference.results import ImageResult

log = logging.getLogger(__name__)


class DeviceState(StrEnum):
    """Where the engine stands."""

    LOADING = "loading"  # work may be handed in; it waits
    READY = "ready"
    FAILED = "failed"  # `problem` says why; only a restart helps
    CLOSED = "closed"


class ImageDevice:
    """A stub of the model for the event loop. Calls are served one after another in the order they came."""

    def __init__(self, load_model: Callable[[], ImageModel], card: ModelCard) -> None:
        self._load_model = load_model
        self._card = card
        self._model: ImageModel | None = None
        self._state = DeviceState.LOADING
        self._problem: InferenceError | None = None
        self._closing = threading.Event()
        self._loaded: Future[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="image-device")

    @classmethod
    def of(cls, choice: Choice, options: LoadOptions) -> ImageDevice:
        """The device for a chosen checkpoint folder. Nothing is loaded before start()."""
        return cls(lambda: load(choice, options), expected_card(choice, options))

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
        return self._card

    async def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        """Draw a batch (see ImageModel.generate), after loading and after the batches before it.

        Cancelling the waiting task stops the batch at its next step. Raises what the model raises, and DeviceClosed
        for a batch that close() stopped: its pictures were not cancelled by anybody and may be drawn after a restart.
        """
        self._require_usable()
        self.start()
        left = threading.Event()
        stoppable = _StoppableWatch(watch, left, self._closing)
        drawing = self._thread.submit(self._draw, tuple(batch), stoppable)
        try:
            return await asyncio.wrap_future(drawing)
        except asyncio.CancelledError:
            left.set()
            raise

    async def close(self) -> None:
        """Stop the running batch at its next step, free the model, end the thread. Safe to repeat.

        A model that is being loaded is loaded to the end first: the import of torch cannot be interrupted.
        """
        if not self._closing.is_set():
            self._closing.set()
            self._thread.submit(self._unload)
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
            self._model = self._load_model()
        except InferenceError as error:
            self._fail(error)
        except Exception as error:  # whatever it is, waiting jobs must hear of it
            log.exception("loading the image model failed unexpectedly")
            self._fail(ModelUnavailable(f"The image model cannot be loaded: {error!r}.", "Look at the log."))
        else:
            self._card = self._model.card
            self._state = DeviceState.READY
            log.info("image model %s is ready on %s", self._card.name, self._card.device)

    def _draw(self, batch: tuple[ImageRequest, ...], watch: Watch) -> list[ImageResult | None]:
        self._require_usable()
        assert self._model is not None, "loading comes first in the thread's queue"
        try:
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

    def _unload(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None


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
