"""An engine that dies, sleeps and cannot be started, and what those who ask it get meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from inference.errors import EngineDown, TextBusy, TextError
from inference.requests import Message
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.model import TextCard
from inference.text.supervised import LONGEST, STEADY, EngineState, SupervisedModel, pause
from tests.inference.text.scripted import Scripted

ASKED = ChatRequest(messages=(Message(role="user", text="?"),), max_tokens=9)
CARD = TextCard(name="vllm", model="tiny", generative=True)


class Running(Scripted):
    """An engine that a test kills, and that a test may keep from turning."""

    def __init__(self, script: str = "好", *, ending: Ended | Exception | None = None) -> None:
        super().__init__(script, ending=ending)
        self.dead = asyncio.Event()
        self.turns: list[str] = []
        self.stuck: TextError | None = None

    async def died(self) -> None:
        await self.dead.wait()

    async def sleep(self) -> None:
        await self._turn("sleep")

    async def wake(self) -> None:
        await self._turn("wake")

    async def _turn(self, name: str) -> None:
        await asyncio.sleep(0)
        if self.stuck is not None:
            raise self.stuck
        self.turns.append(name)

    async def close(self) -> None:
        self.turns.append("close")


class Makes:
    """Starts the engines it was given, one after another; an error is a start that fails. Then no start ends."""

    def __init__(self, *made: Running | Exception) -> None:
        self.made = list(made)
        self.starts = 0

    async def __call__(self) -> Running:
        self.starts += 1
        if not self.made:
            await asyncio.Event().wait()
        found = self.made.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def supervised(start: Makes, **more: object) -> SupervisedModel:
    return SupervisedModel(CARD, start, **{"pauses": lambda failures: 0.0, **more})  # type: ignore[arg-type]


async def said(model: SupervisedModel) -> str:
    return "".join([piece.text async for piece in model.stream(ASKED) if isinstance(piece, Piece)])


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0), (1, 1), (2, 2), (4, 8), (8, LONGEST), (5000, LONGEST)])
def test_starts_are_tried_less_and_less_often(failures: int, seconds: float) -> None:
    assert pause(failures) == seconds


async def test_a_question_waits_for_the_first_start_and_begins_it() -> None:
    start = Makes(Running())
    model = supervised(start)
    assert model.state is EngineState.STARTING
    assert await said(model) == "好"
    await model.start()
    assert (start.starts, model.state) == (1, EngineState.READY)
    await model.close()


async def test_it_does_not_wait_for_ever() -> None:
    model = supervised(Makes(), patience=0.01)
    with pytest.raises(EngineDown, match="still being started"):
        await said(model)
    await model.close()
    assert model.state is EngineState.CLOSED
    with pytest.raises(TextError, match="shut down"):
        await said(model)


async def test_whoever_asks_a_dead_engine_hears_so_at_once_and_the_next_one_is_asked() -> None:
    first, second = Running(), Running("又好了")
    start = Makes(first)
    model = supervised(start)
    assert await said(model) == "好"
    first.dead.set()
    await until(lambda: start.starts == 2)
    assert model.state is EngineState.STARTING
    with pytest.raises(EngineDown):
        await said(model)
    assert first.turns == ["close"]
    await model.close()

    first.dead.clear()
    model = supervised(Makes(first, second))
    await model.start()
    first.dead.set()
    await until(lambda: model.state is EngineState.STARTING)
    await until(lambda: model.state is EngineState.READY)
    assert await said(model) == "又好了"
    await model.close()


async def test_a_start_that_fails_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    waited: list[int] = []
    again = asyncio.Event()

    def pauses(failures: int) -> float:
        waited.append(failures)
        return 0.0 if failures < 3 or again.is_set() else 3600.0

    broken = [TextError("no weights.", "Download them."), TimeoutError(), RuntimeError("a defect")]
    start = Makes(*broken)
    model = supervised(start, pauses=pauses)
    await model.start()
    await until(lambda: start.starts == 3)
    await until(lambda: waited[-1] == 3)
    assert waited == [0, 1, 2, 3]
    assert model.state is EngineState.DOWN
    assert "a defect" in str(model.problem)
    with pytest.raises(EngineDown, match=r"not running: .*a defect"):
        await said(model)
    assert "no weights" in caplog.text
    assert "not free in time" in caplog.text
    await model.close()


async def test_an_engine_that_ran_for_long_is_started_again_soon() -> None:
    now, waited = [0.0], list[int]()

    def pauses(failures: int) -> float:
        waited.append(failures)
        return 0.0

    engines = [Running() for _ in range(3)]
    model = supervised(Makes(*engines), pauses=pauses, clock=lambda: now[0])
    await model.start()
    for engine, lived in zip(engines, (1.0, STEADY + 1), strict=False):
        now[0] += lived
        engine.dead.set()
        await until(lambda engine=engine: engine.turns == ["close"])  # type: ignore[misc]
        await until(lambda: model.state is EngineState.READY)
    assert waited == [0, 1, 1]
    await model.close()


async def test_who_leaves_stops_the_engine() -> None:
    engine = Running("一二三四五六七八九十" * 3)
    model = supervised(Makes(engine))
    stream = model.stream(ASKED)
    await anext(stream)
    await stream.aclose()
    assert engine.closed == 1
    await model.close()


async def test_what_the_engine_says_of_itself_goes_through() -> None:
    model = supervised(Makes(Running(ending=TextBusy("enough"))))
    with pytest.raises(TextBusy):
        await said(model)
    await model.close()


@asynccontextmanager
async def asleep(*engines: Running | Exception) -> AsyncIterator[tuple[SupervisedModel, list[str]]]:
    """A sleeping engine, and what the gate was held for."""
    held: list[str] = []

    @asynccontextmanager
    async def gate(purpose: str) -> AsyncIterator[None]:
        held.append(purpose)
        yield
        held.append(f"{purpose} over")

    model = supervised(Makes(*engines), gate=gate)
    await model.start()
    await model.sleep()
    yield model, held
    await model.close()


async def test_it_holds_the_gate_while_it_starts_sleeps_and_wakes() -> None:
    engine = Running()
    async with asleep(engine) as (model, held):
        await model.sleep()
        assert (model.sleeping, model.state) == (True, EngineState.ASLEEP)
        await model.wake()
        await model.wake()
        assert (model.sleeping, model.state) == (False, EngineState.READY)
        assert engine.turns == ["sleep", "wake"]
        assert held == ["start", "start over", "sleep", "sleep over", "wake", "wake over"]


async def test_questions_wake_it_once() -> None:
    engine = Running()
    async with asleep(engine) as (model, _):
        assert await asyncio.gather(*(said(model) for _ in range(4))) == ["好"] * 4
        assert engine.turns == ["sleep", "wake"]


async def test_one_that_does_not_wake_is_replaced() -> None:
    engine = Running()
    async with asleep(engine, Running("新的")) as (model, _):
        engine.stuck = TextError("no memory left")
        with pytest.raises(TextError, match="no memory"):
            await said(model)
        await until(lambda: model.state is EngineState.READY)
        assert (model.sleeping, engine.turns) == (False, ["sleep", "close"])
        assert await said(model) == "新的"


async def test_one_that_dies_asleep_is_awake_when_it_is_back() -> None:
    engine = Running()
    async with asleep(engine, Running("新的")) as (model, _):
        engine.dead.set()
        await until(lambda: not model.sleeping)
        await until(lambda: model.state is EngineState.READY)
        assert await said(model) == "新的"


async def test_there_is_nothing_to_lend_where_nothing_runs() -> None:
    model = supervised(Makes(), patience=0.01)
    with pytest.raises(EngineDown):
        await model.sleep()
    assert not model.sleeping
    await model.wake()
    await model.close()


async def test_closing_ends_a_start_that_is_under_way_and_what_runs() -> None:
    start, engine = Makes(), Running()
    model = supervised(start)
    starting = asyncio.create_task(model.start())
    await until(lambda: start.starts == 1)
    await model.close()
    await model.close()
    await starting  # nobody waits on for what will not come
    model = supervised(Makes(engine))
    await model.start()
    await model.close()
    assert engine.turns == ["close"]


async def test_an_answer_under_way_ends_with_what_the_engine_says() -> None:
    class Dying(Running):
        async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
            yield Piece("一")
            await self.dead.wait()
            raise EngineDown("it died")

    engine = Dying()
    model = supervised(Makes(engine, Running()))
    stream = model.stream(ASKED)
    assert await anext(stream) == Piece("一")
    engine.dead.set()
    with pytest.raises(EngineDown):
        await anext(stream)
    await until(lambda: engine.turns == ["close"])
    await until(lambda: model.state is EngineState.READY)
    assert await said(model) == "好"
    await model.close()
