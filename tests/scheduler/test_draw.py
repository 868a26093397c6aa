"""The draw runner around an engine that misbehaves on cue: what fails, fails alone; what fits, shares."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image

from inference.device import ImageDevice
from inference.errors import BadImageRequest, ImageError, ModelUnavailable, NotFinite, OutOfMemory
from inference.images.batching import BatchLimit
from inference.images.model import ModelCard, Watch
from inference.images.recipe import read
from inference.requests import ImageRequest
from inference.results import ImageResult
from scheduler.progress import Progress, ProgressFeed
from scheduler.queue import Failure
from scheduler.runners.draw import CODES, DrawRunner, PassWatch, _members
from scheduler.work import Outcome, Stopped, Success, Task
from storage.files import Files
from storage.records import ChatType, Job, JobState, Kind, Origin, utcnow

CARD = ModelCard(name="scripted", path="", builtin=False, device="cpu", dtype="float32")
ORIGIN = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="1")

#: What happens in a pass: given its requests, an error or nothing.
Script = Callable[[Sequence[ImageRequest]], Exception | None]


class ScriptedModel:
    """An ImageModel that paints its seed, and fails as its script says. Not a stand-in for ours: a second engine."""

    card: ModelCard = CARD

    def __init__(self, script: Script) -> None:
        self.script = script
        self.passes: list[list[int]] = []  # the seeds of each pass
        self.stop_at: Callable[[], None] = lambda: None  # called in the middle of each pass

    def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        self.passes.append([request.seed for request in batch])
        if (error := self.script(batch)) is not None:
            raise error
        self.stop_at()
        for index, request in enumerate(batch):
            watch.step(index, request.steps, request.steps)
        return [
            None
            if watch.cancelled(index)
            else ImageResult(
                image=Image.new("RGB", (request.width, request.height), (request.seed % 256, 0, 0)),
                seed=request.seed,
                seconds=0.1,
                batch_size=len(batch),
            )
            for index, request in enumerate(batch)
        ]

    def close(self) -> None:
        """Nothing is held."""


def task(number: int, *, seed: int, count: int = 1) -> Task:
    params = {
        "prompt": "cat",
        "width": 64,
        "height": 64,
        "steps": 8,
        "seed": seed,
        "count": count,
        "cfg": 0.0,
        "negative": "",
    }
    return Task(
        Job(
            id=number,
            kind=Kind.DRAW,
            user_id=number,
            state=JobState.RUNNING,
            params=params,
            origin=ORIGIN,
            cost=1,
            weight=1.0,
            priority=0,
            vtag=0.0,
            batch_key="k",
            attempt=1,
            lost=0,
            token="t",
            cancel_requested=False,
            parent_id=None,
            result=None,
            error=None,
            cause=None,
            created_at=utcnow(),
            not_before=None,
            started_at=None,
            finished_at=None,
        )
    )


class Bench:
    """A runner on a scripted engine."""

    def __init__(self, folder: Path) -> None:
        self.model = ScriptedModel(lambda batch: None)
        self.device = ImageDevice(lambda: self.model, CARD)
        self.files = Files(folder)
        self.feed = ProgressFeed()
        self.runner = DrawRunner(self.device, self.files, self.feed)

    async def run(self, *tasks: Task, script: Script = lambda batch: None) -> list[Outcome]:
        self.model.script = script
        self.model.passes.clear()
        await self.device.ready()
        return await self.runner.run(tasks)


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    await made.device.close()


def errors(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.error if isinstance(outcome, Failure) else type(outcome).__name__ for outcome in outcomes]


async def test_jobs_share_a_pass_and_each_gets_its_own_pictures(bench: Bench) -> None:
    first, second = await bench.run(task(1, seed=10, count=2), task(2, seed=20))
    assert bench.model.passes == [[10, 11, 20]]
    assert isinstance(first, Success)
    assert isinstance(second, Success)
    assert first.result["seeds"] == [10, 11]
    assert second.result["batch"] == [3]
    assert len({asset.sha256 for asset in (*first.assets, *second.assets)}) == 3
    assert all(bench.files.exists(asset.sha256) for asset in first.assets)


async def test_the_last_seed_wraps_around(bench: Bench) -> None:
    await bench.run(task(1, seed=2**32 - 1, count=2))
    assert bench.model.passes == [[2**32 - 1, 0]]


async def test_out_of_memory_is_tried_in_halves_and_remembered(bench: Bench) -> None:
    def small_device(batch: Sequence[ImageRequest]) -> Exception | None:
        return OutOfMemory("too large") if len(batch) > 2 else None

    tasks = [task(number, seed=number) for number in range(1, 5)]
    assert errors(await bench.run(*tasks, script=small_device)) == ["Success"] * 4
    assert bench.model.passes == [[1, 2, 3, 4], [1, 2], [3, 4]]
    assert bench.runner.room(tasks[0].job) == 2
    await bench.run(*tasks, script=small_device)
    assert bench.model.passes == [[1, 2], [3, 4]]


async def test_the_batch_is_as_large_as_pays_on_this_machine(bench: Bench) -> None:
    head = task(1, seed=1).job
    await bench.device.ready()
    assert bench.runner.room(head) == 4
    bench.model.card = replace(CARD, batches=BatchLimit(measured=((64 * 64, 8),)))
    assert bench.runner.room(head) == 8
    bench.model.card = replace(CARD, batches=BatchLimit(measured=((64 * 64, 8),), learned=((64 * 64, 3),)))
    assert bench.runner.room(head) == 3


async def test_the_engine_is_free_when_all_is_drawn_and_before_anything_is_filed(bench: Bench) -> None:
    filed: list[int] = []

    def freed() -> None:
        filed.append(len(list(bench.files.iterate())))

    tasks = [replace(task(number, seed=number), freed=freed) for number in (1, 2)]
    assert errors(await bench.run(*tasks)) == ["Success", "Success"]
    assert bench.model.passes == [[1, 2]]
    assert filed == [0, 0]


async def test_a_single_picture_that_does_not_fit_fails_and_may_be_tried_again(bench: Bench) -> None:
    (failure,) = await bench.run(task(1, seed=1), script=lambda batch: OutOfMemory("too large"))
    assert isinstance(failure, Failure)
    assert (failure.error, failure.transient, failure.engine) == ("out_of_memory", True, True)


async def test_the_member_at_fault_fails_alone(bench: Bench) -> None:
    def long_prompt(batch: Sequence[ImageRequest]) -> Exception | None:
        guilty = [index for index, request in enumerate(batch) if request.seed == 2]
        if not guilty:
            return None
        error = BadImageRequest("too long")
        error.member = guilty[0]
        return error

    outcomes = await bench.run(*(task(n, seed=n) for n in (1, 2, 3)), script=long_prompt)
    assert errors(outcomes) == ["Success", "bad_request", "Success"]
    assert bench.model.passes == [[1, 2, 3], [1, 3]]
    assert isinstance(outcomes[1], Failure)
    assert not outcomes[1].engine


async def test_when_nobody_is_named_each_is_tried_alone(bench: Bench) -> None:
    def nan(batch: Sequence[ImageRequest]) -> Exception | None:
        return NotFinite("NaN") if any(request.seed == 2 for request in batch) else None

    assert errors(await bench.run(*(task(n, seed=n) for n in (1, 2, 3)), script=nan)) == [
        "Success",
        "not_finite",
        "Success",
    ]
    assert bench.model.passes == [[1, 2, 3], [1], [2], [3]]


async def test_a_dead_engine_fails_all_of_the_pass(bench: Bench) -> None:
    outcomes = await bench.run(task(1, seed=1), task(2, seed=2), script=lambda batch: ModelUnavailable("gone"))
    assert errors(outcomes) == ["model_unavailable"] * 2


async def test_a_cancelled_member_leaves_and_the_other_gets_its_picture(bench: Bench) -> None:
    leaving, staying = task(1, seed=1), task(2, seed=2)
    bench.model.stop_at = leaving.stop.set
    assert errors(await bench.run(leaving, staying)) == [Stopped.__name__, "Success"]


async def test_who_left_before_the_pass_takes_no_part_in_it(bench: Bench) -> None:
    gone = task(1, seed=1)
    gone.stop.set()
    assert errors(await bench.run(gone, task(2, seed=2))) == [Stopped.__name__, "Success"]
    assert bench.model.passes == [[2]]


async def test_steps_are_told_over_all_pictures_of_a_job(bench: Bench) -> None:
    bench.feed.attach(asyncio.get_running_loop())
    heard: list[Progress] = []
    with bench.feed.listening(heard.append):
        await bench.run(task(1, seed=1, count=2))
        await asyncio.sleep(0)
    assert [(item.done, item.total) for item in heard] == [(8, 16), (16, 16)]


class Time:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def marked(jpeg: bytes, origin: Origin) -> bytes:
    """A preview as it is shown in this chat."""
    return jpeg + b" in " + origin.chat_id.encode()


async def watched(*tasks: Task, previews: bool, seconds: float, done: int = 2) -> tuple[list[Progress], list[int]]:
    """What is heard of a pass in which every member is offered a preview after `seconds` and `done` of 8 steps."""
    feed, heard, time = ProgressFeed(), list[Progress](), Time()
    feed.attach(asyncio.get_running_loop())
    members = [member for one in tasks for member in _members(one, None)]
    watch, takers = PassWatch(members, feed, previews=previews, show=marked, clock=time), list[int]()
    with feed.listening(heard.append):
        time.now += seconds
        for index in range(len(members)):
            watch.step(index, done, 8)
        for index in range(len(members)):
            if (take := watch.preview(index)) is not None:
                takers.append(index)
                take(f"jpeg {index}".encode())
        watch.step(len(members) - 1, done + 1, 8)
        await asyncio.sleep(0)
    return heard, takers


async def test_one_preview_of_each_job_is_told_and_goes_on_with_its_progress() -> None:
    heard, takers = await watched(task(1, seed=1, count=2), task(2, seed=5), previews=True, seconds=1.0)
    assert takers == [0, 2]
    told = [(item.job, item.user_id, item.done, item.total, item.preview) for item in heard]
    assert told == [
        (1, 1, 2, 16, b""),
        (1, 1, 10, 16, b""),
        (2, 2, 2, 8, b""),
        (1, 1, 10, 16, b"jpeg 0 in 1"),  # the bar does not go back
        (2, 2, 2, 8, b"jpeg 2 in 1"),
        (2, 2, 3, 8, b"jpeg 2 in 1"),
    ]
    assert "jpeg" not in repr(heard), "pictures are not for logs"


@pytest.mark.parametrize(("previews", "seconds"), [(False, 60.0), (True, 0.1)])
async def test_no_preview_when_nobody_asked_or_the_picture_is_there_in_a_moment(previews: bool, seconds: float) -> None:
    heard, takers = await watched(task(1, seed=1), previews=previews, seconds=seconds)
    assert takers == []
    assert all(item.preview == b"" for item in heard)


async def test_the_settings_decide_anew_at_each_pass(tmp_path: Path) -> None:
    wanted, offered = [False], list[bool]()

    class Offering(ScriptedModel):
        def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
            time.sleep(0.01)
            watch.step(0, 1, 100_000)
            offered.append(watch.preview(0) is not None)
            return super().generate(batch, watch)

    device = ImageDevice(lambda: Offering(lambda batch: None), CARD)
    runner = DrawRunner(device, Files(tmp_path), ProgressFeed(), lambda: wanted[0])
    for wish in (False, True, False):
        wanted[0] = wish
        await runner.run([task(1, seed=1)])
    await device.close()
    assert offered == [False, True, False]


def test_every_error_of_the_engine_has_its_sentence() -> None:
    assert {*ImageError.__subclasses__(), *BadImageRequest.__subclasses__(), ModelUnavailable} == set(CODES)


def begun(number: int, sha: str, **more: object) -> Task:
    """A job that begins with a picture."""
    plain = task(number, seed=number)
    params = {**plain.job.params, "source": {"sha256": sha}, "strength": 0.6, **more}
    return Task(replace(plain.job, params=params))


async def test_a_source_is_read_once_and_made_to_fit(bench: Bench) -> None:
    seen: list[ImageRequest] = []

    def watch(batch: Sequence[ImageRequest]) -> None:
        seen.extend(batch)

    buffer = io.BytesIO()
    Image.new("RGBA", (300, 100), (255, 0, 0, 255)).save(buffer, "PNG")
    (done,) = await bench.run(begun(1, bench.files.put(buffer.getvalue()), count=2), script=watch)
    assert isinstance(done, Success)
    assert [one.strength for one in seen] == [0.6, 0.6]
    (source,) = {id(one.source): one.source for one in seen}.values()
    assert source is not None
    assert (source.size, source.mode, source.getpixel((5, 5))) == ((64, 64), "RGB", (255, 0, 0))
    made = Image.open(io.BytesIO(bench.files.read(done.assets[0].sha256)))
    assert "Denoising strength: 0.6" in made.info["parameters"]


async def test_the_file_of_a_private_order_does_not_say_how_it_was_made(bench: Bench) -> None:
    plain, private = task(1, seed=1), task(2, seed=2)
    private = Task(replace(private.job, params={**private.job.params, "private": True}))
    for done, said in zip(await bench.run(plain, private), (True, False), strict=True):
        assert isinstance(done, Success)
        data = bench.files.read(done.assets[0].sha256)
        assert (read(data) is not None, b"cat" in data, b"TC260:AIGC" in data) == (said, said, True)


async def test_a_source_that_is_gone_or_broken_fails_its_job_alone(bench: Bench) -> None:
    broken = bench.files.put(b"\x89PNG\r\n\x1a\n no more")
    outcomes = await bench.run(begun(1, "ab" * 32), begun(2, broken), task(3, seed=3))
    assert errors(outcomes) == ["source_gone", "bad_source", "Success"]
    assert bench.model.passes == [[3]]
    assert not any(one.engine or one.transient for one in outcomes if isinstance(one, Failure)), "nobody else's fault"
