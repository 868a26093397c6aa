"""What the platform adds to a picture: from the message's arrival to the picture in the web chat, minus the bare
`pipe(...)` call of the same request in the same process, in pairs, one after the other.

The stages come from the rows' own instants, so the product is measured as it is.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import Connection, select

from benchmarks.common import Figure, figure, part, percentile
from bot.current import Current
from bot.opening import open_database
from bot.platforms.web import wire
from bot.platforms.web.feed import Subscription
from bot.services import Services, serving
from bot.settings import Environment, load
from inference.images.registry import BUILTIN
from storage import jobs, users
from storage.records import Identity, Job, utcnow
from storage.tables import inbox as inbox_table
from tests.journeys.moqi import ROOT

TITLE = "Platform overhead of a picture, 256x256, 8 steps, built-in model on one CPU thread"
PROMPT, SIDE, STEPS = "一只戴红围巾的熊猫", 256, 8
ROUNDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One request drawn both ways, in milliseconds."""

    bare: float
    whole: float
    stages: dict[str, float]

    @property
    def overhead(self) -> float:
        return self.whole - self.bare


def run(quick: bool = False) -> list[Figure]:
    """Pairs in turns; the figure of a round is its median."""
    # One compute thread on both sides: the platform then has a core of its own, as it has beside a GPU. Read by torch
    # when it is imported.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        pairs = asyncio.run(_measure(Path(name), 3 if quick else 36))
    size = max(1, len(pairs) // ROUNDS)
    rounds = [pairs[start : start + size] for start in range(0, size * min(ROUNDS, len(pairs)), size)]

    def medians(of: str, values: Iterable[Iterable[float]], **goal: float) -> Figure:
        return figure(of, [statistics.median(each) for each in values], "ms", **goal)

    return [
        medians("bare pipe(...)", ((pair.bare for pair in each) for each in rounds)),
        medians("submit → delivered", ((pair.whole for pair in each) for each in rounds)),
        medians("overhead: p50", ((pair.overhead for pair in each) for each in rounds), at_most=30.0),
        figure("overhead: p90", [percentile([pair.overhead for pair in each], 90) for each in rounds], "ms"),
        *(
            medians(f"  {stage}", ((pair.stages[stage] for pair in each) for each in rounds))
            for stage in pairs[0].stages
        ),
    ]


async def _measure(folder: Path, count: int) -> list[Pair]:
    environment = _installation(folder)
    current = Current(load(environment.config, os.environ), os.environ)
    thread = ThreadPoolExecutor(1, thread_name_prefix="bare")  # as the product has it: one thread owns a pipeline
    pipeline = await asyncio.get_running_loop().run_in_executor(thread, _pipeline, current.settings.model.image.dtype)
    async with open_database(environment) as db:
        services = Services(current, environment, db)
        async with serving(services):
            await services.device.ready()
            person = (await db.run(users.resolve, Identity(platform="web", external_id="bench"), "bench", utcnow())).id
            with services.web.subscribe(person) as page:
                await _submitted(services, page, person, 0)  # warm: first imports, first statements
                return [await _pair(services, page, person, pipeline, thread, seed) for seed in range(1, count + 1)]


async def _pair(
    services: Services, page: Subscription, person: int, pipeline: Any, thread: ThreadPoolExecutor, seed: int
) -> Pair:
    loop = asyncio.get_running_loop()
    turns = [True, False] if seed % 2 else [False, True]  # neither side always comes first
    bare, whole = 0.0, 0.0
    stages: dict[str, float] = {}
    for alone in turns:
        await asyncio.sleep(0.15)  # let the one before come to rest
        if alone:
            bare = await loop.run_in_executor(thread, _draw, pipeline, seed)
        else:
            whole, stages = await _submitted(services, page, person, seed)
    stages["… minus the bare call of the same pair"] = stages["draw: the engine's call"] - bare
    return Pair(bare=bare, whole=whole, stages=stages)


async def _submitted(services: Services, page: Subscription, person: int, seed: int) -> tuple[float, dict[str, float]]:
    """Say /draw and wait for the finished card; milliseconds, whole and by stage."""
    text = f"/draw {PROMPT} --size {SIDE}x{SIDE} --steps {STEPS} --seed {seed}"
    event = wire.message_event(user_id=person, name="bench", browser_id=uuid.uuid4().hex, text=text, at=utcnow())
    at, began = utcnow(), time.perf_counter()
    await services.inbox.accept(event)
    accepted = time.perf_counter()
    job_id = await _done(page)
    ended, over = time.perf_counter(), utcnow()
    job, handled = await _settled(services, job_id)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.result is not None
    drawn = 1000 * float(job.result["seconds"])
    return 1000 * (ended - began), {
        "accept: kept on disk": 1000 * (accepted - began),
        "wake: the inbox takes it up": _ms(at, handled) - 1000 * (accepted - began),
        "handle and claim: parsed, admitted, queued, leased": _ms(handled, job.started_at),
        "draw: the engine's call": drawn,
        "encode: PNG with its label, hashed, written": _ms(job.started_at, job.finished_at) - drawn,
        "finish and deliver: rows, message, page": _ms(job.finished_at, over),
    }


async def _done(page: Subscription) -> int:
    while True:
        news = await page.get()
        assert news is not None, "the page's stream ended"
        body = news.data.get("body", {})
        if news.event == "message" and body.get("state") == "done":
            return int(body["job"])


async def _settled(services: Services, job_id: int) -> tuple[Job, datetime]:
    """The job's row, and when its event was dealt with."""

    def look(conn: Connection) -> tuple[Job | None, datetime]:
        handled = select(inbox_table.c.handled_at).where(inbox_table.c.outcome == f"job:{job_id}")
        return jobs.get(conn, job_id), conn.execute(handled).scalar_one()

    job, handled = await services.db.read(look)
    assert job is not None
    return job, handled


def _ms(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() * 1000


def _pipeline(dtype: str) -> Any:
    """The same checkpoint in plain diffusers."""
    import torch
    from diffusers import ZImagePipeline

    pipeline_class: Any = ZImagePipeline
    pipeline = pipeline_class.from_pretrained(str(BUILTIN), dtype=getattr(torch, dtype), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    _draw(pipeline, 0)
    return pipeline


def _draw(pipeline: Any, seed: int) -> float:
    """One bare call; milliseconds."""
    import torch

    began = time.perf_counter()
    pipeline(
        prompt=PROMPT,
        width=SIDE,
        height=SIDE,
        num_inference_steps=STEPS,
        guidance_scale=0.0,
        generator=torch.Generator("cpu").manual_seed(seed),
    )
    return 1000 * (time.perf_counter() - began)


def _installation(folder: Path) -> Environment:
    """The shipped settings, with a quota that a benchmark does not reach."""
    config = folder / "config"
    shutil.copytree(ROOT / "deploy" / "config", config)
    policy = yaml.safe_load((config / "policy.yaml").read_text(encoding="utf-8"))
    policy["quotas"]["user"]["draw"] = "100000/day"
    (config / "policy.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
    (config / "knowledge.yaml").write_text("sources: []\n", encoding="utf-8")
    return Environment(config=config, data=folder / "data", database_url="")


if __name__ == "__main__":
    part(run, TITLE)
