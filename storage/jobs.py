"""Jobs and the lanes they wait in. Decisions (whose turn, what price) are made in scheduler/; here are the queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Row, and_, bindparam, func, or_, select, update

from storage.dialect import insert_on
from storage.records import Job, JobState, Kind, Origin
from storage.tables import jobs, lanes, turns

# Built once: every picture passes here a dozen times, and building a statement takes longer than running it.
_GET = select(jobs).where(jobs.c.id == bindparam("id"))
_BY_KEY = select(jobs).where(jobs.c.key == bindparam("key"))
_LANE = select(lanes).where(lanes.c.kind == bindparam("kind"))
_VFINISH = select(turns.c.vfinish).where(turns.c.kind == bindparam("kind"), turns.c.user_id == bindparam("user"))
_OF_KIND = (
    select(func.count())
    .select_from(jobs)
    .where(jobs.c.kind == bindparam("kind"), jobs.c.state.in_(bindparam("states", expanding=True)))
)
_OF_USER = _OF_KIND.where(jobs.c.user_id == bindparam("user"))
_OF_EACH = (
    select(jobs.c.user_id, func.count().label("running"))
    .where(jobs.c.kind == bindparam("kind"), jobs.c.state == JobState.RUNNING)
    .group_by(jobs.c.user_id)
)
_AHEAD = select(func.count(), func.coalesce(func.sum(jobs.c.weight), 0.0)).where(
    jobs.c.kind == bindparam("kind"),
    jobs.c.state == JobState.QUEUED,
    or_(
        jobs.c.priority < bindparam("priority"),
        and_(jobs.c.priority == bindparam("priority"), jobs.c.vtag < bindparam("vtag")),
        and_(jobs.c.priority == bindparam("priority"), jobs.c.vtag == bindparam("vtag"), jobs.c.id < bindparam("id")),
    ),
)
# What these set is named by the values they are executed with.
_LEASE = update(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True)), jobs.c.state == JobState.QUEUED)
_LEASE = _LEASE.values(attempt=jobs.c.attempt + 1)
_END = update(jobs).where(
    jobs.c.id == bindparam("of_id"), jobs.c.token == bindparam("of_token"), jobs.c.state == JobState.RUNNING
)
_END_DONE = _END.where(jobs.c.cancel_requested.is_(False))
_SET_LANE = update(lanes).where(lanes.c.kind == bindparam("of_kind"))
_RUNNING_WORK = select(func.coalesce(func.sum(jobs.c.weight), 0.0)).where(
    jobs.c.kind == bindparam("kind"), jobs.c.state == JobState.RUNNING
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
    return insert_on(dialect, jobs).on_conflict_do_nothing(index_elements=["key"]).returning(jobs.c.id)


@cache
def _insert_lane(dialect: str) -> Any:
    return insert_on(dialect, lanes).on_conflict_do_nothing(index_elements=["kind"])


@cache
def _upsert_turn(dialect: str) -> Any:
    statement = insert_on(dialect, turns)
    return statement.on_conflict_do_update(
        index_elements=["kind", "user_id"], set_={"vfinish": statement.excluded.vfinish}
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """The state of one kind of work."""

    kind: Kind
    vtime: float
    rate: float  # seconds per unit of work
    samples: int
    failures: int
    open_until: datetime | None  # the circuit is open: nothing is claimed before this
    paused: bool = False  # by an admin


def add(conn: Connection, *, key: str, kind: Kind, now: datetime, origin: Origin, **values: Any) -> int | None:
    """Insert a queued job; None when a job of this key exists (the event was seen before)."""
    row = {"key": key, "kind": kind, "state": JobState.QUEUED, "created_at": now, "origin": origin.to_json(), **values}
    found = conn.execute(_insert_job(conn.dialect.name), row).scalar_one_or_none()
    return None if found is None else int(found)


def get(conn: Connection, job_id: int) -> Job | None:
    """The job of this id."""
    row = conn.execute(_GET, {"id": job_id}).one_or_none()
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


def redone_since(conn: Connection, parent_id: int, user_id: int, since: datetime) -> bool:
    """Whether this person ordered the job again after `since`."""
    statement = select(jobs.c.id).where(
        jobs.c.parent_id == parent_id, jobs.c.user_id == user_id, jobs.c.created_at > since
    )
    return conn.execute(statement.limit(1)).first() is not None


def waiting(conn: Connection, kind: Kind, now: datetime, limit: int) -> list[Job]:
    """Queued jobs that may run now, in the order of their turn."""
    return [_job(row) for row in conn.execute(_WAITING, {"kind": kind, "now": now, "limit": limit})]


def running_per_user(conn: Connection, kind: Kind) -> dict[int, int]:
    """How many jobs of each person run now."""
    return {row.user_id: row.running for row in conn.execute(_OF_EACH, {"kind": kind})}


def lease(conn: Connection, ids: Sequence[int], token: str, until: datetime, now: datetime) -> None:
    """Hand queued jobs to the worker that holds `token`."""
    held = {"state": JobState.RUNNING, "token": token, "lease_until": until, "started_at": now}
    conn.execute(_LEASE, {"ids": ids, **held})


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
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.QUEUED)
    return conn.execute(statement.values(state=state, finished_at=now, **values)).rowcount == 1


def charge(conn: Connection, job_id: int, cost: int, notices: Sequence[dict[str, Any]]) -> None:
    """Write what a job really cost, and what its owner is told about that."""
    conn.execute(update(jobs).where(jobs.c.id == job_id).values(cost=cost, notices=notices))


def requeue(conn: Connection, job_id: int, token: str, *, lost: int = 0, attempt: int = 0, **values: Any) -> bool:
    """Put a running job back to its old place, moving its counters by `lost` and `attempt`; `values` change more."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.token == token, jobs.c.state == JobState.RUNNING)
    return (
        conn.execute(
            statement.values(
                state=JobState.QUEUED,
                token="",
                lease_until=None,
                lost=jobs.c.lost + lost,
                attempt=jobs.c.attempt + attempt,
                **values,
            )
        ).rowcount
        == 1
    )


def ask_to_cancel(conn: Connection, job_id: int, why: str | None = None) -> bool:
    """Flag a running job; its worker sees it at the next step. `why` is kept as its error."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.RUNNING)
    return conn.execute(statement.values(cancel_requested=True, error=why)).rowcount == 1


def expired(conn: Connection, now: datetime | None) -> list[Job]:
    """Running jobs whose lease ran out; with None every running one (the data folder has a single owner)."""
    statement = select(jobs).where(jobs.c.state == JobState.RUNNING)
    if now is not None:
        statement = statement.where(jobs.c.lease_until < now)
    return [_job(row) for row in conn.execute(statement.order_by(jobs.c.id))]


def closed_out(conn: Connection, now: datetime) -> list[Job]:
    """Queued jobs that may no longer start."""
    statement = select(jobs).where(jobs.c.state == JobState.QUEUED, jobs.c.not_after <= now).order_by(jobs.c.id)
    return [_job(row) for row in conn.execute(statement)]


def window_work(conn: Connection, kind: Kind, now: datetime, closes: datetime) -> float:
    """The work of queued jobs that wait for their window and must begin before it closes, by `closes` at the latest."""
    statement = select(func.coalesce(func.sum(jobs.c.weight), 0.0)).where(
        jobs.c.kind == kind, jobs.c.state == JobState.QUEUED, jobs.c.not_after > now, jobs.c.not_after <= closes
    )
    return float(conn.execute(statement).scalar_one())


def running_work(conn: Connection, kind: Kind) -> float:
    """The work that runs now."""
    return float(conn.execute(_RUNNING_WORK, {"kind": kind}).scalar_one())


def ahead(conn: Connection, job: Job) -> tuple[int, float]:
    """What is served before a queued job: how many wait, and their work."""
    place = {"kind": job.kind, "priority": job.priority, "vtag": job.vtag, "id": job.id}
    count, weight = conn.execute(_AHEAD, place).one()
    return int(count), float(weight)


def count(conn: Connection, *states: JobState, kind: Kind, user_id: int | None = None) -> int:
    """How many jobs of a kind are in these states, of everybody or of one person."""
    values = {"kind": kind, "states": list(states)}
    if user_id is None:
        return int(conn.execute(_OF_KIND, values).scalar_one())
    return int(conn.execute(_OF_USER, {**values, "user": user_id}).scalar_one())


def lane(conn: Connection, kind: Kind) -> Lane:
    """The lane of a kind, made at first use."""
    found = _lane(conn, kind)
    if found is None:  # looked for first: even a row that is there makes an insert wait for who changes it
        conn.execute(_insert_lane(conn.dialect.name), {"kind": kind})
    return found or peek_lane(conn, kind)


def peek_lane(conn: Connection, kind: Kind) -> Lane:
    """The lane of a kind as it stands, for readers."""
    found = _lane(conn, kind)
    return found or Lane(kind=kind, vtime=0.0, rate=0.0, samples=0, failures=0, open_until=None)


def _lane(conn: Connection, kind: Kind) -> Lane | None:
    row = conn.execute(_LANE, {"kind": kind}).one_or_none()
    return None if row is None else Lane(**{**row._mapping, "kind": kind})


def set_lane(conn: Connection, kind: Kind, **values: Any) -> None:
    """Change a lane's virtual time, rate or circuit."""
    conn.execute(_SET_LANE, {"of_kind": kind, **values})


def pause(conn: Connection, kind: Kind, paused: bool) -> None:
    """Stop claiming from a lane, or go on."""
    lane(conn, kind)
    set_lane(conn, kind, paused=paused)


def vfinish(conn: Connection, kind: Kind, user_id: int) -> float:
    """Where the person's last job ends in the lane's virtual time."""
    return float(conn.execute(_VFINISH, {"kind": kind, "user": user_id}).scalar_one_or_none() or 0.0)


def set_vfinish(conn: Connection, kind: Kind, user_id: int, value: float) -> None:
    """Remember where the person's last job ends."""
    conn.execute(_upsert_turn(conn.dialect.name), {"kind": kind, "user_id": user_id, "vfinish": value})


def _job(row: Row[Any]) -> Job:
    data = {k: v for k, v in row._mapping.items() if k not in ("key", "lease_until")}
    data["kind"] = Kind(data["kind"])
    data["state"] = JobState(data["state"])
    data["origin"] = Origin.from_json(data["origin"])
    data["notices"] = tuple(data["notices"])
    return Job(**data)
