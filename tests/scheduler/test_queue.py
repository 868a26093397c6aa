"""Submit, claim, finish, cancel and recover, each as one transaction, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, select

from scheduler import classes, places, queue, quota
from scheduler.policy import BATCH, INTERACTIVE, RESERVED, Policy, Refusal
from scheduler.queue import Claim, Failure, Submission
from storage import jobs, ledger, line, outbox, users
from storage.database import Database
from storage.records import (
    Allowance,
    ChatType,
    Identity,
    Job,
    JobState,
    Kind,
    Origin,
    Role,
    Unit,
    User,
    utcnow,
)
from storage.tables import ledger as ledger_table

POLICY = Policy(
    timezone=ZoneInfo("Asia/Shanghai"),
    allowances={Unit.DRAW: (Allowance(amount=5, period="day"),), Unit.ASK: (Allowance(amount=50, period="day"),)},
    queue_per_user=50,
    queue_total=60,
)


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def person(db: Database, name: str) -> User:
    return db.run_sync(users.resolve, Identity(platform="web", external_id=name), name, utcnow())


def order(user: User, key: str, *, cost: int = 1, batch_key: str = "", kind: Kind = Kind.DRAW) -> Submission:
    origin = Origin(platform="web", chat_id=str(user.id), chat_type=ChatType.DIRECT, message_id=key, sender=user.name)
    params = {"count": 1}
    return Submission(
        key=key,
        kind=kind,
        user=user,
        origin=origin,
        params=params,
        cost=cost,
        work=float(cost),
        batch_key=batch_key,
        card=lambda conn, job, place: {"place": place.place},
    )


def submitted(db: Database, wanted: Submission, policy: Policy = POLICY) -> Job:
    job = db.run_sync(queue.submit, wanted, policy, utcnow())
    assert isinstance(job, Job), job
    return job


def claimed(db: Database, room: int = 1, policy: Policy = POLICY) -> Claim:
    claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: room, policy, utcnow())
    assert claim is not None
    return claim


def left(db: Database, user: User) -> int:
    standing = db.run_sync(quota.standing, quota.subject(user.id), Unit.DRAW, POLICY, utcnow())
    assert standing is not None
    return standing.total


def entries(db: Database, job_id: int) -> list[tuple[str, int]]:
    return [(entry.kind.value, entry.amount) for entry in db.read_sync(ledger.of_job, job_id)]


def outcome(db: Database, job_id: int) -> list[str]:
    return sorted(db.read_sync(outbox.of_job, job_id))


def test_submitting_holds_the_price_queues_the_job_and_its_card(db: Database) -> None:
    user = person(db, "anna")
    job = submitted(db, order(user, "e1", cost=2))
    assert (job.state, job.cost, job.user_id) == (JobState.QUEUED, 2, user.id)
    assert left(db, user) == 3
    assert entries(db, job.id) == [("hold", -2)]
    assert outcome(db, job.id) == ["card"]
    assert db.read_sync(outbox.of_job, job.id)["card"].body == {"place": 1}


def test_a_jobs_message_is_taken_once_by_its_key(db: Database) -> None:
    job, lease = submitted(db, order(person(db, "anna"), "e1")), timedelta(seconds=90)
    key = queue.message_key(job.id, "card")
    taken = db.run_sync(outbox.take, key, utcnow(), lease)
    assert taken is not None
    assert (taken.job_id, taken.slot, taken.attempts) == (job.id, "card", 1)
    assert db.run_sync(outbox.take, key, utcnow(), lease) is None, "it is on its way already"
    assert db.run_sync(outbox.claim, utcnow(), lease, 9) == []
    assert db.run_sync(outbox.take, key, utcnow() + 2 * lease, lease) is not None, "its sender died"
    db.run_sync(outbox.sent, taken.id, {"message_id": "1"}, utcnow())
    assert db.run_sync(outbox.take, key, utcnow() + 4 * lease, lease) is None, "it has arrived"


def test_the_same_event_submits_once(db: Database) -> None:
    user = person(db, "anna")
    first, again = submitted(db, order(user, "e1")), submitted(db, order(user, "e1"))
    assert first.id == again.id
    assert left(db, user) == 4


def test_a_refused_order_changes_nothing(db: Database) -> None:
    user = person(db, "anna")
    refusal = db.run_sync(queue.submit, order(user, "e1", cost=6), POLICY, utcnow())
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.detail["left"]) == ("quota", 5)
    assert left(db, user) == 5
    assert db.read_sync(jobs.by_key, "e1") is None


async def test_two_orders_for_the_last_unit_at_the_same_instant_and_one_gets_it(db: Database) -> None:
    user = await asyncio.to_thread(person, db, "anna")
    for number in range(4):
        await asyncio.to_thread(submitted, db, order(user, f"before-{number}"))
    both = await asyncio.gather(*(db.run(queue.submit, order(user, f"last-{n}"), POLICY, utcnow()) for n in range(8)))
    assert sum(isinstance(result, Job) for result in both) == 1
    assert {result.code for result in both if isinstance(result, Refusal)} == {"quota"}


def test_a_finished_job_is_settled_and_told_once(db: Database) -> None:
    user = person(db, "anna")
    submitted(db, order(user, "e1"))
    job = claimed(db).jobs[0]
    assert db.run_sync(queue.succeed, job, {"seeds": [7]}, 0.5, utcnow()) is True
    assert db.run_sync(queue.succeed, job, {"seeds": [8]}, 0.5, utcnow()) is False  # a second worker changes nothing
    kept = db.read_sync(jobs.get, job.id)
    assert kept is not None
    assert (kept.state, kept.result) == (JobState.DONE, {"seeds": [7]})
    assert entries(db, job.id) == [("hold", -1), ("settle", 0)]
    assert outcome(db, job.id) == ["card", "outcome"]
    assert left(db, user) == 4


def test_a_failed_job_costs_nothing(db: Database) -> None:
    user = person(db, "anna")
    submitted(db, order(user, "e1", cost=3))
    job = claimed(db).jobs[0]
    db.run_sync(queue.fail, job, Failure(error="not_finite", cause="NaN at step 8"), POLICY, utcnow())
    kept = db.read_sync(jobs.get, job.id)
    assert kept is not None
    assert (kept.state, kept.error, kept.cause) == (JobState.FAILED, "not_finite", "NaN at step 8")
    assert entries(db, job.id) == [("hold", -3), ("refund", 3)]
    assert left(db, user) == 5


def test_a_passing_failure_goes_back_to_its_place_and_fails_at_last(db: Database) -> None:
    user = person(db, "anna")
    submitted(db, order(user, "e1"))
    now = utcnow()
    for attempt in (1, 2, 3):
        claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, POLICY, now)
        assert claim is not None
        assert claim.jobs[0].attempt == attempt
        db.run_sync(queue.fail, claim.jobs[0], Failure(error="out_of_memory", cause="x", transient=True), POLICY, now)
        now += timedelta(seconds=10)
    kept = db.read_sync(jobs.recent)[0]
    assert (kept.state, left(db, user)) == (JobState.FAILED, 5)


def test_cancelling_a_waiting_job_is_immediate_and_free(db: Database) -> None:
    user = person(db, "anna")
    job = submitted(db, order(user, "e1"))
    assert db.run_sync(queue.cancel, job, "user:1", utcnow()) is JobState.CANCELLED
    assert entries(db, job.id) == [("hold", -1), ("refund", 1)]
    assert db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, POLICY, utcnow()) is None


def test_a_result_that_comes_after_its_cancellation_is_dropped_and_free(db: Database) -> None:
    user = person(db, "anna")
    submitted(db, order(user, "e1"))
    job = claimed(db).jobs[0]
    assert db.run_sync(queue.cancel, job, "user:1", utcnow()) is JobState.RUNNING
    assert db.run_sync(queue.succeed, job, {"seeds": [7]}, 0.5, utcnow()) is True
    kept = db.read_sync(jobs.get, job.id)
    assert kept is not None
    assert (kept.state, kept.result) == (JobState.CANCELLED, None)
    assert entries(db, job.id) == [("hold", -1), ("refund", 1)]


def given_back(conn: Connection, job: Job) -> bool:
    return queue.release(conn, job, utcnow())


def failed_in_passing(conn: Connection, job: Job) -> bool:
    return queue.fail(conn, job, Failure(error="busy", cause="out of memory", transient=True), POLICY, utcnow())


@pytest.mark.parametrize("ended", [given_back, failed_in_passing])
def test_what_was_to_be_cancelled_does_not_run_again(db: Database, ended: Callable[[Connection, Job], bool]) -> None:
    user = person(db, "anna")
    before = left(db, user)
    submitted(db, order(user, "e1"))
    job = claimed(db).jobs[0]
    assert db.run_sync(queue.cancel, job, "user:1", utcnow()) is JobState.RUNNING
    assert db.run_sync(ended, job) is True
    ended_as = db.read_sync(jobs.get, job.id)
    assert ended_as is not None
    assert ended_as.state is JobState.CANCELLED
    assert left(db, user) == before


async def test_twenty_simultaneous_cancels_refund_once(db: Database) -> None:
    user = await asyncio.to_thread(person, db, "anna")
    job = await asyncio.to_thread(submitted, db, order(user, "e1"))
    states = await asyncio.gather(*(db.run(queue.cancel, job, "user:1", utcnow()) for _ in range(20)))
    assert set(states) == {JobState.CANCELLED}
    assert await asyncio.to_thread(entries, db, job.id) == [("hold", -1), ("refund", 1)]
    assert await asyncio.to_thread(left, db, user) == 5


def test_a_worker_whose_lease_was_taken_changes_nothing(db: Database) -> None:
    user = person(db, "anna")
    submitted(db, order(user, "e1"))
    stale = claimed(db).jobs[0]
    later = utcnow() + POLICY.lease * 2
    assert db.run_sync(queue.recover, POLICY, later, sole_owner=False) == [stale.id]
    fresh = claimed(db).jobs[0]
    assert fresh.token != stale.token
    assert db.run_sync(queue.succeed, stale, {"seeds": [1]}, 0.5, utcnow()) is False
    assert db.run_sync(queue.fail, stale, Failure(error="x", cause="y"), POLICY, utcnow()) is False
    assert db.run_sync(queue.release, stale, utcnow()) is False
    assert db.run_sync(queue.succeed, fresh, {"seeds": [2]}, 0.5, utcnow()) is True


def test_a_living_lease_is_left_alone_unless_the_folder_has_one_owner(db: Database) -> None:
    submitted(db, order(person(db, "anna"), "e1"))
    job = claimed(db).jobs[0]
    assert db.run_sync(queue.recover, POLICY, utcnow(), sole_owner=False) == []
    assert db.run_sync(queue.recover, POLICY, utcnow(), sole_owner=True) == [job.id]


def test_a_job_that_takes_its_worker_with_it_each_time_is_given_up(db: Database) -> None:
    user = person(db, "anna")
    submitted(db, order(user, "e1"))
    for _ in range(POLICY.max_suspect + 1):
        claimed(db)
        db.run_sync(queue.recover, POLICY, utcnow(), sole_owner=True)
    kept = db.read_sync(jobs.recent)[0]
    assert (kept.state, kept.error, kept.lost) == (JobState.FAILED, "lost", POLICY.max_suspect)
    assert left(db, user) == 5


def test_a_suspect_job_runs_alone_and_behind_all_others(db: Database) -> None:
    submitted(db, order(person(db, "anna"), "e1", batch_key="a"))
    for _ in range(POLICY.max_lost + 1):
        claimed(db)
        db.run_sync(queue.recover, POLICY, utcnow(), sole_owner=True)
    innocent = submitted(db, order(person(db, "ben"), "e2", batch_key="a"))
    assert [job.id for job in claimed(db, room=4).jobs] == [innocent.id]


def test_a_released_job_keeps_its_place_and_its_attempts(db: Database) -> None:
    submitted(db, order(person(db, "anna"), "e1"))
    job = claimed(db).jobs[0]
    assert db.run_sync(queue.release, job, utcnow()) is True
    again = claimed(db).jobs[0]
    assert (again.id, again.attempt, again.lost) == (job.id, 1, 0)


def test_heartbeats_prolong_only_the_own_lease_and_bring_cancellations(db: Database) -> None:
    submitted(db, order(person(db, "anna"), "e1"))
    claim = claimed(db)
    job = claim.jobs[0]
    later = utcnow() + POLICY.lease * 2
    assert db.run_sync(jobs.heartbeat, claim.token, later + POLICY.lease) == {job.id: False}
    assert db.run_sync(queue.recover, POLICY, later, sole_owner=False) == []
    db.run_sync(queue.cancel, job, "user:1", utcnow())
    assert db.run_sync(jobs.heartbeat, claim.token, later) == {job.id: True}
    assert db.run_sync(jobs.heartbeat, "somebody-else", later) == {}


async def test_one_person_never_runs_more_than_the_limit(db: Database) -> None:
    policy = Policy(timezone=POLICY.timezone, allowances={u: (Allowance(amount=99, period="day"),) for u in Unit})
    for user in [await asyncio.to_thread(person, db, name) for name in ("anna", "ben")]:
        for number in range(8):
            await asyncio.to_thread(submitted, db, order(user, f"{user.name}-{number}"), policy)
    claims = await asyncio.gather(
        *(db.run(queue.claim, Kind.DRAW, lambda head: 1, policy, utcnow()) for _ in range(16))
    )
    running = [claim.jobs[0].user_id for claim in claims if claim]
    assert sorted(running.count(user) for user in set(running)) == [3, 3]


def test_one_person_with_many_jobs_does_not_hold_up_another(db: Database) -> None:
    policy = Policy(timezone=POLICY.timezone, allowances={u: (Allowance(amount=999, period="day"),) for u in Unit})
    hog, guest = person(db, "hog"), person(db, "guest")
    for number in range(40):
        submitted(db, order(hog, f"hog-{number}"), policy)
    claimed(db, policy=policy)
    single = submitted(db, order(guest, "guest"), policy)
    assert db.read_sync(places.place, single, utcnow()).place == 1
    assert claimed(db, policy=policy).jobs[0].id == single.id


def test_equal_keys_share_a_batch(db: Database) -> None:
    for name, key in (("anna", "a"), ("ben", "b"), ("carla", "a")):
        submitted(db, order(person(db, name), name, batch_key=key))
    assert [job.user_id for job in claimed(db, room=4).jobs] == [person(db, "anna").id, person(db, "carla").id]


def test_waiting_times_come_from_what_was_measured(db: Database) -> None:
    user = person(db, "anna")
    first = submitted(db, order(user, "e1", cost=2))
    assert db.read_sync(places.place, first, utcnow()).seconds is None
    db.run_sync(queue.succeed, claimed(db).jobs[0], {}, 3.0, utcnow())
    second = submitted(db, order(user, "e2", cost=1))
    place = db.read_sync(places.place, second, utcnow())
    assert (place.place, place.seconds) == (1, 1.5)


def test_all_places_at_once_are_the_places_one_by_one(db: Database) -> None:
    anna, ben = person(db, "anna"), person(db, "ben")
    for number in range(3):
        for user in (anna, ben):
            submitted(db, order(user, f"{user.name}-{number}"))
    db.run_sync(queue.succeed, claimed(db).jobs[0], {}, 2.0, utcnow())
    claimed(db)
    now = utcnow()
    together = {job.id: place for job, place in db.read_sync(places.places, Kind.DRAW, 100, now)}
    queued = [job for job in db.read_sync(jobs.recent) if job.state is JobState.QUEUED]
    assert len(queued) == 4
    assert together == {job.id: db.read_sync(places.place, job, now) for job in queued}


def test_a_waiting_time_has_its_range_once_enough_was_measured(db: Database) -> None:
    user = person(db, "anna")
    for took in (2.0, 3.0, 2.0, 3.0):
        job = submitted(db, order(user, f"e{took}-{utcnow()}"))
        assert db.read_sync(places.place, job, utcnow()).low is None
        db.run_sync(queue.succeed, claimed(db).jobs[0], {}, took, utcnow())
    job = submitted(db, order(person(db, "ben"), "last"))
    place = db.read_sync(places.place, job, utcnow())
    assert (place.seconds, place.low, place.high) == (2.5, 2, 3)
    db.run_sync(jobs.pause, Kind.DRAW, True)
    paused = db.read_sync(places.place, job, utcnow())
    assert (paused.seconds, paused.low) == (None, None)  # nobody knows for how long


def test_a_lane_learns_from_how_its_promises_turned_out(db: Database) -> None:
    """Runs are as fast as ever, but each time somebody comes in between: the lane promises more."""
    user, policy = person(db, "anna"), PLENTY
    for _ in range(8):
        db.run_sync(queue.learn, Kind.DRAW, 10.0)
    said = []
    for number in range(40):
        job = submitted(db, order(user, f"e{number}"), policy)
        said.append(db.read_sync(places.place, job, job.created_at))
        claim, end = claimed(db, policy=policy), job.created_at + timedelta(seconds=30)
        assert (job.foreseen, job.doubt) == (said[0].foreseen, said[-1].doubt)
        db.run_sync(queue.succeed, claim.jobs[0], {}, 10.0, end)
    assert said[0].foreseen == pytest.approx(10.0)
    assert said[-1].foreseen == pytest.approx(10.0)
    assert (said[0].seconds or 0) < (said[-1].seconds or 0)
    assert (said[0].high or 0) < (said[-1].high or 0)
    lane = db.read_sync(jobs.peek_lane, Kind.DRAW)
    later = replace(order(user, "later"), not_before=utcnow() + timedelta(hours=9))
    assert submitted(db, later, policy).foreseen is None, "when its hour comes is no promise of the lane"
    quiet = submitted(db, replace(order(user, "quiet"), card=None), policy)
    assert quiet.foreseen is None, "nobody was told anything"
    db.run_sync(queue.succeed, claimed(db, policy=policy).jobs[0], {}, 10.0, utcnow())
    after = db.read_sync(jobs.peek_lane, Kind.DRAW)
    assert (after.early, after.middle, after.late) == (lane.early, lane.middle, lane.late)


def test_a_waiting_time_grows_by_what_runs_and_by_an_open_circuit(db: Database) -> None:
    submitted(db, order(person(db, "anna"), "e1", cost=4))
    db.run_sync(queue.learn, Kind.DRAW, 2.0)
    job = submitted(db, order(person(db, "ben"), "e2"))
    running = claimed(db).jobs[0]
    began = db.read_sync(jobs.get, running.id)
    assert began is not None
    assert began.started_at is not None
    assert db.read_sync(places.place, job, began.started_at + timedelta(seconds=3)).seconds == 8.0 - 3.0 + 2.0
    until = began.started_at + timedelta(seconds=60)
    db.run_sync(lambda conn: jobs.set_lane(conn, Kind.DRAW, open_until=until))
    assert db.read_sync(places.place, job, began.started_at).seconds == 60.0 + 8.0 + 2.0


PLENTY = Policy(timezone=POLICY.timezone, allowances={u: (Allowance(amount=999, period="day"),) for u in Unit})


def test_interactive_before_reserved_before_batch_and_each_is_fair_in_itself(db: Database) -> None:
    anna, ben = person(db, "anna"), person(db, "ben")
    for number, priority in enumerate((BATCH, BATCH, RESERVED, INTERACTIVE)):
        submitted(db, replace(order(anna, f"a{number}"), priority=priority), PLENTY)
    late = submitted(db, replace(order(ben, "b"), priority=BATCH), PLENTY)
    served = [claimed(db, policy=replace(PLENTY, concurrency=9)).jobs[0] for _ in range(5)]
    assert [job.priority for job in served] == [INTERACTIVE, RESERVED, BATCH, BATCH, BATCH]
    assert served[3].id == late.id, "anna's second comes after ben's first, whatever else she ordered"


def test_a_role_with_a_double_share_is_served_twice_as_often(db: Database) -> None:
    policy = replace(PLENTY, shares={Role.REVIEWER: 2.0}, concurrency=99)
    anna, ben = person(db, "anna"), replace(person(db, "ben"), role=Role.REVIEWER)
    for number in range(40):
        for user in (anna, ben):
            submitted(db, order(user, f"{user.name}-{number}"), policy)
    served = [claimed(db, policy=policy).jobs[0].user_id for _ in range(9)]
    assert served.count(ben.id) == 6


def test_what_waits_too_long_rises_and_is_served_at_last(db: Database) -> None:
    hog, guest = person(db, "hog"), person(db, "guest")
    old = submitted(db, replace(order(guest, "old"), priority=BATCH), PLENTY)
    now = utcnow()

    def busy(number: int) -> Job:
        submitted(db, order(hog, f"hog-{number}"), PLENTY)
        return claimed(db, policy=replace(PLENTY, concurrency=99)).jobs[0]

    assert db.run_sync(classes.rise, PLENTY, now) == 0
    assert not db.read_sync(classes.waiting_long, PLENTY, now)
    for number in range(3):
        assert busy(number).user_id == hog.id
    for expected in (RESERVED, INTERACTIVE):
        now += PLENTY.ageing
        assert db.read_sync(classes.waiting_long, PLENTY, now)
        assert db.run_sync(classes.rise, PLENTY, now) == 1
        assert db.run_sync(classes.rise, PLENTY, now) == 0, "it has just risen"
        risen = db.read_sync(jobs.get, old.id)
        assert risen is not None
        assert risen.priority == expected
    assert risen is not None
    for number in range(20):
        submitted(db, order(hog, f"flood-{number}"), PLENTY)
    assert db.read_sync(places.place, risen, now).place <= 2
    assert old.id in {busy(number).id for number in (90, 91)}
    assert db.read_sync(line.wrong) == []


def test_hundreds_that_rise_at_once_do_not_overtake_everybody(db: Database) -> None:
    hog, guest = person(db, "hog"), person(db, "guest")
    for number in range(30):
        submitted(db, replace(order(hog, f"hog-{number}"), priority=RESERVED), PLENTY)
    assert db.run_sync(classes.rise, PLENTY, utcnow() + PLENTY.ageing) == 30
    single = submitted(db, order(guest, "guest"), PLENTY)
    assert db.read_sync(places.place, single, utcnow()).place <= 2


def test_who_orders_and_cancels_much_is_not_put_behind_for_it(db: Database) -> None:
    anna, ben = person(db, "anna"), person(db, "ben")
    for job in [submitted(db, order(anna, f"a{number}"), PLENTY) for number in range(20)]:
        db.run_sync(queue.cancel, job, "user:1", utcnow())
    for number in range(2):
        submitted(db, order(ben, f"b{number}"), PLENTY)
    job = submitted(db, order(anna, "a"), PLENTY)
    assert db.read_sync(places.place, job, utcnow()).place == 2


def test_those_behind_somebody_at_their_limit_do_not_wait_for_them(db: Database, monkeypatch: Any) -> None:
    monkeypatch.setattr(queue, "LOOK_AHEAD", 5)
    policy = replace(PLENTY, concurrency=1)
    for number in range(9):
        submitted(db, order(person(db, "hog"), f"hog-{number}"), policy)
    behind = submitted(db, replace(order(person(db, "guest"), "guest"), priority=BATCH), policy)
    claimed(db, policy=policy)
    assert claimed(db, policy=policy).jobs[0].id == behind.id


def test_a_preview_says_what_would_be_and_changes_nothing(db: Database) -> None:
    anna, ben = person(db, "anna"), person(db, "ben")
    for number in range(2):
        submitted(db, order(ben, f"b{number}"))
    found = db.run_sync(queue.preview, order(anna, "e1", cost=2), POLICY, utcnow())
    assert (found.cost, found.refusal, found.place.place) == (2, None, 2)
    assert [one.total for one in found.have] == [5]
    assert left(db, anna) == 5
    assert db.read_sync(jobs.by_key, "e1") is None
    assert db.read_sync(line.person, Kind.DRAW, anna.id).end(0) == 0
    job = submitted(db, order(anna, "e1", cost=2))
    assert db.read_sync(places.place, job, utcnow()).place == found.place.place
    refused = db.run_sync(queue.preview, order(anna, "e2", cost=4), POLICY, utcnow()).refusal
    assert refused is not None
    assert refused.code == "quota"


def test_the_circuit_opens_closes_and_a_bad_request_does_not_count(db: Database) -> None:
    policy = Policy(
        timezone=POLICY.timezone,
        allowances={u: (Allowance(amount=99, period="day"),) for u in Unit},
        breaker_failures=2,
    )
    user = person(db, "anna")
    for number in range(6):
        submitted(db, order(user, f"e{number}", batch_key="same"), policy)

    def failing(engine: bool) -> None:
        job = claimed(db, policy=policy).jobs[0]
        db.run_sync(queue.fail, job, Failure(error="internal", cause="x", engine=engine), policy, utcnow())

    failing(engine=False)
    failing(engine=True)
    failing(engine=True)
    assert db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, policy, utcnow()) is None
    later = utcnow() + policy.breaker_pause
    claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 4, policy, later)
    assert claim is not None
    assert len(claim.jobs) == 1  # one alone tries, whatever might share its pass
    assert db.run_sync(queue.claim, Kind.DRAW, lambda head: 4, policy, later) is None
    db.run_sync(queue.succeed, claim.jobs[0], {}, 1.0, later)
    assert db.read_sync(jobs.peek_lane, Kind.DRAW).open_until is None
    claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 4, policy, later)
    assert claim is not None
    assert len(claim.jobs) == 2


def test_an_engine_that_fails_again_when_it_is_tried_rests_again(db: Database) -> None:
    user = person(db, "anna")
    for number in range(POLICY.breaker_failures + 1):
        submitted(db, order(user, f"e{number}"))
    for _ in range(POLICY.breaker_failures):
        db.run_sync(queue.fail, claimed(db).jobs[0], Failure(error="internal", cause="x"), POLICY, utcnow())
    later = utcnow() + POLICY.breaker_pause
    claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, POLICY, later)
    assert claim is not None
    db.run_sync(queue.fail, claim.jobs[0], Failure(error="internal", cause="y"), POLICY, later)
    lane = db.read_sync(jobs.peek_lane, Kind.DRAW)
    assert lane.open_until == later + POLICY.breaker_pause
    assert lane.cause == "y"


def test_one_job_that_fails_again_and_again_opens_no_circuit(db: Database) -> None:
    user = person(db, "anna")
    submitted(db, order(user, "e1"))
    now = utcnow()
    for _ in range(POLICY.max_attempts):
        now += timedelta(minutes=1)
        claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, POLICY, now)
        assert claim is not None
        failure = Failure(error="internal", cause="x", transient=True)
        db.run_sync(queue.fail, claim.jobs[0], failure, POLICY, now)
    lane = db.read_sync(jobs.peek_lane, Kind.DRAW)
    assert lane.failures == 1
    assert lane.open_until is None


def test_a_paused_lane_accepts_and_waits(db: Database) -> None:
    user = person(db, "anna")
    db.run_sync(jobs.pause, Kind.DRAW, True)
    submitted(db, order(user, "e1"))
    assert db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, POLICY, utcnow()) is None
    db.run_sync(jobs.pause, Kind.DRAW, False)
    assert claimed(db).jobs


def test_what_could_never_be_delivered_is_given_back_once(db: Database) -> None:
    user = person(db, "anna")
    job = submitted(db, order(user, "e1", cost=2))
    db.run_sync(queue.succeed, claimed(db).jobs[0], {}, 1.0, utcnow())
    for _ in range(2):
        db.run_sync(quota.give_back, job.id, utcnow(), "the group is gone")
    assert entries(db, job.id) == [("hold", -2), ("settle", 0), ("return", 2)]
    assert left(db, user) == 5


def test_the_balance_is_the_sum_of_the_ledger(db: Database) -> None:
    user = person(db, "anna")
    for number in range(4):
        submitted(db, order(user, f"e{number}"))
    db.run_sync(queue.succeed, claimed(db).jobs[0], {}, 1.0, utcnow())
    db.run_sync(queue.fail, claimed(db).jobs[0], Failure(error="x", cause="y"), POLICY, utcnow())

    def summed(conn: Connection) -> dict[str, Any]:
        rows = conn.execute(select(ledger_table.c.kind, ledger_table.c.amount))
        return {"sum": sum(row.amount for row in rows)}

    assert db.read_sync(summed)["sum"] == left(db, user) == 2
