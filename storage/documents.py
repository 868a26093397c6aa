"""The knowledge base: documents, who may read them, and their passages. Finding them: storage/lexical.py.

Everything that returns text of a document takes the `principals` the reader has ("everyone", "user:12",
"user:feishu:ou_1", "dept:设计部", "group:feishu:oc_1"); no principals, no text. `holdings` is the operator's list and
is not filtered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from storage import lexical
from storage.passages import passage_of, readable_by
from storage.records import Document, NewPassage, Passage, utcnow
from storage.tables import document_access, documents, passages
from storage.writer import erased

#: The principal that every reader has.
EVERYONE = "everyone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """A document as the operator sees it."""

    document: Document
    recipe: str
    source: str  # what it is kept in step with; empty when added by hand
    ref: str  # its id in that source; empty where its name is its id
    revision: str  # which version of it that source had
    passages: int
    principals: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """How much the knowledge base holds."""

    documents: int
    passages: int
    characters: int


# --- writing ----------------------------------------------------------------------------------------------------


def put_document(
    conn: Connection,
    *,
    name: str,
    title: str,
    sha256: str,
    recipe: str,
    pieces: Sequence[NewPassage],
    principals: Iterable[str],
    source: str = "",
    ref: str = "",
    revision: str = "",
    url: str = "",
    now: datetime | None = None,
) -> int:
    """Put a document in, or a new version in the old one's place, with its index and its readers. Returns its id.

    The old one is that of the same `ref`, else of the same name. A name that another document has is refused.
    """
    values: dict[str, Any] = {
        "name": name,
        "title": title,
        "sha256": sha256,
        "recipe": recipe,
        "source": source,
        "ref": ref,
    }
    values |= {"revision": revision, "url": url, "updated_at": now or utcnow()}
    same = documents.c.ref == ref if ref else documents.c.name == name
    document = conn.execute(select(documents.c.id).where(same)).scalar_one_or_none()
    if document is None:
        document = conn.execute(insert(documents).values(**values).returning(documents.c.id)).scalar_one()
    else:
        conn.execute(update(documents).where(documents.c.id == document).values(**values))
        _forget_passages(conn, document)
    _keep_passages(conn, document, pieces)
    set_access(conn, name, principals)
    return int(document)


def relabel(conn: Connection, ref: str, *, name: str, revision: str, url: str) -> None:
    """Follow what changed around a document whose text is the same: its name, its version, its address."""
    conn.execute(update(documents).where(documents.c.ref == ref).values(name=name, revision=revision, url=url))


def free_name(conn: Connection, wanted: str, ref: str) -> str:
    """The name for the document `ref`: as wanted, else, where another one has that, with the end of its id."""
    other = conn.execute(select(documents.c.id).where(documents.c.name == wanted, documents.c.ref != ref)).first()
    return f"{wanted} ({ref.rpartition(':')[2]})" if other else wanted


def delete_document(conn: Connection, name: str) -> bool:
    """Take a document out, with its passages and its index. False when there is none of this name."""
    return _delete(conn, documents.c.name == name)


def delete_ref(conn: Connection, source: str, ref: str) -> bool:
    """Take out what a source calls `ref`. False when that source holds no such document."""
    return _delete(conn, (documents.c.source == source) & (documents.c.ref == ref))


def source_of(conn: Connection, ref: str) -> str | None:
    """The source that keeps the document `ref`; None when nobody does."""
    return conn.execute(select(documents.c.source).where(documents.c.ref == ref)).scalar_one_or_none()


def _delete(conn: Connection, which: ColumnElement[bool]) -> bool:
    document = conn.execute(select(documents.c.id).where(which)).scalar_one_or_none()
    if document is None:
        return False
    _forget_passages(conn, document)
    conn.execute(delete(document_access).where(document_access.c.document_id == document))
    conn.execute(delete(documents).where(documents.c.id == document))
    return True


def set_access(conn: Connection, name: str, principals: Iterable[str]) -> bool:
    """Say who may read a document, from the next query on. False when there is none of this name."""
    document = conn.execute(select(documents.c.id).where(documents.c.name == name)).scalar_one_or_none()
    if document is None:
        return False
    conn.execute(delete(document_access).where(document_access.c.document_id == document))
    rows = [{"document_id": document, "principal": principal} for principal in sorted(set(principals))]
    if rows:
        conn.execute(insert(document_access), rows)
    return True


def grant(conn: Connection, source: str, principals: Iterable[str]) -> None:
    """Say who may read whatever a source keeps, from the next query on: those, and nobody else."""
    mine = select(documents.c.id).where(documents.c.source == source)
    conn.execute(delete(document_access).where(document_access.c.document_id.in_(mine)))
    for principal in sorted(set(principals)):
        rows = select(literal(principal), documents.c.id).where(documents.c.source == source)
        conn.execute(insert(document_access).from_select(["principal", "document_id"], rows))


# --- reading ----------------------------------------------------------------------------------------------------


def get_passage(conn: Connection, passage_id: int, principals: frozenset[str]) -> Passage | None:
    """One passage, if the principals may read it."""
    row = conn.execute(readable_by(principals).where(passages.c.id == passage_id)).one_or_none()
    return None if row is None else passage_of(row._mapping)


def readable(conn: Connection, passage_ids: Iterable[int], principals: frozenset[str]) -> bool:
    """Whether the principals may read every one of these passages; one that is gone nobody may."""
    wanted = set(passage_ids)
    found = conn.execute(readable_by(principals).where(passages.c.id.in_(wanted)).with_only_columns(passages.c.id))
    return wanted == set(found.scalars())


def list_documents(conn: Connection, principals: frozenset[str]) -> list[Document]:
    """The documents the principals may read, by name."""
    visible = select(document_access.c.document_id).where(document_access.c.principal.in_(principals))
    rows = conn.execute(select(documents).where(documents.c.id.in_(visible)).order_by(documents.c.name))
    return [_document(row) for row in rows]


def holdings(conn: Connection) -> list[Holding]:
    """Every document with its readers, by name. For operators: not filtered."""
    counted = dict(_pairs(conn, select(passages.c.document_id, func.count()).group_by(passages.c.document_id)))
    readers: dict[int, set[str]] = {}
    for document, principal in _pairs(conn, select(document_access.c.document_id, document_access.c.principal)):
        readers.setdefault(document, set()).add(principal)
    return [
        Holding(
            document=_document(row),
            recipe=row.recipe,
            source=row.source,
            ref=row.ref,
            revision=row.revision,
            passages=counted.get(row.id, 0),
            principals=frozenset(readers.get(row.id, ())),
        )
        for row in conn.execute(select(documents).order_by(documents.c.name))
    ]


def stats(conn: Connection) -> Stats:
    """How much there is, for operators and metrics."""
    count, characters = conn.execute(
        select(func.count(), func.coalesce(func.sum(func.length(passages.c.text)), 0)).select_from(passages)
    ).one()
    held = conn.execute(select(func.count()).select_from(documents)).scalar_one()
    return Stats(documents=held, passages=count, characters=int(characters))


# --- the same on both databases ---------------------------------------------------------------------------------


def _postgresql(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"


def _pairs(conn: Connection, statement: Select[Any]) -> list[tuple[Any, Any]]:
    return [(row[0], row[1]) for row in conn.execute(statement)]


def _document(row: Row[Any]) -> Document:
    return Document(
        id=row.id, name=row.name, title=row.title, sha256=row.sha256, updated_at=row.updated_at, url=row.url
    )


def _keep_passages(conn: Connection, document: int, pieces: Sequence[NewPassage]) -> None:
    rows = [
        {
            "document_id": document,
            "ordinal": ordinal,
            "heading": piece.heading,
            "start": piece.start,
            "end": piece.end,
            "text": piece.text,
        }
        for ordinal, piece in enumerate(pieces)
    ]
    if not rows:
        return
    ids = conn.execute(insert(passages).returning(passages.c.id, sort_by_parameter_order=True), rows).scalars().all()
    lexical.index(conn, ids, pieces)


def _forget_passages(conn: Connection, document: int) -> None:
    """SQLite's index follows by its trigger; PostgreSQL counts terms once per statement, so one statement first."""
    erased(conn)
    if _postgresql(conn):
        conn.execute(
            text("delete from passages_fts where id in (select id from passages where document_id = :document)"),
            {"document": document},
        )
    conn.execute(delete(passages).where(passages.c.document_id == document))
