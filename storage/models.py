"""Which model an admin chose, for each kind of work. One row: every process follows it, and a restart keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, update

from storage.dialect import insert
from storage.records import Kind, Origin
from storage.tables import model_choices

_CHOSEN = select(model_choices).where(model_choices.c.kind == bindparam("kind"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The newest choice."""

    version: int = 0  # 0 = nobody ever chose
    name: str = ""  # empty = what model.yaml says
    before: str = ""  # what was in use
    actor: str = ""
    at: datetime | None = None
    origin: Origin | None = None  # the chat that hears how it went
    settled: bool = True  # a process draws with it


def chosen(conn: Connection, kind: Kind) -> Chosen:
    """The newest choice for this kind of work."""
    row = conn.execute(_CHOSEN, {"kind": kind}).one_or_none()
    if row is None:
        return Chosen()
    return Chosen(
        version=row.version,
        name=row.name,
        before=row.before,
        actor=row.actor,
        at=row.at,
        origin=None if row.origin is None else Origin.from_json(row.origin),
        settled=row.settled,
    )


def choose(conn: Connection, kind: Kind, choice: Chosen) -> None:
    """Put this choice in the place of the one before. Its version must have been read in this transaction, locked."""
    values = {
        "version": choice.version,
        "name": choice.name,
        "before": choice.before,
        "actor": choice.actor,
        "at": choice.at,
        "origin": None if choice.origin is None else choice.origin.to_json(),
        "settled": choice.settled,
    }
    statement = insert(conn, model_choices).values(kind=kind, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["kind"], set_=values))


def settle(conn: Connection, kind: Kind, version: int) -> bool:
    """A process draws with this choice. False when one did before, or another was chosen since."""
    found = update(model_choices).where(
        model_choices.c.kind == kind, model_choices.c.version == version, model_choices.c.settled.is_(False)
    )
    return conn.execute(found.values(settled=True)).rowcount == 1
