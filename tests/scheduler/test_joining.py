"""Two people who turn out to be one: nothing of theirs is lost and no quota is doubled, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from scheduler import joining, queue, quota, rates
from scheduler.calendar import Once
from scheduler.policy import Policy, Rate
from scheduler.queue import Failure, Submission
from scheduler.verify import verify
from storage import audit, documents, feedback, jobs, ledger, links, outbox, tokens, users
from storage import reservations as kept
from storage.database import Database
from storage.files import Files
from storage.records import (
    Allowance,
    ChatType,
    Identity,
    Job,
    Kind,
    Origin,
    Role,
    Unit,
    User,
)
from storage.tables import allowances, document_access
from storage.tables import rates as rates_table
from tests.scheduler.booked import booking, proposed

DAY, MONTH = Allowance(amount=9, period="day"), Allowance(amount=90, period="month")
ZONE = ZoneInfo("Asia/Shanghai")
POLICY = Policy(timezone=ZONE, allowances={Unit.DRAW: (DAY, MONTH), Unit.ASK: (Allowance(amount=5, period="day"),)})
NOON = datetime(2026, 11, 21, 4, tzinfo=UTC)  # in Shanghai
ROBOTS, REAL = "woAbCdEf", "zhangsan"


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def books(db: Database, tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, the books are right afterwards."""
    yield
    db.run_sync(audit.seal)
    checks = db.read_sync(verify, Files(tmp_path / "files"), NOON)
    assert [check.broken for check in checks] == [[]] * len(checks)


def person(db: Database, name: str) -> User:
    return db.run_sync(users.resolve, Identity(platform="wecom", external_id=name), name, NOON)


def order(db: Database, user: User, key: str, *, cost: int = 1, kind: Kind = Kind.DRAW, now: datetime = NOON) -> Job:
    origin = Origin(platform="wecom", chat_id="robot:x", chat_type=ChatType.DIRECT, message_id=key, sender=user.name)
    wanted = Submission(
        key=key, kind=kind, user=user, origin=origin, params={"count": 1, "prompt": "猫"}, cost=cost, work=1.0
    )
    job = db.run_sync(queue.submit, wanted, POLICY, now)
    assert isinstance(job, Job), job
    return job


def claimed(db: Database) -> Job:
    claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, replace(POLICY, concurrency=9), NOON)
    assert claim is not None
    return claim.jobs[0]


def done(db: Database, job: Job) -> None:
    assert db.run_sync(queue.succeed, job, {"assets": []}, 1.0, NOON)


def failed(db: Database, job: Job) -> None:
    assert db.run_sync(queue.fail, job, Failure(error="x", cause="x"), POLICY, NOON)


def left(db: Database, user: User, unit: Unit = Unit.DRAW, policy: Policy = POLICY, now: datetime = NOON) -> int:
    found = db.run_sync(quota.standing, quota.subject(user.id), unit, policy, now)
    assert found is not None
    return found.total


def explain(db: Database) -> None:
    """The platform tells whose id the robot's is."""
    db.run_sync(links.keep, "wecom", {ROBOTS: (ROBOTS.lower(), REAL)}, NOON)


def settle(db: Database, now: datetime = NOON) -> list[int]:
    return db.run_sync(joining.settle, ZONE, now)


def owners(db: Database) -> set[int]:
    return {job.user_id for job in db.read_sync(jobs.recent)}


# --- units --------------------------------------------------------------------------------------------------------


def test_what_was_used_under_the_other_id_counts(db: Database) -> None:
    former, real = person(db, ROBOTS.lower()), person(db, REAL)
    order(db, real, "a", cost=2)
    for number in range(3):
        order(db, former, f"b{number}")
    order(db, former, "c", kind=Kind.ASK)
    done(db, claimed(db))
    assert (left(db, former), left(db, real)) == (6, 7)
    explain(db)
    assert db.read_sync(joining.pending)
    assert settle(db) == [former.id]
    assert not db.read_sync(joining.pending)
    assert settle(db) == []
    assert left(db, real) == 9 - 2 - 3
    assert left(db, real, Unit.ASK) == 5 - 1
    monthly = replace(POLICY, allowances={**POLICY.allowances, Unit.DRAW: (MONTH,)})
    assert left(db, real, policy=monthly) == 90 - 5
    assert left(db, real, now=NOON + timedelta(days=1)) == 9  # what was used on another day is over
    assert owners(db) == {real.id}
    assert db.read_sync(users.of_identity, Identity(platform="wecom", external_id=ROBOTS.lower())) == db.read_sync(
        users.get, real.id
    )


def test_what_costs_nothing_in_the_end_is_counted_back(db: Database) -> None:
    former, real = person(db, ROBOTS.lower()), person(db, REAL)
    running, waiting, finished = (order(db, former, f"b{number}") for number in range(3))
    explain(db)
    settle(db)
    assert left(db, real) == 6
    assert db.run_sync(queue.cancel, waiting, "test", NOON).terminal
    assert left(db, real) == 7
    held = claimed(db)
    assert held.id == running.id
    failed(db, held)
    assert left(db, real) == 8
    last = claimed(db)
    done(db, last)
    assert left(db, real) == 8
    for _ in range(2):
        db.run_sync(quota.give_back, finished.id, NOON, "undeliverable")
    assert left(db, real) == 9
    db.run_sync(undeliverable, finished.id)


def undeliverable(conn: Connection, job_id: int) -> None:
    """So that the books know why the price was given back."""
    message = outbox.by_key(conn, queue.message_key(job_id, "outcome"))
    assert message is not None
    outbox.gave_up(conn, message.id, "nobody is there", {})


def test_a_chain_of_names_is_one_person(db: Database) -> None:
    first, second, third = (person(db, name) for name in ("one", "two", "three"))
    job = order(db, first, "a", cost=2)
    assert db.run_sync(joining.join, first.id, second.id, ZONE, NOON)
    order(db, second, "b")
    assert db.run_sync(joining.join, second.id, third.id, ZONE, NOON)
    assert not db.run_sync(joining.join, first.id, second.id, ZONE, NOON)  # both are the third by now
    assert left(db, third) == 9 - 3
    db.run_sync(queue.cancel, job, "test", NOON)
    assert left(db, third) == 9 - 1
    assert owners(db) == {third.id}


def test_granted_units_and_an_own_allowance_come_along(db: Database) -> None:
    former, real = person(db, ROBOTS.lower()), person(db, REAL)
    for until in (None, date(2026, 12, 31)):
        db.run_sync(quota.grant, quota.subject(former.id), Unit.DRAW, 4, "cli", NOON, until)
    db.run_sync(ledger.set_allowance, quota.subject(former.id), Unit.DRAW, Allowance(amount=3, period="day"))
    db.run_sync(ledger.set_allowance, quota.subject(former.id), Unit.ASK, Allowance(amount=8, period="day"))
    db.run_sync(ledger.set_allowance, quota.subject(real.id), Unit.DRAW, Allowance(amount=20, period="day"))
    job = order(db, former, "a", cost=6)  # 3 of the day, 3 granted
    explain(db)
    settle(db)
    assert left(db, real) == 20 - 3 + 8 - 3
    assert left(db, real, Unit.ASK) == 8
    assert db.run_sync(queue.cancel, job, "test", NOON).terminal
    assert db.read_sync(joining.pending)  # granted units came back to the name that is no more
    settle(db)
    assert not db.read_sync(joining.pending)
    assert left(db, real) == 20 + 8
    subjects = db.read_sync(lambda conn: set(conn.execute(select(allowances.c.subject)).scalars()))
    assert subjects == {quota.subject(real.id)}


def test_whatever_happens_one_person_has_what_one_person_would_have(db: Database) -> None:
    """Beside somebody who orders all of it under one name."""
    chance = random.Random(7)
    for number in range(4):
        former, real, alone = (person(db, f"{name}{number}") for name in ("former", "real", "alone"))
        both: list[tuple[Job, Job]] = []
        for step in range(14):
            if step == 7:
                assert db.run_sync(joining.join, former.id, real.id, ZONE, NOON)
            if step % 2 and both:
                for job in both.pop(chance.randrange(len(both))):
                    db.run_sync(queue.cancel, job, "test", NOON)
            else:
                who, cost = (real if step > 7 else chance.choice((former, real))), chance.randint(1, 2)
                mine = order(db, who, f"{number}.{step}", cost=cost)
                both.append((mine, order(db, alone, f"{number}.{step}!", cost=cost)))
        assert left(db, real) == left(db, alone)


# --- what is theirs -----------------------------------------------------------------------------------------------


def test_everything_else_follows(db: Database) -> None:
    former, real = person(db, ROBOTS.lower()), person(db, REAL)
    db.run_sync(users.set_role, former.id, Role.ADMIN)
    db.run_sync(users.set_department, former.id, "设计部")
    secret, _ = db.run_sync(tokens.create, former.id, "api", "", NOON)
    job = order(db, former, "a")
    done(db, claimed(db))
    db.run_sync(feedback.say, job.id, former.id, feedback.DOWN, NOON, ["wrong"])
    db.run_sync(feedback.say, job.id, real.id, feedback.UP, NOON)
    booked = proposed(db, booking(former, Once(at=NOON + timedelta(days=1))), NOON)
    db.run_sync(readable, former, real)
    hourly = replace(POLICY, rates={"draw": Rate(count=1, name="hour")})
    assert db.run_sync(rates.take, former.id, ("draw",), hourly, NOON) is None
    explain(db)
    settle(db)
    known = db.read_sync(users.get, real.id)
    assert known is not None
    assert (known.role, known.department, known.department_set) == (Role.ADMIN, "设计部", True)
    assert db.read_sync(tokens.lookup, secret, NOON) == known
    assert db.read_sync(feedback.of_job, job.id) == feedback.Votes(up=1)
    assert db.read_sync(kept.count, booked.state, real.id) == 1
    assert db.read_sync(users.find, ROBOTS.lower()) == []  # its name is nobody's
    assert db.read_sync(users.find, f"wecom:{ROBOTS}") == [known]
    assert [one.id for one in db.read_sync(users.admins)] == [real.id]
    principals = db.read_sync(lambda conn: set(conn.execute(select(document_access.c.principal)).scalars()))
    assert principals == {f"user:{real.id}"}
    assert db.read_sync(lambda conn: set(conn.execute(select(rates_table.c.user_id)).scalars())) == {real.id}
    assert db.run_sync(rates.take, real.id, ("draw",), hourly, NOON) is not None
    [entry] = db.read_sync(audit.entries, action="user.join")
    assert entry.subject == f"user:{real.id}"
    assert entry.detail["former"] == former.id
    assert entry.detail["identities"] == [f"wecom:{ROBOTS.lower()}"]


def readable(conn: Connection, *people: User) -> None:
    """One document for the first of them, one for both."""
    for number in (1, 2):
        principals = [f"user:{one.id}" for one in people[:number]]
        documents.put_document(
            conn, name=f"d{number}", title="", sha256="", recipe="", pieces=(), principals=principals
        )


def test_a_ban_cannot_be_shaken_off(db: Database) -> None:
    until = NOON + timedelta(days=3)
    for number, (mine, theirs, stands) in enumerate(
        [
            ((True, None), (False, None), None),
            ((True, until), (False, None), until),
            ((True, until), (True, None), None),
        ]
    ):
        former, real = person(db, f"former{number}"), person(db, f"real{number}")
        for one, (banned, end) in ((former, mine), (real, theirs)):
            if banned:
                db.run_sync(users.set_banned, one.id, True, until=end)
        db.run_sync(joining.join, former.id, real.id, ZONE, NOON)
        known = db.read_sync(users.get, real.id)
        assert known is not None
        assert (known.banned, known.banned_until) == (True, stands)


def test_who_is_new_under_the_real_id_is_the_same_person(db: Database) -> None:
    """Nobody knows the real id yet: it becomes a further one, at once or when somebody writes a moment too late."""
    former = person(db, ROBOTS.lower())
    explain(db)
    assert db.read_sync(users.of_identity, Identity(platform="wecom", external_id=REAL)) == former
    assert not db.read_sync(joining.pending)
    db.run_sync(links.keep, "wecom", {"woLate": ("wolate", "lisi")}, NOON)
    late = person(db, "wolate")  # served under that although the platform had just told
    assert db.read_sync(joining.pending)
    assert settle(db) == []
    assert not db.read_sync(joining.pending)
    assert db.read_sync(users.of_identity, Identity(platform="wecom", external_id="lisi")) == late


def test_what_comes_too_late_for_the_joining_follows(db: Database) -> None:
    """On PostgreSQL an order may be on its way while its person is joined."""
    former, real = person(db, ROBOTS.lower()), person(db, REAL)
    explain(db)
    settle(db)
    job = order(db, former, "late", cost=2)
    assert db.read_sync(joining.pending)
    assert settle(db) == [former.id]
    assert left(db, real) == 9 - 2
    assert owners(db) == {real.id}
    db.run_sync(queue.cancel, job, "test", NOON)
    assert left(db, real) == 9


async def test_orders_and_the_joining_at_once(db: Database) -> None:
    """Whoever comes first: all orders are one person's in the end, and counted once."""
    former, real = person(db, ROBOTS.lower()), person(db, REAL)
    explain(db)
    wanted = [(who, f"{who.id}.{number}") for number in range(4) for who in (former, real)]
    await asyncio.gather(
        *(asyncio.to_thread(order, db, who, key) for who, key in wanted),
        *(asyncio.to_thread(settle, db) for _ in range(2)),
    )
    settle(db)
    assert owners(db) == {real.id}
    assert left(db, real) == 9 - 8
