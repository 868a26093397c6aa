"""A lane in simulated time: the real queue over a real database, people who order, runs that take as long as they like.

All is one transaction that is never kept: what is looked at is who waits how long, not what a disk takes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from sqlalchemy import Connection

from benchmarks.queueing import PARAMS, POLICY, one
from scheduler import places, queue
from scheduler.policy import Policy
from scheduler.queue import Submission
from storage.records import ChatType, Job, Kind, Origin, Place, User

BEGIN = datetime(2026, 11, 21, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Something that somebody wants drawn at a second of the simulation."""

    at: float
    who: int
    work: float
    takes: float  # seconds of the engine


@dataclass(kw_only=True, slots=True)
class Ran:
    """What became of an order."""

    order: Order
    promised: Place
    began: float = 0.0
    ended: float = 0.0


@dataclass(slots=True)
class Lane:
    """One engine that takes one job after the other."""

    conn: Connection
    people: Sequence[User]
    policy: Policy = POLICY
    now: float = 0.0
    ran: dict[int, Ran] = field(default_factory=dict)
    keys: Iterator[int] = field(default_factory=count)

    def order(self, order: Order) -> Job:
        """Let somebody order."""
        user, at = self.people[order.who], BEGIN + timedelta(seconds=order.at)
        key = f"sim-{next(self.keys)}"
        origin = Origin(platform="bench", chat_id="1", chat_type=ChatType.DIRECT, message_id=key, sender=user.name)
        wanted = Submission(
            key=key, kind=Kind.DRAW, user=user, origin=origin, params=PARAMS, cost=1, work=order.work, card=_card
        )
        job = queue.submit(self.conn, wanted, self.policy, at)
        assert isinstance(job, Job), job
        self.ran[job.id] = Ran(order=order, promised=places.place(self.conn, job, at))
        return job

    def start(self) -> Job | None:
        """Take the next job; None when none waits."""
        claimed = queue.claim(self.conn, Kind.DRAW, one, self.policy, BEGIN + timedelta(seconds=self.now))
        if claimed is None:
            return None
        self.ran[claimed.jobs[0].id].began = self.now
        return claimed.jobs[0]

    def finish(self, job: Job) -> Ran:
        """Bring it to its end: now is then."""
        ran = self.ran[job.id]
        self.now = ran.ended = ran.began + ran.order.takes
        moment = BEGIN + timedelta(seconds=self.now)
        assert queue.succeed(self.conn, job, {"seeds": [7]}, ran.order.takes, moment)
        return ran


def _card(conn: Connection, job: Job, place: Place) -> dict[str, Any]:
    """Shown to nobody, but what it says is a promise."""
    return {}


def served(conn: Connection, people: Sequence[User], orders: Sequence[Order]) -> list[Ran]:
    """All orders, each at its time, until none waits; in the order of their ends."""
    lane, coming, ended = Lane(conn, people), deque(sorted(orders, key=lambda order: order.at)), []
    while True:
        _arrive(lane, coming, lane.now)
        job = lane.start()
        if job is not None:
            _arrive(lane, coming, lane.now + lane.ran[job.id].order.takes)
            ended.append(lane.finish(job))
        elif coming:
            lane.now = coming[0].at
        else:
            return ended


def _arrive(lane: Lane, coming: deque[Order], until: float) -> None:
    while coming and coming[0].at <= until:
        lane.order(coming.popleft())


def first_come(orders: Sequence[Order]) -> list[Ran]:
    """The same in a single line: first come, first served."""
    now, ended = 0.0, []
    for order in sorted(orders, key=lambda order: order.at):
        began = max(now, order.at)
        now = began + order.takes
        ended.append(Ran(order=order, promised=Place(place=0, seconds=None), began=began, ended=now))
    return ended
