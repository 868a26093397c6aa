"""Jobs and the lanes they wait in. Decisions (whose turn, what price) are made in scheduler/; here are the queries.

What puts a job into the line or takes it out needs the lane for itself: storage.dialect.serialise, "lane:<kind>".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Row, and_, bindparam, func, or_, select, text, update

from storage import line
from storage.chats import within
from storage.dialect import insert_on
from storage.records import Job, JobState, Kind, Origin, Role
from storage.tables import jobs, lanes, users

# Built once: every picture passes here a dozen times, and building a statement takes longer than running it.
_GET = select(jobs).where(jobs.c.id == bindparam("id"))
_BY_KEY = select(jobs).where(jobs.c.key == bindparam("key"))
_LANE = select(lanes).where(lanes.c.kind == bindparam("kind"))
_OF_KIND = (
    select(func.count())
    .select_from(jobs)
    .where(jobs.c.kind == bindparam("kind"), jobs.c.state.in_(bindparam("states", expanding=True)))
)
_OF_EACH = (
    select(jobs.c.user_id, func.count().label("running"))
    .where(jobs.c.kind == bindparam("kind"), jobs.c.state == JobState.RUNNING)
    .group_by(jobs.c.user_id)
)
# What these set is named by the values they are executed with.
_LEASE = update(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True)), jobs.c.state == JobState.QUEUED)
_LEASE = _LEASE.values(attempt=jobs.c.attempt + 1)
_END = update(jobs).where(
    jobs.c.id == bindparam("of_id"), jobs.c.token == bindparam("of_token"), jobs.c.state == JobState.RUNNING
)
_END_DONE = _END.where(jobs.c.cancel_requested.is_(False))
_END_HELD = update(jobs).where(jobs.c.id == bindparam("of_id"), jobs.c.state == JobState.REVIEW)
_SET_LANE = update(lanes).where(lanes.c.kind == bindparam("of_kind"))
_RUNNING = select(jobs.c.weight, jobs.c.started_at).where(
    jobs.c.kind == bindparam("kind"), jobs.c.state == JobState.RUNNING
)
_QUEUED = text("jobs.state = 'queued'")  # in so many words: a database finds its partial index by no parameter
_CLOSED = select(jobs).where(_QUEUED, jobs.c.not_after <= bindparam("now")).order_by(jobs.c.id)
_WINDOW_WORK = select(func.coalesce(func.sum(jobs.c.weight), 0.0)).where(
    jobs.c.kind == bindparam("kind"),
    _QUEUED,
    jobs.c.not_after > bindparam("now"),
    jobs.c.not_after <= bindparam("closes"),
)
_RISEN = (
    select(jobs.c.id, jobs.c.kind, jobs.c.user_id, jobs.c.priority, jobs.c.weight, users.c.role)
    .join(users, users.c.id == jobs.c.user_id)
    .where(_QUEUED, text("jobs.priority > 0"), jobs.c.since <= bindparam("before"))
    .order_by(jobs.c.since, jobs.c.vtag, jobs.c.id)
    .limit(bindparam("limit", type_=Integer))
)
_CHANGE_QUEUED = (
    update(jobs).where(jobs.c.id == bindparam("of_id"), jobs.c.state == JobState.QUEUED).returning(*line.COLUMNS)
)
_PLACE = select(*line.COLUMNS).where(jobs.c.id == bindparam("id"), jobs.c.state == JobState.QUEUED)
_REQUEUE = (
    update(jobs)
    .where(jobs.c.id == bindparam("of_id"), jobs.c.token == bindparam("of_token"), jobs.c.state == JobState.RUNNING)
    .values(
        state=JobState.QUEUED,
        token="",
        lease_until=None,
        lost=jobs.c.lost + bindparam("more_lost"),
        attempt=jobs.c.attempt + bindparam("more_attempts"),
    )
    .returning(*line.COLUMNS)
)
_WAITING = (
    select(jobs)
    .where(
        jobs.c.kind == bindparam("kind"),
        jobs.c.state == JobState.QUEUED,
        or_(jobs.c.not_before.is_(None), jobs.c.not_before <= bindparam("now")),
        or_(jobs.c.not_after.is_(None), jobs.c.not_after > bindparam("now")),
    )
    .order_by(jobs.c.priority, jobs.c.vtag, jobs.c.id)
    .limit(bindparam("limit", type_=Integer))
)


@cache
def _insert_job(dialect: str) -> Any:
    return insert_on(dialect, jobs).on_conflict_do_nothing(index_elements=["key"]).returning(jobs)


@cache
def _insert_lane(dialect: str) -> Any:
    return insert_on(dialect, lanes).on_conflict_do_nothing(index_elements=["kind"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """The state of one kind of work."""

    kind: Kind
    rate: float  # seconds per unit of work
    variance: float  # of the rate, from run to run
    samples: int
    early: float  # how its promises turned out
    middle: float
    late: float
    failing: tuple[tuple[int, str], ...]  # the jobs that failed since the last success, and why: each once, latest last
    open_until: datetime | None  # the circuit is open: nothing is claimed before this, and then one job alone
    paused: bool = False  # by an admin
    switching: bool = False  # to another model
    waits: str = ""  # pictures | answers | loading: who has the GPU's memory instead; empty = nobody
    waits_s: float = 0.0  # seconds until that is handed over, once they have finished

    @property
    def failures(self) -> int:
        """How many different jobs failed one after another."""
        return len(self.failing)

    @property
    def cause(self) -> str:
        """Why the last one failed; empty when none did."""
        return self.failing[-1][1] if self.failing else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Riser:
    """A job that has waited long in its priority."""

    id: int
    kind: Kind
    user_id: int
    priority: int
    weight: float
    role: Role  # its owner's


def add(conn: Connection, *, key: str, kind: Kind, now: datetime, origin: Origin, **values: Any) -> Job | None:
    """Queue a job behind its person's others; None when a job of this key exists (the event was seen before)."""
    row = {
        "key": key,
        "kind": kind,
        "state": JobState.QUEUED,
        "created_at": now,
        "since": now,
        "priority": 0,
        "span": 0.0,
        **values,
    }
    found = conn.execute(_insert_job(conn.dialect.name), {**row, "origin": origin.to_json()}).one_or_none()
    if found is None:
        return None
    line.enter(conn, found)
    return _job(found)


def get(conn: Connection, job_id: int) -> Job | None:
    """The job of this id."""
    row = conn.execute(_GET, {"id": job_id}).one_or_none()
    return None if row is None else _job(row)


def of_ids(conn: Connection, ids: Iterable[int]) -> dict[int, Job]:
    """The jobs of these ids."""
    rows = conn.execute(select(jobs).where(jobs.c.id.in_(set(ids))))
    return {row.id: _job(row) for row in rows}


def lock(conn: Connection, job_id: int) -> Job | None:
    """The same, and nobody else changes it before this transaction ends."""
    row = conn.execute(_GET.with_for_update(), {"id": job_id}).one_or_none()
    return None if row is None else _job(row)


def by_key(conn: Connection, key: str) -> Job | None:
    """The job an event made."""
    row = conn.execute(_BY_KEY, {"key": key}).one_or_none()
    return None if row is None else _job(row)


def recent(
    conn: Connection, *, user_id: int | None = None, states: Sequence[JobState] = (), limit: int = 20
) -> list[Job]:
    """The newest jobs first, of one person or of everybody."""
    statement = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    if user_id is not None:
        statement = statement.where(jobs.c.user_id == user_id)
    if states:
        statement = statement.where(jobs.c.state.in_(states))
    return [_job(row) for row in conn.execute(statement)]


def answered(
    conn: Connection, user_id: int, *, since: datetime | None = None, before: int | None = None, limit: int
) -> list[Job]:
    """A person's answered questions, newest first: those asked after `since`, and before job `before`."""
    statement = select(jobs).where(
        jobs.c.user_id == user_id,
        jobs.c.kind == Kind.ASK,
        jobs.c.state == JobState.DONE,
        jobs.c.cleared.is_(None),
    )
    if since is not None:
        statement = statement.where(jobs.c.created_at > since)
    if before is not None:
        statement = statement.where(jobs.c.id < before)
    return [_job(row) for row in conn.execute(statement.order_by(jobs.c.id.desc()).limit(limit))]


def in_chat(conn: Connection, platform: str, chat_id: str, states: Sequence[JobState]) -> list[Job]:
    """Those ordered in one chat that are in these states, oldest first."""
    statement = select(jobs).where(jobs.c.state.in_(states), within(jobs.c.origin, platform, chat_id))
    return [_job(row) for row in conn.execute(statement.order_by(jobs.c.id))]


def redone_since(conn: Connection, parent_id: int, user_id: int, since: datetime) -> list[dict[str, Any]]:
    """What this person ordered after `since` that goes back to the job: the parameters of each."""
    statement = select(jobs.c.params).where(
        jobs.c.parent_id == parent_id, jobs.c.user_id == user_id, jobs.c.created_at > since
    )
    return list(conn.execute(statement).scalars())


def waiting(conn: Connection, kind: Kind, now: datetime, limit: int, but: Sequence[int] = ()) -> list[Job]:
    """Queued jobs that may run now, in the order of their turn, without those of the people in `but`."""
    statement = _WAITING.where(jobs.c.user_id.not_in(but)) if but else _WAITING
    return [_job(row) for row in conn.execute(statement, {"kind": kind, "now": now, "limit": limit})]


def running_per_user(conn: Connection, kind: Kind) -> dict[int, int]:
    """How many jobs of each person run now."""
    return {row.user_id: row.running for row in conn.execute(_OF_EACH, {"kind": kind})}


def lease(conn: Connection, batch: Sequence[Job], token: str, until: datetime, now: datetime) -> None:
    """Hand queued jobs, as they were just read, to the worker that holds `token`."""
    held = {"state": JobState.RUNNING, "token": token, "lease_until": until, "started_at": now}
    conn.execute(_LEASE, {"ids": [job.id for job in batch], **held})
    for job in batch:
        line.leave(conn, job)


def holds(conn: Connection, job_id: int, token: str) -> bool:
    """Whether a running job is still in the hands of who holds `token`; if so it stays there until we commit."""
    statement = select(jobs.c.id).where(jobs.c.id == job_id, jobs.c.token == token, jobs.c.state == JobState.RUNNING)
    return conn.execute(statement.with_for_update()).first() is not None


def heartbeat(conn: Connection, token: str, until: datetime) -> dict[int, bool]:
    """Prolong a lease; returns the jobs still held, each with whether its cancellation was asked for."""
    held = and_(jobs.c.token == token, jobs.c.state == JobState.RUNNING)
    conn.execute(update(jobs).where(held).values(lease_until=until))
    rows = conn.execute(select(jobs.c.id, jobs.c.cancel_requested).where(held))
    return {row.id: row.cancel_requested for row in rows}


def end(conn: Connection, job_id: int, token: str, state: JobState, now: datetime, **values: Any) -> bool:
    """Write a running job's outcome. False when the lease was lost meanwhile: then nothing may be changed.

    A result that comes after its cancellation was asked for is refused the same way.
    """
    outcome = {"state": state, "finished_at": now, "lease_until": None, **values}
    statement = _END_DONE if state is JobState.DONE else _END
    return conn.execute(statement, {"of_id": job_id, "of_token": token, **outcome}).rowcount == 1


def end_queued(conn: Connection, job_id: int, state: JobState, now: datetime, **values: Any) -> bool:
    """End a job that never ran."""
    left = conn.execute(_CHANGE_QUEUED, {"of_id": job_id, "state": state, "finished_at": now, **values}).one_or_none()
    if left is not None:
        line.leave(conn, left)
        line.forgive(conn, left)
    return left is not None


def hold(conn: Connection, job_id: int, token: str, result: dict[str, Any]) -> bool:
    """Keep a running job's result and hold it for a review: its worker is done with it. Otherwise as `end`."""
    values = {"state": JobState.REVIEW, "lease_until": None, "result": result}
    return conn.execute(_END_DONE, {"of_id": job_id, "of_token": token, **values}).rowcount == 1


def end_held(conn: Connection, job_id: int, state: JobState, now: datetime, **values: Any) -> bool:
    """End a job that was held for a review; False when somebody else has ended it."""
    return conn.execute(_END_HELD, {"of_id": job_id, "state": state, "finished_at": now, **values}).rowcount == 1


def make_good(conn: Connection, job_id: int, rejected: str, now: datetime) -> bool:
    """A job that failed with the error `rejected` is done after all, and costs nothing."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.FAILED, jobs.c.error == rejected)
    values = {"state": JobState.DONE, "error": None, "cause": None, "cost": 0, "finished_at": now}
    return conn.execute(statement.values(values)).rowcount == 1


def reword(conn: Connection, job_id: int, *, error: str, cause: str, result: dict[str, Any]) -> None:
    """Say otherwise why a job failed."""
    conn.execute(update(jobs).where(jobs.c.id == job_id).values(error=error, cause=cause, result=result))


def charge(conn: Connection, job_id: int, cost: int, notices: Sequence[dict[str, Any]]) -> None:
    """Write what a job really cost, and what its owner is told about that."""
    conn.execute(update(jobs).where(jobs.c.id == job_id).values(cost=cost, notices=notices))


def requeue(conn: Connection, job_id: int, token: str, *, lost: int = 0, attempt: int = 0, **values: Any) -> bool:
    """Put a running job back to its old place, moving its counters by `lost` and `attempt`; `values` change more."""
    moved = {"of_id": job_id, "of_token": token, "more_lost": lost, "more_attempts": attempt}
    back = conn.execute(_REQUEUE, {**moved, **values}).one_or_none()
    if back is not None:
        line.join(conn, back)
    return back is not None


def risen(conn: Connection, before: datetime, limit: int) -> list[Riser]:
    """Queued jobs behind the first priority that have not risen since `before`, longest first."""
    rows = conn.execute(_RISEN, {"before": before, "limit": limit})
    return [Riser(**{**row._mapping, "kind": Kind(row.kind), "role": Role(row.role)}) for row in rows]


def rise(conn: Connection, job_id: int, priority: int, vtag: float, span: float, now: datetime) -> None:
    """Move a queued job to another place."""
    left = conn.execute(_PLACE, {"id": job_id}).one()
    line.leave(conn, left)
    line.forgive(conn, left)
    place = {"priority": priority, "vtag": vtag, "span": span, "since": now}
    line.join(conn, conn.execute(_CHANGE_QUEUED, {"of_id": job_id, **place}).one())


def ask_to_cancel(conn: Connection, job_id: int, why: str | None = None) -> bool:
    """Flag a running job; its worker sees it at the next step. `why` is kept as its error."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.RUNNING)
    return conn.execute(statement.values(cancel_requested=True, error=why)).rowcount == 1


def expired(conn: Connection, now: datetime | None, gone: Sequence[str] = ()) -> list[Job]:
    """Running jobs whose lease ran out or whose worker's process is gone: its tokens are called `owner/…`.

    With None instead of a time every running one: the data folder has a single owner.
    """
    statement = select(jobs).where(jobs.c.state == JobState.RUNNING)
    if now is not None:
        theirs = (jobs.c.token.startswith(f"{owner}/", autoescape=True) for owner in gone)
        statement = statement.where(or_(jobs.c.lease_until < now, *theirs))
    return [_job(row) for row in conn.execute(statement.order_by(jobs.c.id))]


def closed_out(conn: Connection, now: datetime) -> list[Job]:
    """Queued jobs that may no longer start."""
    return [_job(row) for row in conn.execute(_CLOSED, {"now": now})]


def window_work(conn: Connection, kind: Kind, now: datetime, closes: datetime) -> float:
    """The work of queued jobs that wait for their window and must begin before it closes, by `closes` at the latest."""
    return float(conn.execute(_WINDOW_WORK, {"kind": kind, "now": now, "closes": closes}).scalar_one())


def running(conn: Connection, kind: Kind) -> list[tuple[float, datetime]]:
    """What runs now: the work of each job, and when it was started."""
    return [(row.weight, row.started_at) for row in conn.execute(_RUNNING, {"kind": kind})]


def count(conn: Connection, *states: JobState, kind: Kind) -> int:
    """How many jobs of a kind are in these states. Reads them all: how many wait is known by storage.line."""
    return int(conn.execute(_OF_KIND, {"kind": kind, "states": list(states)}).scalar_one())


def lane(conn: Connection, kind: Kind) -> Lane:
    """The lane of a kind, made at first use."""
    found = _lane(conn, kind)
    if found is None:  # looked for first: even a row that is there makes an insert wait for who changes it
        conn.execute(_insert_lane(conn.dialect.name), {"kind": kind})
    return found or peek_lane(conn, kind)


def peek_lane(conn: Connection, kind: Kind) -> Lane:
    """The lane of a kind as it stands, for readers."""
    found = _lane(conn, kind)
    return found or Lane(
        kind=kind, rate=0.0, variance=0.0, samples=0, early=0.0, middle=0.0, late=0.0, failing=(), open_until=None
    )


def _lane(conn: Connection, kind: Kind) -> Lane | None:
    row = conn.execute(_LANE, {"kind": kind}).one_or_none()
    if row is None:
        return None
    failing = tuple((int(job), str(cause)) for job, cause in row.failing)
    return Lane(**{**row._mapping, "kind": kind, "failing": failing})


def set_lane(conn: Connection, kind: Kind, **values: Any) -> None:
    """Change a lane's rate or circuit."""
    conn.execute(_SET_LANE, {"of_kind": kind, **values})


def pause(conn: Connection, kind: Kind, paused: bool) -> None:
    """Stop claiming from a lane, or go on."""
    lane(conn, kind)
    set_lane(conn, kind, paused=paused)


def _job(row: Row[Any]) -> Job:
    data = {k: v for k, v in row._mapping.items() if k not in ("key", "lease_until", "since", "span")}
    data["kind"] = Kind(data["kind"])
    data["state"] = JobState(data["state"])
    data["origin"] = Origin.from_json(data["origin"])
    data["notices"] = tuple(data["notices"])
    return Job(**data)
