"""Pausing lanes, and why a waiting job does not start now.

A lane is paused in its row, so every process keeps to it and a restart changes nothing. Pausing at once takes the
running jobs out of their workers' hands in the same transaction: the fencing token is gone, so whatever the workers
still bring is dropped, and the jobs stand at their old places with the price they hold already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo

from sqlalchemy import Connection

from scheduler import queue
from scheduler.queue import Submission
from storage import audit, jobs
from storage.dialect import serialise
from storage.jobs import Lane
from storage.records import Job, Kind

#: A shorter wait, such as one before another try, is not worth a word.
SOON = timedelta(seconds=30)

#: Why a job waits that waits for the GPU's memory.
MEMORY = frozenset({"pictures", "answers", "loading"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Why a waiting job does not start, though it may be its turn."""

    #: paused: by an admin | switching: another model is loaded | resting: the engine failed too often
    #: | later: not before a moment | pictures, answers, loading: whoever has the GPU's memory gives it back first
    why: str
    until: datetime | None = None  # None: nobody knows


def hold(lane: Lane, not_before: datetime | None, now: datetime) -> Hold | None:
    """What keeps a job from starting that may not start before a moment; None = nothing but those ahead. Pure."""
    if lane.paused:
        return Hold(why="paused")
    if lane.switching:
        return Hold(why="switching")
    later = not_before if not_before is not None and not_before > now + SOON else None
    if lane.open_until is not None and lane.open_until > max(now, later or now):
        return Hold(why="resting", until=lane.open_until)
    if later is not None:
        return Hold(why="later", until=later)
    return Hold(why=lane.waits) if lane.waits else None


def held(conn: Connection, job: Job | Submission, zone: tzinfo, now: datetime) -> Hold | None:
    """The same for the lane as it stands, told in `zone`."""
    found = hold(jobs.peek_lane(conn, job.kind), job.not_before, now)
    return found if found is None or found.until is None else replace(found, until=found.until.astimezone(zone))


def pause(conn: Connection, kinds: Sequence[Kind], actor: str, now: datetime, *, at_once: bool) -> list[int]:
    """Start nothing more of these kinds. `at_once`: what runs is put back; returns the ids that were."""
    stopped: list[int] = []
    for kind in kinds:  # lanes in one order everywhere, before anything else
        serialise(conn, f"lane:{kind}")
    for kind in kinds:
        jobs.pause(conn, kind, True)
        if at_once:
            stopped += _put_back(conn, kind, now)
    detail = {"kinds": [kind.value for kind in kinds], "now": at_once, "put_back": len(stopped)}
    audit.append(conn, actor, "queue.pause", "queue", detail, now)
    return stopped


def resume(conn: Connection, kinds: Sequence[Kind], actor: str, now: datetime) -> None:
    """Go on, with a fresh start for an engine that was resting: whoever resumes has looked at it."""
    for kind in kinds:
        serialise(conn, f"lane:{kind}")
        jobs.pause(conn, kind, False)
        jobs.set_lane(conn, kind, failing=(), open_until=None)
    audit.append(conn, actor, "queue.resume", "queue", {"kinds": [kind.value for kind in kinds]}, now)


def _put_back(conn: Connection, kind: Kind, now: datetime) -> list[int]:
    running = [job for job in jobs.expired(conn, None) if job.kind is kind]
    for job in running:
        queue.release(conn, job, now)
    return [job.id for job in running]
