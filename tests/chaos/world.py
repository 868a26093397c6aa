"""A team, a queue and a chat without processes: every act is one of the product's transactions, at a clock of ours.

A process may die inside an act (nothing is committed) or right behind it (nothing that should follow happens), and
whoever it left behind, a worker with a lease or a sender with a message, may come back too late or never.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import URL, Connection

from bot.delivery import LEASE, Post, Skip, Update, Wait, decide
from scheduler import firing, queue, verify
from scheduler.firing import Firing
from scheduler.policy import RESERVED, Policy, Refusal
from scheduler.queue import Submission
from storage import audit, inbox, outbox, reservations, users
from storage.database import Database, sqlite_engine
from storage.files import Files
from storage.records import (
    Allowance,
    ChatType,
    Delivery,
    Identity,
    InboxEntry,
    Job,
    Kind,
    Occurrence,
    Origin,
    Reservation,
    Unit,
    User,
)
from storage.tables import jobs as jobs_table
from storage.writer import PoolWriter

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)  # half an hour before midnight in the team's zone
GROUP = "oc_group"
DAILY = 6  # units of one person a day
SHARED = 9  # units of all members of the group a day

POLICY = Policy(
    timezone=ZONE,
    allowances={Unit.DRAW: (Allowance(amount=DAILY, period="day"),), Unit.ASK: (Allowance(amount=50, period="day"),)},
    shared={f"group:web:{GROUP}": {Unit.DRAW: (Allowance(amount=SHARED, period="day"),)}},
    concurrency=2,
    queue_per_user=5,
    max_lost=1,
    max_suspect=2,
    max_attempts=2,
    breaker_failures=10_000,
)

#: What a planted bug does only after the commit; the product itself leaves nothing here.
AFTERWARDS: list[Callable[[Connection], object]] = []

T = TypeVar("T")


class End(Enum):
    """How the process that does an act ends."""

    WELL = "well"
    BEFORE_COMMIT = "before the commit"
    AFTER_COMMIT = "after the commit"


class Send(Enum):
    """What becomes of one try to send."""

    WELL = "well"
    REFUSED = "refused for now"
    DIED_BEFORE = "sender dies before"
    DIED_AFTER = "sender dies after"
    CUT = "accepted, its answer lost"


class Died(Exception):
    """The process ended inside its transaction."""


@dataclass
class Message:
    """What people see: one message of the bot."""

    number: int
    key: str
    job_id: int | None
    says: str  # the job's state as it was told last


@dataclass
class Chat:
    """A platform that shows one message per key, as Feishu's uuid does."""

    messages: list[Message] = field(default_factory=list)

    def post(self, key: str, job_id: int | None, says: str) -> int:
        for known in self.messages:
            if known.key == key:
                return known.number
        self.messages.append(Message(len(self.messages), key, job_id, says))
        return self.messages[-1].number

    def update(self, number: int, says: str) -> None:
        self.messages[number].says = says

    def of_job(self, job_id: int) -> list[Message]:
        return [message for message in self.messages if message.job_id == job_id]


class Front:
    """Orders what was booked, at the price it was booked for."""

    def order(self, conn: Connection, reservation: Reservation, owner: User, due: Firing) -> Submission | Refusal:
        return submission(due.key, owner, reservation.origin, int(reservation.params["cost"]), priority=RESERVED)

    def message(self, reservation: Reservation, fate: Occurrence, refusal: Refusal | None) -> dict[str, Any]:
        return {"reservation": reservation.id, "reason": fate.reason}

    def over(self, reservation: Reservation, now: datetime) -> dict[str, Any]:
        return {"over": reservation.id}


def submission(key: str, user: User, origin: Origin, cost: int, **more: Any) -> Submission:
    """An order of pictures."""
    params = {"count": 1, "cost": cost}
    return Submission(
        key=key,
        kind=Kind.DRAW,
        user=user,
        origin=origin,
        params=params,
        cost=cost,
        work=float(cost),
        card=lambda conn, job, place: {},
        **more,
    )


def opened(file: Path) -> Database:
    """The file, written to by the thread that asks: the group writer's turns between two threads take most of the time
    of so small transactions, and are tested elsewhere."""
    url = URL.create("sqlite", database=str(file))
    writing, reading = sqlite_engine(url, "BEGIN IMMEDIATE"), sqlite_engine(url, "BEGIN", "query_only = on")
    return Database(url, PoolWriter(writing, 1), reading, (writing, reading))


class World:
    """One installation on a SQLite file, copied from an empty one that was migrated before."""

    def __init__(self, folder: Path, blank: Path, people: int = 2) -> None:
        shutil.copy(blank, folder / "moqi.db")
        self.db = opened(folder / "moqi.db")
        self.files = Files(folder / "files")
        self.chat = Chat()
        self.now = START
        self.at_rest = START  # everything due until then was looked at
        AFTERWARDS.clear()
        self.users = [
            self.db.run_sync(users.resolve, Identity(platform="web", external_id=f"p{n}"), f"p{n}", START)
            for n in range(people)
        ]

    def close(self) -> None:
        self.db.close()

    def do(self, act: Callable[..., T], *arguments: Any, end: End = End.WELL) -> T | None:
        """One transaction; None when the process died inside it."""

        def work(conn: Connection) -> T:
            result = act(conn, *arguments)
            if end is End.BEFORE_COMMIT:
                raise Died
            return result

        AFTERWARDS.clear()
        try:
            result = self.db.run_sync(work)
        except Died:
            return None
        if end is End.WELL:
            for later in AFTERWARDS:
                self.db.run_sync(later)
        return result

    # -- the clock -------------------------------------------------------------------------------------------------

    def pass_time(self, span: timedelta) -> None:
        """Let time pass, or set the clock back."""
        self.now += span
        self.at_rest = min(self.at_rest, self.now)

    # -- events ----------------------------------------------------------------------------------------------------

    def arrive(self, key: str, user: int, in_group: bool, cost: int, end: End = End.WELL) -> None:
        """An event comes in, perhaps again."""
        event = {"id": key, "user": user, "in_group": in_group, "cost": cost}
        self.do(inbox.accept_all, [("web", key, event)], self.now, end=end)

    def waiting(self) -> list[InboxEntry]:
        return self.db.read_sync(inbox.waiting, 0, 100)

    def deal(self, entry: InboxEntry, end: End = End.WELL) -> Job | Refusal | None:
        """Deal with an event as the router does: what it orders, its answer and its mark together."""
        return self.do(self._deal, entry, end=end)

    def _deal(self, conn: Connection, entry: InboxEntry) -> Job | Refusal:
        user, origin = self.users[entry.event["user"]], self.origin(entry.event["user"], entry.event["in_group"])
        wanted = submission(f"web:{entry.key}", user, origin, entry.event["cost"])
        found = queue.submit(conn, wanted, POLICY, self.now)
        outcome = f"refused:{found.code}" if isinstance(found, Refusal) else f"job:{found.id}"
        assert inbox.handled(conn, entry.id, outcome, self.now)
        if isinstance(found, Refusal):
            outbox.add(conn, f"event-{entry.id}", origin, slot="reply", body={"code": found.code}, now=self.now)
        return found

    def origin(self, user: int, in_group: bool) -> Origin:
        who = self.users[user].name
        chat, kind = (GROUP, ChatType.GROUP) if in_group else (who, ChatType.DIRECT)
        return Origin(platform="web", chat_id=chat, chat_type=kind, message_id="m", sender=who)

    # -- what runs by itself ---------------------------------------------------------------------------------------

    def due(self) -> list[int]:
        return [number for number, _ in self.db.read_sync(reservations.due, self.now, 1000)]

    def fire(self, numbers: Sequence[int], end: End = End.WELL) -> list[Occurrence] | None:
        """What the alarms do with what is due."""
        return self.do(firing.fire_all, numbers, Front(), POLICY, self.now, end=end)

    def sweep(self, *, sole_owner: bool = False) -> list[int]:
        """Take back what vanished workers held; at a start of the only process, all that runs."""
        touched = self.do(_recover, self.now, sole_owner)
        assert touched is not None
        return touched

    # -- messages --------------------------------------------------------------------------------------------------

    def deliver(self, how: Send) -> int:
        """One round of the sender; returns how many messages it had taken."""
        taken = self.do(outbox.claim, self.now, LEASE, 10) or []
        for delivery in taken:
            self._step(delivery, how)
        return len(taken)

    def _step(self, delivery: Delivery, how: Send) -> None:
        siblings = {} if delivery.job_id is None else self.db.read_sync(outbox.of_job, delivery.job_id)
        wanted = decide(delivery, siblings)
        if isinstance(wanted, Skip):
            self.do(outbox.skipped, delivery.id, "the outcome came first")
        elif isinstance(wanted, Wait):
            self.do(outbox.hand_back, delivery.id, self.now)
        elif how is Send.REFUSED:
            self.do(outbox.postpone, delivery.id, self.now + timedelta(seconds=5), "busy", {})
        elif how is not Send.DIED_BEFORE:
            self._show(delivery, wanted, how)

    def _show(self, delivery: Delivery, wanted: Post | Update, how: Send) -> None:
        says = "" if delivery.job_id is None else self.state(delivery.job_id)
        if isinstance(wanted, Update):
            number = int(wanted.receipt["number"])
            self.chat.update(number, says)
        else:
            number = self.chat.post(delivery.key, delivery.job_id, says)
        if how is Send.CUT:
            self.do(outbox.postpone, delivery.id, self.now + timedelta(seconds=5), "cut", {})
        elif how is not Send.DIED_AFTER:
            self.do(outbox.sent, delivery.id, {"number": number}, self.now)

    def state(self, job_id: int) -> str:
        """The state of a job as its row has it."""

        def look(conn: Connection) -> str:
            return str(conn.execute(jobs_table.select().where(jobs_table.c.id == job_id)).one().state)

        return self.db.read_sync(look)

    # -- is it in order --------------------------------------------------------------------------------------------

    def broken(self) -> list[str]:
        """What `moqi verify` would say now, were everything at rest until `at_rest`."""
        checks = self.db.read_sync(verify.verify, self.files, self.at_rest)
        return [f"verify: {check.invariant}: {what}" for check in checks for what in check.broken]

    def seal(self) -> None:
        self.do(audit.seal)


def _recover(conn: Connection, now: datetime, sole_owner: bool) -> list[int]:
    touched = queue.recover(conn, POLICY, now, sole_owner=sole_owner)
    if sole_owner:
        outbox.release_all(conn)
    return touched
