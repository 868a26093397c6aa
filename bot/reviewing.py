"""Telling reviewers of held pictures, and putting a case together from its rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection

from bot.alerts import directly
from bot.replies.reviewing import Case
from scheduler import reviewing
from scheduler.queue import review_key
from storage import assets, jobs, links, outbox, reviews, users
from storage.records import Review, ReviewState

#: In the body of a message: the review it shows, as that stands when it is sent.
REVIEW = "review"
SLOT = "review"
#: Where nobody reads what is sent: a command prints what it asked for, and nothing else.
_UNREAD = frozenset({"terminal"})


def ask(conn: Connection, review: Review, through: Collection[str], now: datetime) -> int:
    """Write a message to everybody who may decide on a review, on each platform they are reached by; returns how many.

    Each shows how the case stands when it is sent, so one that is late shows no picture any more.
    """
    job = jobs.get(conn, review.job_id)
    if job is None:
        raise LookupError(f"review {review.id} is about job {review.job_id}, which does not exist")
    reached = [
        (one.id, identity)
        for one in reviewing.deciders(conn, review, job)
        for identity in links.addresses(conn, one.id)
        if identity.platform in through and identity.platform not in _UNREAD
    ]
    for number, (user_id, identity) in enumerate(reached):
        key, origin = f"{review_key(review.id)}{number}", directly(user_id, identity)
        outbox.add(conn, key, origin, slot=SLOT, body={REVIEW: review.id}, now=now)
    return len(reached)


def case(conn: Connection, review: Review) -> Case:
    """All that is said about a review. Its pictures are only in it while it is open."""
    job = jobs.get(conn, review.job_id)
    if job is None:
        raise LookupError(f"review {review.id} is about job {review.job_id}, which does not exist")
    before = reviews.get(conn, review.appeal_of) if review.appeal_of is not None else None
    opened = review.state is ReviewState.PENDING
    return Case(
        review=review,
        job=job,
        owner=_name(conn, job.user_id),
        reviewer=_name(conn, review.reviewer_id),
        before=before,
        rejected_by=_name(conn, before.reviewer_id if before else None),
        assets=tuple(assets.of_job(conn, job.id)) if opened else (),
    )


def cases(conn: Connection, found: Sequence[Review]) -> list[Case]:
    """The same for several."""
    return [case(conn, one) for one in found]


def _name(conn: Connection, user_id: int | None) -> str:
    person = users.get(conn, user_id) if user_id is not None else None
    return person.name if person is not None else ""
