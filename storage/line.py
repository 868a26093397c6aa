"""The line of each lane: how many wait, of everybody and of one person, and what comes before a job.

Counting rows would make every order slower the longer the line is. So the waiting jobs, in the order of their turns,
are cut into stretches: a row knows where its stretch begins, how many jobs lie in it and their work. A place is the sum
of the stretches before, and a count within one. `turns` counts the jobs of each person. Both are kept in the
transaction that changes a job's state, by the one who holds the lane (storage.dialect.serialise), and are exact;
`scheduler.verify` compares them with the jobs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
    tuple_,
    update,
)

from storage.dialect import insert_on
from storage.records import JobState, Kind
from storage.tables import classes, jobs, stretches, turns

#: A stretch with this many jobs is cut in two. Places cost a look at each stretch and at the jobs of one of them.
FULL = 256

_KEY: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in ("kind", "priority", "vtag", "id")}
_ORDER = (stretches.c.vtag, stretches.c.id)
_CLASS = and_(stretches.c.kind == _KEY["kind"], stretches.c.priority == _KEY["priority"])
_AT = and_(_CLASS, tuple_(*_ORDER) <= tuple_(_KEY["vtag"], _KEY["id"]))
_OWN = select(stretches).where(_AT).order_by(*(column.desc() for column in _ORDER)).limit(1)
_NEXT = (
    select(stretches.c.vtag, stretches.c.id)
    .where(_CLASS, tuple_(*_ORDER) > tuple_(_KEY["vtag"], _KEY["id"]))
    .order_by(*_ORDER)
    .limit(1)
)
_ROW = and_(_CLASS, stretches.c.vtag == _KEY["vtag"], stretches.c.id == _KEY["id"])
_JOIN = update(stretches).where(
    stretches.c.kind == bindparam("of_kind"),
    stretches.c.priority == bindparam("of_priority"),
    stretches.c.vtag == bindparam("of_vtag"),
    stretches.c.id == bindparam("of_id"),
)
_JOIN = _JOIN.values(jobs=stretches.c.jobs + bindparam("more"), work=stretches.c.work + bindparam("heavier"))
_DROP = delete(stretches).where(_ROW)
_TOTAL = select(func.coalesce(func.sum(stretches.c.jobs), 0)).where(stretches.c.kind == bindparam("kind"))
_BEFORE = select(func.coalesce(func.sum(stretches.c.jobs), 0), func.coalesce(func.sum(stretches.c.work), 0.0)).where(
    stretches.c.kind == _KEY["kind"],
    tuple_(stretches.c.priority, *_ORDER) < tuple_(_KEY["priority"], _KEY["vtag"], _KEY["id"]),
)
_JOBS = (jobs.c.vtag, jobs.c.id)
_QUEUED = and_(jobs.c.kind == _KEY["kind"], jobs.c.state == JobState.QUEUED.value, jobs.c.priority == _KEY["priority"])
_FROM = and_(_QUEUED, tuple_(*_JOBS) >= tuple_(_KEY["vtag"], _KEY["id"]))
_TO = tuple_(*_JOBS) < tuple_(bindparam("to_vtag"), bindparam("to_id"))
_WITHIN = select(func.count(), func.coalesce(func.sum(jobs.c.weight), 0.0)).where(_FROM, _TO)
_BEYOND = select(func.count(), func.coalesce(func.sum(jobs.c.weight), 0.0)).where(_FROM)
_MIDDLE = select(*_JOBS).where(_FROM).order_by(*_JOBS).offset(bindparam("half", type_=Integer)).limit(1)
_MINE = select(turns.c.priority, turns.c.vfinish, turns.c.waiting).where(
    turns.c.kind == bindparam("kind"), turns.c.user_id == bindparam("user")
)
_LESS = update(turns).where(
    turns.c.kind == bindparam("of_kind"),
    turns.c.user_id == bindparam("of_user_id"),
    turns.c.priority == bindparam("of_priority"),
)
_LESS = _LESS.values(waiting=turns.c.waiting - 1)
_VTIME = select(classes.c.vtime).where(classes.c.kind == bindparam("kind"), classes.c.priority == bindparam("priority"))
_FORGIVE = update(turns).where(
    turns.c.kind == bindparam("of_kind"),
    turns.c.user_id == bindparam("of_user_id"),
    turns.c.priority == bindparam("of_priority"),
)
_FORGIVE = _FORGIVE.values(vfinish=turns.c.vfinish - bindparam("span"))
#: What the functions below need to know of a job.
COLUMNS = (jobs.c.kind, jobs.c.user_id, jobs.c.priority, jobs.c.vtag, jobs.c.id, jobs.c.weight, jobs.c.span)


@cache
def _upsert_turn(dialect: str) -> Any:
    statement = insert_on(dialect, turns)
    return statement.on_conflict_do_update(
        index_elements=["kind", "user_id", "priority"],
        set_={"vfinish": statement.excluded.vfinish},
    )


@cache
def _count_turn(dialect: str) -> Any:
    statement = insert_on(dialect, turns)
    return statement.on_conflict_do_update(
        index_elements=["kind", "user_id", "priority"],
        set_={"waiting": turns.c.waiting + statement.excluded.waiting},
    )


@cache
def _enter_turn(dialect: str) -> Any:
    statement = insert_on(dialect, turns)
    return statement.on_conflict_do_update(
        index_elements=["kind", "user_id", "priority"],
        set_={"waiting": turns.c.waiting + statement.excluded.waiting, "vfinish": statement.excluded.vfinish},
    )


@cache
def _upsert_class(dialect: str) -> Any:
    statement = insert_on(dialect, classes)
    return statement.on_conflict_do_update(
        index_elements=["kind", "priority"], set_={"vtime": statement.excluded.vtime}
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """What the line of a lane knows of one person."""

    waiting: int  # of the person's jobs
    ends: Mapping[int, float]  # by priority where the last one ends in its virtual time

    def end(self, priority: int) -> float:
        """Where the person's last job of a class ends in its virtual time."""
        return self.ends.get(priority, 0.0)


# --- who waits --------------------------------------------------------------------------------------------------


def enter(conn: Connection, job: Any) -> None:
    """A new job waits from now on, and its person's next one comes behind it. `job` has the values of COLUMNS."""
    row = {"kind": job.kind, "user_id": job.user_id, "priority": job.priority, "waiting": 1}
    conn.execute(_enter_turn(conn.dialect.name), {**row, "vfinish": job.vtag + job.span})
    _place(conn, job)


def join(conn: Connection, job: Any) -> None:
    """A job waits again, at the place it has."""
    _count(conn, job, 1)
    _place(conn, job)


def _place(conn: Connection, job: Any) -> None:
    own = conn.execute(_OWN, _key(job)).one_or_none()
    if own is None:
        conn.execute(stretches.insert(), {**_key(job), "jobs": 1, "work": job.weight})
        return
    _change(conn, own, 1, job.weight)
    if own.jobs + 1 >= FULL:
        _cut(conn, own)


def leave(conn: Connection, job: Any) -> None:
    """A job waits no longer: it runs, or has ended, or moves to another place."""
    _count(conn, job, -1)
    own = conn.execute(_OWN, _key(job)).one()
    if own.jobs == 1:
        conn.execute(_DROP, _key(own))
    else:
        _change(conn, own, -1, -job.weight)


def _count(conn: Connection, job: Any, more: int) -> None:
    row = {"kind": job.kind, "user_id": job.user_id, "priority": job.priority, "vfinish": 0.0, "waiting": 1}
    if more > 0:
        conn.execute(_count_turn(conn.dialect.name), row)
    else:  # not by the same statement: its insert is checked first, and a count below zero is refused
        conn.execute(_LESS, {f"of_{name}": row[name] for name in ("kind", "user_id", "priority")})


def _change(conn: Connection, own: Any, more: int, heavier: float) -> None:
    where = {f"of_{name}": value for name, value in _key(own).items()}
    conn.execute(_JOIN, {**where, "more": more, "heavier": heavier})


def _cut(conn: Connection, own: Any) -> None:
    """Let the second half of a stretch be one of its own."""
    middle = conn.execute(_MIDDLE, {**_key(own), "half": FULL // 2}).one()
    begins = {**_key(own), "vtag": middle.vtag, "id": middle.id}
    after = conn.execute(_NEXT, begins).one_or_none()
    if after is None:
        count, work = conn.execute(_BEYOND, begins).one()
    else:
        count, work = conn.execute(_WITHIN, {**begins, "to_vtag": after.vtag, "to_id": after.id}).one()
    _change(conn, own, -count, -work)
    conn.execute(stretches.insert(), {**begins, "jobs": count, "work": work})


def _key(row: Any) -> dict[str, Any]:
    return {"kind": row.kind, "priority": row.priority, "vtag": row.vtag, "id": row.id}


# --- how many, and where ----------------------------------------------------------------------------------------


def waiting(conn: Connection, kind: Kind) -> int:
    """How many jobs wait, of everybody."""
    return int(conn.execute(_TOTAL, {"kind": kind}).scalar_one())


def person(conn: Connection, kind: Kind, user_id: int) -> Person:
    """How many jobs of one person wait, and where the last ones end."""
    rows = conn.execute(_MINE, {"kind": kind, "user": user_id}).all()
    return Person(waiting=sum(row.waiting for row in rows), ends={row.priority: row.vfinish for row in rows})


def ahead(conn: Connection, job: Any) -> tuple[int, float]:
    """How many wait before this place, and their work. The place need not be taken: see `scheduler.queue.preview`."""
    key = _key(job)
    own = conn.execute(_OWN, key).one_or_none()
    if own is None:
        count, work = conn.execute(_BEFORE, key).one()
        return int(count), float(work)
    count, work = conn.execute(_BEFORE, _key(own)).one()
    within = {**_key(own), "to_vtag": key["vtag"], "to_id": key["id"]}
    nearer, their_work = conn.execute(_WITHIN, within).one()
    return int(count + nearer), float(work + their_work)


# --- virtual time -----------------------------------------------------------------------------------------------


def vtime(conn: Connection, kind: Kind, priority: int) -> float:
    """The virtual time of a class: the tag that it served last."""
    return float(conn.execute(_VTIME, {"kind": kind, "priority": priority}).scalar_one_or_none() or 0.0)


def set_vtime(conn: Connection, kind: Kind, priority: int, value: float) -> None:
    """Move a class on."""
    conn.execute(_upsert_class(conn.dialect.name), {"kind": kind, "priority": priority, "vtime": value})


def set_vfinish(conn: Connection, kind: Kind, user_id: int, priority: int, value: float) -> None:
    """Remember where the person's last job ends."""
    row = {"kind": kind, "user_id": user_id, "priority": priority, "vfinish": value, "waiting": 0}
    conn.execute(_upsert_turn(conn.dialect.name), row)


def forgive(conn: Connection, job: Any) -> None:
    """A job left without having run: its person's next one comes so much earlier."""
    of = {f"of_{name}": getattr(job, name) for name in ("kind", "user_id", "priority")}
    conn.execute(_FORGIVE, {**of, "span": job.span})


def hand_over(conn: Connection, former: int, person: int) -> None:
    """All jobs of one person are another's from now on: their places stay, whose they are is counted anew."""
    for row in conn.execute(select(turns).where(turns.c.user_id == former)).all():
        mine = {"kind": row.kind, "user_id": person, "priority": row.priority, "waiting": row.waiting}
        statement = insert_on(conn.dialect.name, turns).values(**mine, vfinish=row.vfinish)
        behind = case((turns.c.vfinish < row.vfinish, row.vfinish), else_=turns.c.vfinish)
        conn.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "user_id", "priority"],
                set_={"waiting": turns.c.waiting + row.waiting, "vfinish": behind},
            )
        )
    conn.execute(delete(turns).where(turns.c.user_id == former))


# --- whether it is right ----------------------------------------------------------------------------------------


def wrong(conn: Connection) -> list[str]:
    """Where the stretches or the counts of people are not those of the jobs that wait; empty = nowhere."""
    rows = conn.execute(select(stretches).order_by(*stretches.primary_key.columns)).all()
    begins = [tuple(_key(row).values()) for row in rows]
    counts, works = [0] * len(rows), [0.0] * len(rows)
    people: dict[tuple[str, int, int], int] = {}
    broken = []
    for job in conn.execute(select(*COLUMNS).where(literal_column("jobs.state") == JobState.QUEUED.value)):
        person = (job.kind, job.user_id, job.priority)
        people[person] = people.get(person, 0) + 1
        at = bisect_right(begins, tuple(_key(job).values())) - 1
        if at < 0 or begins[at][:2] != (job.kind, job.priority):
            broken.append(f"job {job.id} waits in no stretch of its line")
        else:
            counts[at], works[at] = counts[at] + 1, works[at] + job.weight
    for row, count, work in zip(rows, counts, works, strict=True):
        if row.jobs != count or abs(row.work - work) > 1e-6 * (1 + work):
            broken.append(
                f"line of {row.kind} {row.priority} from {row.vtag:g}: "
                f"counts {row.jobs} jobs ({row.work:g}), there are {count} ({work:g})"
            )
    counted = {(row.kind, row.user_id, row.priority): row.waiting for row in conn.execute(select(turns))}
    for person in sorted(counted.keys() | people.keys()):
        if counted.get(person, 0) != people.get(person, 0):
            kind, user, priority = person
            found = f"counts {counted.get(person, 0)} waiting, there are {people.get(person, 0)}"
            broken.append(f"person {user} in the line of {kind} {priority}: {found}")
    return broken
