"""The queue: jobs accepted, and jobs claimed and finished, per second, each with ledger, outbox and audit."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC
from itertools import count
from pathlib import Path

from sqlalchemy import Connection

from benchmarks.common import Figure, figure, part
from benchmarks.postgres import server
from scheduler import queue
from scheduler.policy import Policy
from scheduler.queue import Submission
from storage import users
from storage.database import Database
from storage.migrations import migrate
from storage.records import Allowance, ChatType, Identity, Job, Kind, Origin, Unit, User, utcnow

TITLE = "Queue: 50 people, every job with its hold, card, outcome and audit"
PEOPLE = 50
CALLERS = 16
PLENTY = 10**9
POLICY = Policy(
    timezone=UTC,
    allowances={unit: (Allowance(amount=PLENTY, period="day"),) for unit in Unit},
    concurrency=PLENTY,
    queue_per_user=PLENTY,
    queue_total=PLENTY,
)
PARAMS = {"prompt": "猫", "width": 256, "height": 256, "steps": 8, "seed": 7, "count": 1, "cfg": 0.0, "negative": ""}


def run(quick: bool = False) -> list[Figure]:
    """Both databases in turns, so that a slow moment of the machine hits both."""
    amount, rounds = (20, 1) if quick else (200, 3)
    with tempfile.TemporaryDirectory() as folder, server() as postgres:
        urls = {"SQLite": f"sqlite:///{Path(folder) / 'moqi.db'}", "PostgreSQL": postgres}
        for url in urls.values():
            migrate(url)
        return asyncio.run(_measure(urls, amount, rounds))


async def _measure(urls: dict[str, str], amount: int, rounds: int) -> list[Figure]:
    keys = count()
    open_databases = {name: Database.open(url) for name, url in urls.items()}
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, db in open_databases.items():
            people = [await db.run(person, number) for number in range(PEOPLE)]
            for callers in (1, CALLERS):
                share = amount if callers > 1 else max(5, amount // 5)
                rates = await _round(db, people, keys, share, callers)
                for what, rate in zip(("enqueue", "claim + finish"), rates, strict=True):
                    found.setdefault(f"{name}, {callers} at once: {what}", []).append(rate)
    for db in open_databases.values():
        db.close()
    return [figure(name, values, "1/s") for name, values in sorted(found.items())]


async def _round(db: Database, people: list[User], keys: Iterator[int], amount: int, callers: int) -> list[float]:
    async def enqueue(number: int) -> None:
        job = await db.run(queue.submit, submission(next(keys), people[number % PEOPLE]), POLICY, utcnow())
        assert isinstance(job, Job), job

    async def work(number: int) -> None:
        claimed = await db.run(queue.claim, Kind.DRAW, one, POLICY, utcnow())
        assert claimed is not None
        assert await db.run(queue.succeed, claimed.jobs[0], {"seeds": [7]}, 0.1, utcnow())

    return [await _rate(step, amount, callers) for step in (enqueue, work)]


async def _rate(step: Callable[[int], Awaitable[None]], amount: int, callers: int) -> float:
    """How many a second, of `callers` that each go on as soon as they are answered."""
    line = iter(range(amount))
    began = time.perf_counter()

    async def caller() -> None:
        for number in line:
            await step(number)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return amount / (time.perf_counter() - began)


def one(head: Job) -> int:
    """The room of a batch: jobs one by one."""
    return 1


def person(conn: Connection, number: int) -> User:
    """One of the people who order."""
    return users.resolve(conn, Identity(platform="bench", external_id=str(number)), f"p{number}", utcnow())


def submission(key: int, user: User) -> Submission:
    """What they order."""
    origin = Origin(
        platform="bench", chat_id=str(user.id), chat_type=ChatType.DIRECT, message_id=str(key), sender=user.name
    )
    return Submission(key=str(key), kind=Kind.DRAW, user=user, origin=origin, params=PARAMS, cost=1, work=0.5)


if __name__ == "__main__":
    part(run, TITLE)
