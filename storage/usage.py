"""What was drawn and answered in a span of time, by person: read from the ledger, where every price ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from storage.records import EntryKind, Kind, Payer
from storage.tables import assets, jobs, ledger, users

#: What is added up.
COUNTED = ("pictures", "picture_units", "answers", "answer_units", "failed", "returned")


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What one person used."""

    department: str  # the present one; empty = none
    user_id: int
    name: str
    pictures: int = 0  # delivered
    picture_units: int = 0
    answers: int = 0
    answer_units: int = 0
    failed: int = 0  # failed or cancelled: cost nothing
    returned: int = 0  # done, but never delivered: cost nothing


def of_people(conn: Connection, since: datetime, until: datetime) -> list[Usage]:
    """Everybody whose jobs ended from `since` to before `until`, by department and name.

    A job counts when it was settled or refunded. What was given back later is taken off the span it was made in.
    """
    closed = (  # distinct: a price may have come from several buckets
        select(ledger.c.job_id, ledger.c.kind)
        .where(ledger.c.kind.in_([EntryKind.SETTLE, EntryKind.REFUND]), ledger.c.account.like(f"{Payer.USER}:%"))
        .where(ledger.c.created_at >= since, ledger.c.created_at < until)
        .distinct()
        .subquery()
    )
    back = select(ledger.c.job_id).where(ledger.c.kind == EntryKind.RETURN).distinct().subquery()
    made = select(assets.c.job_id, func.count().label("pictures")).group_by(assets.c.job_id).subquery()
    key = (users.c.department, users.c.id, users.c.name, jobs.c.kind)
    returned = back.c.job_id.is_not(None)
    statement = (
        select(
            *key,
            closed.c.kind.label("closed"),
            returned.label("returned"),
            func.count().label("jobs"),
            func.sum(jobs.c.cost).label("units"),
            func.coalesce(func.sum(made.c.pictures), 0).label("pictures"),
        )
        .join_from(closed, jobs, jobs.c.id == closed.c.job_id)
        .join(users, users.c.id == jobs.c.user_id)
        .outerjoin(back, back.c.job_id == jobs.c.id)
        .outerjoin(made, made.c.job_id == jobs.c.id)
        .group_by(*key, closed.c.kind, returned)
    )
    found: dict[int, Usage] = {}
    for row in conn.execute(statement):
        before = found.get(row.id, Usage(department=row.department, user_id=row.id, name=row.name))
        found[row.id] = _with(before, row)
    return sorted(found.values(), key=lambda one: (one.department, one.name, one.user_id))


def total(many: Iterable[Usage], department: str) -> Usage:
    """What a department used together."""
    summed = dict.fromkeys(COUNTED, 0)
    for one in many:
        for name in COUNTED:
            summed[name] += getattr(one, name)
    return Usage(department=department, user_id=0, name="", **summed)


def _with(before: Usage, row: Row[Any]) -> Usage:
    if row.closed == EntryKind.REFUND:
        return replace(before, failed=before.failed + row.jobs)
    if row.returned:
        return replace(before, returned=before.returned + row.jobs)
    if row.kind == Kind.ASK:
        return replace(before, answers=before.answers + row.jobs, answer_units=before.answer_units + row.units)
    pictures, units = before.pictures + row.pictures, before.picture_units + row.units
    return replace(before, pictures=pictures, picture_units=units)
