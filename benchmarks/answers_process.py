"""The process that benchmarks/answers.py measures and then kills: `… FOLDER ROUNDS`. Says its figures in one line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import uvloop

from benchmarks.common import percentile
from inference.grounding import contract
from inference.requests import AnswerRequest
from inference.results import Delta
from inference.text.chat import ChatModel, ChatRequest
from inference.text.extractive import ExtractiveModel
from inference.text.model import TextModel
from inference.text.registry import TextOptions, open_chat_model, open_text_model
from inference.text.supervised import SupervisedModel
from tests.inference.text import handbook

TICK = 0.005  # seconds
STREAMS = 8
ASKED = 20  # questions of a round, one after another
QUESTIONS = [question for question, (_, said) in handbook.ANSWERS.items() if said]


@dataclass
class Late:
    """How late the event loop comes back, in milliseconds."""

    times: list[float] = field(default_factory=list)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._tick())
        try:
            yield
        finally:
            task.cancel()

    async def _tick(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(TICK)
            self.times.append((time.perf_counter() - began - TICK) * 1000)


async def main(folder: Path, rounds: int) -> None:
    """Measure, say so, and wait to be killed."""
    found: dict[str, list[float]] = {}
    plain = ExtractiveModel()
    [_ async for _ in plain.stream(_request(0))]  # its dictionaries
    found["the program without a model: memory"] = [_memory(os.getpid())]
    options = TextOptions(
        engine="vllm", path=handbook.checkpoint(), max_tokens=handbook.TOKENS, cache=64 << 20, folder=folder
    )
    chat, late, began = open_chat_model(options), Late(), time.perf_counter()
    assert isinstance(chat, SupervisedModel)
    async with late.watched():
        await chat.start()
    assert chat.problem is None, chat.problem
    found["vLLM: started in"] = [time.perf_counter() - began]
    found["vLLM: event loop late while it starts"] = [percentile(late.times, 99)]
    written = open_text_model(options, chat)
    engine = int(json.loads((folder / "text-engine.json").read_text())["pid"])
    models: dict[str, TextModel] = {"quoted": plain, "vLLM": written}
    for _ in range(rounds):
        for name, model in models.items():
            _add(found, name, await _one_by_one(model))
        _add(found, "vLLM", await _raw(chat))
        _add(found, f"vLLM, {STREAMS} at once", await _together(written))
        _add(found, "nobody asks", await _idle())
    found["the program with vLLM: memory"] = [_memory(os.getpid())]
    found["vLLM's own process: memory"] = [_memory(engine)]
    print(json.dumps({"figures": found, "engine": engine}), flush=True)
    await asyncio.Event().wait()


async def _one_by_one(model: TextModel) -> dict[str, float]:
    times = [await _asked(model, number) for number in range(ASKED)]
    return _told(times)


async def _together(model: TextModel) -> dict[str, float]:
    """Eight at a time, each with its next question as soon as it has its answer."""
    late, began = Late(), time.perf_counter()

    async def one(first: int) -> list[tuple[float, float]]:
        return [await _asked(model, number) for number in range(first, first + ASKED)]

    async with late.watched():
        times = [pair for pairs in await asyncio.gather(*(one(first) for first in range(STREAMS))) for pair in pairs]
    return {
        **_told(times),
        "answers a second": len(times) / (time.perf_counter() - began),
        "event loop late, p99": percentile(late.times, 99),
        "event loop late, longest": max(late.times),
    }


async def _raw(chat: ChatModel) -> dict[str, float]:
    """Until its first token: people see the first sentence, once it is whole and checked."""
    times = []
    for number in range(ASKED):
        request = _request(number)
        asked = ChatRequest(
            messages=contract.messages(request, b"secret"), max_tokens=200, schema=contract.SCHEMA, salt=request.salt
        )
        began, first = time.perf_counter(), 0.0
        async for _ in chat.stream(asked):
            first = first or time.perf_counter()
        times.append((first - began) * 1000)
    return {"first token, p50": percentile(times, 50), "first token, p99": percentile(times, 99)}


async def _idle() -> dict[str, float]:
    late = Late()
    async with late.watched():
        await asyncio.sleep(1)
    return {"event loop late, p99": percentile(late.times, 99)}


async def _asked(model: TextModel, number: int) -> tuple[float, float]:
    """Milliseconds until the first text is there, and until the answer is."""
    began, first = time.perf_counter(), 0.0
    async for piece in model.stream(_request(number)):
        first = first or time.perf_counter()
        if not isinstance(piece, Delta):
            assert piece.grounded, piece
            assert piece.engine == model.card.name, piece
    return (first - began) * 1000, (time.perf_counter() - began) * 1000


def _request(number: int) -> AnswerRequest:
    question = QUESTIONS[number % len(QUESTIONS)]
    return handbook.request(question, handbook.ANSWERS[question][0], salt=str(number % STREAMS))


def _told(times: Sequence[tuple[float, float]]) -> dict[str, float]:
    first, whole = ([pair[index] for pair in times] for index in (0, 1))
    return {
        "first text, p50": percentile(first, 50),
        "whole answer, p50": percentile(whole, 50),
        "whole answer, p99": percentile(whole, 99),
    }


def _add(found: dict[str, list[float]], name: str, values: dict[str, float]) -> None:
    for what, value in values.items():
        found.setdefault(f"{name}: {what}", []).append(value)


def _memory(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
