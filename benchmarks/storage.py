"""What one acknowledged write costs: group commit against one transaction per call, on the same disk, in one run.

Run: python -m benchmarks.storage [--seconds 2] [--rounds 3] [--url postgresql+psycopg://…] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from storage import inbox
from storage.database import Database, located, sqlite_engine
from storage.migrations import migrate

CALLERS = (1, 16, 64)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
EVENT = {"type": "message", "text": "/draw 一只戴红围巾的熊猫 --size 1024x1024 --seed 7", "sender": "ou_" + "0" * 32}

Write = Callable[[str], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One way of writing with so many callers at once. Medians over the rounds."""

    way: str
    callers: int
    per_second: float
    p50_ms: float
    p99_ms: float


def accept(conn: Connection, key: str) -> int | None:
    """The one-row insert: an event of the inbox."""
    return inbox.accept(conn, "bench", key, EVENT, NOW)


async def measure(write: Write, callers: int, seconds: float, prefix: str) -> list[float]:
    """Times of single calls in seconds, of `callers` that each call again as soon as they are answered."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        count = 0
        while (begin := time.perf_counter()) < end:
            await write(f"{prefix}-{number}-{count}")
            times.append(time.perf_counter() - begin)
            count += 1

    await asyncio.gather(*(caller(n) for n in range(callers)))
    return times


def one_by_one(url: str, threads: ThreadPoolExecutor) -> Write:
    """The plain way with the same pragmas: one thread, one connection, one transaction per call."""
    engine = sqlite_engine(located(url), "BEGIN IMMEDIATE")
    conn = threads.submit(engine.connect).result()

    def transaction(key: str) -> None:
        with conn.begin():
            accept(conn, key)

    async def write(key: str) -> None:
        await asyncio.get_running_loop().run_in_executor(threads, transaction, key)

    return write


async def compare(url: str, seconds: float, rounds: int) -> list[Measured]:
    db = Database.open(url)
    ways: dict[str, Write] = {"database.run": lambda key: db.run(accept, key)}
    threads = ThreadPoolExecutor(1)
    if db.url.get_backend_name() == "sqlite":
        ways["one transaction per call"] = one_by_one(url, threads)
    runs: dict[tuple[str, int], list[list[float]]] = {}
    for turn in range(rounds):  # in turns, so that a slow moment of the machine hits both
        for callers in CALLERS:
            for way, write in ways.items():
                times = await measure(write, callers, seconds, f"{way}-{callers}-{turn}")
                runs.setdefault((way, callers), []).append(sorted(times))
    threads.shutdown()
    db.close()
    return [summary(way, callers, found, seconds) for (way, callers), found in runs.items()]


def summary(way: str, callers: int, rounds: list[list[float]], seconds: float) -> Measured:
    def median(value: Callable[[list[float]], float]) -> float:
        return round(statistics.median(value(times) for times in rounds), 3)

    return Measured(
        way=way,
        callers=callers,
        per_second=median(lambda times: len(times) / seconds),
        p50_ms=median(lambda times: 1000 * times[len(times) // 2]),
        p99_ms=median(lambda times: 1000 * times[len(times) * 99 // 100]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--url", default="", help="another database than a fresh SQLite file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = options.url or f"sqlite:///{Path(folder) / 'moqi.db'}"
        migrate(url)
        measured = asyncio.run(compare(url, options.seconds, options.rounds))
    if options.json:
        print(json.dumps([asdict(each) for each in measured]))
        return
    print(f"{'way':26}{'callers':>8}{'per second':>12}{'p50 ms':>9}{'p99 ms':>9}")
    for each in measured:
        print(f"{each.way:26}{each.callers:8}{each.per_second:12.0f}{each.p50_ms:9.2f}{each.p99_ms:9.2f}")


if __name__ == "__main__":
    main()
