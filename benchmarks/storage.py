"""What one acknowledged write costs: group commit against one transaction per call, on the same disk, in one run."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from benchmarks.common import Figure, figure, part, percentile
from storage import inbox
from storage.database import Database, located, sqlite_engine
from storage.migrations import migrate

TITLE = "Storage: one-row writes to SQLite, each on disk when it returns"
CALLERS = (1, 16, 64)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
EVENT = {"type": "message", "text": "/draw 一只戴红围巾的熊猫 --size 1024x1024 --seed 7", "sender": "ou_" + "0" * 32}

Write = Callable[[str], Awaitable[Any]]


def run(quick: bool = False) -> list[Figure]:
    """Both ways in turns, so that a slow moment of the machine hits both."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'moqi.db'}"
        migrate(url)
        return asyncio.run(_compare(url, *((0.05, 1) if quick else (1.0, 3))))


async def _compare(url: str, seconds: float, rounds: int) -> list[Figure]:
    db = Database.open(url)
    threads = ThreadPoolExecutor(1)
    ways: dict[str, Write] = {
        "Database.run": lambda key: db.run(_accept, key),
        "one transaction per call": _one_by_one(url, threads),
    }
    found: dict[tuple[str, int], list[list[float]]] = {}
    for turn in range(rounds):
        for callers in CALLERS:
            for way, write in ways.items():
                times = await _measure(write, callers, seconds, f"{way}-{callers}-{turn}")
                found.setdefault((way, callers), []).append(times)
    threads.shutdown()
    db.close()
    return [
        item
        for (way, callers), times in found.items()
        for item in _figures(f"{way}, {callers} at once", times, seconds)
    ]


def _accept(conn: Connection, key: str) -> int | None:
    """The one-row insert: an event of the inbox."""
    return inbox.accept(conn, "bench", key, EVENT, NOW)


async def _measure(write: Write, callers: int, seconds: float, prefix: str) -> list[float]:
    """Times of single calls in seconds, of `callers` that each call again as soon as they are answered."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        count = 0
        while (begin := time.perf_counter()) < end:
            await write(f"{prefix}-{number}-{count}")
            times.append(time.perf_counter() - begin)
            count += 1

    await asyncio.gather(*(caller(number) for number in range(callers)))
    return times


def _one_by_one(url: str, threads: ThreadPoolExecutor) -> Write:
    """The plain way with the same pragmas: one thread, one connection, one transaction per call."""
    engine = sqlite_engine(located(url), "BEGIN IMMEDIATE")
    conn = threads.submit(engine.connect).result()

    def transaction(key: str) -> None:
        with conn.begin():
            _accept(conn, key)

    async def write(key: str) -> None:
        await asyncio.get_running_loop().run_in_executor(threads, transaction, key)

    return write


def _figures(name: str, rounds: list[list[float]], seconds: float) -> list[Figure]:
    return [
        figure(name, [len(times) / seconds for times in rounds], "1/s"),
        figure(f"{name}: p99", [1000 * percentile(times, 99) for times in rounds], "ms"),
    ]


if __name__ == "__main__":
    part(run, TITLE)
