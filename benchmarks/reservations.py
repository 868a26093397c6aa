"""Reservations: thousands that fall due within one minute, how late each fires, and whether each fires once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.postgres import server
from benchmarks.queueing import PARAMS, PEOPLE, POLICY, person
from scheduler.alarms import Alarms
from scheduler.calendar import Once, to_json
from scheduler.clock import Clock
from scheduler.firing import Firing
from scheduler.policy import RESERVED, Refusal
from scheduler.queue import Submission, when_sent
from storage.database import Database
from storage.migrations import migrate
from storage.records import ChatType, Kind, Occurrence, Origin, Reservation, ReservationState, User, utcnow
from storage.tables import jobs, reservations

TITLE = "Reservations: due within one minute, each with its job, hold, card, occurrence and audit"
LEAD = timedelta(seconds=3)  # between booking the last and the first one's time


def run(quick: bool = False) -> list[Figure]:
    """SQLite, then PostgreSQL, each with one process that fires."""
    amount, span = (60, 1.0) if quick else (10_000, 60.0)
    with tempfile.TemporaryDirectory() as folder, server() as postgres:
        urls = {"SQLite": f"sqlite:///{Path(folder) / 'moqi.db'}", "PostgreSQL": postgres}
        return [item for name, url in urls.items() for item in asyncio.run(_measure(name, url, amount, span))]


async def _measure(name: str, url: str, amount: int, span: float) -> list[Figure]:
    migrate(url)
    with Database.open(url) as db:
        await db.run(book, amount, span)
        fired: list[Occurrence] = []
        clock = Clock({})
        alarms = Alarms(db, clock, Front, lambda: POLICY, fired.extend)
        clock.start()
        ringing = asyncio.create_task(alarms.run())
        while len(fired) < amount and not ringing.done():
            await asyncio.sleep(0.2)
        alarms.stop()
        await ringing
        clock.stop()
        ordered = await db.read(_ordered)
    return _figures(f"{name}, {amount} in {span:g} s", fired, amount, ordered)


def _figures(name: str, fired: Sequence[Occurrence], amount: int, ordered: int) -> list[Figure]:
    late = [(fate.at - fate.due_at).total_seconds() * 1000 for fate in fired]
    return [
        figure(f"{name}: late, p50", [percentile(late, 50)], "ms"),
        figure(f"{name}: late, p99", [percentile(late, 99)], "ms", at_most=200),
        figure(f"{name}: late, longest", [max(late)], "ms"),
        figure(f"{name}: early", [sum(value < 0 for value in late)], "", at_most=0),
        figure(f"{name}: lost or doubled", [abs(ordered - amount) + amount - len(_reservations(fired))], "", at_most=0),
    ]


def _reservations(fired: Sequence[Occurrence]) -> set[int]:
    return {fate.reservation_id for fate in fired}


def book(conn: Connection, amount: int, span: float) -> None:
    """Reservations of many people, evenly over `span` seconds from soon on."""
    people = [person(conn, number) for number in range(PEOPLE)]
    now = utcnow()
    rows = [
        _row(people[number % PEOPLE], now + LEAD + timedelta(seconds=span * number / amount), now, number)
        for number in range(amount)
    ]
    conn.execute(reservations.insert(), rows)


def _row(user: User, due: datetime, now: datetime, number: int) -> dict[str, Any]:
    origin = Origin(
        platform="bench", chat_id=str(user.id), chat_type=ChatType.DIRECT, message_id=str(number), sender=user.name
    )
    return {
        "user_id": user.id,
        "kind": Kind.DRAW,
        "state": ReservationState.ACTIVE,
        "origin": origin.to_json(),
        "params": PARAMS,
        "work": 0.5,
        "rule": to_json(Once(at=due)),
        "choices": [],
        "zone": "UTC",
        "version": 1,
        "since": now,
        "next_at": due,
        "reason": "",
        "card": "",
        "created_at": now,
    }


def _ordered(conn: Connection) -> int:
    return int(conn.execute(select(func.count()).select_from(jobs)).scalar_one())


class Front:
    """Orders what was booked, with a card as the chat's front does."""

    def order(self, conn: Connection, reservation: Reservation, owner: User, firing: Firing) -> Submission | Refusal:
        return Submission(
            key=firing.key,
            kind=reservation.kind,
            user=owner,
            origin=reservation.origin,
            params=reservation.params,
            cost=1,
            work=reservation.work,
            priority=RESERVED,
            card=when_sent,
        )

    def message(self, reservation: Reservation, fate: Occurrence, refusal: Refusal | None) -> dict[str, Any]:
        raise AssertionError(f"reservation {reservation.id} was refused: {refusal}")

    def over(self, reservation: Reservation, now: datetime) -> dict[str, Any]:
        return {"text": "over"}


if __name__ == "__main__":
    part(run, TITLE)
