"""A card's shares as settings, doctor, log and terminal tell them, and the whole program on a card that it pretends."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from sqlalchemy import Connection, select

from bot import card as cards
from bot.current import Current
from bot.events import ChatEvent
from bot.opening import image_choice, load_options, open_database, text_options
from bot.replies import Words
from bot.replies.cards import queued_title
from bot.services import Services, serving
from bot.settings import Environment, load
from bot.sharing import computes, drawing, shares, summary, wanted
from inference import device
from inference.gpu import sharing, turns
from inference.gpu.card import MIB, Card
from inference.gpu.needs import SEARCHING
from inference.gpu.shares import Way
from inference.gpu.sharing import Cause, Waits
from inference.images.model import ImageModel, ModelCard, Watch
from inference.images.registry import LoadOptions, expected_card, resolve
from inference.requests import ImageRequest
from inference.results import ImageResult
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.vllm_engine import VllmEngine, VllmOptions, note
from scheduler.pausing import Hold
from storage import jobs, tables
from storage.database import data_lock
from storage.records import ChatType, Identity, JobState, Kind, Origin, Place, utcnow
from tests.bot.cli.installation import ROOT
from tests.bot.pretended import checkpoint, driver, write
from tests.inference.text.scripted import answer


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an RTX 4090."""
    driver(tmp_path / "driver", monkeypatch)


# --- what is told ---------------------------------------------------------------------------------------------------


def test_without_a_card_nothing_is_shared(tmp_path: Path) -> None:
    settings = load(tmp_path, {})
    assert shares(settings, image_choice(settings), (), answers=True) is None
    options = load_options(settings, tmp_path)
    assert drawing(options, None) is options
    assert options.memory_fraction is None


@pytest.mark.parametrize(
    ("text", "here", "supposed"),
    [
        ("{engine: extractive}", False, False),
        ("{engine: openai, base_url: 'http://x/v1'}", False, False),
        ("{path: m, base_url: 'http://x/v1'}", False, False),
        ("{engine: transformers, path: m}", False, False),
        ("{engine: vllm, path: m}", True, True),
        ("{path: m}", False, True),
    ],
)
def test_only_vllm_shares_a_card(tmp_path: Path, text: str, here: bool, supposed: bool) -> None:
    write(tmp_path, text)
    settings = load(tmp_path, {})
    assert (computes(settings), computes(settings, supposed=True)) == (here, supposed)


def test_models_whose_files_are_broken_are_planned_without(tmp_path: Path) -> None:
    write(tmp_path, "{engine: vllm, path: missing}", "{path: missing}")
    settings = load(tmp_path, {})
    found = shares(settings, image_choice(settings), [Card(index=0, name="x", total=24 << 30)], answers=True)
    assert found is not None
    assert (found.way, found.text, found.problem) == (Way.ALONE, None, "")
    assert "no language model" in summary(found)


def test_how_the_image_model_is_loaded_beside_it(tmp_path: Path) -> None:
    write(tmp_path, f"{{engine: vllm, path: {checkpoint(tmp_path / 'm', 16)}, sleep: true}}")
    settings, options = load(tmp_path, {}), LoadOptions()
    one = Card(index=0, name="x", total=24217 * MIB)
    found = shares(settings, image_choice(settings), [one], answers=True, host=64e9)
    told = drawing(options, found)
    assert (told.offload, told.device) == ("model", "auto")
    assert told.memory_fraction == pytest.approx(0.9, abs=0.02)
    apart = shares(settings, image_choice(settings), [one, replace(one, index=1)], answers=True)
    assert drawing(options, apart) == replace(options, device="cuda:1")
    alone = shares(settings, image_choice(settings), [one], answers=False)
    assert drawing(options, alone) == options, "alone it is as model.yaml says"


@pytest.mark.parametrize(
    ("embedding", "models"),
    [
        ("{}", 0),
        ("{engine: openai, base_url: 'http://x/v1', id: m}", 0),
        ("{engine: local, path: m, device: cpu}", 0),
        ("{engine: local, path: m}", 1),
        ("{engine: local, path: m, reranker: {engine: local, path: m}}", 1),
        ("{engine: local, path: missing, reranker: {engine: local, path: m}}", 1),
    ],
)
def test_models_of_the_search_are_counted_where_they_compute_on_the_card(
    tmp_path: Path, embedding: str, models: int
) -> None:
    checkpoint(tmp_path / "m", 1.2)
    (tmp_path / "model.yaml").write_text(f"embedding: {embedding}\n", encoding="utf-8")
    settings = load(tmp_path, {})
    found = wanted(settings, image_choice(settings), answers=False)
    assert found.beside == pytest.approx(models * (1.2e9 + SEARCHING))


def test_an_engine_of_the_last_start_is_ended_before_the_card_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory would count as somebody else's, and ours would not fit."""
    with subprocess.Popen(["sleep", "60"]) as left:
        began = psutil.Process(left.pid).create_time()
        note(tmp_path).write_text(json.dumps({"pid": left.pid, "began": began}), encoding="utf-8")

        def look(*given: Any, **more: Any) -> None:
            assert left.wait(5) < 0

        monkeypatch.setattr(cards, "present", look)
        options = replace(text_options(load(tmp_path, {})), folder=tmp_path)
        assert cards.Card.of(load(tmp_path, {}), {}, options, _nothing, _nothing).sharing is None


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("cause", [cause for cause in Cause if cause])
def test_a_card_in_the_queue_says_for_what_it_waits_and_how_long(language: str, cause: Cause) -> None:
    words = Words(language)
    hold = Hold(why=cause.value)
    known = queued_title(words, Place(place=2, seconds=8.0, low=6, high=10), hold)
    assert "6–10" in known
    assert words.say(f"hold.{cause}") in known
    unknown = queued_title(words, Place(place=2, seconds=None), hold)
    assert words.say(f"hold.{cause}") in unknown
    assert words.say("wait.unknown") not in unknown


async def _nothing(*given: Any) -> Any:
    raise AssertionError("nobody asks")


def test_one_that_does_not_fit_is_left_out_and_said(
    tmp_path: Path, gpu: None, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, f"{{engine: vllm, path: {checkpoint(tmp_path / 'm', 61)}}}")
    settings = load(tmp_path, {})
    with caplog.at_level(logging.INFO):
        made = cards.Card.of(settings, os.environ, text_options(settings), _nothing, _nothing)
    assert (made.options.engine, made.model, made.sharing) == ("extractive", None, None)
    assert "does not fit beside the image model" in caplog.text
    assert made.may_answer()
    assert made.may_draw()


# --- the whole program ----------------------------------------------------------------------------------------------


class World:
    """A card on which an engine and an image model pretend to compute: each sees whether the other has its memory."""

    def __init__(self) -> None:
        self.awake = False
        self.drawing = False
        self.seen: list[str] = []
        self.writes, self.draws = asyncio.Event(), threading.Event()  # cleared: what is under way does not end
        self.writes.set()
        self.draws.set()


class Engine:
    """What VllmEngine is, without one."""

    def __init__(self, world: World, options: VllmOptions) -> None:
        self.world, self.options = world, options
        self.dead = asyncio.Event()
        world.awake = True

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
        assert self.world.awake, "asked while it sleeps"
        assert not self.world.drawing
        self.world.seen.append("answer")
        await self.world.writes.wait()
        yield Piece(answer(answerable=False))
        yield Ended(reason="stop", read=10, written=5)

    async def died(self) -> None:
        await self.dead.wait()

    async def sleep(self) -> None:
        self.world.awake = False
        self.world.seen.append("sleep")

    async def wake(self) -> None:
        assert not self.world.drawing
        self.world.awake = True
        self.world.seen.append("wake")

    async def close(self) -> None:
        self.world.awake = False


class Grey:
    """An ImageModel that draws grey."""

    def __init__(self, world: World, card: ModelCard) -> None:
        self.world, self.card = world, card

    def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        assert not self.world.awake or not self.world.seen, "drawn while the language model has the memory"
        self.world.drawing = True
        self.world.seen.append("draw")
        assert self.world.draws.wait(10)
        image = Image.new("RGB", (batch[0].width, batch[0].height), "grey")
        self.world.drawing = False
        return [ImageResult(image=image, seed=one.seed, seconds=0.01, batch_size=len(batch)) for one in batch]

    def close(self) -> None:
        self.world.seen.append("freed")


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()

    async def start(options: VllmOptions) -> Engine:
        made.seen.append("start")
        return Engine(made, options)

    def load_model(*given: Any) -> ImageModel:
        return Grey(made, expected_card(resolve(None), LoadOptions()))

    monkeypatch.setattr(VllmEngine, "start", start)
    monkeypatch.setattr(device, "load", load_model)
    monkeypatch.setattr(cards, "give_back", lambda: made.seen.append("emptied"))
    monkeypatch.setattr(turns, "QUIET", 0.2)
    monkeypatch.setattr(turns, "IDLE", 0.4)
    monkeypatch.setattr(sharing, "TICK", 0.02)
    return made


@asynccontextmanager
async def running(environment: Environment) -> AsyncIterator[Services]:
    """The whole program, without a server."""
    with data_lock(environment.data):
        async with opened(environment) as services:
            yield services


@asynccontextmanager
async def opened(environment: Environment) -> AsyncIterator[Services]:
    async with open_database(environment) as db:
        services = Services(Current(load(environment.config, os.environ), os.environ), environment, db)
        async with serving(services):
            yield services


async def said(services: Services, text: str) -> None:
    event = ChatEvent(
        platform="web",
        key=text,
        kind="message",
        sender=Identity(platform="web", external_id="anna"),
        sender_name="Anna",
        origin=Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id=text, sender="Anna"),
        at=utcnow(),
        text=text,
    )
    await services.keep(event)


async def until(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


async def done(services: Services, count: int) -> None:
    """So many jobs have ended well."""
    async with asyncio.timeout(20):
        while True:
            states = await services.db.read(_states)
            assert JobState.FAILED not in states
            if states.count(JobState.DONE) == count:
                return
            await asyncio.sleep(0.005)


def _states(conn: Connection) -> list[JobState]:
    return [JobState(state) for state in conn.execute(select(tables.jobs.c.state).order_by(tables.jobs.c.id)).scalars()]


@pytest.fixture
def small(gpu: None, tmp_path: Path) -> Environment:
    """An installation whose language model lends its memory."""
    for name in ("config", "knowledge"):
        shutil.copytree(ROOT / "deploy" / name, tmp_path / "deploy" / name)
    config = tmp_path / "deploy" / "config"
    write(config, f"{{path: {checkpoint(tmp_path / 'Qwen3-8B', 16.4)}, engine: vllm, sleep: true}}")
    (tmp_path / "data").mkdir()
    return Environment(config=config, data=tmp_path / "data", database_url="")


async def test_one_card_draws_and_answers_in_turns(small: Environment, world: World) -> None:
    async with running(small) as services:
        await until(lambda: services.asking.indexed and "start" in world.seen)
        await until(lambda: "draw" in world.seen and world.awake)  # its pace was measured
        before = len(world.seen)
        await said(services, "/ask 年假怎么休?")
        await done(services, 1)
        await said(services, "/draw 一个红色的圆 --size 64x64")
        lane = await services.db.read(jobs.peek_lane, Kind.DRAW)
        assert lane.waits == "answers"
        await done(services, 2)
        await said(services, "/ask 出差住酒店一晚最多能报多少?")
        await done(services, 3)
        assert world.seen[before:] == ["answer", "sleep", "draw", "emptied", "wake", "answer"]
        await said(services, "/draw 一个蓝色的圆 --size 64x64")
        await done(services, 4)
        await until(lambda: world.seen[-1] == "wake")  # by itself: the next question finds it awake
        engine = services.card.sharing
        assert engine is not None
        assert engine.holder is turns.Holder.TEXT
    assert world.seen[-2:] == ["freed", "emptied"]
    assert not world.awake


async def test_who_waits_stands_in_the_queue(small: Environment, world: World) -> None:
    """There it has a place and a time, and can be cancelled; a job that is begun has neither."""
    async with running(small) as services:
        await until(lambda: services.asking.indexed and "draw" in world.seen and world.awake)
        world.writes.clear()
        await said(services, "/ask 年假怎么休?")
        await until(lambda: world.seen[-1] == "answer")
        await said(services, "/draw 一个红色的圆 --size 64x64")
        await standing(services, [JobState.RUNNING, JobState.QUEUED])
        world.draws.clear()
        world.writes.set()
        await until(lambda: world.seen[-1] == "draw")
        await said(services, "/ask 出差住酒店一晚最多能报多少?")
        await standing(services, [JobState.DONE, JobState.RUNNING, JobState.QUEUED])
        world.draws.set()
        await done(services, 3)


async def standing(services: Services, states: list[JobState]) -> None:
    """The jobs stand so, and still do after all have had a turn."""
    for _ in range(40):
        services.workers[Kind.DRAW].wake.give()
        services.workers[Kind.ASK].wake.give()
        await asyncio.sleep(0.005)
    assert await services.db.read(_states) == states


async def test_whatever_else_is_written_waits_too(small: Environment, world: World) -> None:
    """The check of orders asks the same model, while a picture is about to be drawn."""
    async with running(small) as services:
        await until(lambda: "draw" in world.seen and world.awake)
        card = services.card
        assert card.chat is not None
        assert card.sharing is not None
        async with card.sharing.drawing():
            asked = card.chat.stream(ChatRequest(messages=(), max_tokens=5))
            writing = asyncio.create_task(anext(asked))
            await asyncio.sleep(0.1)
            assert card.sharing.holder is turns.Holder.PICTURES
        await writing
        await until(lambda: world.awake)
        await asked.aclose()


async def test_what_a_dead_process_left_in_the_queue_is_forgotten(
    small: Environment, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(small) as services:
        await until(lambda: world.awake)
        await services._tell_queues(Waits(text=Cause.PICTURES, text_seconds=9))
    write(small.config, "{engine: extractive}")
    async with running(small) as services:
        assert not (await services.db.read(jobs.peek_lane, Kind.ASK)).waits
        assert not (await services.db.read(jobs.peek_lane, Kind.DRAW)).waits
        assert services.card.sharing is None
