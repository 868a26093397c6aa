"""Bugs to plant: each is a mistake that somebody could make, and a check that must see it.

A harness that has never failed proves nothing. Every bug changes the product in memory for the time of a scenario.
"""

from __future__ import annotations

import asyncio
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from sqlalchemy import URL, bindparam, update
from sqlalchemy.exc import IntegrityError

from bot import delivery
from bot.delivery import Sender
from bot.platforms.base import Outgoing
from scheduler import alarms, due, firing, queue, quota
from scheduler import policy as rules
from scheduler.calendar import occurrence_key
from storage import files, inbox, jobs, ledger, outbox, records
from storage.database import sqlite_engine
from storage.records import EntryKind
from storage.tables import jobs as jobs_table
from tests.chaos import world

Patch = pytest.MonkeyPatch
CENTURY = timedelta(days=36_525)


@dataclass(frozen=True, kw_only=True)
class Bug:
    """A planted mistake."""

    name: str
    plant: Callable[[Patch], None]
    seen_by: str  # the scenario
    says: str  # a pattern of what it says
    raises: type[Exception] = AssertionError  # a constraint of the database may see it first


# -- leases and workers --------------------------------------------------------------------------------------------


def no_fence(patch: Patch) -> None:
    """Whoever finishes a job may say how it ended."""
    end = update(jobs_table).where(jobs_table.c.id == bindparam("of_id"))
    patch.setattr(jobs, "_END", end)
    patch.setattr(jobs, "_END_DONE", end.where(jobs_table.c.cancel_requested.is_(False)))


def no_sweep(patch: Patch) -> None:
    patch.setattr(jobs, "expired", lambda *_: [])


def lease_never_ends(patch: Patch) -> None:
    lease = jobs.lease
    patch.setattr(jobs, "lease", lambda conn, ids, token, until, now: lease(conn, ids, token, until + CENTURY, now))


def losses_are_not_counted(patch: Patch) -> None:
    requeue = jobs.requeue
    patch.setattr(jobs, "requeue", lambda *given, lost=0, **values: requeue(*given, **values))


def cancelled_picture_is_kept(patch: Patch) -> None:
    """A result that comes after the cancellation is taken."""
    patch.setattr(jobs, "_END_DONE", jobs._END)


# -- keys ----------------------------------------------------------------------------------------------------------


def random_event_key(patch: Patch) -> None:
    row = inbox._row
    patch.setattr(inbox, "_row", lambda platform, key, event, now: row(platform, uuid.uuid4().hex, event, now))


def random_job_key(patch: Patch) -> None:
    add = jobs.add
    patch.setattr(jobs, "add", lambda conn, *, key, **values: add(conn, key=uuid.uuid4().hex, **values))


def random_message_key(patch: Patch) -> None:
    """Another idempotency key at every try."""
    patch.setattr(delivery, "Outgoing", lambda *, key, **values: Outgoing(key=uuid.uuid4().hex, **values))


def no_unique_occurrence(patch: Patch) -> None:
    """The same due time has another name at every look, so no key is ever there already."""
    patch.setattr(firing, "occurrence_key", lambda *given: f"{occurrence_key(*given)}-{uuid.uuid4().hex}")


# -- units ---------------------------------------------------------------------------------------------------------


def refund_outside_the_transaction(patch: Patch) -> None:
    refund = quota.refund

    def later(conn: object, job_id: int, now: datetime, why: str) -> None:
        world.AFTERWARDS.append(partial(refund, job_id=job_id, now=now, why=why))

    patch.setattr(quota, "refund", later)


def hold_kept_on_cancel(patch: Patch) -> None:
    refund = quota.refund

    def unless_cancelled(conn: Any, job_id: int, now: datetime, why: str) -> None:
        if why != "cancelled":
            refund(conn, job_id, now, why)

    patch.setattr(quota, "refund", unless_cancelled)


def settled_twice(patch: Patch) -> None:
    settle = quota.settle

    def twice(conn: Any, job_id: int, now: datetime, *more: Any) -> quota.Beyond:
        holds = ledger.open_holds(conn, job_id)
        done = settle(conn, job_id, now, *more)
        for entry in holds:
            account = quota._account(entry)
            ledger.add(conn, account, EntryKind.SETTLE, 0, actor="scheduler", now=now, job_id=job_id)
        return done

    patch.setattr(quota, "settle", twice)


def refund_into_today(patch: Patch) -> None:
    """Given back to the day of the refund, not to the one that paid."""
    account = quota._account

    def todays(entry: Any) -> Any:
        day = f"day:{entry.created_at.astimezone(world.ZONE) + timedelta(days=1):%Y-%m-%d}"
        return replace(account(entry), bucket=day)

    def refund(conn: Any, job_id: int, now: datetime, why: str) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(quota, "_account", todays)
            original(conn, job_id, now, why)

    original = quota.refund
    patch.setattr(quota, "refund", refund)


def day_of_the_machine(patch: Patch) -> None:
    """Days begin at midnight in UTC, not in the team's zone."""
    bucket = rules.bucket
    patch.setattr(rules, "bucket", lambda period, now, zone: bucket(period, now, UTC))


def spends_what_is_held(patch: Patch) -> None:
    """What waits in the queue is not counted against what is left."""
    patch.setattr(quota, "hold", lambda *given: None)


# -- reservations --------------------------------------------------------------------------------------------------


def fires_when_it_rings(patch: Patch) -> None:
    """The alarm is believed; the row is not asked whether its time has come."""
    patch.setattr(firing, "_is_due", lambda held, now: held.next_at is not None)


def forgets_what_was_missed(patch: Patch) -> None:
    turn = due.turn
    patch.setattr(firing, "turn", lambda *given: replace(turn(*given), missed=()))


def reads_times_in_utc(patch: Patch) -> None:
    """A reservation's times are read in the zone of the machine."""
    patch.setattr(firing, "ZoneInfo", lambda key: UTC)


def clock_is_local(patch: Patch) -> None:
    """The machine's local time, taken for UTC."""

    def now() -> datetime:
        return datetime.now().replace(tzinfo=UTC)  # noqa: DTZ005 - that is the bug

    patch.setattr(records.utcnow, "__code__", now.__code__)


class NaiveAlarms(alarms.Alarms):
    """APScheduler's own store is the truth: nobody looks at the table."""

    folder = ""
    current: NaiveAlarms

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        NaiveAlarms.current = self
        url = URL.create("sqlite", database=f"{self.folder}/apscheduler.db")
        self.engine = sqlite_engine(url, "BEGIN IMMEDIATE")
        self.store = AsyncIOScheduler(jobstores={"default": SQLAlchemyJobStore(engine=self.engine)}, timezone="UTC")

    def arm(self, reservation_id: int, at: datetime) -> None:
        self.store.add_job(ring_naively, "date", run_date=at, args=[reservation_id], misfire_grace_time=None)

    async def run(self) -> None:
        self._wake.attach(asyncio.get_running_loop())
        self.store.start()
        try:
            while not self._stopping:
                await self._fire_due()
                await self._wake.wait(0.05)
        finally:
            self.store.shutdown(wait=False)
            self.engine.dispose()


async def ring_naively(reservation_id: int) -> None:
    """What the store calls."""
    await NaiveAlarms.current._ring(reservation_id)


def naive_store(patch: Patch) -> None:
    patch.setattr(NaiveAlarms, "folder", tempfile.mkdtemp(prefix="moqi-naive-"))
    patch.setattr(alarms, "Alarms", NaiveAlarms)


# -- messages and files --------------------------------------------------------------------------------------------


def nobody_is_told(patch: Patch) -> None:
    patch.setattr(queue, "_tell", lambda *given: None)


def marked_before_sent(patch: Patch) -> None:
    send = Sender._send

    async def mark_first(self: Sender, wanted: Any, *more: Any) -> None:
        await self._db.run(outbox.sent, wanted.id, {}, records.utcnow())
        await send(self, wanted, *more)

    patch.setattr(Sender, "_send", mark_first)


def posted_before_the_commit(patch: Patch) -> None:
    take = Sender.take

    def at_once(self: Sender, *given: Any) -> Callable[[], None]:
        take(self, *given)()
        return lambda: None

    patch.setattr(Sender, "take", at_once)


def row_without_its_file(patch: Patch) -> None:
    patch.setattr(files.Files, "_write", lambda self, path, data: path.parent.mkdir(parents=True))


LATE = "a worker comes back too late"
BUGS = (
    Bug(name="no fence at finish", plant=no_fence, seen_by=LATE, says="by a stale worker was True"),
    Bug(name="no sweep", plant=no_sweep, seen_by=LATE, says="took back .*, lost were .1."),
    Bug(name="a lease never ends", plant=lease_never_ends, seen_by=LATE, says="took back .*, lost were .1."),
    Bug(
        name="lost workers are not counted",
        plant=losses_are_not_counted,
        seen_by="a job kills its workers",
        says="jobs are not as they should be",
    ),
    Bug(
        name="a result is kept though it was cancelled",
        plant=cancelled_picture_is_kept,
        seen_by="a cancellation meets a running job",
        says="jobs are not as they should be",
    ),
    Bug(
        name="random uuid instead of the event's key",
        plant=random_event_key,
        seen_by="an event comes twice",
        says="e0 was dealt with twice",
    ),
    Bug(
        name="random uuid instead of the job's key",
        plant=random_job_key,
        seen_by="one picture",
        says="verify: .* names a job that does not exist",
    ),
    Bug(
        name="random uuid at every try to send",
        plant=random_message_key,
        seen_by="an answer of the platform is lost",
        says="people see",
    ),
    Bug(
        name="no unique key of an occurrence",
        plant=no_unique_occurrence,
        seen_by="the clock is set back behind a firing",
        says="verify: every reservation fired once|jobs are not as they should be",
    ),
    Bug(
        name="refund outside the transaction",
        plant=refund_outside_the_transaction,
        seen_by="the process dies behind a cancellation",
        says="balances are not as they should be",
    ),
    Bug(
        name="hold not released on cancel",
        plant=hold_kept_on_cancel,
        seen_by="a cancelled order costs nothing",
        says="balances are not as they should be",
    ),
    Bug(
        name="settled twice",
        plant=settled_twice,
        seen_by="one picture",
        says="UNIQUE constraint failed: ledger.job_id",
        raises=IntegrityError,
    ),
    Bug(
        name="refunded to another day",
        plant=refund_into_today,
        seen_by="a new day begins between order and refund",
        says="balances are not as they should be",
    ),
    Bug(
        name="days begin in the machine's zone",
        plant=day_of_the_machine,
        seen_by="a new day begins between order and refund",
        says="balances are not as they should be",
    ),
    Bug(
        name="what is held can be spent again",
        plant=spends_what_is_held,
        seen_by="the last units are spent",
        says="balances are not as they should be",
    ),
    Bug(
        name="fires whenever it rings",
        plant=fires_when_it_rings,
        seen_by="an alarm rings early",
        says="though it is not due",
    ),
    Bug(
        name="forgets what was missed",
        plant=forgets_what_was_missed,
        seen_by="the server was down for some firings",
        says="what became of due times",
    ),
    Bug(
        name="times are read in the machine's zone",
        plant=reads_times_in_utc,
        seen_by="a reservation fires every day",
        says="reservation 1: Occurrence|what is due|what became of due times",
    ),
    Bug(
        name="local time instead of UTC",
        plant=clock_is_local,
        seen_by="a reservation of later is left alone",
        says="fired early",
    ),
    Bug(
        name="APScheduler's persistent store instead of next_at",
        plant=naive_store,
        seen_by="the process dies between alarm and firing",
        says="fired 0 times",
    ),
    Bug(name="nobody is told", plant=nobody_is_told, seen_by="one picture", says="nobody is told"),
    Bug(
        name="marked as sent before it is sent",
        plant=marked_before_sent,
        seen_by="the sender dies before its message",
        says="people see 0 messages",
    ),
    Bug(
        name="posted before the commit",
        plant=posted_before_the_commit,
        seen_by="a commit fails behind a result",
        says="shown that was never kept",
    ),
    Bug(
        name="a row without its file",
        plant=row_without_its_file,
        seen_by="a picture is kept",
        says="verify: every asset has its file",
    ),
)
