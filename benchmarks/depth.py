"""The queue however long it is: to submit, to claim and to ask for a place, behind 0, 1,000 and 100,000 jobs."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.postgres import server
from benchmarks.queueing import PARAMS, POLICY, one, person, submission
from scheduler import places, queue
from storage import jobs as job_rows
from storage import line
from storage.database import Database
from storage.migrations import migrate
from storage.records import ChatType, Job, JobState, Kind, Origin, User, utcnow
from storage.tables import classes, jobs, stretches, turns

TITLE = "Depth: one call each, behind a line of so many; the median and the slowest hundredth"
CROWD = 200  # people whose jobs wait
WORK = 0.5
STEPS = ("submit", "place", "claim")


def run(quick: bool = False) -> list[Figure]:
    """Each database at each depth; the depths take turns call by call: a slow moment of the machine hits all."""
    depths, calls, rounds = ((0, 50, 600), 5, 1) if quick else ((0, 1_000, 100_000), 100, 3)
    with tempfile.TemporaryDirectory() as folder, server() as postgres:
        urls = {
            "SQLite": {depth: f"sqlite:///{Path(folder) / f'{depth}.db'}" for depth in depths},
            "PostgreSQL": _databases(postgres, depths),
        }
        return [item for name, places in urls.items() for item in _measure(name, places, calls, rounds)]


def _databases(url: str, depths: tuple[int, ...]) -> dict[int, str]:
    from sqlalchemy import create_engine, make_url

    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        for depth in depths:
            conn.exec_driver_sql(f"create database depth_{depth}")
    engine.dispose()
    return {depth: make_url(url).set(database=f"depth_{depth}").render_as_string(False) for depth in depths}


def _measure(name: str, urls: dict[int, str], calls: int, rounds: int) -> list[Figure]:
    for url in urls.values():
        migrate(url)
    databases = {depth: Database.open(url) for depth, url in urls.items()}
    for depth, db in databases.items():
        db.run_sync(_fill, depth)
        assert not db.read_sync(line.wrong)
        db.run_sync(_settle)
    took: dict[tuple[str, int], list[list[float]]] = {}
    keys = count()
    for _ in range(rounds):
        sides = {depth: _Side(db, keys, calls) for depth, db in databases.items()}
        for step in STEPS:
            times: dict[int, list[float]] = {depth: [] for depth in databases}
            for _ in range(calls):
                for depth, side in sides.items():
                    times[depth].append(_timed(getattr(side, step)))
            for depth in databases:
                took.setdefault((step, depth), []).append(times[depth])
        for side in sides.values():
            side.leave()
    for db in databases.values():
        db.close()
    return _figures(name, took, sorted(urls))


def _figures(name: str, took: dict[tuple[str, int], list[list[float]]], depths: list[int]) -> list[Figure]:
    found = []
    for step in STEPS:
        for percent in (50, 99):
            values = {depth: [percentile(times, percent) for times in took[step, depth]] for depth in depths}
            found += [figure(f"{name}, {depth} wait: {step}, p{percent}", values[depth], "ms") for depth in depths]
            ratios = [deep / shallow for deep, shallow in zip(values[depths[-1]], values[depths[1]], strict=True)]
            ratio = f"{name}: {step}, p{percent}, {depths[-1]} against {depths[1]}"
            found.append(figure(ratio, ratios, "x", at_most=2))
    return found


class _Side:
    """One database in one round; its line is as long afterwards as before."""

    def __init__(self, db: Database, keys: Iterator[int], calls: int) -> None:
        self._db = db
        self._keys = keys
        self._people = [db.run_sync(person, number) for number in range(10)]
        self._ordered: list[Job] = []
        self._looked_at = iter(db.read_sync(_sample, calls) * calls)

    def submit(self) -> None:
        key = next(self._keys)
        job = self._db.run_sync(queue.submit, submission(key, self._people[key % 10]), POLICY, utcnow())
        assert isinstance(job, Job), job
        self._ordered.append(job)

    def place(self) -> None:
        job = next(self._looked_at, self._ordered[0])
        self._db.read_sync(places.place, job, utcnow())

    def claim(self) -> None:
        claimed = self._db.run_sync(queue.claim, Kind.DRAW, one, POLICY, utcnow())
        assert claimed is not None
        self._db.run_sync(queue.release, claimed.jobs[0], utcnow())

    def leave(self) -> None:
        for job in self._ordered:
            self._db.run_sync(queue.cancel, job, "bench", utcnow())


def _timed(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000


def _sample(conn: Connection, amount: int) -> list[Job]:
    """So many waiting jobs, spread over the whole line."""
    ids = conn.execute(select(jobs.c.id).where(jobs.c.state == JobState.QUEUED).order_by(jobs.c.vtag)).scalars().all()
    chosen = {ids[len(ids) * number // amount] for number in range(amount if ids else 0)}
    return [job for one in sorted(chosen) if (job := job_rows.get(conn, one))]


def _fill(conn: Connection, depth: int) -> None:
    """A line of `depth` jobs, as CROWD people's orders in turns would have made it, without the way through submit."""
    people = [person(conn, 1000 + number) for number in range(CROWD)]
    now = utcnow() - timedelta(minutes=5)
    for start in range(0, depth, 5000):
        rows = [_row(people[n % CROWD], n, now) for n in range(start, min(depth, start + 5000))]
        conn.execute(jobs.insert(), rows)
    if not depth:
        return
    waiting = conn.execute(select(*line.COLUMNS).order_by(jobs.c.vtag, jobs.c.id)).all()
    half = line.FULL // 2
    begins = [(waiting[at], len(waiting[at : at + half])) for at in range(0, depth, half)]
    key = {"kind": Kind.DRAW, "priority": 0}
    rows = [{**key, "vtag": job.vtag, "id": job.id, "jobs": size, "work": size * WORK} for job, size in begins]
    conn.execute(stretches.insert(), rows)
    each = [len(range(number, depth, CROWD)) for number in range(CROWD)]
    owners = [
        {**key, "user_id": one.id, "vfinish": WORK * mine, "waiting": mine}
        for one, mine in zip(people, each, strict=True)
        if mine
    ]
    conn.execute(turns.insert(), owners)
    conn.execute(classes.insert(), {**key, "vtime": 0.0})


def _row(user: User, number: int, now: Any) -> dict[str, Any]:
    origin = Origin(platform="bench", chat_id="1", chat_type=ChatType.DIRECT, message_id=str(number), sender=user.name)
    return {
        "key": f"fill-{number}",
        "kind": Kind.DRAW,
        "user_id": user.id,
        "state": JobState.QUEUED,
        "params": PARAMS,
        "origin": origin.to_json(),
        "cost": 1,
        "weight": WORK,
        "since": now,
        "vtag": number // CROWD * WORK,
        "span": WORK,
        "notices": [],
        "created_at": now,
    }


def _settle(conn: Connection) -> None:
    """What a database does for itself after a while: know how its rows are spread."""
    conn.exec_driver_sql("analyze")


if __name__ == "__main__":
    part(run, TITLE)
