"""What happens when a reservation falls due: one transaction that orders its job, or records why not, and moves on.

The row says when a reservation fires next, and the unique key of an occurrence makes a second clock harmless; timers
(alarms.py) only say when to look. Whoever fires takes only rows that nobody holds, so two processes that fire many at
once never wait for each other with locks in both hands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection

from scheduler import queue
from scheduler.calendar import BadCalendar, Rule, from_json, occurrence_key
from scheduler.due import Turn, lateness, turn
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

    def over(self, reservation: Reservation, now: datetime) -> dict[str, Any]:
        """What the card of a reservation that will not fire again says from now on, as a reply's JSON."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A due reservation, locked, as it is seen at one moment."""

    held: Reservation
    rule: Rule
    zone: ZoneInfo
    turn: Turn
    now: datetime

    @property
    def due_key(self) -> tuple[int, str]:
        """What names the due time that counts."""
        return self.held.id, self.key(self.turn.due)

    def key(self, moment: datetime) -> str:
        return occurrence_key(self.rule, moment, self.zone)

    def fate(self, fate: Fate, *, reason: str = "", job_id: int | None = None) -> Occurrence:
        """What becomes of the due time that counts."""
        return self._of(self.turn.due, fate, reason=reason, job_id=job_id)

    def left_out(self, moments: Sequence[datetime], reason: str) -> list[Occurrence]:
        """Due times that are not run."""
        return [self._of(moment, Fate.SKIPPED, reason=reason) for moment in moments]

    def _of(self, moment: datetime, fate: Fate, *, reason: str, job_id: int | None = None) -> Occurrence:
        return Occurrence(
            reservation_id=self.held.id,
            key=self.key(moment),
            due_at=moment,
            fate=fate,
            job_id=job_id,
            reason=reason,
            at=self.now,
        )


def fire(conn: Connection, reservation_id: int, front: Front, policy: Policy, now: datetime) -> Occurrence | None:
    """Run what is due of one reservation and set it to its next time; None when nothing is, or somebody else does."""
    return next(iter(fire_all(conn, [reservation_id], front, policy, now)), None)


def fire_all(conn: Connection, ids: Sequence[int], front: Front, policy: Policy, now: datetime) -> list[Occurrence]:
    """Fire several in one transaction, and with few statements: thousands may be due in the same minute."""
    looks = [_see(held, now) for held in reservations.lock_free(conn, ids) if _is_due(held, now)]
    seen = _seen(conn, looks)
    owners = users.of_ids(conn, (look.held.user_id for look in looks))
    fired = []
    for look in looks:
        fate = seen.get(look.due_key) or _run(conn, look, owners[look.held.user_id], front, policy)
        fired.append((look, fate))
        point("reservation-firing")
    reservations.record(conn, [fate for look, fate in fired if look.due_key not in seen])
    _move_on(conn, fired, front)
    return [fate for _, fate in fired]


def give_up(conn: Connection, reservation_id: int, front: Front, now: datetime) -> Occurrence | None:
    """A defect met this firing: it is recorded as refused, its owner is told, and the next time stands."""
    try:
        look = _look(conn, reservation_id, now)
    except (BadCalendar, ZoneInfoNotFoundError):  # no time can be read from it any more
        held = reservations.lock(conn, reservation_id)
        assert held is not None
        reservations.change(conn, held, state=ReservationState.CANCELLED, next_at=None, reason="unreadable")
        return None
    if look is None:
        return None
    fate = _seen(conn, [look]).get(look.due_key)
    if fate is None:
        fate = _refused(conn, look, Refusal(code="internal"), front)
        reservations.record(conn, [fate])
    _move_on(conn, [(look, fate)], front)
    return fate


def settle_due(conn: Connection, held: Reservation, reason: str, now: datetime) -> None:
    """What is due already is not run any more, because its owner wants it otherwise; that is recorded."""
    if _is_due(held, now):
        look = _see(held, now)
        reservations.record_skipped(conn, look.left_out([*look.turn.missed, look.turn.due], reason))


def notice_key(reservation_id: int, occurrence: str) -> str:
    """The key of the message that tells why a due time was not run."""
    return f"res-{reservation_id}-{occurrence}"


def _look(conn: Connection, reservation_id: int, now: datetime) -> _Look | None:
    """The reservation, locked, when it is due; None when it is not, or another process is firing it."""
    held = reservations.lock(conn, reservation_id, wait=False)
    return _see(held, now) if held is not None and _is_due(held, now) else None


def _is_due(held: Reservation, now: datetime) -> bool:
    return held.state is ReservationState.ACTIVE and held.next_at is not None and held.next_at <= now


def _see(held: Reservation, now: datetime) -> _Look:
    assert held.next_at is not None
    zone, rule = ZoneInfo(held.zone), from_json(held.rule)
    limit = None if held.late_limit is None else timedelta(seconds=held.late_limit)
    return _Look(held, rule, zone, turn(rule, held.next_at, zone, now, limit, held.closes_at), now)


def _seen(conn: Connection, looks: Sequence[_Look]) -> dict[tuple[int, str], Occurrence]:
    """What became of these due times before, in spite of the rows that say they are to come."""
    return reservations.occurrences_at(conn, [look.due_key for look in looks])


def _run(conn: Connection, look: _Look, owner: User, front: Front, policy: Policy) -> Occurrence:
    """Order the job, or say why not."""
    if look.turn.skip:
        fate = look.fate(Fate.SKIPPED, reason=look.turn.skip)
        _tell(conn, look, fate, None, front)
        return fate
    held, due = look.held, look.turn.due
    key = f"res:{held.id}:{look.key(due)}"
    firing = Firing(key=key, due=due, late=lateness(due, look.now), missed=len(look.turn.missed))
    wanted = front.order(conn, held, owner, firing)
    ordered = wanted if isinstance(wanted, Refusal) else queue.submit(conn, wanted, policy, look.now)
    if isinstance(ordered, Refusal):
        return _refused(conn, look, ordered, front)
    return look.fate(Fate.FIRED, job_id=ordered.id)


def _refused(conn: Connection, look: _Look, why: Refusal, front: Front) -> Occurrence:
    fate = look.fate(Fate.REFUSED, reason=why.code)
    _tell(conn, look, fate, why, front)
    return fate


def _tell(conn: Connection, look: _Look, fate: Occurrence, refusal: Refusal | None, front: Front) -> None:
    key, body = notice_key(look.held.id, fate.key), front.message(look.held, fate, refusal)
    outbox.add(conn, key, look.held.origin, slot="reply", body=body, now=look.now)


def _move_on(conn: Connection, fired: Sequence[tuple[_Look, Occurrence]], front: Front) -> None:
    """Record what was missed before, and set each reservation to its next time, or end it."""
    reservations.record_skipped(conn, [one for look, _ in fired for one in look.left_out(look.turn.missed, "missed")])
    again = [look for look, _ in fired if look.turn.next_at is not None]
    reservations.change_all(conn, [(look.held, {"next_at": look.turn.next_at}) for look in again])
    over = [(look, fate) for look, fate in fired if look.turn.next_at is None]
    reservations.change_all(conn, [(look.held, _ended(fate)) for look, fate in over])
    for look, fate in over:
        if look.held.card:  # it shows a time to come, and buttons that do nothing any more
            _close_card(conn, replace(look.held, **_ended(fate)), f"over-{fate.key}", front, look.now)


def _ended(fate: Occurrence) -> dict[str, Any]:
    return {"next_at": None, "state": ReservationState.ENDED, "reason": fate.reason or "fired"}


def _close_card(conn: Connection, ended: Reservation, key: str, front: Front, now: datetime) -> None:
    body = front.over(ended, now)
    outbox.add(conn, f"res-{ended.id}-{key}", ended.origin, slot="revision", body=body, now=now, replaces=ended.card)
