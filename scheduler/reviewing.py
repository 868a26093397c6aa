"""Held pictures: who may decide, what a decision does, and appeals. Each verb is one transaction.

The first decision counts: everything begins by locking the job's row, so of two reviewers in two processes the second
finds that it is decided. A rejection was refunded; when its appeal is approved, the picture stays free: the mistake was
the team's. There is one appeal for each rejection, decided by somebody else where there is somebody else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from inference.moderation import Verdict
from scheduler import queue
from scheduler.policy import Refusal
from scheduler.queue import REJECTED, REJECTED_AGAIN, review_key
from storage import audit, jobs, outbox, reviews, users
from storage.records import Job, JobState, Review, ReviewState, User


def eligible(reviewers: Collection[int], owner: int, rejected_by: int | None) -> frozenset[int]:
    """Who of the reviewers may decide: not the owner, not who rejected it before, as long as anybody is left. Pure."""
    everybody = frozenset(reviewers)
    others = everybody - {owner}
    return (others - {rejected_by}) or others or everybody


def deciders(conn: Connection, review: Review, job: Job) -> list[User]:
    """Those who may decide on a review."""
    known = users.reviewers(conn)
    before = reviews.get(conn, review.appeal_of) if review.appeal_of is not None else None
    allowed = eligible([one.id for one in known], job.user_id, before.reviewer_id if before else None)
    return [one for one in known if one.id in allowed]


def hold(
    conn: Connection, job: Job, result: dict[str, Any], took: float, why: Sequence[Verdict], now: datetime
) -> Review | None:
    """Keep a result and ask the reviewers; None when its cancellation came first, or somebody else has the job."""
    if not queue.hold_back(conn, job, result, took, now):
        return None
    return _opened(conn, reviews.add(conn, job.id, [one.to_json() for one in why], now), "scheduler", now)


def decide(
    conn: Connection, job_id: int, by: User, *, approve: bool, reason: str, now: datetime, review_id: int = 0
) -> Review | Refusal:
    """Decide a job's open review. `review_id` names the one that is meant: a card of an older one decides nothing."""
    job = jobs.lock(conn, job_id)
    review = reviews.get(conn, review_id) if review_id else reviews.newest(conn, job_id)
    if job is None or review is None or review.job_id != job_id:
        return Refusal(code="no_review", detail={"job": job_id})
    if review.state is not ReviewState.PENDING:
        return _over(conn, review)
    if by.id not in {one.id for one in deciders(conn, review, job)}:
        return Refusal(code="review_own" if by.id == job.user_id else "review_again", detail={"job": job_id})
    state = ReviewState.APPROVED if approve else ReviewState.REJECTED
    reviews.decide(conn, review.id, state, now, reviewer_id=by.id, reason=reason)
    _act(conn, job, review, approve, reason, now, f"user:{by.id}")
    outbox.revise(conn, review_key(review.id), now)
    detail = {"review": review.id, "reason": reason}
    audit.append(conn, f"user:{by.id}", "review.approve" if approve else "review.reject", f"job:{job_id}", detail, now)
    return review


def _act(conn: Connection, job: Job, review: Review, approve: bool, reason: str, now: datetime, actor: str) -> None:
    if review.appeal_of is None:
        ended = queue.deliver(conn, job, now, actor) if approve else queue.withhold(conn, job, reason, now, actor)
    elif approve:
        ended = queue.make_good(conn, job, now, actor)
    else:
        queue.stand_by(conn, job, reason, now, actor)
        ended = True
    if not ended:  # its row is locked, and an open review goes with a held or rejected job
        raise RuntimeError(f"job {job.id} is {job.state}, but its review {review.id} was open")


def _over(conn: Connection, review: Review) -> Refusal:
    by = users.get(conn, review.reviewer_id) if review.reviewer_id is not None else None
    if by is None:
        return Refusal(code="review_withdrawn", detail={"job": review.job_id})
    return Refusal(code=f"review_{review.state}", detail={"job": review.job_id, "who": by.name})


def appeal(conn: Connection, job_id: int, plea: str, now: datetime) -> Review | Refusal:
    """Ask again about a rejected job, for its owner: a review of its own, once."""
    job = jobs.lock(conn, job_id)
    before = reviews.newest(conn, job_id)
    if job is not None and job.error == REJECTED_AGAIN:
        return Refusal(code="appeal_over", detail={"job": job_id})
    if job is None or before is None or job.state is not JobState.FAILED or job.error != REJECTED:
        return Refusal(code="no_appeal", detail={"job": job_id})
    if before.state is ReviewState.PENDING:
        return Refusal(code="appeal_open", detail={"job": job_id})
    review = reviews.add(conn, job_id, before.why, now, appeal_of=before.id, plea=plea)
    return _opened(conn, review, f"user:{job.user_id}", now)


def _opened(conn: Connection, review: Review, actor: str, now: datetime) -> Review:
    action = "review.open" if review.appeal_of is None else "review.appeal"
    audit.append(conn, actor, action, f"job:{review.job_id}", {"review": review.id, "why": list(review.why)}, now)
    return review
