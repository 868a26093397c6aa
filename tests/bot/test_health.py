"""What a monitor is told of the engines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bot.engine import Engine, answering
from bot.health import degraded
from inference.errors import TextError
from inference.text.model import TextCard
from inference.text.supervised import SupervisedModel
from storage.records import Kind
from tests.inference.text.scripted import Scripted

CARD = TextCard(name="vllm", model="handbook", generative=True)


@pytest.mark.parametrize(
    ("state", "problem", "said"),
    [
        ("ready", "", []),
        ("asleep", "", []),
        ("starting", "", ["language model: starting"]),
        ("down", "no weights. Download them.", ["language model: no weights. Download them."]),
    ],
)
def test_a_language_model_that_is_not_there_takes_nothing_else_away(state: str, problem: str, said: list[str]) -> None:
    engine = Engine(name="vllm", state=state, problem=problem)
    services: Any = SimpleNamespace(listeners=[], engines=lambda: {Kind.ASK: engine})
    assert degraded(services) == said


async def test_an_engine_that_is_no_process_of_its_own_is_ready() -> None:
    assert answering(CARD, None).state == answering(CARD, Scripted("")).state == "ready"


async def test_one_that_is_says_how_it_stands() -> None:
    async def start() -> Any:
        raise TextError("no weights.", "Download them.")

    model = SupervisedModel(CARD, start, pauses=lambda failures: 3600.0 if failures else 0.0)
    assert answering(CARD, model) == Engine(name="vllm", state="starting")
    await model.start()
    assert answering(CARD, model) == Engine(name="vllm", state="down", problem="no weights. Download them.")
    await model.close()
    assert answering(CARD, model).state == "closed"
