"""The documents as operators see them, a page at a time. Not filtered: the page shows admins names, and no text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, or_, select

from storage.documents import Holding
from storage.records import Document
from storage.tables import document_access, documents, passages

AT_ONCE = 5000  # ids in one query; a database takes a few times as many


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which documents."""

    words: str = ""  # each stands in the name or the title, in either case
    source: str | None = None  # what keeps them; empty = added by hand, None = whatever it is


def page(conn: Connection, wanted: Wanted, *, offset: int, limit: int) -> list[Holding]:
    """`limit` documents after the first `offset`, the newest first."""
    statement = select(documents).where(*_matching(wanted)).order_by(documents.c.updated_at.desc(), documents.c.id)
    rows = conn.execute(statement.offset(offset).limit(limit)).all()
    ids = [row.id for row in rows]
    held, readers = _passages(conn, ids), _readers(conn, ids)
    return [_holding(row, held.get(row.id, 0), readers.get(row.id, ())) for row in rows]


def count(conn: Connection, wanted: Wanted) -> int:
    """How many there are in all."""
    return int(conn.execute(select(func.count()).select_from(documents).where(*_matching(wanted))).scalar_one())


def sources(conn: Connection) -> dict[str, int]:
    """What keeps documents, with how many; the empty name is for those added by hand."""
    statement = select(documents.c.source, func.count()).group_by(documents.c.source).order_by(documents.c.source)
    return {row[0]: row[1] for row in conn.execute(statement)}


def get(conn: Connection, document_id: int) -> Holding | None:
    """The document of this id."""
    return _one(conn, documents.c.id == document_id)


def named(conn: Connection, name: str) -> Holding | None:
    """The document of this name."""
    return _one(conn, documents.c.name == name)


def grant(conn: Connection, document_id: int, principals: Iterable[str]) -> None:
    """Say who may read a document, from the next query on: those, and nobody else."""
    conn.execute(delete(document_access).where(document_access.c.document_id == document_id))
    rows = [{"document_id": document_id, "principal": principal} for principal in sorted(set(principals))]
    if rows:
        conn.execute(insert(document_access), rows)


def readable(conn: Connection, document_ids: Iterable[int], principals: frozenset[str]) -> set[int]:
    """Those of these documents that the principals may read; one that is gone nobody may."""
    mine = document_access.c.document_id.in_(set(document_ids)), document_access.c.principal.in_(principals)
    return set(conn.execute(select(document_access.c.document_id).where(*mine)).scalars())


def texts(conn: Connection, passage_ids: Iterable[int]) -> dict[int, str]:
    """What these passages say, as far as they are still there. At the machine only: it asks for nobody's rights."""
    wanted = sorted(set(passage_ids))
    found: dict[int, str] = {}
    for at in range(0, len(wanted), AT_ONCE):
        some = passages.c.id.in_(wanted[at : at + AT_ONCE])
        found |= {row.id: row.text for row in conn.execute(select(passages.c.id, passages.c.text).where(some))}
    return found


def _one(conn: Connection, which: ColumnElement[bool]) -> Holding | None:
    row = conn.execute(select(documents).where(which)).one_or_none()
    if row is None:
        return None
    held, readers = _passages(conn, [row.id]), _readers(conn, [row.id])
    return _holding(row, held.get(row.id, 0), readers.get(row.id, ()))


def _matching(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        or_(documents.c.name.icontains(word, autoescape=True), documents.c.title.icontains(word, autoescape=True))
        for word in wanted.words.split()
    ]
    return found if wanted.source is None else [*found, documents.c.source == wanted.source]


def _passages(conn: Connection, ids: Sequence[int]) -> dict[int, int]:
    counted = select(passages.c.document_id, func.count()).where(passages.c.document_id.in_(ids))
    return {row[0]: row[1] for row in conn.execute(counted.group_by(passages.c.document_id))}


def _readers(conn: Connection, ids: Sequence[int]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for row in conn.execute(select(document_access).where(document_access.c.document_id.in_(ids))):
        found.setdefault(row.document_id, []).append(row.principal)
    return found


def _holding(row: Any, held: int, readers: Iterable[str]) -> Holding:
    kept = Document(
        id=row.id, name=row.name, title=row.title, sha256=row.sha256, updated_at=row.updated_at, url=row.url
    )
    values = {name: getattr(row, name) for name in ("recipe", "source", "ref", "revision")}
    return Holding(document=kept, passages=held, principals=frozenset(readers), **values)
