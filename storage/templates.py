"""Prompt templates: every version of each stays, the newest one counts. A deleted one is a version without text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, or_, select

from storage.dialect import serialise
from storage.records import Scope, Template
from storage.tables import templates

Place = tuple[Scope, str]  # whose templates: a scope and the owner within it


def key_of(name: str) -> str:
    """What a name is looked up by: the same in any case and width."""
    return unicodedata.normalize("NFKC", name).casefold()


def get(conn: Connection, template_id: int) -> Template | None:
    """One version by its id; None for an unknown or deleted one."""
    return _template(conn.execute(select(templates).where(templates.c.id == template_id)).one_or_none())


def newest(conn: Connection, place: Place, name: str) -> Template | None:
    """The template of this name in one place; None when there is none, or it was deleted."""
    return _template(_last(conn, place, key_of(name)))


def version(conn: Connection, place: Place, name: str, number: int) -> Template | None:
    """An earlier version."""
    wanted = _in(place) & (templates.c.key == key_of(name)) & (templates.c.version == number)
    return _template(conn.execute(select(templates).where(wanted)).one_or_none())


def held(conn: Connection, places: Iterable[Place]) -> list[Template]:
    """All there are in these places, in their order, by name within each."""
    places = tuple(places)
    later = templates.alias()
    last = select(func.max(later.c.version)).where(
        later.c.scope == templates.c.scope, later.c.owner == templates.c.owner, later.c.key == templates.c.key
    )
    statement = select(templates).where(
        or_(*map(_in, places)), templates.c.body.is_not(None), templates.c.version == last.scalar_subquery()
    )
    found = [one for row in conn.execute(statement) if (one := _template(row)) is not None]
    return sorted(found, key=lambda one: (places.index((one.scope, one.owner)), key_of(one.name)))


def save(
    conn: Connection,
    place: Place,
    name: str,
    body: str | None,
    *,
    user_id: int | None,
    saved_by: str,
    now: datetime,
) -> Template | None:
    """Keep a new version; None as `body` deletes. Whoever made the template stays the one who may change it.

    The caller locked the place. Returns what is kept now.
    """
    last = _last(conn, place, key_of(name))
    known = last if last is not None and last.body is not None else None
    row = {
        "scope": place[0],
        "owner": place[1],
        "key": key_of(name),
        "version": 1 if last is None else last.version + 1,
        "name": name,
        "body": body,
        "user_id": user_id if known is None else known.user_id,
        "saved_by": saved_by,
        "saved_at": now,
    }
    return _template(conn.execute(templates.insert().values(row).returning(templates)).one())


def lock(conn: Connection, place: Place) -> None:
    """Let one at a time change the templates of a place until it commits."""
    serialise(conn, f"moqi-templates:{place[0].value}:{place[1]}")


def _last(conn: Connection, place: Place, key: str) -> Row[Any] | None:
    statement = select(templates).where(_in(place), templates.c.key == key)
    return conn.execute(statement.order_by(templates.c.version.desc()).limit(1)).one_or_none()


def _in(place: Place) -> ColumnElement[bool]:
    return (templates.c.scope == place[0]) & (templates.c.owner == place[1])


def _template(row: Row[Any] | None) -> Template | None:
    if row is None or row.body is None:
        return None
    values = {name: value for name, value in row._mapping.items() if name != "key"}
    return Template(**{**values, "scope": Scope(row.scope)})
