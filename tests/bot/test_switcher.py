"""Another model while jobs wait: the real engine, the real queue, two versions of the practice model."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from sqlalchemy import Connection, select

from bot import switcher
from bot.models import Shelf
from bot.replies import Words
from bot.reply import Reply
from bot.settings import load
from bot.switcher import Switcher
from inference.device import DeviceState, ImageDevice
from inference.errors import DeviceClosed
from inference.images.registry import LoadOptions
from inference.requests import ImageRequest
from inference.results import ImageResult
from scheduler import pausing, queue, switching
from scheduler.policy import Policy
from scheduler.progress import Progress, ProgressFeed
from scheduler.queue import Submission
from scheduler.runners.draw import DrawRunner, NobodyWatches
from scheduler.worker import Worker
from storage import assets, jobs, models, outbox, users
from storage.database import Database
from storage.files import Files
from storage.models import Chosen
from storage.records import Allowance, ChatType, Identity, Job, Kind, Origin, Unit, utcnow
from storage.tables import audit as audit_table
from tests.blank import blank
from tests.inference.images import versions

ROOT = Path(__file__).parents[2]
POLICY = Policy(timezone=UTC, allowances={unit: (Allowance(amount=500, period="day"),) for unit in Unit})
OPTIONS = LoadOptions(device="cpu")
HERE = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="boss")


class HeldFeed(ProgressFeed):
    """Lets a test stop the engine in the middle of its first pass."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def publish(self, item: Progress) -> None:
        if item.done == 1 and not self.begun.is_set():
            self.begun.set()
            assert self.go_on.wait(60)
        super().publish(item)


class Process:
    """What of a Moqi process draws."""

    def __init__(self, db: Database, data: Path, feed: ProgressFeed | None = None) -> None:
        settings = load(ROOT / "deploy" / "config", {})
        self.db = db
        self.shelf = Shelf(settings, data)
        self.files = Files(data / "files")
        self.device = ImageDevice.of(self.shelf.default(), OPTIONS)
        self.feed = feed or ProgressFeed()
        self.runner = DrawRunner(self.device, self.files, self.feed)
        self.worker = Worker(db, self.runner, lambda: POLICY, self.feed, lambda conn, key: lambda: None)
        self.alarms: list[str] = []
        self.switcher = Switcher(
            db,
            self.device,
            self.runner,
            lambda: self.shelf,
            OPTIONS,
            lambda: Words("zh"),
            lambda conn, problem: self.alarms.append(problem),
            self.worker.wake.give,
        )

    async def picture(self, seed: int) -> ImageResult:
        """What the present model draws."""
        request = ImageRequest(prompt="a red cube", width=64, height=64, steps=8, seed=seed)
        (result,) = await self.device.generate([request], NobodyWatches())
        assert result is not None
        return result

    @property
    def name(self) -> str:
        return self.device.card.name


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the collection of a million objects after each loading."""
    monkeypatch.setattr(switcher, "set_aside", lambda: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose store has another version."""
    (tmp_path / "data" / "models").mkdir(parents=True)
    versions.negative(tmp_path / "data" / "models" / "negative")
    return tmp_path / "data"


@asynccontextmanager
async def process(db: Database, data: Path, feed: ProgressFeed | None = None) -> AsyncIterator[Process]:
    opened = Process(db, data, feed)
    try:
        yield opened
    finally:
        gc.unfreeze()
        await opened.device.close()


def choose(conn: Connection, name: str, origin: Origin | None = HERE) -> Chosen:
    return switching.choose(conn, name, "user:1", utcnow(), origin=origin)


def order(conn: Connection, seed: int, *, count: int = 1, width: int = 64) -> Job:
    person = users.resolve(conn, Identity(platform="web", external_id="anna"), "anna", utcnow())
    params = {"prompt": "a red cube", "width": width, "height": 64, "steps": 8, "seed": seed, "count": count}
    wanted = Submission(
        key=f"web:{seed}",
        kind=Kind.DRAW,
        user=person,
        origin=HERE,
        params={**params, "cfg": 0.0, "negative": ""},
        cost=count,
        work=1.0,
        batch_key=str(seed),
    )
    job = queue.submit(conn, wanted, POLICY, utcnow())
    assert isinstance(job, Job)
    return job


async def ended(db: Database, job: Job) -> Job:
    while True:
        found = await db.read(jobs.get, job.id)
        assert found is not None
        if found.state.terminal:
            return found
        await asyncio.sleep(0.02)


def told(conn: Connection, version: int) -> Reply | None:
    found = outbox.by_key(conn, f"model-{version}")
    return None if found is None else Reply.from_json(found.body)


def audited(conn: Connection) -> list[tuple[str, str, str]]:
    rows = conn.execute(select(audit_table).where(audit_table.c.action.startswith("model.")).order_by(audit_table.c.id))
    return [(row.actor, row.action, row.subject) for row in rows]


def unlike(found: Image.Image, expected: ImageResult) -> float:
    """How far two pictures are from each other, 0 to 255."""
    pair = [numpy.asarray(one.convert("RGB"), dtype=float) for one in (found, expected.image)]
    return float(abs(pair[0] - pair[1]).mean())


async def test_jobs_before_a_switch_are_drawn_by_the_old_model_and_jobs_after_it_by_the_new(
    db: Database, data: Path
) -> None:
    feed = HeldFeed()
    async with process(db, data, feed) as one:
        feed.begun.set()
        await one.switcher.follow()
        assert one.name == "builtin"
        seeds = [100, 104, 200, 300]
        before = {seed: await one.picture(seed) for seed in seeds}
        transformer: Any = one.device._model.pipeline.transformer  # type: ignore[union-attr]
        transformer.__dict__["old_forward"] = transformer.forward  # a circle, as a hook that offloads it makes one
        old = weakref.ref(transformer)
        del transformer

        feed.begun.clear()
        running = await db.run(order, 100, count=5)  # two passes: it must not change hands between them
        waiting = [await db.run(order, seed) for seed in (200, 300)]
        unfit = await db.run(order, 400, width=60)
        working = asyncio.create_task(one.worker.run())
        await asyncio.to_thread(feed.begun.wait, 60)
        chosen = await db.run(choose, "negative")
        places = [await db.read(jobs.get, job.id) for job in waiting]
        switched = asyncio.create_task(one.switcher.follow())
        while not one.runner.switching:
            await asyncio.sleep(0.001)
        lane = await db.read(jobs.peek_lane, Kind.DRAW)
        assert pausing.hold(lane, None, utcnow()) == pausing.Hold(why="switching")
        assert not await one.runner.ready(), "nothing more is claimed"
        assert places == [await db.read(jobs.get, job.id) for job in waiting], "they wait as they did"
        feed.go_on.set()
        await switched
        assert (one.name, one.device.state) == ("negative", DeviceState.READY)
        assert old() is None, "the old model's memory is free"

        results = [await ended(db, job) for job in (running, *waiting)]
        assert [(job.result or {})["model"] for job in results] == ["builtin", "negative", "negative"]
        refused = await ended(db, unfit)
        assert (refused.state, refused.error) == ("failed", "other_model")
        await one.worker.stop(10)
        await working

        after = {seed: await one.picture(seed) for seed in seeds}
        assert unlike(before[100].image, after[100]) > 20
        made = {job.id: await db.read(assets.of_job, job.id) for job in results}
        assert len(made[running.id]) == 5
        for seed, asset, drawn, other in [
            (100, made[running.id][0], before, after),
            (104, made[running.id][4], before, after),
            (200, made[waiting[0].id][0], after, before),
            (300, made[waiting[1].id][0], after, before),
        ]:
            image = Image.open(io.BytesIO(one.files.read(asset.sha256)))
            assert unlike(image, drawn[seed]) < 3 < 20 < unlike(image, other[seed]), seed
        said = await db.read(told, chosen.version)
        assert said is not None
        assert "已换成 negative" in said.text
        lane = await db.read(jobs.peek_lane, Kind.DRAW)
        assert (lane.switching, lane.samples > 0) == (False, True)

    async with process(db, data) as again:  # a restart keeps the choice, and tells nobody a second time
        await again.switcher.follow()
        assert again.name == "negative"
        assert unlike(before[200].image, await again.picture(200)) > 20
        assert (await db.read(models.chosen, Kind.DRAW)).version == chosen.version


def torn(data: Path) -> None:
    """A model that looks whole and cannot be loaded."""
    folder = versions.negative(data / "models" / "torn")
    config = folder / "vae" / "config.json"
    found = json.loads(config.read_text())
    config.write_text(json.dumps({**found, "latent_channels": found["latent_channels"] * 2}))


@pytest.mark.usefixtures("light")
async def test_what_cannot_be_loaded_is_taken_back_and_told(db: Database, data: Path) -> None:
    torn(data)
    async with process(db, data) as one:
        await db.run(choose, "negative", None)
        await one.switcher.follow()
        expected = await one.picture(1)
        assert one.shelf.check(one.shelf.choice("torn")).ok
        chosen = await db.run(choose, "torn")
        await one.switcher.follow()
        assert (one.name, one.device.state, one.device.problem) == ("negative", DeviceState.READY, None)
        assert (await one.picture(1)).image.tobytes() == expected.image.tobytes()
        found = await db.read(models.chosen, Kind.DRAW)
        assert (found.name, found.actor, found.settled) == ("negative", "system", True)
        assert not (await db.read(jobs.peek_lane, Kind.DRAW)).switching
        said = await db.read(told, chosen.version)
        assert said is not None
        assert (said.state, "torn 加载失败，已换回 negative" in said.text) == ("failed", True)
        assert await db.read(audited) == [
            ("user:1", "model.use", "model:negative"),
            ("user:1", "model.use", "model:torn"),
            ("system", "model.failed", "model:torn"),
        ]


@pytest.mark.usefixtures("light")
async def test_a_choice_that_is_gone_at_the_start_falls_back_to_the_settings(db: Database, data: Path) -> None:
    await db.run(choose, "gone", None)
    async with process(db, data) as one:
        await one.switcher.follow()
        assert (one.name, one.device.state) == ("builtin", DeviceState.READY)
        assert (await db.read(models.chosen, Kind.DRAW)).name == ""
        assert "gone" in one.alarms[0], "nobody's message waits for it: the admins are told"


@pytest.mark.usefixtures("light")
async def test_nothing_more_is_begun_with_a_model_that_is_on_its_way_out(db: Database, data: Path) -> None:
    async with process(db, data) as one:
        await one.switcher.follow()
        assert await one.runner.ready()
        await db.run(choose, "negative")
        one.switcher.hurry()  # the engine has not heard of it yet
        assert (await one.runner.ready(), one.runner.switching) == (False, True)
        await one.switcher.follow()
        assert (await one.runner.ready(), one.name) == (True, "negative")
        one.switcher.hurry()
        await one.switcher.follow()
        assert await one.runner.ready(), "nothing was to be done"


@pytest.mark.usefixtures("light")
async def test_every_process_follows_and_one_that_cannot_takes_it_back_for_all(
    db: Database, data: Path, tmp_path: Path
) -> None:
    async with process(db, data) as one, process(db, tmp_path / "elsewhere") as other:
        await other.switcher.follow()
        await db.run(choose, "negative")
        await one.switcher.follow()
        assert one.name == "negative"
        await other.switcher.follow()  # it has no such model
        assert other.name == "builtin"
        await one.switcher.follow()
        assert one.name == "builtin"
        found = await db.read(models.chosen, Kind.DRAW)
        assert (found.name, found.settled) == ("", True)


@pytest.mark.usefixtures("light")
async def test_the_end_of_the_program_is_no_failure_of_the_model(db: Database, data: Path) -> None:
    async with process(db, data) as one:
        chosen = await db.run(choose, "negative")
        await one.device.close()
        with pytest.raises(DeviceClosed):
            await one.switcher.follow()
        await asyncio.wait_for(one.switcher.run(), 10)
        assert await db.read(models.chosen, Kind.DRAW) == chosen
