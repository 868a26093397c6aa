"""Submit, claim, finish, hold, cancel: each one transaction over job, ledger, outbox and audit.

Every function takes the caller's connection, so that a handler can put the event it deals with into the same
transaction. Lock order on PostgreSQL: lane, then accounts (person, group, department), then rows; keep it, or two
transactions wait for each other. `recover` ends several jobs at once and cannot keep it: the writer tries it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from scheduler import classes, fairness, places, quota
from scheduler import policy as rules
from scheduler.fairness import Tag
from scheduler.places import Spot
from scheduler.policy import UNIT_OF, Demand, Policy, Refusal
from scheduler.standing import Standing, notices
from storage import audit, jobs, line, outbox, reviews
from storage.dialect import serialise
from storage.jobs import Lane
from storage.line import Person
from storage.records import Job, JobState, Kind, Origin, Place, User

#: The parameter in which a job carries who else is given its pictures: name -> Origin as JSON.
COPIES = "copies"
#: What the slot of such a message begins with; the name follows.
COPY = "to-"
#: The slots of what the owner of a held job is told: that it is held, and what became of their appeal.
HELD, APPEAL = "held", "appeal"
#: The errors of a job whose pictures a reviewer rejected: once, and again on its owner's appeal. By the first name its
#: result has the reason, in the reviewer's words.
REJECTED, REJECTED_AGAIN = "rejected", "rejected_again"

#: How many waiting jobs a claim looks at: enough to fill a batch past people at their limit.
LOOK_AHEAD = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A job about to be accepted."""

    key: str  # the event's key: the same event submits once
    kind: Kind
    user: User
    origin: Origin
    params: dict[str, Any]
    cost: int
    work: float  # see Job.weight
    batch_key: str = ""
    parent_id: int | None = None
    priority: int = 0
    not_before: datetime | None = None  # it may start from then on
    not_after: datetime | None = None  # it may not start from then on
    #: What its first message says: see also `when_sent`; None = no such message.
    card: Callable[[Connection, Job, Place], dict[str, Any]] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What would become of an order."""

    cost: int
    have: tuple[Standing, ...]  # what those have left who would pay
    refusal: Refusal | None
    place: Place  # where it would stand


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """Jobs a worker holds under one fencing token."""

    token: str
    jobs: tuple[Job, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """How a job failed."""

    error: str  # stable code, names the sentence for the person
    cause: str  # for the operator
    transient: bool = False  # the same request may succeed later
    engine: bool = True  # the engine is at fault, not the request: counts towards the lane's circuit


CAUSE = 300  # characters of a failure's cause that its lane keeps


def message_key(job_id: int, slot: str) -> str:
    """The key of a job's message: its card or its outcome."""
    return f"job-{job_id}-{slot}"


def review_key(review_id: int) -> str:
    """What the keys of the messages to a review's reviewers begin with."""
    return f"review-{review_id}-"


def submit(conn: Connection, wanted: Submission, policy: Policy, now: datetime) -> Job | Refusal:
    """Admit, hold the price, queue the job and its card; or refuse, and nothing is changed."""
    serialise(conn, f"lane:{wanted.kind}")
    seen = jobs.by_key(conn, wanted.key)
    if seen is not None:
        return seen
    jobs.lane(conn, wanted.kind)
    person = line.person(conn, wanted.kind, wanted.user.id)
    have, refusal = _admitted(conn, wanted, person, policy, now)
    if refusal is not None:
        return refusal
    tag = classes.tag(conn, wanted.kind, person, wanted.priority, wanted.work, policy.share(wanted.user.role))
    place = None if wanted.card in (None, when_sent) else places.place(conn, _spot(wanted, tag), now)
    job = _enqueue(conn, wanted, tag, notices(have, wanted.cost, policy.warn_at), place, now)
    quota.hold(conn, job.id, wanted.cost, have, now)
    if wanted.card is not None:
        body = {} if place is None else wanted.card(conn, job, place)
        outbox.add(conn, message_key(job.id, "card"), wanted.origin, slot="card", job_id=job.id, body=body, now=now)
    _audit(conn, quota.subject(wanted.user.id), "submit", job.id, now, kind=wanted.kind.value, cost=wanted.cost)
    return job


def when_sent(conn: Connection, job: Job, place: Place) -> dict[str, Any]:
    """The `Submission.card` that says how the job stands when it is sent: nothing is worked out before."""
    return {}


def _admitted(
    conn: Connection, wanted: Submission, person: Person, policy: Policy, now: datetime
) -> tuple[tuple[Standing, ...], Refusal | None]:
    """What everybody has left who would pay, and why the job is not accepted; None = it is."""
    have = quota.standings(conn, quota.payers(wanted.user, wanted.origin), UNIT_OF[wanted.kind], policy, now)
    demand = Demand(
        cost=wanted.cost,
        waiting_user=person.waiting,
        waiting_total=line.waiting(conn, wanted.kind),
    )
    return have, rules.shut_out(wanted.user, policy.timezone) or rules.admit(demand, have, policy)


def preview(conn: Connection, wanted: Submission, policy: Policy, now: datetime) -> Preview:
    """What would become of an order now. Nothing is ordered, held or written into the line."""
    person = line.person(conn, wanted.kind, wanted.user.id)
    have, refusal = _admitted(conn, wanted, person, policy, now)
    tag = classes.tag(conn, wanted.kind, person, wanted.priority, wanted.work, policy.share(wanted.user.role))
    return Preview(cost=wanted.cost, have=have, refusal=refusal, place=places.place(conn, _spot(wanted, tag), now))


def _spot(wanted: Submission, tag: Tag) -> Spot:
    last = 2**31 - 1  # behind all that have the same tag
    return Spot(kind=wanted.kind, priority=wanted.priority, vtag=tag.start, id=last, weight=wanted.work)


def _enqueue(
    conn: Connection,
    wanted: Submission,
    tag: Tag,
    told: tuple[dict[str, Any], ...],
    place: Place | None,
    now: datetime,
) -> Job:
    promised = place if wanted.not_before is None else None
    job = jobs.add(
        conn,
        key=wanted.key,
        kind=wanted.kind,
        user_id=wanted.user.id,
        params=wanted.params,
        origin=wanted.origin,
        cost=wanted.cost,
        weight=wanted.work,
        priority=wanted.priority,
        vtag=tag.start,
        span=tag.finish - tag.start,
        batch_key=wanted.batch_key,
        parent_id=wanted.parent_id,
        not_before=wanted.not_before,
        not_after=wanted.not_after,
        notices=told,
        foreseen=promised and promised.foreseen,
        doubt=promised and promised.doubt,
        now=now,
    )
    if job is None:
        raise RuntimeError(f"job key {wanted.key!r} appeared while its lane was locked")
    return job


def claim(
    conn: Connection, kind: Kind, room: Callable[[Job], int], policy: Policy, now: datetime, owner: str = ""
) -> Claim | None:
    """Lease the next batch of a lane for the process `owner`; None when nothing may run now.

    `room`: how large a batch its head allows.
    """
    serialise(conn, f"lane:{kind}")
    lane = jobs.lane(conn, kind)
    if lane.paused or (lane.open_until is not None and now < lane.open_until):
        return None
    rested = lane.open_until is not None  # one job alone tries whether the engine works again
    if rested and jobs.count(conn, JobState.RUNNING, kind=kind):
        return None
    batch = _choice(conn, kind, _alone if rested else room, policy, now)
    if not batch:
        return None
    head, token = batch[0], f"{owner}/{secrets.token_hex(8)}"
    jobs.lease(conn, batch, token, now + policy.lease, now)
    line.set_vtime(conn, kind, head.priority, max(line.vtime(conn, kind, head.priority), head.vtag))
    return Claim(token=token, jobs=tuple(_expect(conn, job.id) for job in batch))


def _alone(head: Job) -> int:
    """Room for what is claimed when the engine is tried again: the head, whatever may share its pass."""
    return 1


def _choice(conn: Connection, kind: Kind, room: Callable[[Job], int], policy: Policy, now: datetime) -> list[Job]:
    running = jobs.running_per_user(conn, kind)
    waiting = jobs.waiting(conn, kind, now, LOOK_AHEAD)
    batch = fairness.choose(waiting, running, policy.concurrency, room)
    if batch or len(waiting) < LOOK_AHEAD:
        return batch
    # All that was looked at belongs to people at their limit: behind them somebody else may wait.
    busy = [user for user, count in running.items() if count >= policy.concurrency]
    return fairness.choose(jobs.waiting(conn, kind, now, LOOK_AHEAD, busy), running, policy.concurrency, room)


def succeed(
    conn: Connection,
    job: Job,
    result: dict[str, Any],
    took: float,
    now: datetime,
    *,
    used: int = 0,
    policy: Policy | None = None,
) -> bool:
    """Keep a result: outcome, settlement, message. False when the lease was lost: somebody else has the job now.

    A cancellation that was asked for meanwhile wins: nothing is posted and nothing is charged.
    `took` is the engine's share of seconds for this job; the lane's rate learns from it. `used`: the units it really
    took, where that is known only now, to be charged by `policy`; never less than what was held.
    """
    if not jobs.end(conn, job.id, job.token, JobState.DONE, now, result=result):
        return cancelled(conn, job, now)
    _ran(conn, job, took, now)
    beyond = quota.settle(conn, job.id, now, used - job.cost, policy)
    if beyond.units:
        jobs.charge(conn, job.id, job.cost + beyond.units, (*job.notices, *beyond.notices))
    _done(conn, replace(job, result=result), now, "scheduler")
    return True


def _ran(conn: Connection, job: Job, took: float, now: datetime) -> None:
    """The lane learns from a job that went well."""
    lane = jobs.lane(conn, job.kind)
    learned = {**_learned(lane, took / max(job.weight, 1e-6)), **_kept(lane, job, now)}
    jobs.set_lane(conn, job.kind, **learned, failing=(), open_until=None)


def _done(conn: Connection, job: Job, now: datetime, actor: str, slot: str = "outcome") -> None:
    _tell(conn, job, now, slot)
    if (job.result or {}).get("assets"):
        _share(conn, job, now)
    _audit(conn, actor, "done", job.id, now)


def hold_back(conn: Connection, job: Job, result: dict[str, Any], took: float, now: datetime) -> bool:
    """Keep a result that a reviewer has to see first: its price stays held, its owner hears that it waits.

    False when the lease was lost or a cancellation was asked for: nothing is changed.
    """
    if not jobs.hold(conn, job.id, job.token, result):
        return False
    _ran(conn, job, took, now)
    _tell(conn, job, now, HELD)
    _audit(conn, "scheduler", "held", job.id, now)
    return True


def deliver(conn: Connection, job: Job, now: datetime, actor: str) -> bool:
    """A reviewer lets a held result go: from here on it is as if it had succeeded. False when it is held no more."""
    if not jobs.end_held(conn, job.id, JobState.DONE, now):
        return False
    quota.settle(conn, job.id, now)
    _done(conn, job, now, actor)
    return True


def withhold(conn: Connection, job: Job, reason: str, now: datetime, actor: str) -> bool:
    """A reviewer rejects a held result: it costs nothing, its owner hears the reason. False when it is held no more."""
    result = {**(job.result or {}), REJECTED: reason}
    if not jobs.end_held(conn, job.id, JobState.FAILED, now, error=REJECTED, cause=f"by {actor}", result=result):
        return False
    _refunded(conn, job, REJECTED, now, actor=actor)
    return True


def make_good(conn: Connection, job: Job, now: datetime, actor: str) -> bool:
    """A rejection was wrong: the result is delivered. Its price was given back and stays so."""
    if not jobs.make_good(conn, job.id, REJECTED, now):
        return False
    _done(conn, job, now, actor, APPEAL)
    return True


def stand_by(conn: Connection, job: Job, reason: str, now: datetime, actor: str) -> None:
    """A rejection was right: its owner hears that, and the reason."""
    jobs.reword(
        conn, job.id, error=REJECTED_AGAIN, cause=f"by {actor}", result={**(job.result or {}), REJECTED: reason}
    )
    _tell(conn, job, now, APPEAL)
    _audit(conn, actor, "failed", job.id, now, why=REJECTED_AGAIN)


def learn(conn: Connection, kind: Kind, rate: float) -> None:
    """Let a lane's seconds per unit of work learn from one more measurement."""
    jobs.set_lane(conn, kind, **_learned(jobs.lane(conn, kind), rate))


def _learned(lane: Lane, rate: float) -> dict[str, Any]:
    pace = places.pace(lane).after(rate)
    return {"rate": pace.rate, "variance": pace.variance, "samples": pace.samples}


def _kept(lane: Lane, job: Job, now: datetime) -> dict[str, Any]:
    """What a lane learns from how the promise it made for a job turned out."""
    if job.foreseen is None or job.doubt is None:
        return {}
    misses = places.misses(lane).after(job.foreseen, job.doubt, (now - job.created_at).total_seconds())
    return {"early": misses.early, "middle": misses.middle, "late": misses.late}


def fail(conn: Connection, job: Job, failure: Failure, policy: Policy, now: datetime) -> bool:
    """Try again later when that may help, else end the job, give the price back and tell its owner."""
    again = rules.retry_after(job.attempt, policy) if failure.transient else None
    if again is not None:
        serialise(conn, f"lane:{job.kind}")
    if failure.engine:
        _count_failure(conn, job, failure.cause, policy, now)
    if again is not None:
        return _back(conn, job, now, not_before=now + again)
    if not jobs.end(conn, job.id, job.token, JobState.FAILED, now, error=failure.error, cause=failure.cause):
        return False
    _refunded(conn, job, failure.error, now)
    return True


def _count_failure(conn: Connection, job: Job, cause: str, policy: Policy, now: datetime) -> None:
    """A job that fails again and again counts once: it may be the job. Enough different ones, and it is the engine."""
    lane = jobs.lane(conn, job.kind)
    others = [one for one in lane.failing if one[0] != job.id]
    failing = [*others, (job.id, cause[:CAUSE])][-2 * policy.breaker_failures :]
    jobs.set_lane(conn, job.kind, failing=failing, open_until=rules.circuit(len(failing), now, policy))


def cancel(conn: Connection, job: Job, actor: str, now: datetime, *, why: str | None = None) -> JobState:
    """Stop a job: at once while it waits or is held, at the next step while it runs. Returns its state afterwards.

    `why` names the sentence its owner is told when it was not their wish: see bot.replies, `cancelled.<why>`.
    """
    serialise(conn, f"lane:{job.kind}")
    if jobs.end_queued(conn, job.id, JobState.CANCELLED, now, error=why):
        _refunded(conn, job, "cancelled", now, actor=actor)
        return JobState.CANCELLED
    if jobs.end_held(conn, job.id, JobState.CANCELLED, now, error=why):
        for review in reviews.withdraw(conn, job.id, now):
            outbox.revise(conn, review_key(review), now)
        _refunded(conn, job, "cancelled", now, actor=actor)
        return JobState.CANCELLED
    if jobs.ask_to_cancel(conn, job.id, why):
        _audit(conn, actor, "cancel-requested", job.id, now)
    return _expect(conn, job.id).state


def cancelled(conn: Connection, job: Job, now: datetime) -> bool:
    """A running job's worker has stopped it."""
    if not jobs.end(conn, job.id, job.token, JobState.CANCELLED, now):
        return False
    _refunded(conn, job, "cancelled", now)
    return True


def release(conn: Connection, job: Job, now: datetime) -> bool:
    """Give a running job back unharmed because its worker stops: old place, no attempt counted."""
    serialise(conn, f"lane:{job.kind}")
    return _back(conn, job, now, attempt=-1)


def _back(conn: Connection, job: Job, now: datetime, **changes: Any) -> bool:
    """Put a running job back into the line; or end it, if it was to be cancelled: nobody waits for it any more."""
    if _expect(conn, job.id).cancel_requested:
        return cancelled(conn, job, now)
    return jobs.requeue(conn, job.id, job.token, **changes)


def recover(
    conn: Connection, policy: Policy, now: datetime, *, sole_owner: bool, gone: Sequence[str] = ()
) -> list[int]:
    """Put jobs of vanished workers back, and end those that took too many workers with them.

    A process that owns the data folder alone knows at its start that every running job is an orphan; otherwise the
    lease decides, or that its process is `gone`. Returns the ids touched.
    """
    for kind in Kind:
        serialise(conn, f"lane:{kind}")
    touched = jobs.expired(conn, None if sole_owner else now, gone)
    for job in touched:
        if job.lost >= policy.max_suspect and not job.cancel_requested:
            jobs.end(conn, job.id, job.token, JobState.FAILED, now, error="lost", cause="its worker vanished each time")
            _refunded(conn, job, "lost", now)
        elif job.lost >= policy.max_lost:
            _back(conn, job, now, lost=1, priority=rules.SUSPECT, batch_key="")
        else:
            _back(conn, job, now, lost=1)
    return [job.id for job in touched]


def close(conn: Connection, now: datetime) -> list[int]:
    """End the waiting jobs whose window has closed; they cost nothing, their owners are told. Returns their ids."""
    ended = []
    for job in jobs.closed_out(conn, now):
        serialise(conn, f"lane:{job.kind}")
        if jobs.end_queued(conn, job.id, JobState.FAILED, now, error="window_closed", cause="its window has closed"):
            _refunded(conn, job, "window_closed", now)
            ended.append(job.id)
    return ended


def lease_until(policy: Policy, now: datetime) -> datetime:
    """When a lease taken or prolonged now runs out."""
    return now + policy.lease


def heartbeat_interval(policy: Policy) -> timedelta:
    """How often a worker prolongs its lease: two may be missed."""
    return policy.lease / 3


def _refunded(conn: Connection, job: Job, why: str, now: datetime, actor: str = "scheduler") -> None:
    quota.refund(conn, job.id, now, why)
    _tell(conn, job, now)
    _audit(conn, actor, "cancelled" if why == "cancelled" else "failed", job.id, now, why=why)


def _tell(conn: Connection, job: Job, now: datetime, slot: str = "outcome") -> None:
    outbox.add(conn, message_key(job.id, slot), job.origin, slot=slot, job_id=job.id, now=now)


def _share(conn: Connection, job: Job, now: datetime) -> None:
    """Give the pictures to those beside its owner for whom they were booked."""
    for name, origin in job.params.get(COPIES, {}).items():
        slot = f"{COPY}{name}"
        outbox.add(conn, message_key(job.id, slot), Origin.from_json(origin), slot=slot, job_id=job.id, now=now)


def _audit(conn: Connection, actor: str, action: str, job_id: int, now: datetime, **detail: Any) -> None:
    audit.append(conn, actor, f"job.{action}", f"job:{job_id}", detail, now)


def _expect(conn: Connection, job_id: int) -> Job:
    job = jobs.get(conn, job_id)
    if job is None:
        raise LookupError(f"job {job_id} vanished inside its own transaction")
    return job
