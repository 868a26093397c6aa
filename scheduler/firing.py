"""What happens when a reservation falls due: one transaction that orders its job, or records why not, and moves on.

The row says when a reservation fires next, and the unique key of an occurrence makes a second clock harmless; timers
(alarms.py) only say when to look. Whoever fires takes only rows that nobody holds, so two processes that fire many at
once never wait for each other with locks in both hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection

from scheduler import due, queue
from scheduler.calendar import BadCalendar, occurrence_key
from scheduler.calendar import from_json as rule_from_json
from scheduler.policy import Policy, Refusal
from scheduler.queue import Submission
from storage import outbox, reservations, users
from storage.faults import point
from storage.records import Fate, Occurrence, Reservation, ReservationState, User


@dataclass(frozen=True, kw_only=True, slots=True)
class Firing:
    """One due time being run."""

    key: str  # of the job: the same occurrence orders once
    due: datetime
    late: timedelta  # zero when not worth a word
    missed: int  # due times this one stands for


class Front(Protocol):
    """The side that knows how to order and how to talk."""

    def order(self, conn: Connection, reservation: Reservation, owner: User, firing: Firing) -> Submission | Refusal:
        """The job that this firing orders, under `firing.key`; or why it cannot be ordered now."""

    def message(self, reservation: Reservation, fate: Occurrence, refusal: Refusal | None) -> dict[str, Any]:
        """What the owner is told when a due time was not run, as a reply's JSON."""


def fire(conn: Connection, reservation_id: int, front: Front, policy: Policy, now: datetime) -> Occurrence | None:
    """Run what is due of one reservation and set it to its next time; None when nothing is, or somebody else does."""
    found = _due(conn, reservation_id, now)
    if found is None or found.next_at is None:
        return None
    zone, rule = ZoneInfo(found.zone), rule_from_json(found.rule)
    limit = None if found.late_limit is None else timedelta(seconds=found.late_limit)
    turn = due.turn(rule, found.next_at, zone, now, limit, found.closes_at)
    key = occurrence_key(rule, turn.due, zone)
    missed = [(moment, occurrence_key(rule, moment, zone)) for moment in turn.missed]
    reservations.record_skipped(conn, [_skipped(found, one, key_, "missed", now) for one, key_ in missed])
    fate = reservations.occurrence(conn, found.id, key)
    if fate is None:
        firing = Firing(key=f"res:{found.id}:{key}", due=turn.due, late=due.lateness(turn.due, now), missed=len(missed))
        fate = _run(conn, found, key, firing, turn.skip, front, policy, now)
        reservations.record(conn, fate)
    _move_on(conn, found, turn.next_at, fate)
    point("reservation-firing")
    return fate


def fire_all(conn: Connection, ids: Sequence[int], front: Front, policy: Policy, now: datetime) -> list[Occurrence]:
    """Fire several in one transaction."""
    fired = [fire(conn, reservation_id, front, policy, now) for reservation_id in ids]
    return [one for one in fired if one is not None]


def give_up(conn: Connection, reservation_id: int, front: Front, now: datetime) -> Occurrence | None:
    """A defect met this firing: it is recorded as refused, its owner is told, and the next time stands."""
    found = _due(conn, reservation_id, now)
    if found is None or found.next_at is None:
        return None
    try:
        zone, rule = ZoneInfo(found.zone), rule_from_json(found.rule)
    except (BadCalendar, ZoneInfoNotFoundError):  # no time can be read from it any more
        reservations.change(conn, found, state=ReservationState.CANCELLED, next_at=None, reason="unreadable")
        return None
    turn = due.turn(rule, found.next_at, zone, now, None, None)
    key = occurrence_key(rule, turn.due, zone)
    missed = [_skipped(found, one, occurrence_key(rule, one, zone), "missed", now) for one in turn.missed]
    reservations.record_skipped(conn, missed)
    fate = _refused(conn, found, key, turn.due, Refusal(code="internal"), front, now)
    reservations.record(conn, fate)
    _move_on(conn, found, turn.next_at, fate)
    return fate


def _due(conn: Connection, reservation_id: int, now: datetime) -> Reservation | None:
    """The reservation, locked, when it is due; None when it is not, or another process is firing it."""
    found = reservations.lock(conn, reservation_id, wait=False)
    if found is None or found.state is not ReservationState.ACTIVE:
        return None
    return found if found.next_at is not None and found.next_at <= now else None


def _run(
    conn: Connection,
    reservation: Reservation,
    key: str,
    firing: Firing,
    skip: str,
    front: Front,
    policy: Policy,
    now: datetime,
) -> Occurrence:
    if skip:
        fate = _skipped(reservation, firing.due, key, skip, now)
        _tell(conn, reservation, fate, None, front, now)
        return fate
    owner = users.get(conn, reservation.user_id)
    if owner is None:
        raise LookupError(f"reservation {reservation.id} belongs to user {reservation.user_id}, who does not exist")
    wanted = front.order(conn, reservation, owner, firing)
    ordered = wanted if isinstance(wanted, Refusal) else queue.submit(conn, wanted, policy, now)
    if isinstance(ordered, Refusal):
        return _refused(conn, reservation, key, firing.due, ordered, front, now)
    return _occurrence(reservation, key, firing.due, Fate.FIRED, now, job_id=ordered.id)


def _refused(
    conn: Connection, reservation: Reservation, key: str, moment: datetime, why: Refusal, front: Front, now: datetime
) -> Occurrence:
    fate = _occurrence(reservation, key, moment, Fate.REFUSED, now, reason=why.code)
    _tell(conn, reservation, fate, why, front, now)
    return fate


def _tell(
    conn: Connection, reservation: Reservation, fate: Occurrence, refusal: Refusal | None, front: Front, now: datetime
) -> None:
    key = notice_key(reservation.id, fate.key)
    outbox.add(conn, key, reservation.origin, slot="reply", body=front.message(reservation, fate, refusal), now=now)


def notice_key(reservation_id: int, occurrence: str) -> str:
    """The key of the message that tells why a due time was not run."""
    return f"res-{reservation_id}-{occurrence}"


def _move_on(conn: Connection, reservation: Reservation, next_at: datetime | None, fate: Occurrence) -> None:
    values: dict[str, Any] = {"next_at": next_at}
    if next_at is None:
        values |= {"state": ReservationState.ENDED, "reason": fate.reason or "fired"}
    reservations.change(conn, reservation, **values)


def settle_due(conn: Connection, reservation: Reservation, reason: str, now: datetime) -> None:
    """What is due already is not run any more, because its owner wants it otherwise; that is recorded."""
    if reservation.state is not ReservationState.ACTIVE or reservation.next_at is None or reservation.next_at > now:
        return
    zone, rule = ZoneInfo(reservation.zone), rule_from_json(reservation.rule)
    moments = due.due_times(rule, reservation.next_at, zone, now)
    fates = [_skipped(reservation, one, occurrence_key(rule, one, zone), reason, now) for one in moments]
    reservations.record_skipped(conn, fates)


def _skipped(reservation: Reservation, moment: datetime, key: str, reason: str, now: datetime) -> Occurrence:
    return _occurrence(reservation, key, moment, Fate.SKIPPED, now, reason=reason)


def _occurrence(
    reservation: Reservation,
    key: str,
    moment: datetime,
    fate: Fate,
    now: datetime,
    *,
    job_id: int | None = None,
    reason: str = "",
) -> Occurrence:
    return Occurrence(
        reservation_id=reservation.id, key=key, due_at=moment, fate=fate, job_id=job_id, reason=reason, at=now
    )
