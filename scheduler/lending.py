"""What the queue says to whoever shares out a card's memory, and what those who wait are told of it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from inference.gpu.sharing import Queued, Waits
from storage import jobs
from storage.records import JobState, Kind


def look(conn: Connection, now: datetime) -> tuple[Queued, Queued]:
    """What waits and runs: questions, pictures. What may not begin anyway does not count as waiting."""
    return _queued(conn, Kind.ASK, now), _queued(conn, Kind.DRAW, now)


def note(conn: Connection, waits: Waits) -> None:
    """Have every card and every waiting time say it."""
    for kind, cause, seconds in (
        (Kind.ASK, waits.text, waits.text_seconds),
        (Kind.DRAW, waits.pictures, waits.pictures_seconds),
    ):
        jobs.lane(conn, kind)
        jobs.set_lane(conn, kind, waits=cause.value, waits_s=seconds)


def forget(conn: Connection) -> None:
    """Have nobody wait for a card's memory: the process that shared it out is gone."""
    for kind in Kind:
        if jobs.peek_lane(conn, kind).waits:
            jobs.set_lane(conn, kind, waits="", waits_s=0.0)


def _queued(conn: Connection, kind: Kind, now: datetime) -> Queued:
    lane = jobs.peek_lane(conn, kind)
    stopped = lane.paused or lane.switching or (lane.open_until is not None and now < lane.open_until)
    return Queued(
        waiting=not stopped and bool(jobs.waiting(conn, kind, now, 1)),
        running=jobs.count(conn, JobState.RUNNING, kind=kind) > 0,
    )
