"""Thousands of reservations fall due within a minute while two processes fire them and are killed again and again.

`python -m tests.chaos.ringing URL` is one of the processes: the product's alarms and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, func, select

from benchmarks.common import percentile
from benchmarks.queueing import POLICY
from benchmarks.reservations import Front, book
from scheduler import verify
from scheduler.alarms import Alarms
from scheduler.clock import Clock
from storage import audit
from storage.database import Database
from storage.files import Files
from storage.migrations import migrate
from storage.records import utcnow
from storage.tables import jobs, occurrences, reservations
from tests import nursery
from tests.journeys.moqi import until

PROCESSES = 2
PATIENCE = 600.0  # seconds after the last was due


@dataclass(frozen=True, kw_only=True)
class Rang:
    """What came of it."""

    amount: int
    jobs: int
    fired: int
    early: int
    kills: int
    late: tuple[float, float, float]  # ms: p50, p99, longest
    broken: tuple[str, ...]

    @property
    def held(self) -> bool:
        return self.jobs == self.fired == self.amount and not self.early and not self.broken

    def __str__(self) -> str:
        middle, most, longest = self.late
        sums = f"{self.amount} due, {self.fired} fired, {self.jobs} jobs, {self.early} early, {self.kills} kills"
        return (
            f"{sums}; late p50 {middle:.0f} ms, p99 {most:.0f} ms, longest {longest:.0f} ms {list(self.broken) or ''}"
        )


def run(url: str, amount: int, span: float, kills: int, rng: random.Random) -> Rang:
    """Book, fire, kill, add up."""
    migrate(url)
    with Database.open(url) as db:
        db.run_sync(book, amount, span)
        began = time.monotonic()
        crew = [_start(url) for _ in range(PROCESSES)]
        done = 0
        try:
            for moment in sorted(rng.uniform(1.0, span + 2.0) for _ in range(kills)):
                time.sleep(max(0.0, began + moment - time.monotonic()))
                done += _replace(crew, rng.randrange(PROCESSES), url)
            until(lambda: db.read_sync(_left) == 0, "all to fire", PATIENCE)
        finally:
            for process in crew:
                process.kill()
                process.wait()
        while db.run_sync(audit.seal, 5000):
            pass
        return db.read_sync(_added_up, amount, done)


def _start(url: str) -> nursery.Process:
    return nursery.process(["tests.chaos.ringing", url], os.environ, 1, 2)


def _replace(crew: list[nursery.Process], which: int, url: str) -> int:
    """kill -9 and start anew; 0 if it was dead already."""
    status = crew[which].poll()
    assert status is None, f"it ended by itself with {status}"
    crew[which].kill()
    killed = crew[which].wait() == -9
    crew[which] = _start(url)
    return int(killed)


def _left(conn: Connection) -> int:
    """How many are still to come."""
    active = select(func.count()).select_from(reservations).where(reservations.c.state == "active")
    return int(conn.execute(active).scalar_one())


def _added_up(conn: Connection, amount: int, kills: int) -> Rang:
    fired = conn.execute(select(occurrences.c.due_at, occurrences.c.at).where(occurrences.c.fate == "fired")).all()
    late = [_ms(row.due_at, row.at) for row in fired]
    with tempfile.TemporaryDirectory() as empty:
        checks = verify.verify(conn, Files(Path(empty)), utcnow())
    return Rang(
        amount=amount,
        jobs=int(conn.execute(select(func.count()).select_from(jobs)).scalar_one()),
        fired=len(fired),
        early=sum(value < 0 for value in late),
        kills=kills,
        late=(percentile(late, 50), percentile(late, 99), max(late)),
        broken=tuple(what for check in checks for what in check.broken),
    )


def _ms(due: datetime, at: datetime) -> float:
    return (at - due) / timedelta(milliseconds=1)


async def _ring(url: str) -> None:
    """Be one of the processes, until killed."""
    with Database.open(url) as db:
        clock = Clock({})
        alarms = Alarms(db, clock, Front, lambda: POLICY, lambda fates: None)
        clock.start()
        await alarms.run()


if __name__ == "__main__":
    asyncio.run(_ring(sys.argv[1]))
