"""Reservations for the tests of this folder: people, bookings, a front that orders plain jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from scheduler import reservations as acts
from scheduler.calendar import Once, Rule, Window
from scheduler.firing import Firing
from scheduler.policy import BATCH, RESERVED, Policy, Refusal
from scheduler.queue import Submission
from scheduler.reservations import Booking, When
from storage import outbox, reservations, users
from storage.database import Database
from storage.records import (
    Allowance,
    ChatType,
    Identity,
    Kind,
    Occurrence,
    Origin,
    Reservation,
    ReservationState,
    Unit,
    User,
    utcnow,
)

POLICY = Policy(
    timezone=ZoneInfo("Asia/Shanghai"),
    allowances={Unit.DRAW: (Allowance(amount=5, period="day"),), Unit.ASK: (Allowance(amount=50, period="day"),)},
    reservations_per_user=20,
)
HOUR = timedelta(hours=1)


class Front:
    """Orders what the reservation says; `cost` may be more than anybody has."""

    def __init__(self, *, cost: int = 1, defect: set[int] | None = None, refusal: Refusal | None = None) -> None:
        self.cost = cost
        self.defect = defect or set()
        self.refusal = refusal
        self.firings: list[Firing] = []

    def order(self, conn: Connection, reservation: Reservation, owner: User, firing: Firing) -> Submission | Refusal:
        if reservation.id in self.defect:
            raise ZeroDivisionError(reservation.id)
        self.firings.append(firing)
        return self.refusal or Submission(
            key=firing.key,
            kind=reservation.kind,
            user=owner,
            origin=reservation.origin,
            params=reservation.params,
            cost=self.cost,
            work=reservation.work,
            priority=RESERVED if reservation.closes_at is None else BATCH,
            not_after=reservation.closes_at,
            card=lambda conn, job, place: {},
        )

    def message(self, reservation: Reservation, fate: Occurrence, refusal: Refusal | None) -> dict[str, Any]:
        return {"reservation": reservation.id, "reason": fate.reason}

    def over(self, reservation: Reservation, now: datetime) -> dict[str, Any]:
        return {"over": reservation.id}


def person(db: Database, name: str = "anna") -> User:
    return db.run_sync(users.resolve, Identity(platform="web", external_id=name), name, utcnow())


def booking(user: User, rule: Rule, *, window: Window | None = None, **changes: Any) -> Booking:
    origin = Origin(platform="web", chat_id=str(user.id), chat_type=ChatType.DIRECT, message_id="m", sender=user.name)
    closes = changes.pop("closes_at", None)
    values: dict[str, Any] = {"params": {"prompt": "cat", "count": 1}, "work": 1.0, "late_limit": None, **changes}
    when = When(rule=rule, window=window, closes_at=closes)
    return Booking(user=user, kind=Kind.DRAW, origin=origin, when=when, **values)


def proposed(db: Database, wanted: Booking, now: datetime, policy: Policy = POLICY) -> Reservation:
    kept = db.run_sync(acts.propose, wanted, policy, now)
    assert isinstance(kept, Reservation), kept
    return kept


def booked(db: Database, user: User, rule: Rule, now: datetime, policy: Policy = POLICY, **changes: Any) -> Reservation:
    """An active reservation."""
    kept = proposed(db, booking(user, rule, **changes), now, policy)
    done = act(db, kept.id, acts.confirm, kept.version, f"user:{user.id}", now)
    assert isinstance(done, Reservation), done
    assert done.state is ReservationState.ACTIVE
    return done


def once(db: Database, user: User, due: datetime, **changes: Any) -> Reservation:
    """Booked an hour before it is due."""
    return booked(db, user, Once(at=due), due - HOUR, **changes)


def act(db: Database, number: int, what: Any, *arguments: Any) -> Any:
    """Do something with a locked reservation."""

    def work(conn: Connection) -> Any:
        held = reservations.lock(conn, number)
        assert held is not None
        return what(conn, held, *arguments)

    return db.run_sync(work)


def kept(db: Database, number: int) -> Reservation:
    found = db.read_sync(reservations.get, number)
    assert found is not None
    return found


def fates(db: Database, number: int) -> list[tuple[str, str]]:
    """Fate and reason of each due time, oldest first."""
    found = db.read_sync(reservations.occurrences_of, number, 10_000)
    return [(one.fate.value, one.reason) for one in reversed(found)]


def told(db: Database) -> list[str]:
    """Why owners were told that something was not drawn."""
    sent = db.run_sync(outbox.claim, utcnow() + timedelta(days=9999), timedelta(seconds=1), 1000)
    return [delivery.body["reason"] for delivery in sent if delivery.key.startswith("res-")]
