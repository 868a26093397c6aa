"""Finding pictures: by words, person, model, day and size, newest first, each once, and only those one may see.

Who sees what is decided by `bot.access.sees`; here the same stands as a condition, and a test holds the two together.
Every way of asking goes through it: a page, what can be chosen from, and an export.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, or_, select

from storage import assets as kept
from storage import jobs as orders
from storage import pictures_index, users
from storage.pictures_index import Term
from storage.records import Asset, Job, JobState
from storage.tables import assets, jobs
from storage.tables import users as people


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """Whose pictures somebody may see. Made by bot.access."""

    user_id: int
    groups: frozenset[str] = frozenset()  # platform:chat id, where they have spoken
    everything: bool = False  # admins, but for what is private
    only: str = ""  # a group that reads along: nothing but what was ordered there


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is looked for; what is empty does not matter."""

    terms: tuple[Term, ...] = ()  # all of them
    owners: tuple[int, ...] | None = None  # any of these people; empty = of nobody
    model: str = ""
    first_day: str = ""  # in the team's zone, both included: 2026-11-01
    last_day: str = ""
    size: tuple[int, int] | None = None  # width, height
    ids: tuple[int, ...] | None = None  # of these pictures alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A picture with what it was ordered as, and by whom."""

    asset: Asset
    job: Job
    owner: str  # name


@dataclass(frozen=True, kw_only=True, slots=True)
class Choices:
    """What somebody can narrow a search down to: nothing that they have no picture of to see."""

    people: tuple[tuple[int, str], ...]
    models: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]


def page(conn: Connection, sight: Sight, wanted: Wanted, *, before: int | None = None, limit: int = 24) -> list[Found]:
    """The newest `limit` pictures, older than the asset `before`."""
    rows: list[Row[Any]] = []
    while len(rows) < limit:
        batch = _next(conn, sight, wanted, before, limit)
        again = _shown_before(conn, sight, wanted, batch)
        rows += [row for row in batch if row.id not in again]
        if len(batch) < limit:
            break
        before = batch[-1].id
    return _found(conn, rows[:limit])


def count(conn: Connection, sight: Sight, wanted: Wanted) -> int:
    """How many pictures there are in all, each file once."""
    shas: set[str] = set()
    for branch in _branches(sight):
        shas |= set(conn.execute(_visible(select(assets.c.sha256), branch).where(*_matching(conn, wanted))).scalars())
    return len(shas)


def choices(conn: Connection, sight: Sight) -> Choices:
    """The people, models and sizes that there are among what somebody may see."""
    owners: dict[int, str] = {}
    models: set[str] = set()
    sizes: set[tuple[int, int]] = set()
    for branch in _branches(sight):
        columns = (assets.c.user_id, people.c.name, assets.c.model, assets.c.width, assets.c.height)
        statement = _visible(select(*columns), branch).join(people, people.c.id == assets.c.user_id).distinct()
        for row in conn.execute(statement):
            owners[row.user_id] = row.name
            models.add(row.model)
            sizes.add((row.width, row.height))
    return Choices(
        people=tuple(sorted(owners.items(), key=lambda one: (one[1], one[0]))),
        models=tuple(sorted(models - {""})),
        sizes=tuple(sorted(sizes, key=lambda one: (one[0] * one[1], one))),
    )


def _branches(sight: Sight) -> Iterator[ColumnElement[bool]]:
    """The parts of what may be seen, each of which an index finds in order; a picture may be in two of them."""
    own, open_ = assets.c.user_id == sight.user_id, assets.c.private.is_(False)
    if sight.only:
        yield and_(assets.c.chat == sight.only, open_)
    elif sight.everything:
        yield or_(own, open_)
    else:
        yield own
        for group in sorted(sight.groups):  # one by one: several together would all have to be sorted
            yield and_(assets.c.chat == group, open_)


def _visible(statement: Select[Any], branch: ColumnElement[bool]) -> Select[Any]:
    # Looked up for each picture: joined, SQLite would begin with all finished jobs.
    done = exists().where(jobs.c.id == assets.c.job_id, jobs.c.state == JobState.DONE)
    return statement.where(branch, assets.c.removed.is_(None), done)


def _matching(conn: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    found = [pictures_index.holding(conn, wanted.terms)] if wanted.terms else []
    if wanted.owners is not None:
        found.append(assets.c.user_id.in_(wanted.owners))
    if wanted.model:
        found.append(assets.c.model == wanted.model)
    if wanted.first_day:
        found.append(assets.c.day >= wanted.first_day)
    if wanted.last_day:
        found.append(assets.c.day <= wanted.last_day)
    if wanted.size is not None:
        found += [assets.c.width == wanted.size[0], assets.c.height == wanted.size[1]]
    if wanted.ids is not None:
        found.append(assets.c.id.in_(wanted.ids))
    return found


def _next(conn: Connection, sight: Sight, wanted: Wanted, before: int | None, limit: int) -> list[Row[Any]]:
    rows: dict[int, Row[Any]] = {}
    where = _matching(conn, wanted) + ([] if before is None else [assets.c.id < before])
    for branch in _branches(sight):
        statement = _visible(select(assets), branch).where(*where).order_by(assets.c.id.desc()).limit(limit)
        rows |= {row.id: row for row in conn.execute(statement)}
    return sorted(rows.values(), key=lambda row: -row.id)[:limit]


def _shown_before(conn: Connection, sight: Sight, wanted: Wanted, rows: Sequence[Row[Any]]) -> set[int]:
    """Those that are found a second time further up: the same file, newer."""
    shas = {row.sha256 for row in rows}
    several = select(assets.c.sha256).where(assets.c.sha256.in_(shas)).group_by(assets.c.sha256)
    doubled = set(conn.execute(several.having(func.count() > 1)).scalars())
    again = set()
    for row in rows:
        if row.sha256 in doubled:
            ids = set(_of_file(conn, row.sha256)) & set(wanted.ids or _of_file(conn, row.sha256))
            same = replace(wanted, ids=tuple(ids))
            again |= {row.id} if _next(conn, sight, same, None, 1)[0].id != row.id else set()
    return again


def _of_file(conn: Connection, sha256: str) -> tuple[int, ...]:
    return tuple(conn.execute(select(assets.c.id).where(assets.c.sha256 == sha256)).scalars())


def _found(conn: Connection, rows: Sequence[Row[Any]]) -> list[Found]:
    ordered = orders.of_ids(conn, {row.job_id for row in rows})
    names = users.of_ids(conn, {row.user_id for row in rows})
    return [Found(asset=kept.of_row(row), job=ordered[row.job_id], owner=names[row.user_id].name) for row in rows]
