"""The engine does not wait for files and rows: the next batch begins while those of the last one are made."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from benchmarks.queueing import POLICY, person, submission
from scheduler import queue
from scheduler.progress import ProgressFeed
from scheduler.work import Outcome, Success, Task
from scheduler.worker import Worker
from storage import jobs
from storage.database import Database
from storage.records import Job, JobState, Kind, utcnow


class Studio:
    """Draws at once; files are made when they are let."""

    kind, parallel = Kind.DRAW, 1

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.begun = asyncio.Condition()
        self.filing = asyncio.Event()

    def room(self, head: Job) -> int:
        return 1

    async def ready(self) -> bool:
        return True

    async def run(self, batch: Sequence[Task]) -> list[Outcome]:
        async with self.begun:
            self.drawn += [task.job.id for task in batch]
            self.begun.notify_all()
        for task in batch:
            task.freed()
        await self.filing.wait()
        return [Success(result={"seeds": [1]}, took=0.1) for _ in batch]

    async def until(self, drawn: int) -> None:
        async with self.begun:
            await self.begun.wait_for(lambda: len(self.drawn) >= drawn)


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_one_batch_may_be_behind_the_engine_and_not_more(migrated_url: str) -> None:
    db = Database.open(migrated_url)
    feed, studio = ProgressFeed(), Studio()
    feed.attach(asyncio.get_running_loop())
    worker = Worker(db, studio, lambda: POLICY, feed, lambda conn, key: lambda: None)
    for number in range(3):
        user = await db.run(person, number)
        await db.run(queue.submit, submission(number, user), POLICY, utcnow())
    serving = asyncio.create_task(worker.run())
    await studio.until(2)
    for _ in range(5):  # turns in which a third could be claimed
        worker.wake.give()
        await db.read(jobs.get, 1)
    assert len(studio.drawn) == len(worker.running) == 2
    studio.filing.set()
    await studio.until(3)
    await worker.stop(5)
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await serving
    states = [job.state for number in studio.drawn if (job := await db.read(jobs.get, number))]
    assert states == [JobState.DONE] * 3
    db.close()
