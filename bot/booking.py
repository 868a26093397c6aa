"""Reservations on the chat's side: what a written time means here and now, and what a firing orders and says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot import gate, ordering
from bot.commands.when import (
    Problem,
    parse_recurrence,
    parse_time,
    parse_window,
    recurrence_length,
    time_length,
    window_length,
)
from bot.context import House
from bot.replies.booked import Shown
from scheduler import firing, hours, queue
from scheduler.calendar import Once, Opening, Rule, Window
from scheduler.policy import BATCH, RESERVED, Refusal
from scheduler.queue import Submission
from scheduler.reservations import When, free_window
from storage.records import Kind, Occurrence, Reservation, User


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be booked, as far as it matters for when: a window has room for so much work."""

    kind: Kind
    work: float
    reservation: int = 0  # that is given another time; 0 = a new one


@dataclass(frozen=True, kw_only=True, slots=True)
class Understood:
    """What a written time means."""

    when: When
    notes: tuple[str, ...] = ()  # what the card should add: see bot.commands.when.Note
    asked: Problem | None = None  # why it must be asked back
    full: Opening | None = None  # the opening that was meant, and has no room left


def at(conn: Connection, said: str, wanted: Wanted, zone: ZoneInfo, now: datetime) -> Understood | Problem | Refusal:
    """What `--at` means: a window of the day, or one instant."""
    if 0 < window_length(said) == len(said):
        window = parse_window(said)
        return window if isinstance(window, Problem) else _in_window(conn, window, wanted, zone, now)
    found = parse_time(said, now, zone)
    if not isinstance(found, Problem):
        return Understood(when=When(rule=Once(at=found.at)), notes=found.notes)
    # Past times come with the next same time, ambiguous ones with their readings: one press answers either.
    instants = {"time_past": found.instants[1:], "time_ambiguous": found.instants}.get(found.code, ())
    return _asked(tuple(Once(at=moment) for moment in instants), found)


def every(said: str, zone: ZoneInfo, now: datetime) -> Understood | Problem:
    """What `--every` means: a rule."""
    found = parse_recurrence(said, now, zone)
    if not isinstance(found, Problem):
        return Understood(when=When(rule=found))
    return _asked(found.rules if found.code == "recurrence_ambiguous" else (), found)


def whenever(
    conn: Connection, said: str, wanted: Wanted, zone: ZoneInfo, now: datetime
) -> Understood | Problem | Refusal:
    """What is written after a reservation's number: any of them."""
    repeats = recurrence_length(said)
    if repeats == len(said) and repeats > max(time_length(said), window_length(said)):
        return every(said, zone, now)
    return at(conn, said, wanted, zone, now)


def _asked(rules: tuple[Rule, ...], problem: Problem) -> Understood | Problem:
    return Understood(when=When(rule=rules[0], choices=rules), asked=problem) if rules else problem


def _in_window(conn: Connection, window: Window, wanted: Wanted, zone: ZoneInfo, now: datetime) -> Understood | Refusal:
    found = free_window(conn, window, wanted.kind, wanted.work, zone, now, but=wanted.reservation)
    if found is None:
        return Refusal(code="windows_full")
    opening, full = found
    return Understood(when=When(rule=Once(at=opening.opens), window=window, closes_at=opening.closes), full=full)


class Booker:
    """What firing needs of the chat's side: implements scheduler.firing.Front."""

    def __init__(self, house: House) -> None:
        self._house = house

    def order(
        self, conn: Connection, reservation: Reservation, owner: User, due: firing.Firing
    ) -> Submission | Refusal:
        """The picture that this firing orders; another seed each time unless one was named."""
        params = reservation.params
        refusal = gate.screened(conn, self._house, owner, str(params["prompt"]), due.key, due.due + due.late)
        if refusal is not None:  # the words may have been listed since
            return refusal
        if params["seed"] is None:
            params = {**params, "seed": ordering.fresh_seed()}
        return ordering.submission(
            self._house,
            key=due.key,
            user=owner,
            origin=reservation.origin,
            params={**params, ordering.BOOKED: _booked(reservation, due), **self._copies(params)},
            priority=RESERVED if reservation.closes_at is None else BATCH,
            not_before=hours.starts(self._house.policy, due.due + due.late),
            not_after=reservation.closes_at,
        )

    def _copies(self, params: dict[str, Any]) -> dict[str, Any]:
        """The groups that are given the picture, too, as they are set now."""
        copies = self._house.groups.copies(params)
        return {queue.COPIES: copies} if copies else {}

    def message(self, reservation: Reservation, fate: Occurrence, refusal: Refusal | None) -> dict[str, Any]:
        """What the owner is told when a due time was not run."""
        words = self._house.words
        why = "" if refusal is None else words.refusal(refusal.code, refusal.detail).text
        return words.not_fired(reservation, fate, why).to_json()

    def over(self, reservation: Reservation, now: datetime) -> dict[str, Any]:
        """What the card of a reservation that will not fire again says from now on."""
        groups = self._house.groups.given(reservation.params)
        said = self._house.words.reservation(reservation, Shown(now=now, cost=None, groups=groups))
        return replace(said, tidies=True).to_json()


def _booked(reservation: Reservation, due: firing.Firing) -> dict[str, Any]:
    """What the job's card says about its reservation."""
    return {
        "reservation": reservation.id,
        "due": due.due.isoformat(),
        "late": int(due.late.total_seconds()),
        "missed": due.missed,
    }
