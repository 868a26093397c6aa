"""Shutting somebody out and letting them in again, the same for a chat command and for `moqi ban`.

Whoever is shut out may do nothing: what they had in the queue is cancelled and costs nothing, what runs stops at its
next step, and their reservations are refused when they fall due, each with that reason. Every function takes the
caller's connection and belongs into one transaction.

ManageError
└── Untouchable  nobody bans themselves, nor the last admin who could lift it
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo

from sqlalchemy import Connection

from bot.commands import Until
from bot.manage import ManageError
from scheduler import queue
from storage import audit, jobs, users
from storage.dialect import serialise
from storage.records import JobState, Kind, Role, User

#: What is cancelled: what waits, runs or is held for a review.
UNDER_WAY = (JobState.QUEUED, JobState.RUNNING, JobState.REVIEW)
#: More jobs than anybody may have waiting.
ALL = 1_000_000


class Untouchable(ManageError):
    """This person cannot be shut out; `code` says why."""

    def __init__(self, code: str) -> None:
        why = {"ban_self": "nobody can ban themselves", "ban_last_admin": "this is the last admin who could lift it"}
        super().__init__(f"{why[code]}. Make somebody else an admin first: `moqi role set WHO admin`.")
        self.code = code


@dataclass(frozen=True, kw_only=True, slots=True)
class Banned:
    """What a ban did."""

    person: User
    cancelled: int  # jobs that waited
    stopping: tuple[int, ...]  # jobs that run; their workers are to be told once this is committed


def ban(conn: Connection, actor: str, person: User, reason: str, until: datetime | None, now: datetime) -> Banned:
    """Shut somebody out and cancel what they have in the queue. Raises `Untouchable`."""
    serialise(conn, "moqi-ban")  # two admins who ban each other must not both succeed
    if actor == f"user:{person.id}":
        raise Untouchable("ban_self")
    if person.role is Role.ADMIN and [one.id for one in users.admins(conn)] == [person.id]:
        raise Untouchable("ban_last_admin")
    banned = users.set_banned(conn, person.id, True, reason=reason, until=until)
    stopping = _cancel_all(conn, person, actor, now)
    detail = {"reason": reason, "until": until.isoformat() if until else None, "cancelled": len(stopping)}
    audit.append(conn, actor, "user.ban", f"user:{person.id}", detail, now)
    running = tuple(job for job, state in stopping.items() if state is JobState.RUNNING)
    return Banned(person=banned, cancelled=len(stopping) - len(running), stopping=running)


def _cancel_all(conn: Connection, person: User, actor: str, now: datetime) -> dict[int, JobState]:
    for kind in Kind:  # before any account: see the lock order of scheduler.queue
        serialise(conn, f"lane:{kind}")
    mine = jobs.recent(conn, user_id=person.id, states=UNDER_WAY, limit=ALL)
    return {job.id: queue.cancel(conn, job, actor, now, why="banned") for job in mine}


def unban(conn: Connection, actor: str, person: User, now: datetime) -> User:
    """Let somebody in again."""
    if not person.banned:
        return person
    audit.append(conn, actor, "user.unban", f"user:{person.id}", {}, now)
    return users.set_banned(conn, person.id, False)


def end(span: timedelta | None, last: Until | None, zone: tzinfo, now: datetime) -> datetime | None:
    """When a ban ends; a day that is named still belongs to it, and one that is over ends it now. None: never."""
    if span is not None:
        return now + span
    if last is None:
        return None
    day = last.after(now.astimezone(zone).date())
    return now if day is None else datetime.combine(day + timedelta(days=1), time(), zone)


def lift(conn: Connection, now: datetime) -> list[int]:
    """Let those in again whose time is over. Returns their ids."""
    over = users.bans_over(conn, now)
    for person in over:
        unban(conn, "scheduler", person, now)
    return [person.id for person in over]
