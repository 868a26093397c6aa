"""Who pays for a job and how much, as transactions, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, event

from scheduler import queue, quota
from scheduler.policy import Policy, Refusal
from scheduler.queue import Failure, Submission
from scheduler.standing import Granted, Standing
from scheduler.verify import verify
from storage import assets, jobs, ledger, usage, users
from storage.database import Database
from storage.files import Files
from storage.ledger import Account
from storage.records import Allowance, ChatType, EntryKind, Identity, Job, JobState, Kind, Origin, Unit, User, utcnow
from storage.usage import Usage

FIVE = Allowance(amount=5, period="day")
GROUP, DESIGN = "group:feishu:oc_1", "dept:设计部"
POLICY = Policy(
    timezone=ZoneInfo("Asia/Shanghai"), allowances={Unit.DRAW: (FIVE,), Unit.ASK: (Allowance(amount=50, period="day"),)}
)
SHARED = replace(
    POLICY,
    shared={
        GROUP: {Unit.DRAW: (Allowance(amount=4, period="week"),)},
        DESIGN: {Unit.DRAW: (Allowance(amount=6, period="month"),)},
    },
)
NOON = datetime(2026, 11, 21, 4, tzinfo=UTC)  # in Shanghai


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def books(db: Database, tmp_path: Path) -> Iterator[None]:
    """Whatever a test does, the books are right afterwards."""
    yield
    checks = db.read_sync(verify, Files(tmp_path / "files"), utcnow())
    assert checks[2].broken == []


def person(db: Database, name: str, department: str = "") -> User:
    user = db.run_sync(users.resolve, Identity(platform="web", external_id=name), name, NOON)
    return db.run_sync(users.set_department, user.id, department) if department else user


def order(user: User, key: str, *, cost: int = 1, chat: str = "", kind: Kind = Kind.DRAW) -> Submission:
    chat_type = ChatType.GROUP if chat else ChatType.DIRECT
    origin = Origin(platform="feishu", chat_id=chat or user.name, chat_type=chat_type, message_id=key, sender=user.name)
    params = {"count": 1, "prompt": "猫", "question": "?"}
    return Submission(key=key, kind=kind, user=user, origin=origin, params=params, cost=cost, work=1.0)


def submitted(db: Database, wanted: Submission, policy: Policy = SHARED, now: datetime = NOON) -> Job:
    job = db.run_sync(queue.submit, wanted, policy, now)
    assert isinstance(job, Job), job
    return job


def refused(db: Database, wanted: Submission, policy: Policy = SHARED, now: datetime = NOON) -> Refusal:
    refusal = db.run_sync(queue.submit, wanted, policy, now)
    assert isinstance(refusal, Refusal)
    return refusal


def claimed(db: Database, kind: Kind = Kind.DRAW, now: datetime = NOON) -> Job:
    claim = db.run_sync(queue.claim, kind, lambda head: 1, POLICY, now)
    assert claim is not None
    return claim.jobs[0]


def standing(
    db: Database, subject: str, policy: Policy = SHARED, now: datetime = NOON, unit: Unit = Unit.DRAW
) -> Standing:
    found = db.run_sync(quota.standing, subject, unit, policy, now)
    assert found is not None
    return found


def left(db: Database, *subjects: str) -> list[int]:
    return [standing(db, subject).total for subject in subjects]


def me(user: User) -> str:
    return quota.subject(user.id)


# --- who pays -----------------------------------------------------------------------------------------------------


def test_a_job_is_paid_by_its_person_its_group_and_its_department(db: Database) -> None:
    anna = person(db, "anna", "设计部")
    submitted(db, order(anna, "direct"))
    assert left(db, me(anna), GROUP, DESIGN) == [4, 4, 5]
    job = submitted(db, order(anna, "group", chat="oc_1", cost=2))
    assert left(db, me(anna), GROUP, DESIGN) == [2, 2, 3]
    held = [(entry.account, entry.amount) for entry in db.read_sync(ledger.of_job, job.id)]
    assert held == [(me(anna), -2), (GROUP, -2), (DESIGN, -2)]


def test_where_nothing_is_set_for_a_group_or_department_only_the_person_pays(db: Database) -> None:
    ben = person(db, "ben", "研发部")
    job = submitted(db, order(ben, "e1", chat="oc_2"))
    assert [entry.account for entry in db.read_sync(ledger.of_job, job.id)] == [me(ben)]
    assert db.run_sync(quota.standing, "group:feishu:oc_2", Unit.DRAW, SHARED, NOON) is None
    assert db.run_sync(quota.standing, GROUP, Unit.ASK, SHARED, NOON) is None  # its answers are not limited


@pytest.mark.parametrize(
    ("chat", "department", "cost", "subject", "remains"),
    [
        ("", "", 6, "user", 5),
        ("oc_1", "", 5, GROUP, 4),
        ("oc_1", "设计部", 5, GROUP, 4),
        ("", "设计部", 7, "user", 5),
    ],
)
def test_a_refusal_names_the_first_that_does_not_suffice_and_nobody_pays(
    db: Database, chat: str, department: str, cost: int, subject: str, remains: int
) -> None:
    anna = person(db, "anna", department)
    detail = refused(db, order(anna, "e1", cost=cost, chat=chat)).detail
    assert (detail["subject"], detail["left"]) == (me(anna) if subject == "user" else subject, remains)
    assert left(db, me(anna), GROUP, DESIGN) == [5, 4, 6]
    assert db.read_sync(jobs.by_key, "e1") is None


def test_a_department_of_many_runs_out_for_all_of_them(db: Database) -> None:
    people = [person(db, name, "设计部") for name in ("anna", "ben")]
    for number in range(6):
        submitted(db, order(people[number % 2], f"e{number}"))
    assert refused(db, order(people[0], "e7")).detail["subject"] == DESIGN


@pytest.mark.parametrize("end", ["failed", "cancelled", "cancelled while running", "given up"])
def test_what_is_not_done_costs_nobody_anything(db: Database, end: str) -> None:
    anna = person(db, "anna", "设计部")
    before = left(db, me(anna), GROUP, DESIGN)
    job = submitted(db, order(anna, "e1", chat="oc_1", cost=3))
    if end == "cancelled":
        db.run_sync(queue.cancel, job, "user:1", NOON)
    else:
        job = claimed(db)
    if end == "failed":
        db.run_sync(queue.fail, job, Failure(error="not_finite", cause="x"), POLICY, NOON)
    elif end == "cancelled while running":
        db.run_sync(queue.cancel, job, "user:1", NOON)
        db.run_sync(queue.succeed, job, {}, 1.0, NOON)
    elif end == "given up":
        db.run_sync(queue.recover, replace(POLICY, max_suspect=0), NOON, sole_owner=True)
    assert left(db, me(anna), GROUP, DESIGN) == before


def test_what_is_never_delivered_is_given_back_to_all_once(db: Database) -> None:
    anna = person(db, "anna", "设计部")
    before = left(db, me(anna), GROUP, DESIGN)
    job = submitted(db, order(anna, "e1", chat="oc_1", cost=3))
    db.run_sync(queue.succeed, claimed(db), {}, 1.0, NOON)
    assert left(db, me(anna), GROUP, DESIGN) == [2, 1, 3]
    for _ in range(2):
        db.run_sync(quota.give_back, job.id, NOON, "the group is gone")
    assert left(db, me(anna), GROUP, DESIGN) == before
    db.run_sync(lambda conn: conn.exec_driver_sql("update outbox set state = 'failed', reason = 'gone'"))


# --- the last unit ------------------------------------------------------------------------------------------------


async def test_the_last_unit_of_a_group_goes_to_one_of_its_people(db: Database) -> None:
    people = [await asyncio.to_thread(person, db, f"p{n}", "设计部") for n in range(8)]
    await asyncio.to_thread(submitted, db, order(people[0], "before", chat="oc_1", cost=3))
    results = await asyncio.gather(
        *(db.run(queue.submit, order(user, f"last-{user.name}", chat="oc_1"), SHARED, NOON) for user in people)
    )
    assert sum(isinstance(result, Job) for result in results) == 1
    assert {result.detail["subject"] for result in results if isinstance(result, Refusal)} == {GROUP}


async def test_people_of_one_group_order_cancel_and_finish_at_once_without_waiting_in_a_circle(
    db: Database, migrated_url: str
) -> None:
    """Each holds their own account and waits for the group's. PostgreSQL would end one of a circle and try again."""
    week = {Unit.DRAW: (Allowance(amount=50, period="week"),)}
    policy = replace(POLICY, shared={GROUP: week, DESIGN: week})
    people = [await asyncio.to_thread(person, db, f"p{n}", "设计部") for n in range(6)]
    wanted = [order(user, f"{user.name}-{n}", chat="oc_1") for user in people for n in range(4)]
    with Database.open(migrated_url) as own:
        made = await asyncio.gather(*(own.run(queue.submit, one, policy, NOON) for one in wanted[:12]))
        claims = [await own.run(queue.claim, Kind.DRAW, lambda head: 1, policy, NOON) for _ in range(9)]
        running = [claim.jobs[0] for claim in claims if claim]
        assert len(running) == 9
        await asyncio.gather(
            *(own.run(queue.submit, one, policy, NOON) for one in wanted[12:]),
            *(own.run(queue.succeed, job, {"seeds": [1]}, 1.0, NOON, used=2, policy=policy) for job in running[:4]),
            *(own.run(queue.fail, job, Failure(error="x", cause="y"), policy, NOON) for job in running[4:8]),
            *(own.run(queue.cancel, job, "user:9", NOON) for job in made if isinstance(job, Job)),
        )
    spent = [50 - (await asyncio.to_thread(standing, db, one, policy)).total for one in (GROUP, DESIGN)]
    people_spent = [5 - (await asyncio.to_thread(standing, db, me(user), policy)).total for user in people]
    assert spent == [sum(people_spent)] * 2
    if migrated_url.startswith("postgresql"):
        circles = "select deadlocks from pg_stat_database where datname = current_database()"
        assert await asyncio.to_thread(db.read_sync, lambda conn: conn.exec_driver_sql(circles).scalar()) == 0


@pytest.mark.parametrize("whose", ["person", "group"])
def test_two_processes_spending_the_last_unit_at_the_same_instant_and_one_gets_it(
    db: Database, migrated_url: str, whose: str
) -> None:
    """Without the queue's own lock, which lets one order at a time pass: the accounts alone keep them apart."""
    subject = me(person(db, "anna")) if whose == "person" else GROUP
    nothing = (Allowance(amount=0, period="day"),)
    policy = replace(POLICY, allowances={Unit.DRAW: nothing}, shared={GROUP: {Unit.DRAW: nothing}})
    db.run_sync(quota.grant, subject, Unit.DRAW, 1, "test", NOON)
    db.run_sync(quota.standings, (subject,), Unit.DRAW, policy, NOON)  # making the period's account would part them too
    together, looked = Barrier(4), Barrier(4)
    got: list[bool] = []

    def spend(conn: Connection) -> bool:
        (have,) = quota.standings(conn, (subject,), Unit.DRAW, policy, NOON)
        parts = have.take(1)
        with suppress(BrokenBarrierError):  # only who is not kept apart meets the others here
            looked.wait(0.5)
        if parts is not None:
            account = Account(subject=subject, unit=Unit.DRAW, bucket="extra")
            ledger.add(conn, account, EntryKind.GRANT, -parts["extra"], actor="test", now=NOON)
        return parts is not None

    def process() -> None:
        with Database.open(migrated_url) as own:
            together.wait(30)
            got.append(own.run_sync(spend))

    threads = [Thread(target=process) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False, False, False, True]


# --- allowances ---------------------------------------------------------------------------------------------------


def test_the_own_allowance_before_the_default_before_the_policy(db: Database) -> None:
    anna = person(db, "anna")
    found = [(standing(db, me(anna)).limits[0].allowance.amount, standing(db, me(anna)).own)]
    for subject, amount in ((quota.DEFAULT, 7), (me(anna), 9)):
        db.run_sync(ledger.set_allowance, subject, Unit.DRAW, Allowance(amount=amount, period="day"))
        found.append((standing(db, me(anna)).total, standing(db, me(anna)).own))
    db.run_sync(ledger.clear_allowances, me(anna), Unit.DRAW)
    found.append((standing(db, me(anna)).total, standing(db, me(anna)).own))
    assert found == [(5, False), (7, False), (9, True), (7, False)]


def test_a_changed_allowance_counts_at_once_and_a_new_day_begins_afresh(db: Database) -> None:
    anna = person(db, "anna")
    submitted(db, order(anna, "e1", cost=4))
    db.run_sync(queue.succeed, claimed(db), {}, 1.0, NOON)
    db.run_sync(ledger.set_allowance, me(anna), Unit.DRAW, Allowance(amount=3, period="day"))
    lowered = standing(db, me(anna))
    assert (lowered.left, lowered.total, lowered.own) == (-1, 0, True)
    assert standing(db, me(anna), now=NOON + timedelta(days=1)).left == 3


def test_several_periods_count_side_by_side(db: Database) -> None:
    anna = person(db, "anna")
    policy = replace(POLICY, allowances={Unit.DRAW: (FIVE, Allowance(amount=7, period="month"))})
    job = submitted(db, order(anna, "e1", cost=4), policy)
    assert [limit.left for limit in standing(db, me(anna), policy).limits] == [1, 3]
    assert sorted(entry.bucket for entry in db.read_sync(ledger.of_job, job.id)) == ["day:2026-11-21", "month:2026-11"]
    tomorrow = NOON + timedelta(days=1)
    detail = refused(db, order(anna, "e2", cost=4), policy, tomorrow).detail
    assert (detail["period"], detail["left"]) == ("month", 3)
    db.run_sync(queue.cancel, job, "user:1", tomorrow)
    submitted(db, order(anna, "e3", cost=4), policy, tomorrow)
    assert [limit.left for limit in standing(db, me(anna), policy, tomorrow).limits] == [1, 3]


def test_one_period_of_several_can_be_taken_back(db: Database) -> None:
    for period, amount in (("day", 3), ("month", 30)):
        db.run_sync(ledger.set_allowance, GROUP, Unit.DRAW, Allowance(amount=amount, period=period))
    assert [limit.allowance.period for limit in standing(db, GROUP, POLICY).limits] == ["day", "month"]
    assert db.run_sync(ledger.clear_allowances, GROUP, Unit.DRAW, "day") == 1
    assert [limit.allowance.period for limit in standing(db, GROUP, POLICY).limits] == ["month"]
    assert db.run_sync(ledger.clear_allowances, GROUP, Unit.DRAW) == 1
    assert db.run_sync(quota.standing, GROUP, Unit.DRAW, POLICY, NOON) is None


# --- granted units ------------------------------------------------------------------------------------------------


def test_granted_units_follow_the_allowance_those_that_lapse_first_and_go_back_where_they_came_from(
    db: Database,
) -> None:
    anna = person(db, "anna")
    until = date(2026, 12, 31)
    for amount, day in ((3, None), (2, until)):
        db.run_sync(quota.grant, me(anna), Unit.DRAW, amount, "user:9", NOON, day)
    assert standing(db, me(anna)).granted == (Granted(left=2, until=until), Granted(left=3))
    job = submitted(db, order(anna, "e1", cost=8))
    spent = {entry.bucket: entry.amount for entry in db.read_sync(ledger.of_job, job.id)}
    assert spent == {"day:2026-11-21": -5, "extra:2026-12-31": -2, "extra": -1}
    db.run_sync(queue.cancel, job, "user:1", NOON)
    assert standing(db, me(anna)).granted == (Granted(left=2, until=until), Granted(left=3))


def test_granted_units_lapse_at_the_teams_midnight_and_a_late_refund_harms_nobody(db: Database) -> None:
    anna = person(db, "anna")
    db.run_sync(quota.grant, me(anna), Unit.DRAW, 2, "user:9", NOON, date(2026, 11, 21))
    last = datetime(2026, 11, 21, 15, 59, tzinfo=UTC)
    job = submitted(db, order(anna, "e1", cost=6), now=last)
    assert standing(db, me(anna), now=last).extra == 1
    after = last + timedelta(minutes=1)  # midnight in Shanghai
    assert standing(db, me(anna), now=after).extra == 0
    db.run_sync(queue.cancel, job, "user:1", after)
    assert standing(db, me(anna), now=after).total == 5
    assert standing(db, me(anna), now=last).total == 7


# --- what an answer really used -----------------------------------------------------------------------------------


def asked(db: Database, user: User, key: str = "q", chat: str = "") -> Job:
    submitted(db, order(user, key, kind=Kind.ASK, chat=chat))
    return claimed(db, Kind.ASK)


def paid(db: Database, job_id: int) -> dict[str, int]:
    totals: dict[str, int] = {}
    for entry in db.read_sync(ledger.of_job, job_id):
        totals[entry.account] = totals.get(entry.account, 0) - entry.amount
    return totals


def test_an_answer_is_charged_what_it_used_beyond_its_hold(db: Database) -> None:
    job = asked(db, person(db, "anna"))
    db.run_sync(queue.succeed, job, {"text": ""}, 1.0, NOON, used=4, policy=POLICY)
    assert [(e.kind.value, e.amount) for e in db.read_sync(ledger.of_job, job.id)] == [("hold", -1), ("settle", -3)]
    kept = db.read_sync(jobs.get, job.id)
    assert kept is not None
    assert (kept.state, kept.cost) == (JobState.DONE, 4)


@pytest.mark.parametrize(
    ("amount", "granted", "group", "used", "charged"),
    [
        (1, 0, 9, 4, 1),  # nothing left beyond the hold: nobody goes below zero
        (3, 0, 9, 4, 3),
        (3, 9, 9, 4, 4),  # the rest comes from granted units
        (0, 9, 9, 4, 4),
        (9, 0, 2, 4, 2),  # everybody pays the same: the group has no more
        (9, 0, 9, 1, 1),
    ],
)
def test_beyond_its_hold_an_answer_takes_only_what_everybody_still_has(
    db: Database, amount: int, granted: int, group: int, used: int, charged: int
) -> None:
    anna = person(db, "anna")
    db.run_sync(ledger.set_allowance, me(anna), Unit.ASK, Allowance(amount=amount, period="day"))
    db.run_sync(ledger.set_allowance, GROUP, Unit.ASK, Allowance(amount=group, period="day"))
    if granted:
        db.run_sync(quota.grant, me(anna), Unit.ASK, granted, "user:9", NOON)
    job = asked(db, anna, chat="oc_1")
    db.run_sync(queue.succeed, job, {"text": ""}, 1.0, NOON, used=used, policy=POLICY)
    kept = db.read_sync(jobs.get, job.id)
    assert kept is not None
    assert kept.cost == charged
    assert paid(db, job.id) == {me(anna): charged, GROUP: charged}
    after = [standing(db, who, unit=Unit.ASK).total for who in (me(anna), GROUP)]
    assert after == [amount + granted - charged, group - charged]


def test_an_answer_that_was_never_delivered_gives_all_of_it_back(db: Database) -> None:
    anna = person(db, "anna")
    db.run_sync(ledger.set_allowance, me(anna), Unit.ASK, Allowance(amount=2, period="day"))
    db.run_sync(quota.grant, me(anna), Unit.ASK, 9, "user:9", NOON)
    job = asked(db, anna)
    db.run_sync(queue.succeed, job, {"text": ""}, 1.0, NOON, used=5, policy=POLICY)
    assert standing(db, me(anna), unit=Unit.ASK).total == 6
    db.run_sync(quota.give_back, job.id, NOON, "gone")
    assert standing(db, me(anna), unit=Unit.ASK).total == 11
    db.run_sync(lambda conn: conn.exec_driver_sql("update outbox set state = 'failed', reason = 'gone'"))


# --- told beside it -----------------------------------------------------------------------------------------------


def test_the_order_that_takes_an_allowance_to_the_mark_is_told_once(db: Database) -> None:
    anna = person(db, "anna")
    told = [submitted(db, order(anna, f"e{n}"), POLICY).notices for n in range(5)]
    assert [len(notices) for notices in told] == [0, 0, 0, 1, 0]
    assert (told[3][0]["percent"], told[3][0]["left"]) == (80, 1)


def test_an_answer_that_becomes_long_is_told_at_its_end(db: Database) -> None:
    anna = person(db, "anna")
    db.run_sync(ledger.set_allowance, me(anna), Unit.ASK, Allowance(amount=5, period="month"))
    job = asked(db, anna)
    assert job.notices == ()
    db.run_sync(queue.succeed, job, {"text": ""}, 1.0, NOON, used=4, policy=POLICY)
    kept = db.read_sync(jobs.get, job.id)
    assert kept is not None
    assert [(one["subject"], one["period"], one["percent"], one["left"]) for one in kept.notices] == [
        (me(anna), "month", 80, 1)
    ]


# --- speed --------------------------------------------------------------------------------------------------------


def test_an_order_without_group_and_department_asks_for_its_quota_twice(db: Database) -> None:
    """Every order passes here: the allowances, and the balances with their locks."""
    anna = person(db, "anna")
    submitted(db, order(anna, "e1"))
    seen: list[str] = []

    def look(conn: Connection) -> None:
        event.listen(conn, "before_cursor_execute", lambda c, cursor, statement, *_: seen.append(statement))
        quota.standings(conn, quota.payers(anna, order(anna, "e2").origin), Unit.DRAW, POLICY, NOON)

    db.run_sync(look)
    assert len(seen) == 2, seen


# --- what a month cost --------------------------------------------------------------------------------------------


def test_a_month_by_person_counts_each_job_once_in_the_month_it_ended_in(db: Database) -> None:
    anna, ben = person(db, "anna", "设计部"), person(db, "ben")
    policy = replace(POLICY, allowances={unit: (FIVE, Allowance(amount=50, period="month")) for unit in Unit})
    begin, end = datetime(2026, 10, 31, 16, tzinfo=UTC), datetime(2026, 11, 30, 16, tzinfo=UTC)
    first, last = begin, end - timedelta(seconds=1)
    db.run_sync(quota.grant, me(anna), Unit.DRAW, 9, "user:9", first)
    for number, (user, cost, at) in enumerate(
        [
            (anna, 7, first),  # of two periods and granted units: still one picture
            (anna, 1, last),
            (ben, 2, last),
            (anna, 1, begin - timedelta(seconds=1)),
            (anna, 1, end),
        ]
    ):
        submitted(db, order(user, f"e{number}", cost=cost), policy, at)
        done = claimed(db, now=at)
        db.run_sync(
            assets.add, sha256=f"{number:064x}", media_type="image/png", size=9, width=1, height=1,
            job_id=done.id, index=0, now=at,
        )  # fmt: skip
        db.run_sync(queue.succeed, done, {"seeds": [1]}, 1.0, at)
    db.run_sync(queue.cancel, submitted(db, order(ben, "never", cost=3), policy, last), "user:1", last)
    question = asked(db, ben)
    db.run_sync(queue.succeed, question, {"text": ""}, 1.0, NOON, used=4, policy=policy)
    returned = submitted(db, order(ben, "lost"), policy, last)
    db.run_sync(queue.succeed, claimed(db, now=last), {"seeds": [1]}, 1.0, last)
    db.run_sync(quota.give_back, returned.id, end + timedelta(days=1), "gone")
    assert db.read_sync(usage.of_people, begin, end) == [
        Usage(department="", user_id=ben.id, name="ben", pictures=1, picture_units=2, answers=1, answer_units=4,
              failed=1, returned=1),
        Usage(department="设计部", user_id=anna.id, name="anna", pictures=2, picture_units=8),
    ]  # fmt: skip
    db.run_sync(
        lambda conn: conn.exec_driver_sql(
            f"update outbox set state = 'failed', reason = 'gone' where job_id = {returned.id}"
        )
    )


# --- a month of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_the_books_hold_whatever_happens(db: Database, tmp_path: Path, seed: int) -> None:
    """Random orders, ends, grants and changed allowances over weeks; `books` adds it all up at the end."""
    luck = random.Random(seed)
    people = [person(db, "anna", "设计部"), person(db, "ben", "设计部"), person(db, "carla")]
    now = NOON
    for step in range(60):
        now += timedelta(hours=luck.randrange(12))
        user = luck.choice(people)
        match luck.randrange(5):
            case 0:
                db.run_sync(
                    quota.grant, luck.choice([me(user), GROUP, DESIGN]), Unit.DRAW, 3, "user:9", now,
                    luck.choice([None, now.date() + timedelta(days=luck.randrange(9))]),
                )  # fmt: skip
            case 1:
                allowance = Allowance(amount=luck.randrange(9), period=luck.choice(["day", "week", "month"]))
                db.run_sync(ledger.set_allowance, luck.choice([me(user), GROUP, DESIGN]), Unit.DRAW, allowance)
            case 2 | 3:
                wanted = order(user, f"e{step}", cost=luck.randrange(5), chat=luck.choice(["", "oc_1"]))
                db.run_sync(queue.submit, wanted, SHARED, now)
            case 4:
                claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, SHARED, now)
                if claim:
                    _end(db, claim.jobs[0], luck, now)


def _end(db: Database, job: Job, luck: random.Random, now: datetime) -> None:
    match luck.randrange(3):
        case 0:
            db.run_sync(queue.fail, job, Failure(error="x", cause="y"), SHARED, now)
        case 1:
            db.run_sync(queue.cancel, job, "user:1", now)
            db.run_sync(queue.cancelled, job, now)
        case 2:
            used = job.cost + luck.randrange(9)
            db.run_sync(queue.succeed, job, {"seeds": [1]}, 1.0, now, used=used, policy=SHARED)
