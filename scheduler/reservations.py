"""Propose, confirm, change, pause, resume, cancel a reservation: each one transaction. Firing is in firing.py.

A function that takes a reservation wants it locked (storage.reservations.lock) in the same transaction. Lock order on
PostgreSQL: the reservation's row, then windows, then the lane, then accounts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from scheduler import due
from scheduler.calendar import Once, Opening, Rule, Window, openings, window_from_json, window_to_json
from scheduler.calendar import from_json as rule_from_json
from scheduler.calendar import to_json as rule_to_json
from scheduler.firing import settle_due
from scheduler.policy import Policy, Refusal
from storage import audit, jobs, reservations
from storage.dialect import serialise
from storage.records import Kind, Origin, Reservation, ReservationState, User

#: Reservations that still may fire.
OPEN = (ReservationState.PROPOSED, ReservationState.ACTIVE, ReservationState.PAUSED)


@dataclass(frozen=True, kw_only=True, slots=True)
class When:
    """When something is booked for."""

    rule: Rule
    choices: tuple[Rule, ...] = ()  # what it may mean; `rule` is the first of them
    window: Window | None = None  # any time in it will do; then `rule` is the moment it opens
    closes_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Booking:
    """A reservation about to be proposed."""

    user: User
    kind: Kind
    origin: Origin
    params: dict[str, Any]
    work: float
    when: When
    late_limit: timedelta | None = None


def propose(conn: Connection, wanted: Booking, policy: Policy, now: datetime) -> Reservation | Refusal:
    """Keep a reservation that its owner is asked to confirm. Nothing is held and nothing fires yet."""
    limit = policy.reservations_per_user
    if sum(reservations.count(conn, state, wanted.user.id) for state in OPEN) >= limit:
        return Refusal(code="too_many_reservations", detail={"limit": limit})
    zone = ZoneInfo(str(policy.timezone))
    kept = reservations.add(
        conn,
        user_id=wanted.user.id,
        kind=wanted.kind,
        state=ReservationState.PROPOSED,
        origin=wanted.origin,
        params=wanted.params,
        work=wanted.work,
        zone=zone.key,
        late_limit=None if wanted.late_limit is None else int(wanted.late_limit.total_seconds()),
        created_at=now,
        **_when(wanted.when, zone, now),
    )
    _audit(conn, f"user:{wanted.user.id}", "propose", kept, now)
    return kept


def confirm(
    conn: Connection, reservation: Reservation, version: int | None, actor: str, now: datetime
) -> Reservation | Refusal:
    """Let a proposal fire. `reservation` is locked; `version` is the one on the card that was pressed, if any.

    A window that filled up meanwhile becomes the next free one, still a proposal: its owner is asked again.
    """
    refusal = _stale(reservation, version) or _closed(reservation)
    if refusal is not None:
        return refusal
    if reservation.state is not ReservationState.PROPOSED:
        return reservation
    if reservation.choices:
        return Refusal(code="reservation_choose", detail={"reservation": reservation.id})
    if reservation.window is not None:
        moved = _into_window(conn, reservation, now)
        if isinstance(moved, Refusal) or moved.version != reservation.version:
            return moved
    return _activate(conn, reservation, actor, "confirm", now)


def change(
    conn: Connection, reservation: Reservation, wanted: When, actor: str, now: datetime
) -> Reservation | Refusal:
    """Give a locked reservation another time. A proposal stays one; what is booked is booked anew at once."""
    refusal = _closed(reservation) or _past(reservation, wanted, now)
    if refusal is not None:
        return refusal
    booked = reservation.state is not ReservationState.PROPOSED
    if booked and wanted.choices:  # its present time stands until one is chosen
        choices = tuple(rule_to_json(rule) for rule in wanted.choices)
        return reservations.change(conn, reservation, choices=choices, version=reservation.version + 1)
    if booked:
        settle_due(conn, reservation, "changed", now)
    values = _when(wanted, ZoneInfo(reservation.zone), now)
    changed = reservations.change(conn, reservation, version=reservation.version + 1, **values)
    if reservation.state is ReservationState.ACTIVE:
        return _activate(conn, changed, actor, "change", now)
    _audit(conn, actor, "change", changed, now)
    return reservations.change(conn, changed, next_at=None) if booked else changed


def choose(
    conn: Connection, reservation: Reservation, version: int, choice: int, actor: str, now: datetime
) -> Reservation | Refusal:
    """Take one of the readings of a locked reservation's time."""
    refusal = _stale(reservation, version) or _closed(reservation)
    if refusal is not None:
        return refusal
    if not 0 <= choice < len(reservation.choices):
        return Refusal(code="reservation_stale", detail={"reservation": reservation.id})
    return change(conn, reservation, When(rule=rule_from_json(reservation.choices[choice])), actor, now)


def cancel(
    conn: Connection, reservation: Reservation, actor: str, now: datetime, reason: str = "cancelled"
) -> Reservation | Refusal:
    """End a locked reservation for good. What it has ordered already goes on."""
    refusal = _closed(reservation)
    if refusal is not None:
        return refusal
    settle_due(conn, reservation, reason, now)
    state = ReservationState.CANCELLED
    _audit(conn, actor, "cancel", reservation, now, reason=reason)
    return reservations.change(conn, reservation, state=state, next_at=None, choices=(), reason=reason)


def pause(
    conn: Connection, reservation: Reservation, actor: str, now: datetime, reason: str = ""
) -> Reservation | Refusal:
    """Let a locked reservation rest; what falls due meanwhile is not done, then or later.

    `reason` is kept when it was not its owner's wish.
    """
    refusal = _closed(reservation)
    if refusal is not None:
        return refusal
    if reservation.state is not ReservationState.ACTIVE:
        return reservation
    settle_due(conn, reservation, reason or "paused", now)
    _audit(conn, actor, "pause", reservation, now, **({"reason": reason} if reason else {}))
    return reservations.change(conn, reservation, state=ReservationState.PAUSED, next_at=None, reason=reason)


def resume(conn: Connection, reservation: Reservation, actor: str, now: datetime) -> Reservation | Refusal:
    """Let a paused reservation go on from its next time."""
    refusal = _closed(reservation)
    if refusal is not None:
        return refusal
    if reservation.state is not ReservationState.PAUSED:
        return reservation
    return _activate(conn, reservation, actor, "resume", now)


def lapse(conn: Connection, now: datetime, limit: int = 500) -> list[int]:
    """Drop proposals that nobody confirmed for a day; returns their ids."""
    dropped = []
    for reservation_id in reservations.proposed_before(conn, now - due.LAPSE, limit):
        found = reservations.lock(conn, reservation_id)
        if found is not None and found.state is ReservationState.PROPOSED:
            cancel(conn, found, "clock", now, reason="lapsed")
            dropped.append(reservation_id)
    return dropped


def free_window(
    conn: Connection, window: Window, kind: Kind, work: float, zone: ZoneInfo, now: datetime, but: int = 0
) -> tuple[Opening, Opening | None] | None:
    """The first opening of a window with room for `work`, and the one before it that was full; None: all are.

    Serialises those who book windows: two confirmations at once must not both take the last room.
    """
    serialise(conn, f"windows:{kind}")
    lane = jobs.peek_lane(conn, kind)
    full: Opening | None = None
    for number, opening in enumerate(openings((window,), now, zone)):
        left = replace(opening, opens=max(opening.opens, now))
        booked = reservations.window_work(conn, kind, left.opens, left.closes, but)
        booked += jobs.window_work(conn, kind, left.opens, left.closes) if left.opens == now else 0.0
        if due.fits(left, booked, work, lane.rate, lane.samples):
            return left, full
        full = full or left
        if number + 1 >= due.OPENINGS:
            break
    return None


def _into_window(conn: Connection, reservation: Reservation, now: datetime) -> Reservation | Refusal:
    """The same when its opening still has room, else moved to the next one that has."""
    zone = ZoneInfo(reservation.zone)
    window = window_from_json(reservation.window)
    found = free_window(conn, window, reservation.kind, reservation.work, zone, now, but=reservation.id)
    if found is None:
        return Refusal(code="windows_full", detail={"reservation": reservation.id})
    opening, _ = found
    if opening.closes == reservation.closes_at:
        return reservation
    moved = When(rule=Once(at=opening.opens), window=window, closes_at=opening.closes)
    return reservations.change(conn, reservation, version=reservation.version + 1, **_when(moved, zone, now))


def _activate(
    conn: Connection, reservation: Reservation, actor: str, action: str, now: datetime
) -> Reservation | Refusal:
    first = due.starts(rule_from_json(reservation.rule), ZoneInfo(reservation.zone), now, reservation.closes_at)
    if first is None:
        return Refusal(code="reservation_past", detail={"reservation": reservation.id})
    _audit(conn, actor, action, reservation, now)
    active = {"state": ReservationState.ACTIVE, "next_at": first, "since": now, "choices": (), "reason": ""}
    return reservations.change(conn, reservation, **active)


def _when(wanted: When, zone: ZoneInfo, now: datetime) -> dict[str, Any]:
    """The columns that say when. A proposal's `next_at` is what its card shows; only active ones fire."""
    return {
        "rule": rule_to_json(wanted.rule),
        "choices": tuple(rule_to_json(rule) for rule in wanted.choices),
        "window": None if wanted.window is None else window_to_json(wanted.window),
        "closes_at": wanted.closes_at,
        "next_at": None if wanted.choices else due.starts(wanted.rule, zone, now, wanted.closes_at),
    }


def _stale(reservation: Reservation, version: int | None) -> Refusal | None:
    if version is None or version == reservation.version:
        return None
    return Refusal(code="reservation_stale", detail={"reservation": reservation.id})


def _past(reservation: Reservation, wanted: When, now: datetime) -> Refusal | None:
    if wanted.choices or due.starts(wanted.rule, ZoneInfo(reservation.zone), now, wanted.closes_at) is not None:
        return None
    return Refusal(code="reservation_past", detail={"reservation": reservation.id})


def _closed(reservation: Reservation) -> Refusal | None:
    if not reservation.state.terminal:
        return None
    code = "reservation_lapsed" if reservation.reason == "lapsed" else "reservation_over"
    return Refusal(code=code, detail={"reservation": reservation.id})


def _audit(conn: Connection, actor: str, action: str, reservation: Reservation, now: datetime, **detail: Any) -> None:
    audit.append(conn, actor, f"reservation.{action}", f"reservation:{reservation.id}", detail, now)
