"""Held pictures: one decision, right books, one appeal; on SQLite, and on PostgreSQL where two can decide at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from inference.moderation import By, Decision, Verdict
from scheduler import queue, quota, reviewing
from scheduler.policy import Refusal
from scheduler.reviewing import eligible
from scheduler.verify import verify
from storage import audit, jobs, joining, outbox, reviews, users
from storage.database import Database
from storage.files import Files
from storage.records import Job, JobState, Review, ReviewState, Role, User, utcnow
from tests.blank import blank
from tests.scheduler.test_queue import POLICY, claimed, left, order, outcome, person, submitted

WHY = (Verdict(decision=Decision.REVIEW, by=By.WORDS, label="人物"),)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


def reviewer(db: Database, name: str, role: Role = Role.REVIEWER) -> User:
    user = person(db, name)
    db.run_sync(users.set_role, user.id, role)
    return replace(user, role=role)


def held(db: Database, owner: User, key: str = "e1", cost: int = 2) -> Job:
    submitted(db, order(owner, key, cost=cost))
    job = claimed(db).jobs[0]
    assert db.run_sync(reviewing.hold, job, {"assets": [1]}, 1.0, WHY, utcnow()) is not None
    return found(db, job.id)


def found(db: Database, job_id: int) -> Job:
    job = db.read_sync(jobs.get, job_id)
    assert job is not None
    return job


def decide(
    db: Database, job: Job, by: User, approve: bool, reason: str = "不合适", review: int = 0
) -> Review | Refusal:
    return db.run_sync(reviewing.decide, job.id, by, approve=approve, reason=reason, now=utcnow(), review_id=review)


def appeal(db: Database, job: Job) -> Review:
    made = db.run_sync(reviewing.appeal, job.id, "没有人物", utcnow())
    assert isinstance(made, Review), made
    return made


def code(answer: object) -> str:
    assert isinstance(answer, Refusal), answer
    return answer.code


def sound(db: Database, tmp_path: Path) -> list[str]:
    checks = db.read_sync(verify, Files(tmp_path / "files"), utcnow())
    return [line for check in checks for line in check.broken]


@pytest.mark.parametrize(
    ("reviewers", "owner", "rejected_by", "may"),
    [
        ({2, 3}, 1, None, {2, 3}),
        ({1, 2, 3}, 1, None, {2, 3}),
        ({1}, 1, None, {1}),
        ({2, 3}, 1, 2, {3}),
        ({2}, 1, 2, {2}),  # nobody else
        ({1, 2}, 1, 2, {2}),  # rather who rejected it than who ordered it
        ({1}, 1, 1, {1}),
        (set(), 1, None, set()),
    ],
)
def test_who_may_decide(reviewers: set[int], owner: int, rejected_by: int | None, may: set[int]) -> None:
    assert eligible(reviewers, owner, rejected_by) == may


def test_a_held_job_is_paid_for_and_told_of_and_nothing_more(db: Database, tmp_path: Path) -> None:
    owner = person(db, "anna")
    job = held(db, owner)
    assert (job.state, job.result, job.finished_at) == (JobState.REVIEW, {"assets": [1]}, None)
    assert left(db, owner) == 3
    assert outcome(db, job.id) == ["card", "held"]
    review = db.read_sync(reviews.newest, job.id)
    assert review is not None
    assert [Verdict.from_json(one) for one in review.why] == list(WHY)
    assert db.run_sync(queue.recover, POLICY, utcnow(), sole_owner=True) == []
    assert sound(db, tmp_path) == []


def test_an_approved_picture_is_as_any_other(db: Database, tmp_path: Path) -> None:
    owner, judge = person(db, "anna"), reviewer(db, "rita")
    job = held(db, owner)
    assert isinstance(decide(db, job, judge, True, ""), Review)
    assert (found(db, job.id).state, left(db, owner)) == (JobState.DONE, 3)
    assert outcome(db, job.id) == ["card", "held", "outcome"]
    assert code(decide(db, job, judge, False)) == "review_approved"
    assert code(db.run_sync(reviewing.appeal, job.id, "x", utcnow())) == "no_appeal"
    assert [one.action for one in db.read_sync(audit.entries) if one.action.startswith("review.")] == [
        "review.approve",
        "review.open",
    ]
    assert sound(db, tmp_path) == []


def test_a_rejected_one_costs_nothing_and_may_be_appealed_once(db: Database, tmp_path: Path) -> None:
    owner, rita, rolf = person(db, "anna"), reviewer(db, "rita"), reviewer(db, "rolf", Role.ADMIN)
    job = held(db, owner)
    first = db.read_sync(reviews.newest, job.id)
    assert first is not None
    assert isinstance(decide(db, job, rita, False), Review)
    assert (found(db, job.id).state, found(db, job.id).error, left(db, owner)) == (JobState.FAILED, "rejected", 5)
    assert (found(db, job.id).result or {})["rejected"] == "不合适"
    again = appeal(db, job)
    assert again.appeal_of == first.id
    assert code(db.run_sync(reviewing.appeal, job.id, "x", utcnow())) == "appeal_open"
    assert sound(db, tmp_path) == []
    assert code(decide(db, job, rita, True)) == "review_again"
    assert code(decide(db, job, rolf, True, review=first.id)) == "review_rejected", "the card of the first one"
    assert isinstance(decide(db, job, rolf, True), Review)
    done = found(db, job.id)
    assert (done.state, done.error, done.cost, left(db, owner)) == (JobState.DONE, None, 0, 5)
    assert outcome(db, job.id) == ["appeal", "card", "held", "outcome"]
    db.run_sync(quota.give_back, job.id, utcnow(), "could not be delivered")
    assert left(db, owner) == 5, "nothing was paid that could be given back"
    assert sound(db, tmp_path) == []


def test_an_appeal_that_is_rejected_is_the_last_word(db: Database, tmp_path: Path) -> None:
    owner, judge = person(db, "anna"), reviewer(db, "rita")
    job = held(db, owner)
    decide(db, job, judge, False)
    appeal(db, job)
    assert isinstance(decide(db, job, judge, False, "还是不行"), Review), "there is nobody else"
    ended = found(db, job.id)
    assert (ended.state, ended.error, (ended.result or {})["rejected"]) == (
        JobState.FAILED,
        "rejected_again",
        "还是不行",
    )
    assert code(db.run_sync(reviewing.appeal, job.id, "x", utcnow())) == "appeal_over"
    assert sound(db, tmp_path) == []


def test_nobody_decides_on_their_own_while_there_is_somebody_else(db: Database) -> None:
    owner = reviewer(db, "anna")
    job = held(db, owner)
    judge = reviewer(db, "rita")
    assert code(decide(db, job, owner, True)) == "review_own"
    db.run_sync(users.set_banned, judge.id, True)
    assert isinstance(decide(db, job, owner, True, ""), Review)


def test_a_cancelled_one_is_reviewed_by_nobody(db: Database, tmp_path: Path) -> None:
    owner, judge = person(db, "anna"), reviewer(db, "rita")
    job = held(db, owner)
    review = db.read_sync(reviews.newest, job.id)
    assert review is not None
    key = f"{queue.review_key(review.id)}0"
    db.run_sync(outbox.add, key, job.origin, slot="review", body={"review": review.id}, now=utcnow())
    assert db.run_sync(queue.cancel, job, "user:1", utcnow()) is JobState.CANCELLED
    assert left(db, owner) == 5
    assert code(decide(db, job, judge, True)) == "review_withdrawn"
    revised = db.read_sync(outbox.newest_revision, key)
    assert revised is not None
    assert revised.body == {"review": review.id}
    assert sound(db, tmp_path) == []


def test_a_cancellation_that_was_asked_for_meanwhile_wins(db: Database) -> None:
    submitted(db, order(person(db, "anna"), "e1"))
    job = claimed(db).jobs[0]
    db.run_sync(queue.cancel, job, "user:1", utcnow())
    assert db.run_sync(reviewing.hold, job, {}, 1.0, WHY, utcnow()) is None
    assert db.read_sync(reviews.newest, job.id) is None


async def test_of_two_reviewers_at_the_same_instant_one_decides(migrated_url: str, tmp_path: Path) -> None:
    with Database.open(migrated_url) as db:
        owner, rita, rolf = [
            await asyncio.to_thread(make, db, name)
            for make, name in ((person, "anna"), (reviewer, "rita"), (reviewer, "rolf"))
        ]
        job = await asyncio.to_thread(held, db, owner)
        now = utcnow()
        both = await asyncio.gather(
            db.run(reviewing.decide, job.id, rita, approve=True, reason="", now=now),
            db.run(reviewing.decide, job.id, rolf, approve=False, reason="nein", now=now),
            db.run(queue.cancel, job, f"user:{owner.id}", now),
        )
        assert sum(isinstance(one, Review) for one in both) + (both[2] is JobState.CANCELLED) == 1
        assert await asyncio.to_thread(sound, db, tmp_path) == []


@pytest.mark.parametrize(
    "damage",
    [
        "delete from reviews",
        "update reviews set state = 'approved', decided_at = created_at, reviewer_id = 1",
        "update reviews set decided_at = created_at",
        "update jobs set state = 'cancelled'",
    ],
)
def test_what_does_not_fit_together_is_found(db: Database, tmp_path: Path, damage: str) -> None:
    held(db, person(db, "anna"))
    assert sound(db, tmp_path) == []
    db.run_sync(lambda conn: conn.execute(text(damage)))
    assert any("review" in line for line in sound(db, tmp_path)), sound(db, tmp_path)


def test_a_job_has_one_open_review(db: Database) -> None:
    job = held(db, person(db, "anna"))
    with pytest.raises(Exception, match=r"(?i)unique"):
        db.run_sync(reviews.add, job.id, [], utcnow())
    assert db.read_sync(reviews.standing)[0] == 1
    assert ReviewState.PENDING.value == "pending", "as the index of the table says it"


def test_a_decision_is_whose_its_reviewer_turned_out_to_be(db: Database) -> None:
    owner, alias, rita = person(db, "anna"), reviewer(db, "rita-at-home"), reviewer(db, "rita")
    job = held(db, owner)
    decide(db, job, alias, False)
    db.run_sync(joining.hand_over, alias.id, rita.id)
    db.run_sync(users.set_role, alias.id, Role.USER)
    rolf = reviewer(db, "rolf")
    appeal(db, job)
    assert code(decide(db, job, rita, True)) == "review_again"
    assert isinstance(decide(db, job, rolf, True, ""), Review)
