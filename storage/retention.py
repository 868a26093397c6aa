"""Deleting pictures after a time, in an order in which every file has a row and every row its file at any moment.

1. `retire`, one transaction: the pictures' rows say that they are removed, and their files are listed as leaving.
2. The files are deleted (bot/retention.py).
3. `gone`, one transaction: the list forgets them.

Whatever stops in between is taken up at the next turn: the list says what is left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, Text, delete, exists, func, not_, select, type_coerce, update

from storage import assets as kept
from storage.dialect import insert, serialise
from storage.records import DeliveryState, JobState, ReservationState, ReviewState
from storage.tables import assets, jobs, leaving, outbox, reservations, reviews, sources


@dataclass(frozen=True, kw_only=True, slots=True)
class Retired:
    """What was, or would be, deleted."""

    pictures: int  # that were drawn
    given: int  # that people gave to draw from
    size: int  # bytes

    def __add__(self, other: Retired) -> Retired:
        return Retired(
            pictures=self.pictures + other.pictures, given=self.given + other.given, size=self.size + other.size
        )


NOTHING = Retired(pictures=0, given=0, size=0)


def hold(conn: Connection) -> None:
    """Let no picture be retired until this transaction ends: it may order something that begins with one."""
    serialise(conn, "moqi-retention")


def due(conn: Connection, before: datetime) -> Retired:
    """What is older than `before` and needed by nothing that waits. Changes nothing."""
    used = _used(conn)
    return _counted(conn.execute(_old_pictures(before, used)).all(), conn.execute(_old_given(before, used)).all())


def retire(conn: Connection, before: datetime, days: int, now: datetime, limit: int) -> Retired:
    """Take up to `limit` of either sort that are older than `before` out, `days` being the rule; see above."""
    hold(conn)
    used = _used(conn)
    drawn = conn.execute(_old_pictures(before, used).limit(limit)).all()
    given = conn.execute(_old_given(before, used).limit(limit)).all()
    if drawn:
        marked = update(assets).where(assets.c.id.in_([row.id for row in drawn]))
        conn.execute(marked.values(removed=days))
    if given:
        conn.execute(delete(sources).where(sources.c.sha256.in_([row.sha256 for row in given])))
    for sha in {row.sha256 for row in (*drawn, *given)}:
        conn.execute(insert(conn, leaving).values(sha256=sha, since=now).on_conflict_do_nothing())
    return _counted(drawn, given)


def on_their_way(conn: Connection, limit: int) -> list[str]:
    """Files that are to be deleted, the longest waiting first."""
    statement = select(leaving.c.sha256).order_by(leaving.c.since, leaving.c.sha256).limit(limit)
    return list(conn.execute(statement).scalars())


def needed(conn: Connection, shas: Iterable[str]) -> set[str]:
    """Those of these files that a row needs, again or still: the same picture came a second time."""
    return {sha for sha in shas if kept.held(conn, sha)}


def gone(conn: Connection, shas: Iterable[str]) -> None:
    """These files are deleted, or needed after all."""
    conn.execute(delete(leaving).where(leaving.c.sha256.in_(list(shas))))


def _old_pictures(before: datetime, used: set[str]) -> Select[Any]:
    """Of jobs that have ended, about which nobody is to decide, and whose message is not still on its way."""
    ended = [state.value for state in JobState if state.terminal]
    judged = exists().where(reviews.c.job_id == jobs.c.id, reviews.c.state == ReviewState.PENDING)
    telling = exists().where(outbox.c.job_id == jobs.c.id, outbox.c.state == DeliveryState.PENDING)
    return (
        select(assets.c.id, assets.c.sha256, assets.c.size)
        .join(jobs, jobs.c.id == assets.c.job_id)
        .where(assets.c.removed.is_(None), assets.c.created_at < before, assets.c.sha256.not_in(used))
        .where(jobs.c.state.in_(ended), not_(telling), not_(judged))
        .order_by(assets.c.created_at)
    )


def _old_given(before: datetime, used: set[str]) -> Select[Any]:
    return select(sources.c.sha256, sources.c.size).where(sources.c.created_at < before, sources.c.sha256.not_in(used))


def _used(conn: Connection) -> set[str]:
    """The pictures that something begins with which is still to be drawn."""
    waiting = [state.value for state in JobState if not state.terminal]
    booked = [state.value for state in ReservationState if not state.terminal]
    found: set[str] = set()
    for table, states in ((jobs, waiting), (reservations, booked)):
        carries = func.instr if conn.dialect.name == "sqlite" else func.strpos
        statement = select(table.c.params).where(
            table.c.state.in_(states), carries(type_coerce(table.c.params, Text), '"source"') > 0
        )
        found |= {str(params["source"]["sha256"]) for params in conn.execute(statement).scalars() if "source" in params}
    return found


def _counted(drawn: Sequence[Row[Any]], given: Sequence[Row[Any]]) -> Retired:
    return Retired(pictures=len(drawn), given=len(given), size=sum(row.size for row in (*drawn, *given)))
