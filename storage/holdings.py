"""The documents as operators look through them, a page at a time. Not filtered: admins see every name, and no text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, or_, select

from storage.documents import Holding, held
from storage.tables import document_access, documents, passages

AT_ONCE = 5000  # ids in one query; a database takes a few times as many


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Which documents."""

    words: str = ""  # each stands in the name or the title, in either case
    source: str | None = None  # what keeps them; empty = added by hand, None = whatever it is


def page(conn: Connection, wanted: Wanted, *, offset: int, limit: int) -> list[Holding]:
    """`limit` documents after the first `offset`, the newest first."""
    ordered = select(documents.c.id).where(*_matching(wanted)).order_by(documents.c.updated_at.desc(), documents.c.id)
    return held(conn, list(conn.execute(ordered.offset(offset).limit(limit)).scalars()))


def count(conn: Connection, wanted: Wanted) -> int:
    """How many there are in all."""
    return int(conn.execute(select(func.count()).select_from(documents).where(*_matching(wanted))).scalar_one())


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


def _matching(wanted: Wanted) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        or_(documents.c.name.icontains(word, autoescape=True), documents.c.title.icontains(word, autoescape=True))
        for word in wanted.words.split()
    ]
    return found if wanted.source is None else [*found, documents.c.source == wanted.source]
