"""Two engines on one card: a scripted language model, a clock moved by hand, and everybody who wants something."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from inference.errors import TakenBack, TextError
from inference.gpu import sharing
from inference.gpu.gate import Gate
from inference.gpu.sharing import Cause, Queued, Sharing, Waits
from inference.gpu.turns import IDLE, PICTURES_WAIT, QUIET, Holder


class Card:
    """A card that knows who has memory of it: having too much at once is what must never happen."""

    def __init__(self) -> None:
        self.text = False
        self.pictures = 0

    def check(self) -> None:
        assert not (self.text and self.pictures), "both have taken the memory"


class Model:
    """A Sleeper that does as it is told, slowly: each move waits until the test lets it end."""

    def __init__(self, card: Card, gate: Gate) -> None:
        self.card, self.gate = card, gate
        self.sleeping = self.awake = False
        self.calls: list[str] = []
        self.slow: asyncio.Event | None = None  # moves wait for it
        self.fails: dict[str, Exception] = {}

    async def start(self) -> None:
        await self._turn("start", sleeping=False)

    async def sleep(self) -> None:
        await self._turn("sleep", sleeping=True)

    async def wake(self) -> None:
        await self._turn("wake", sleeping=False)

    def die(self) -> None:
        self.awake = self.sleeping = self.card.text = False

    async def _turn(self, name: str, *, sleeping: bool) -> None:
        self.calls.append(name)
        async with self.gate.hold(f"text: {name}"):
            if self.slow is not None:
                await self.slow.wait()
            if name in self.fails:
                self.die()
                raise self.fails.pop(name)
            self.awake, self.sleeping, self.card.text = not sleeping, sleeping, not sleeping
            self.card.check()


class House:
    """One card with everything around it."""

    def __init__(self, *, alternates: bool = True) -> None:
        self.now = 1000.0
        self.card = Card()
        self.gate = Gate()
        self.model = Model(self.card, self.gate)
        self.queue = {"text": Queued(), "pictures": Queued()}
        self.told: list[Waits] = []
        self.emptied = 0
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.placed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.looks = 0
        self.sharing = Sharing(
            self.gate,
            self.model,
            self._look,
            self._tell,
            alternates=alternates,
            empty=self._empty,
            clock=lambda: self.now,
        )

    async def _look(self) -> tuple[Queued, Queued]:
        self.looks += 1
        return self.queue["text"], self.queue["pictures"]

    async def _tell(self, waits: Waits) -> None:
        self.told.append(waits)

    def _empty(self) -> None:
        assert self.gate.owner == sharing.PICTURES, "the cache is given back before somebody else may look"
        self.emptied += 1

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not true():
                await asyncio.sleep(0)

    async def later(self, seconds: float) -> None:
        """Time passes, and it is looked at."""
        self.now += seconds
        await self.looked()

    async def looked(self) -> None:
        for _ in range(2):  # the second look begins after what the first led to
            looks = self.looks
            self.sharing._hint.set()
            await self.until(lambda: self.looks > looks or self.sharing._moving is not None)  # noqa: B023 - at once

    async def draw(self, until: Callable[[], Awaitable[Any]] | None = None) -> None:
        """As the image device does: a turn on the loop, the whole batch on one thread, which a canceller leaves."""
        end = threading.Event()
        async with self.sharing.drawing():
            drawing = asyncio.get_running_loop().run_in_executor(self.thread, self._batch, end)
            try:
                if until is not None:
                    await until()
                end.set()
                await asyncio.shield(drawing)
            finally:
                end.set()

    def _batch(self, end: threading.Event) -> None:
        with self.sharing.held():
            self.card.pictures += 1
            self.card.check()
            assert end.wait(5)
            self.card.pictures -= 1

    async def answer(self, until: Callable[[], Awaitable[Any]] | None = None) -> None:
        async with self.sharing.answering():
            assert self.model.awake
            if until is not None:
                await until()
            assert self.model.awake, "it was put to sleep in mid-answer"


@pytest.fixture(autouse=True)
def slow_tick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happens but what a test does."""
    monkeypatch.setattr(sharing, "TICK", 1000.0)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A card that is alternated, with the language model awake."""
    made = House()
    running = asyncio.create_task(made.sharing.run(lambda: made.placed))
    made.placed.set_result(None)
    await made.until(lambda: made.sharing.holder is Holder.TEXT)
    await made.looked()
    yield made
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def lent(house: House) -> None:
    """Pictures have the memory, and nobody draws."""
    house.queue["pictures"] = Queued(waiting=True)
    await house.looked()
    await house.until(lambda: house.sharing.holder is Holder.PICTURES)
    house.queue["pictures"] = Queued()
    await house.looked()


async def test_the_language_model_is_started_once_the_image_model_has_its_place() -> None:
    house = House()
    running = asyncio.create_task(house.sharing.run(lambda: house.placed))
    await house.looked()
    assert house.model.calls == []
    assert house.sharing.may_draw
    house.placed.set_result(None)
    await house.until(lambda: house.model.awake)
    assert house.model.calls == ["start"]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_pictures_wait_for_a_pause_in_the_conversation_and_no_longer(house: House) -> None:
    house.queue["text"] = Queued(running=True)
    await house.looked()
    house.queue = {"text": Queued(), "pictures": Queued(waiting=True)}
    await house.looked()
    assert (house.sharing.may_draw, house.sharing.may_answer) == (False, True)
    await house.later(QUIET - 1)
    assert house.model.calls == ["start"]
    await house.later(1)
    await house.until(lambda: house.sharing.may_draw)
    assert house.model.calls == ["start", "sleep"]
    assert not house.sharing.may_answer or not house.queue["text"].waiting


async def test_an_endless_conversation_is_interrupted_between_two_answers(house: House) -> None:
    end = asyncio.Event()
    house.queue = {"text": Queued(waiting=True, running=True), "pictures": Queued(waiting=True)}
    answer = asyncio.create_task(house.answer(end.wait))
    await house.looked()
    await house.later(PICTURES_WAIT)
    assert (house.sharing.may_answer, house.sharing.may_draw) == (False, False), "nothing more is begun"
    assert house.model.calls == ["start"], "what is being written is not interrupted"
    end.set()
    await answer
    house.queue["text"] = Queued(waiting=True)
    await house.looked()
    await house.until(lambda: house.sharing.holder is Holder.PICTURES)
    assert house.sharing.may_draw, "the turn it was lent for"
    await house.draw()
    await house.until(lambda: house.sharing.holder is Holder.TEXT)


async def test_whoever_asks_waits_for_the_end_of_the_batch(house: House) -> None:
    await lent(house)
    end = asyncio.Event()
    drawing = asyncio.create_task(house.draw(end.wait))
    await house.until(lambda: house.card.pictures == 1)
    asked = asyncio.create_task(house.answer())
    waiting = asyncio.create_task(house.draw())  # another picture, behind it
    await house.looked()
    assert house.model.calls == ["start", "sleep"]
    assert not house.sharing.may_draw
    end.set()
    await asyncio.gather(drawing, asked)
    assert house.model.calls[:3] == ["start", "sleep", "wake"]
    assert house.emptied == 1
    assert not waiting.done()
    await house.later(PICTURES_WAIT)
    await waiting


async def test_it_comes_back_by_itself_when_nobody_draws(house: House) -> None:
    await lent(house)
    await house.draw()
    await house.later(IDLE - 1)
    assert house.sharing.holder is Holder.PICTURES
    await house.later(1)
    await house.until(lambda: house.sharing.holder is Holder.TEXT)


async def test_a_cancelled_picture_gives_its_turn_back(house: House) -> None:
    await lent(house)
    drawing = asyncio.create_task(house.draw(asyncio.Event().wait))
    await house.until(lambda: house.card.pictures == 1)
    drawing.cancel()
    await asyncio.wait({drawing})
    await house.answer()
    assert house.sharing.holder is Holder.TEXT


async def test_an_answer_waits_only_so_long(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    await lent(house)
    drawing = asyncio.create_task(house.draw(asyncio.Event().wait))
    await house.until(lambda: house.card.pictures == 1)
    monkeypatch.setattr(sharing, "ANSWER_WAITS", 0.01)
    with pytest.raises(TextError, match="lent its memory to pictures"):
        await house.answer()
    drawing.cancel()
    await asyncio.wait({drawing})


async def test_what_cannot_fall_asleep_is_left_alone_for_a_while(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.model.fails["sleep"] = TextError("The engine broke.")
    house.queue["pictures"] = Queued(waiting=True)
    await house.looked()
    await house.until(lambda: house.sharing.holder is Holder.NOBODY)
    await house.draw()  # it is dead: its memory is free
    assert "The engine broke" in caplog.text
    await house.model.start()  # as it mends itself
    await house.looked()
    assert house.model.calls == ["start", "sleep", "start"]
    await house.later(sharing.LEND_AGAIN[0])
    await house.until(lambda: house.sharing.holder is Holder.PICTURES)


async def test_one_that_says_it_sleeps_and_does_not(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def pretends() -> None:
        house.model.calls.append("sleep")

    monkeypatch.setattr(house.model, "sleep", pretends)
    house.queue["pictures"] = Queued(waiting=True)
    await house.looked()
    await house.later(1)
    assert house.model.calls == ["start", "sleep"], "not again and again"
    assert house.sharing.may_answer


async def test_one_that_cannot_be_woken_leaves_the_memory_to_pictures(house: House) -> None:
    await lent(house)
    house.model.fails["wake"] = TextError("It does not wake.")
    house.queue["text"] = Queued(waiting=True)
    await house.looked()
    await house.until(lambda: house.sharing.holder is Holder.NOBODY)
    assert house.sharing.may_answer, "whoever asks hears at once how it stands"
    await house.draw()


async def test_one_that_was_started_anew_meanwhile_has_the_memory(house: House) -> None:
    await lent(house)
    house.model.die()
    async with house.sharing.drawing():
        await house.model.start()
        with pytest.raises(TakenBack), house.sharing.held():
            pass
    assert house.sharing.holder is Holder.TEXT


async def test_who_waits_hears_for_what(house: House) -> None:
    assert house.told[-1] == Waits(pictures=Cause.ANSWERS, pictures_seconds=3.0)
    house.model.slow = asyncio.Event()
    house.queue["pictures"] = Queued(waiting=True)
    await house.looked()
    house.now += 5
    house.model.slow.set()
    await house.until(lambda: house.told[-1].text is Cause.PICTURES)
    assert house.told[-1] == Waits(text=Cause.PICTURES, text_seconds=2.0)
    house.queue = {"text": Queued(waiting=True), "pictures": Queued()}
    house.model.slow = asyncio.Event()
    await house.later(sharing.TICK)
    await house.until(lambda: house.told[-1].pictures is Cause.ANSWERS)
    assert house.told[-1].text is Cause.PICTURES
    assert house.told[-1].pictures_seconds == pytest.approx(3.0 + sharing.NEWEST * 2.0), "measured: five seconds"
    house.model.slow.set()
    await house.until(lambda: house.told[-1].text is Cause.NOTHING)


async def test_side_by_side_only_the_gate_counts(caplog: pytest.LogCaptureFixture) -> None:
    house = House(alternates=False)
    house.model.slow = asyncio.Event()
    house.placed.set_result(None)
    running = asyncio.create_task(house.sharing.run(lambda: house.placed))
    await house.until(lambda: house.gate.owner == "text: start")
    drawn = asyncio.create_task(asyncio.to_thread(hold, house.sharing))
    await house.until(lambda: bool(house.gate.waiting))
    house.sharing._hint.set()
    await house.until(lambda: house.told[-1:] == [Waits(pictures=Cause.LOADING)])
    assert (house.sharing.may_draw, house.sharing.may_answer) == (False, True), "it waits in the queue, with a reason"
    house.model.slow.set()
    await drawn
    assert house.sharing.may_draw
    async with house.sharing.answering():
        await asyncio.to_thread(hold, house.sharing)
    house.sharing._hint.set()
    await house.until(lambda: house.told[-1] == Waits())
    assert (house.model.calls, house.emptied, house.looks) == (["start"], 0, 0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def hold(shared: Sharing) -> None:
    with shared.held():
        pass


async def test_a_crowd_never_meets(house: House) -> None:
    """A hundred pictures and answers, some of them cancelled, an engine that dies in between: never both at once."""
    caught = logging.getLogger("inference.gpu.sharing")
    caught.setLevel(logging.ERROR)

    async def picture(number: int) -> None:
        with suppress(TakenBack):
            await house.draw(partial(pause, number % 5))

    async def question(number: int) -> None:
        async with house.sharing.answering():
            await pause(number % 3)
            house.card.check()

    async def pause(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def time() -> None:
        while True:
            house.now += 0.5
            house.sharing._hint.set()
            await asyncio.sleep(0)

    clock = asyncio.create_task(time())
    wanted = [asyncio.create_task((picture if n % 3 else question)(n)) for n in range(100)]
    for number, task in enumerate(wanted):
        if number % 17 == 3:
            await asyncio.sleep(0)
            task.cancel()
    for number in range(300):
        await asyncio.sleep(0)
        if number == 150 and house.gate.owner is None:
            house.model.die()
            await house.model.start()
    done = await asyncio.wait_for(asyncio.gather(*wanted, return_exceptions=True), 20)
    clock.cancel()
    assert [one for one in done if isinstance(one, Exception)] == []
    await house.until(lambda: house.gate.owner is None)
    assert house.card.pictures == 0
