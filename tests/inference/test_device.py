"""The actor around the model: states, order, cancelling, closing; and an event loop that keeps its beat."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inference.device import DeviceState, ImageDevice
from inference.errors import BadImageRequest, DeviceClosed, GpuBusy, ImageError, ModelUnavailable, TakenBack
from inference.images.model import Taker, Watch
from inference.images.registry import LoadOptions, expected_card, resolve
from inference.requests import ImageRequest
from inference.results import ImageResult

CARD = expected_card(resolve(None), LoadOptions())


def request(seed: int = 7, **more: Any) -> ImageRequest:
    return ImageRequest(**{"prompt": "a red cube", "seed": seed, "width": 64, "height": 64, "steps": 8, **more})


def state(device: ImageDevice) -> DeviceState:
    """Its state now: a type checker takes a property for what it was when last looked at."""
    return device.state


class Watcher:
    """A Watch whose steps are remembered, with something to do on each."""

    def __init__(self, on_step: Callable[[int], None] = lambda done: None) -> None:
        self.on_step = on_step
        self.threads: set[str] = set()
        self.steps: list[int] = []

    def cancelled(self, index: int) -> bool:
        return False

    def step(self, index: int, done: int, total: int) -> None:
        self.threads.add(threading.current_thread().name)
        self.steps.append(done)
        self.on_step(done)

    def preview(self, index: int) -> Taker | None:
        return None


class FaultyModel:
    """An ImageModel that draws grey and fails on demand: device faults cannot be had from a healthy CPU."""

    def __init__(self) -> None:
        self.card = CARD
        self.fault: Exception | None = None
        self.running = 0
        self.overlapped = False
        self.closed = False

    def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        self.running += 1
        self.overlapped |= self.running > 1
        try:
            if self.fault is not None:
                raise self.fault
            for done in range(batch[0].steps):
                if watch.cancelled(0):
                    return [None] * len(batch)
                watch.step(0, done + 1, batch[0].steps)
            image = Image.new("RGB", (batch[0].width, batch[0].height), "grey")
            return [ImageResult(image=image, seed=one.seed, seconds=0.0, batch_size=len(batch)) for one in batch]
        finally:
            self.running -= 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def device() -> AsyncIterator[ImageDevice]:
    """The real engine on the built-in checkpoint."""
    opened = ImageDevice.of(resolve(None), LoadOptions(device="cpu"))
    opened.start()
    yield opened
    await opened.close()


@pytest.fixture
def faulty() -> FaultyModel:
    return FaultyModel()


@pytest.fixture
async def faulty_device(faulty: FaultyModel) -> AsyncIterator[ImageDevice]:
    opened = ImageDevice(lambda: faulty, CARD)
    opened.start()
    yield opened
    await opened.close()


async def test_it_loads_in_the_background_and_then_draws(device: ImageDevice) -> None:
    assert state(device) is DeviceState.LOADING
    assert (device.card.name, device.card.builtin) == ("builtin", True)
    watch = Watcher()
    (result,) = await device.generate([request()], watch)  # handed in while it is loading: waits
    assert result is not None
    assert (result.image.size, result.seed) == ((64, 64), 7)
    assert state(device) is DeviceState.READY
    assert (await device.ready()).device == "cpu"
    assert watch.steps == list(range(1, 9))
    assert len(watch.threads) == 1
    assert threading.current_thread().name not in watch.threads


async def test_simultaneous_calls_are_drawn_one_after_another_and_right(device: ImageDevice) -> None:
    alone = [await device.generate([request(seed)], Watcher()) for seed in range(4)]
    together = await asyncio.gather(*(device.generate([request(seed)], Watcher()) for seed in range(4)))
    for expected, found in zip(alone, together, strict=True):
        assert expected[0] is not None
        assert found[0] is not None
        assert found[0].image.tobytes() == expected[0].image.tobytes()


async def test_its_card_is_what_the_model_offers_now(faulty: FaultyModel, faulty_device: ImageDevice) -> None:
    await faulty_device.ready()
    assert faulty_device.card.tier == "high"
    faulty.card = replace(CARD, max_pixels=1024 * 1024)  # one picture ran out of memory
    assert faulty_device.card.tier == "low"


async def test_calls_never_overlap(faulty: FaultyModel, faulty_device: ImageDevice) -> None:
    await asyncio.gather(*(faulty_device.generate([request(steps=50)], Watcher()) for _ in range(20)))
    assert not faulty.overlapped


async def test_the_event_loop_keeps_its_beat_while_a_picture_is_drawn(device: ImageDevice) -> None:
    await device.ready()
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    seen: list[int] = []
    await device.generate([request(steps=16, width=128, height=128)], Watcher(lambda done: seen.append(beats)))
    beating.cancel()
    assert len(seen) == 16
    between = [later - earlier for earlier, later in pairwise(seen)]
    # On a busy machine a step or two may pass in one turn of the loop; an engine that blocks it passes all of them so.
    assert sum(gap > 0 for gap in between) >= 4, f"the loop stood still between steps: {between}"
    assert seen[-1] - seen[0] > 100


async def test_cancelling_the_caller_stops_the_batch_at_its_next_step(device: ImageDevice) -> None:
    await device.ready()
    loop = asyncio.get_running_loop()
    third = asyncio.Event()
    go_on = threading.Event()

    def hold(done: int) -> None:
        if done == 3:
            loop.call_soon_threadsafe(third.set)
            assert go_on.wait(30)

    watch = Watcher(hold)
    drawing = asyncio.create_task(device.generate([request()], watch))
    await third.wait()
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    go_on.set()
    (result,) = await device.generate([request()], Watcher())
    assert result is not None, "the next picture is not affected"
    assert watch.steps == [1, 2, 3]


async def test_a_cancelled_caller_in_the_queue_is_never_drawn(faulty_device: ImageDevice) -> None:
    go_on = threading.Event()
    first = asyncio.create_task(faulty_device.generate([request()], Watcher(lambda done: assert_waits(go_on))))
    watch = Watcher()
    second = asyncio.create_task(faulty_device.generate([request()], watch))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    go_on.set()
    assert await first
    assert await faulty_device.generate([request()], Watcher())
    assert watch.steps == []


def assert_waits(event: threading.Event) -> None:
    assert event.wait(30)


async def test_a_members_cancel_passes_through(device: ImageDevice) -> None:
    class Leaver(Watcher):
        def cancelled(self, index: int) -> bool:
            return index == 0

    gone, drawn = await device.generate([request(1), request(2)], Leaver())
    assert gone is None
    assert drawn is not None


async def test_a_bad_request_is_refused_and_the_engine_goes_on(device: ImageDevice) -> None:
    with pytest.raises(BadImageRequest):
        await device.generate([request(width=65)], Watcher())
    assert await device.generate([request()], Watcher())
    assert state(device) is DeviceState.READY


async def test_a_missing_folder_fails_with_the_path_and_the_next_step(tmp_path: Path) -> None:
    device = ImageDevice.of(resolve(str(tmp_path / "gone")), LoadOptions())
    device.start()
    waiting = asyncio.create_task(device.generate([request()], Watcher()))
    with pytest.raises(ModelUnavailable, match="gone"):
        await device.ready()
    with pytest.raises(ModelUnavailable, match="gone"):
        await waiting
    assert state(device) is DeviceState.FAILED
    assert device.problem is not None
    assert "model.yaml" in device.problem.next_step
    assert device.card.name == "gone"
    await device.close()
    assert state(device) is DeviceState.CLOSED


async def test_an_unexpected_error_while_loading_is_a_problem_too(caplog: pytest.LogCaptureFixture) -> None:
    def explode() -> FaultyModel:
        raise ZeroDivisionError("surprise")

    device = ImageDevice(explode, CARD)
    with pytest.raises(ModelUnavailable, match="surprise"):
        await device.ready()
    assert state(device) is DeviceState.FAILED
    assert "ZeroDivisionError" in caplog.text
    await device.close()


async def test_a_fault_of_one_picture_leaves_the_engine_ready(faulty: FaultyModel, faulty_device: ImageDevice) -> None:
    faulty.fault = ImageError("odd")
    with pytest.raises(ImageError, match="odd"):
        await faulty_device.generate([request()], Watcher())
    faulty.fault = None
    assert await faulty_device.generate([request()], Watcher())
    assert state(faulty_device) is DeviceState.READY


async def test_a_fault_of_the_device_ends_it(faulty: FaultyModel, faulty_device: ImageDevice) -> None:
    faulty.fault = ModelUnavailable("illegal address", "Restart the process.")
    with pytest.raises(ModelUnavailable, match="illegal address"):
        await faulty_device.generate([request()], Watcher())
    faulty.fault = None
    with pytest.raises(ModelUnavailable, match="illegal address"):
        await faulty_device.generate([request()], Watcher())
    assert state(faulty_device) is DeviceState.FAILED


async def test_closing_stops_the_running_batch_and_refuses_the_waiting_ones(faulty: FaultyModel) -> None:
    device = ImageDevice(lambda: faulty, CARD)
    loop = asyncio.get_running_loop()
    started = asyncio.Event()
    go_on = threading.Event()

    def hold(done: int) -> None:
        if done == 1:
            loop.call_soon_threadsafe(started.set)
            assert go_on.wait(30)

    watch = Watcher(hold)
    running = asyncio.create_task(device.generate([request()], watch))
    waiting = asyncio.create_task(device.generate([request()], Watcher()))
    await started.wait()
    closing = asyncio.create_task(device.close())
    await asyncio.sleep(0)
    go_on.set()
    for task in (running, waiting):
        with pytest.raises(DeviceClosed) as closed:
            await task
        assert closed.value.transient, "nobody cancelled these pictures"
    await closing
    assert watch.steps == [1]
    assert (state(device), faulty.closed) == (DeviceState.CLOSED, True)


async def test_closing_twice_and_using_it_afterwards(faulty: FaultyModel) -> None:
    device = ImageDevice(lambda: faulty, CARD)
    await device.ready()
    await asyncio.gather(device.close(), device.close())
    await device.close()
    for use in (device.ready, lambda: device.generate([request()], Watcher())):
        with pytest.raises(DeviceClosed):
            await use()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("image-device")]


async def test_closing_what_was_never_started() -> None:
    device = ImageDevice(lambda: FaultyModel(), CARD)
    await device.close()
    assert state(device) is DeviceState.CLOSED


# --- another model ----------------------------------------------------------------------------------------------


async def test_what_was_handed_in_before_is_drawn_by_the_old_model(faulty: FaultyModel) -> None:
    device, other = ImageDevice(lambda: faulty, CARD), FaultyModel()
    other.card = replace(CARD, name="other")
    await device.ready()
    go_on = threading.Event()
    running = asyncio.create_task(device.generate([request(1)], Watcher(lambda done: assert_waits(go_on))))
    waiting = asyncio.create_task(device.generate([request(2)], Watcher(lambda done: drawn.append(device.card.name))))
    drawn: list[str] = []
    await asyncio.sleep(0)
    changing = asyncio.create_task(device.exchange(lambda: loaded(other, faulty), other.card))
    await asyncio.sleep(0)
    assert state(device) is DeviceState.SWITCHING
    go_on.set()
    assert (await changing).name == "other"
    assert None not in [*await running, *await waiting]
    assert set(drawn) == {"builtin"}
    assert (state(device), device.card.name) == (DeviceState.READY, "other")
    await device.close()
    assert other.closed


def loaded(other: FaultyModel, before: FaultyModel) -> FaultyModel:
    assert before.closed, "the memory of the old model is needed for the new one"
    return other


async def test_when_the_other_cannot_be_loaded_the_one_before_is_loaded_again() -> None:
    loads: list[FaultyModel] = []

    def before() -> FaultyModel:
        loads.append(FaultyModel())
        return loads[-1]

    device = ImageDevice(before, CARD)
    await device.ready()
    with pytest.raises(ModelUnavailable, match="torn"):
        await device.exchange(broken, replace(CARD, name="torn"))
    assert (len(loads), loads[0].closed, loads[1].closed) == (2, True, False)
    assert (state(device), device.card, device.problem) == (DeviceState.READY, CARD, None)
    assert await device.generate([request()], Watcher())
    await device.close()


async def test_a_failed_engine_is_helped_by_another_model_and_not_by_a_worse_one(faulty: FaultyModel) -> None:
    device = ImageDevice(broken, CARD)
    with pytest.raises(ModelUnavailable, match="torn"):
        await device.ready()
    with pytest.raises(ModelUnavailable, match="torn"):
        await device.exchange(broken, CARD)
    assert state(device) is DeviceState.FAILED
    assert device.problem is not None
    await device.exchange(lambda: faulty, CARD)
    assert (state(device), str(device.problem)) == (DeviceState.READY, "None")
    assert await device.generate([request()], Watcher())
    await device.close()


def broken() -> FaultyModel:
    raise ModelUnavailable("torn", "Mend it.")


async def test_a_model_that_is_chosen_before_the_first_is_loaded_is_the_first(faulty: FaultyModel) -> None:
    device = ImageDevice(broken, CARD)
    assert (await device.exchange(lambda: faulty, CARD)) == CARD
    assert await device.ready() == CARD
    await device.close()


async def test_nothing_is_loaded_once_the_device_closes(faulty: FaultyModel) -> None:
    device = ImageDevice(lambda: faulty, CARD)
    await device.ready()
    go_on = threading.Event()
    running = asyncio.create_task(device.generate([request()], Watcher(lambda done: assert_waits(go_on))))
    await asyncio.sleep(0)
    loads: list[FaultyModel] = []

    def another() -> FaultyModel:
        loads.append(FaultyModel())
        return loads[-1]

    changing = asyncio.create_task(device.exchange(another, CARD))
    await asyncio.sleep(0)
    closing = asyncio.create_task(device.close())
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(DeviceClosed):
        await running
    with pytest.raises(DeviceClosed):
        await changing
    await closing
    with pytest.raises(DeviceClosed):
        await device.exchange(another, CARD)
    assert not loads, "a minute of loading would hold up the end of the program"


async def test_what_a_failed_loading_held_is_let_go(faulty: FaultyModel) -> None:
    class Weights:
        """Gigabytes."""

    held: list[weakref.ref[Weights]] = []

    def half() -> FaultyModel:
        weights = Weights()
        held.append(weakref.ref(weights))
        try:
            raise RuntimeError("does not fit")
        except RuntimeError as error:
            raise ModelUnavailable("torn", "Mend it.") from error

    def before() -> FaultyModel:
        assert all(one() is None for one in held), "the room is needed"
        return faulty

    device = ImageDevice(before, CARD)
    await device.ready()
    with pytest.raises(ModelUnavailable, match="torn"):
        await device.exchange(half, CARD)
    assert state(device) is DeviceState.READY
    await device.close()


class SharedRoom:
    """A Room that notes who is within, and takes its turns back as often as it is told to."""

    def __init__(self) -> None:
        self.within: list[str] = []
        self.taken_back = 0
        self.busy = False

    @asynccontextmanager
    async def drawing(self) -> AsyncIterator[None]:
        self.within.append("turn")
        yield
        self.within.append("over")

    @contextmanager
    def held(self) -> Iterator[None]:
        assert threading.current_thread().name.startswith("image-device"), "the loop must not wait"
        if self.busy:
            raise GpuBusy("Somebody has it.")
        if self.taken_back:
            self.taken_back -= 1
            raise TakenBack("Not now.")
        self.within.append("held")
        yield
        self.within.append("free")


async def test_a_shared_memory_is_held_for_whatever_takes_or_frees_it(faulty: FaultyModel) -> None:
    room = SharedRoom()
    device = ImageDevice(lambda: faulty, CARD, room)
    await device.ready()
    assert room.within == ["held", "free"]
    await device.generate([request()], Watcher())
    await device.exchange(lambda: faulty, CARD)
    faulty.fault = ImageError("whatever")
    with pytest.raises(ImageError):
        await device.generate([request()], Watcher())
    assert room.within[2:8] == ["turn", "held", "free", "over", "turn", "held"]
    await device.close()
    assert room.within.count("held") == 5


async def test_a_turn_that_was_taken_back_is_asked_for_again(faulty: FaultyModel) -> None:
    room = SharedRoom()
    device = ImageDevice(lambda: faulty, CARD, room)
    await device.ready()
    room.taken_back = 2
    (drawn,) = await device.generate([request()], Watcher())
    assert drawn is not None
    assert room.within.count("turn") == 3
    await device.close()


async def test_a_card_that_is_never_free_fails_what_needs_it_and_nothing_else(faulty: FaultyModel) -> None:
    room = SharedRoom()
    device = ImageDevice(lambda: faulty, CARD, room)
    await device.ready()
    room.busy = True
    with pytest.raises(GpuBusy):
        await device.generate([request()], Watcher())
    with pytest.raises(ModelUnavailable, match="Somebody has it"):
        await device.exchange(broken, CARD)
    assert state(device) is DeviceState.READY, "nothing was touched"
    room.busy = False
    assert len(await device.generate([request()], Watcher())) == 1
    await device.close()
    never = ImageDevice(lambda: faulty, CARD, room)
    room.busy = True
    with pytest.raises(ModelUnavailable, match="Somebody has it"):
        await never.ready()
    room.busy = False
    await never.close()
