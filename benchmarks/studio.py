"""What the engine makes of a full queue: 32 orders of 8 people through queue, worker, runner and device.

Against it, in turns, stands a loop of bare `pipe(...)` calls in the same process: the same pictures from the same
checkpoint, the practice model, on one compute thread each. Ours writes rows, ledger, audit and PNG files besides. Then:
how soon a cancelled picture frees the engine, and how late the event loop is meanwhile. What files cost says `labels`.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.queueing import PARAMS, POLICY, person, submission
from inference.device import ImageDevice
from inference.images import batching
from inference.images.gauge import gauge
from inference.images.registry import BUILTIN, LoadOptions, expected_card, load, resolve
from inference.requests import ImageRequest
from scheduler import queue
from scheduler.progress import ProgressFeed
from scheduler.runners.draw import DrawRunner
from scheduler.worker import Worker
from storage import jobs
from storage.database import Database
from storage.files import Files
from storage.migrations import migrate
from storage.records import Job, utcnow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TITLE = "Studio: 32 orders of 8 people, 8 steps, practice model on one CPU thread"
PEOPLE, EACH = 8, 4
SIDES = {64: 1.8, 256: 1.2}  # pixels, and how many times the bare loop's pace is to be reached
GAUGING = 60.0  # seconds
SUBJECTS = (
    "a red cube",
    "a blue ball",
    "a green cone",
    "two yellow boxes",
    "a small house",
    "a moon",
    "a tree",
    "一只猫",
)
TICK = 0.005  # seconds between two looks at the clock


def run(quick: bool = False) -> list[Figure]:
    """Everything in one process; rounds in turns."""
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder), quick))


async def _measure(folder: Path, quick: bool) -> list[Figure]:
    studio = Studio(folder)
    rounds, each = (1, 1) if quick else (3, EACH)
    figures: list[Figure] = []
    async with studio.open():
        if not quick:
            await studio.gauge()
        for side, goal in SIDES.items():
            figures += await _pace(studio, side, goal, rounds, each)
        figures += await _cancelling(studio, 3 if quick else 12)
        figures += await _lateness(studio, 2 if quick else 16)
    return figures


class Studio:
    """Our engine as the product runs it, and the same checkpoint in plain diffusers on a thread of its own."""

    def __init__(self, folder: Path) -> None:
        migrate(f"sqlite:///{folder / 'moqi.db'}")
        self.db = Database.open(f"sqlite:///{folder / 'moqi.db'}")
        self.files = Files(folder / "files")
        choice = resolve(None)
        options = LoadOptions(device="cpu", notes=folder / "engine")
        self.loaded: list[Any] = []

        def keep() -> Any:
            self.loaded.append(load(choice, options))
            return self.loaded[0]

        self.device = ImageDevice(keep, expected_card(choice, options))
        self.feed = ProgressFeed()
        self.runner = DrawRunner(self.device, self.files, self.feed)
        self.worker = Worker(self.db, self.runner, lambda: POLICY, self.feed, lambda conn, key: self.told.set)
        self.told = asyncio.Event()
        self.bare = ThreadPoolExecutor(1, thread_name_prefix="bare")
        self.keys = itertools.count()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Loaded and serving."""
        self.feed.attach(asyncio.get_running_loop())
        await self.device.ready()
        self.pipeline = await asyncio.get_running_loop().run_in_executor(self.bare, _pipeline)
        serving = asyncio.create_task(self.worker.run())
        try:
            yield
        finally:
            await self.worker.stop(5)
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            await self.device.close()
            self.db.close()
            self.bare.shutdown()

    async def gauge(self) -> None:
        """What `moqi bench` does, for the sizes that are measured here; on the device's own thread."""
        model = self.loaded[0]
        await asyncio.get_running_loop().run_in_executor(
            self.device._thread, lambda: model.learn(gauge(model, tuple(SIDES), GAUGING))
        )

    async def order(self, side: int, each: int, prompts: Sequence[str]) -> list[int]:
        """`each` orders of everybody; their numbers."""
        made = []
        for turn in range(each):
            for number in range(PEOPLE):
                key = next(self.keys)
                made.append(
                    await self.db.run(_submit, key, number, side, prompts[(turn * PEOPLE + number) % len(prompts)])
                )
        return made

    async def done(self, numbers: Sequence[int]) -> list[Job]:
        """Wait for the end of these jobs."""
        while True:
            found = [job for job in await self.db.read(_jobs, numbers) if job.finished_at is not None]
            if len(found) == len(numbers):
                return found
            self.told.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self.told.wait()

    async def ours(self, side: int, each: int, prompts: Sequence[str]) -> tuple[float, list[Job]]:
        """Seconds per picture, and the jobs."""
        numbers = await self.order(side, each, prompts)  # queued before the clock starts, as for the bare loop
        began = time.perf_counter()
        self.worker.wake.give()
        made = await self.done(numbers)
        return (time.perf_counter() - began) / len(made), made

    async def loop(self, wanted: Sequence[Job]) -> tuple[float, list[bytes]]:
        """The same pictures one bare call after the other: seconds per picture, and their pixels."""

        def draw() -> tuple[float, list[bytes]]:
            began = time.perf_counter()
            made = [_draw(self.pipeline, job.params) for job in wanted]
            return (time.perf_counter() - began) / len(made), made

        return await asyncio.get_running_loop().run_in_executor(self.bare, draw)

    def pixels(self, job: Job) -> bytes:
        """What our job's file shows."""
        from PIL import Image

        from storage import assets

        (asset,) = self.db.read_sync(assets.of_job, job.id)
        return Image.open(io.BytesIO(self.files.read(asset.sha256))).convert("RGB").tobytes()


async def _pace(studio: Studio, side: int, goal: float, rounds: int, each: int) -> list[Figure]:
    """Distinct prompts, no two alike in any round: nothing is known of them beforehand."""
    ours, bare, ratios, same = [], [], [], []
    fresh = itertools.count(side * 1000)
    for _ in range(rounds):
        prompts = [f"{subject} number {next(fresh)}" for _ in range(each) for subject in SUBJECTS]
        mine, made = await studio.ours(side, each, prompts)
        other, pixels = await studio.loop(made)
        same.append(sum(studio.pixels(job) == plain for job, plain in zip(made, pixels, strict=True)) / len(made))
        ours.append(1 / mine)
        bare.append(1 / other)
        ratios.append(other / mine)
    cap = studio.device.card.batches.max_batch(side, side)
    return [
        figure(f"{side}²: a loop of bare pipe(...)", bare, "1/s"),
        figure(f"{side}²: Moqi, up to {cap} at once", ours, "1/s"),
        figure(f"{side}²: Moqi / the bare loop, round by round", ratios, "times", at_least=goal),
        figure(
            f"{side}²: pictures equal to their solo ones bit by bit", [100 * one for one in same], "%", at_least=100
        ),
    ]


async def _cancelling(studio: Studio, times: int) -> list[Figure]:
    """From the cancellation of a running picture of 256² until the engine is free for the next."""
    took = []
    for seed in range(times):
        leave, begun = asyncio.Event(), asyncio.Event()
        watch = Leaving(leave, begun, asyncio.get_running_loop())
        drawing = asyncio.create_task(studio.device.generate([_request(256, seed), _request(256, seed)], watch))
        await begun.wait()
        await asyncio.sleep(0.004 * (seed % 8))  # anywhere within a step
        began = time.perf_counter()
        leave.set()
        assert await drawing == [None, None]
        took.append(1000 * (time.perf_counter() - began))
    return [
        figure("cancelled at 256², a batch of two: engine free, p50", [percentile(took, 50)], "ms"),
        figure("cancelled at 256², a batch of two: engine free, worst", [max(took)], "ms"),
    ]


class Leaving:
    """A Watch of members who leave together when somebody says so."""

    def __init__(self, leave: asyncio.Event, begun: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        self._leave, self._begun, self._loop = leave, begun, loop

    def cancelled(self, index: int) -> bool:
        return self._leave.is_set()

    def step(self, index: int, done: int, total: int) -> None:
        if done == 2:
            self._loop.call_soon_threadsafe(self._begun.set)

    def preview(self, index: int) -> None:
        return None


async def _lateness(studio: Studio, each: int) -> list[Figure]:
    """How late a timer of 5 ms is while pictures of 256² are drawn, filed and told, and while nothing is done."""

    async def ticking(until: Callable[[], bool]) -> list[float]:
        late = []
        while not until():
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            late.append(1000 * (time.perf_counter() - due))
        return late

    ending = time.perf_counter() + 1.0
    idle = await ticking(lambda: time.perf_counter() > ending)
    drawing = asyncio.create_task(studio.ours(256, max(1, each // 8), SUBJECTS))
    busy = await ticking(drawing.done)
    return [
        figure("event loop late at rest: p99", [percentile(idle, 99)], "ms"),
        figure("event loop late while drawing: p50", [percentile(busy, 50)], "ms"),
        figure("event loop late while drawing: p99", [percentile(busy, 99)], "ms", at_most=15),
    ]


def _request(side: int, seed: int) -> ImageRequest:
    return ImageRequest(prompt="a red cube", width=side, height=side, steps=8, seed=seed)


def _submit(conn: Connection, key: int, number: int, side: int, prompt: str) -> int:
    params = {**PARAMS, "prompt": prompt, "width": side, "height": side, "seed": key}
    request = replace(_request(side, key), prompt=prompt)
    wanted = replace(
        submission(key, person(conn, number)),
        params=params,
        batch_key=batching.batch_key(request, batching.estimated_block(prompt)),
    )
    job = queue.submit(conn, wanted, POLICY, utcnow())
    assert isinstance(job, Job), job
    return job.id


def _jobs(conn: Connection, numbers: Sequence[int]) -> list[Job]:
    return [job for number in numbers if (job := jobs.get(conn, number)) is not None]


def _pipeline() -> Any:
    """The same checkpoint in plain diffusers, warm."""
    import torch
    from diffusers import ZImagePipeline

    pipeline_class: Any = ZImagePipeline
    pipeline = pipeline_class.from_pretrained(str(BUILTIN), dtype=torch.bfloat16, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    for side in SIDES:
        _draw(pipeline, {**PARAMS, "width": side, "height": side})
    return pipeline


def _draw(pipeline: Any, params: dict[str, Any]) -> bytes:
    """One bare call, as anybody would write it."""
    import torch

    (image,) = pipeline(
        prompt=params["prompt"],
        width=params["width"],
        height=params["height"],
        num_inference_steps=params["steps"],
        guidance_scale=0.0,
        generator=torch.Generator("cpu").manual_seed(params["seed"]),
    ).images
    return bytes(image.tobytes())


if __name__ == "__main__":
    part(run, TITLE)
