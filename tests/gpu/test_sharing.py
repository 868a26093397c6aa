"""One NVIDIA GPU for pictures and vLLM: what only shows there. `make test ARGS="-m gpu"` where there is one.

A tiny language model with a large cache stands for a large one: what is handed over is memory, and it is as real.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import pytest
import pytest_asyncio
import torch

from inference.device import ImageDevice
from inference.gpu.card import cards
from inference.gpu.gate import Gate
from inference.gpu.shares import ASLEEP
from inference.gpu.sharing import Queued, Sharing, Waits
from inference.gpu.turns import Holder
from inference.images.passes import Nobody
from inference.images.placement import give_back
from inference.images.registry import LoadOptions, resolve
from inference.requests import ImageRequest, Message
from inference.text import orphan_guard
from inference.text.chat import ChatRequest, Ended
from inference.text.lent import LentModel
from inference.text.model import TextCard
from inference.text.supervised import SupervisedModel
from inference.text.vllm_engine import VllmEngine, VllmOptions, environment, installed
from tests import plugins
from tests.inference.text import handbook

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available() or not installed(), reason="needs an NVIDIA GPU and vllm"),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("default"),  # drivers and compilers have much to say
]

CACHE = 8 << 30  # bytes that the language model reserves: most of what it lends
ROUNDS = 5


@dataclass
class House:
    """Both engines on the first card."""

    sharing: Sharing
    model: SupervisedModel
    device: ImageDevice

    async def draw(self, side: int = 256, seed: int = 7) -> None:
        [drawn] = await self.device.generate(
            [ImageRequest(prompt="a red cube", width=side, height=side, steps=8, seed=seed)], Nobody()
        )
        assert drawn is not None

    async def answer(self) -> None:
        asked = ChatRequest(messages=(Message(role="user", text="?"),), max_tokens=16)
        pieces = [piece async for piece in LentModel(self.model, self.sharing.answering).stream(asked)]
        assert isinstance(pieces[-1], Ended)


async def look() -> tuple[Queued, Queued]:
    """Nobody waits in a queue: only who is at the engines counts."""
    return Queued(), Queued()


async def tell(waits: Waits) -> None:
    """Nobody listens."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    total = torch.cuda.get_device_properties(0).total_memory
    options = VllmOptions(
        path=handbook.checkpoint(),
        max_tokens=handbook.TOKENS,
        share=(CACHE + (4 << 30)) / total,
        cache=CACHE,
        lends=True,
        folder=tmp_path_factory.mktemp("engine"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(plugins.installed(tmp_path_factory.mktemp("site")))
        for name, value in environment(options, os.environ).items():
            patch.setenv(name, value)
        gate = Gate()
        card = TextCard(name="vllm", model="handbook", generative=True)
        model = SupervisedModel(card, partial(VllmEngine.start, options), gate=gate.of("the language model"))
        sharing = Sharing(gate, model, look, tell, alternates=True, empty=give_back)
        device = ImageDevice.of(resolve(None), LoadOptions(attention="native"), sharing)
        running = asyncio.create_task(sharing.run(device.ready))
        async with asyncio.timeout(600):
            while sharing.holder is not Holder.TEXT:
                await asyncio.sleep(0.1)
        yield House(sharing, model, device)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await model.close()
        gate.close()
        await device.close()


def engine() -> int:
    """The pid of the engine's process."""
    [child] = [one for one in multiprocessing.active_children() if one.name.startswith(orphan_guard.ENGINE)]
    assert child.pid is not None
    return child.pid


def free() -> int:
    return int(torch.cuda.mem_get_info(0)[0])


def test_the_card_has_as_much_as_it_says() -> None:
    found = cards({name: value for name, value in os.environ.items() if name == "CUDA_VISIBLE_DEVICES"})
    assert found[0].total == pytest.approx(torch.cuda.mem_get_info(0)[1], rel=0.02)
    assert found[0].name == torch.cuda.get_device_name(0)


async def test_what_is_lent_is_free_and_comes_back(house: House) -> None:
    await house.answer()
    awake = free()
    async with house.sharing.drawing():
        asleep = free()
        assert house.model.sleeping
        assert asleep - awake >= CACHE * 0.9
    await house.answer()
    assert free() == pytest.approx(awake, abs=ASLEEP)


async def test_pictures_and_answers_take_turns_and_nobody_dies(house: House) -> None:
    pid = engine()
    for number in range(ROUNDS):
        await house.draw(seed=number)
        await house.answer()
    await asyncio.gather(*(house.draw(seed=number) if number % 2 else house.answer() for number in range(20)))
    assert engine() == pid, "neither a sleep nor a waking ended the engine"


async def test_pictures_leave_nothing_for_the_waking_to_stumble_over(house: House) -> None:
    async with house.sharing.drawing():
        before = free()
    await house.draw(1024)
    async with house.sharing.drawing():
        assert before - free() < 512 << 20, "what torch keeps for later was given back"


async def test_an_engine_that_is_started_anew_while_pictures_are_drawn(house: House) -> None:
    """Its start measures the whole card's memory: what pictures take or free then would end it."""
    pid = engine()
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(600):
        while not house.model.awake or engine() == pid:
            await house.draw(512)
    await house.answer()
    assert engine() != pid
