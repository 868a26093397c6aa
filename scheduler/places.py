"""Where a job stands in its line and when its result can be expected. Reads; nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scheduler import estimate
from scheduler.estimate import Misses, Pace
from storage import jobs, line
from storage.jobs import Lane
from storage.records import Job, Kind, Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A place in a line, whether a job stands there or not."""

    kind: Kind
    priority: int
    vtag: float
    id: int
    weight: float  # of the job that would stand there


def pace(lane: Lane) -> Pace:
    """What a lane has measured."""
    return Pace(rate=lane.rate, variance=lane.variance, samples=lane.samples)


def misses(lane: Lane) -> Misses:
    """How a lane's promises turned out."""
    return Misses(early=lane.early, middle=lane.middle, late=lane.late)


def place(conn: Connection, job: Job | Spot, now: datetime) -> Place:
    """Where a queued job stands, exactly, and about when its result is there."""
    count, work = line.ahead(conn, job)
    lane = jobs.peek_lane(conn, job.kind)
    return _place(lane, count, work, job.weight, _left(conn, lane, now), _memory(conn, lane, now), now)


def places(conn: Connection, kind: Kind, limit: int, now: datetime) -> list[tuple[Job, Place]]:
    """The first of a lane's waiting jobs with their places, in one look however many there are."""
    lane = jobs.peek_lane(conn, kind)
    left, memory = _left(conn, lane, now), _memory(conn, lane, now)
    found, work = [], 0.0
    for number, job in enumerate(jobs.waiting(conn, kind, now, limit)):
        found.append((job, _place(lane, number, work, job.weight, left, memory, now)))
        work += job.weight
    return found


def _left(conn: Connection, lane: Lane, now: datetime) -> float:
    return estimate.remaining(pace(lane), jobs.running(conn, lane.kind), now)


def _memory(conn: Connection, lane: Lane, now: datetime) -> float:
    """Seconds until the GPU's memory is this lane's again: what runs in the other lane, then handing it over."""
    if not lane.waits:
        return 0.0
    other = jobs.peek_lane(conn, Kind.ASK if lane.kind is Kind.DRAW else Kind.DRAW)
    return _left(conn, other, now) / estimate.AT_ONCE[other.kind] + lane.waits_s


def _place(lane: Lane, ahead: int, work: float, own: float, left: float, memory: float, now: datetime) -> Place:
    if lane.paused:  # nobody knows for how long
        return Place(place=ahead + 1, seconds=None)
    if lane.open_until is not None:
        left += max(0.0, (lane.open_until - now).total_seconds())
    foreseen = estimate.foreseen(pace(lane), lane.kind, work, own, left)
    if foreseen is None:
        return Place(place=ahead + 1, seconds=None)
    foreseen += memory
    doubt = pace(lane).doubt(ahead + 1) if lane.samples >= estimate.ENOUGH else None
    said = estimate.wait(foreseen, doubt, misses(lane))
    return Place(place=ahead + 1, seconds=said.seconds, low=said.low, high=said.high, foreseen=foreseen, doubt=doubt)
