"""The knowledge base: documents, who may read them, and their passages. Finding them: storage/lexical.py.

Everything that returns text of a document takes the `principals` the reader has ("everyone", "user:12",
"user:feishu:ou_1", "dept:设计部", "role:admin", "group:feishu:oc_1"); no principals, no text. What returns a `Holding`
is for operators and is not filtered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    true,
    update,
)

from storage import lexical
from storage.passages import passage_of, readable_by
from storage.records import Document, NewPassage, Passage, utcnow
from storage.tables import document_access, documents, passages
from storage.writer import erased

#: The principal that every reader has.
EVERYONE = "everyone"

#: Documents named in one statement: databases bound the number of its values.
BATCH = 5_000


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


def move(conn: Connection, name: str, *, to: str, revision: str) -> bool:
    """Call a document otherwise; its text and readers stay. False when it is gone, or another one has that name."""
    if conn.execute(select(documents.c.id).where(documents.c.name == to)).first() is not None:
        return False
    moved = update(documents).where(documents.c.name == name).values(name=to, revision=revision)
    return conn.execute(moved).rowcount == 1


def note_revisions(conn: Connection, revisions: Mapping[str, str]) -> None:
    """Remember which versions (by name) the source has of documents whose text is the same."""
    changed = update(documents).where(documents.c.name == bindparam("of")).values(revision=bindparam("new"))
    if revisions:
        conn.execute(changed, [{"of": name, "new": revision} for name, revision in revisions.items()])


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


def source_named(conn: Connection, name: str) -> str | None:
    """The source that keeps the document called so, empty where it was added by hand; None when there is none."""
    return conn.execute(select(documents.c.source).where(documents.c.name == name)).scalar_one_or_none()


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


def grant(conn: Connection, readers: Mapping[int, frozenset[str]]) -> None:
    """Say who may read each of these documents (by id), from the next query on: those, and nobody else."""
    ids = sorted(readers)
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        held = set(conn.execute(select(documents.c.id).where(documents.c.id.in_(batch))).scalars())  # not gone since
        conn.execute(delete(document_access).where(document_access.c.document_id.in_(held)))
        rows = [{"document_id": id_, "principal": one} for id_ in sorted(held) for one in sorted(readers[id_])]
        if rows:
            conn.execute(insert(document_access), rows)


def collect(conn: Connection, collections: Mapping[str, str]) -> None:
    """Say what the settings call the source that each of these documents (by name) comes from; empty = nothing."""
    rows = [{"of_name": name, "collection": collection} for name, collection in collections.items()]
    if rows:
        conn.execute(update(documents).where(documents.c.name == bindparam("of_name")), rows)


def collect_all(conn: Connection, source: str, collection: str) -> None:
    """Say the same of all documents of a source."""
    others = (documents.c.source == source) & (documents.c.collection != collection)
    conn.execute(update(documents).where(others).values(collection=collection))


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


def collected(conn: Connection, source: str) -> dict[str, str]:
    """What the settings called the source of each of its documents, by the document's name. For operators."""
    return dict(_pairs(conn, select(documents.c.name, documents.c.collection).where(documents.c.source == source)))


def collections(conn: Connection, principals: frozenset[str]) -> frozenset[str]:
    """The names of the sources of which the principals may read something."""
    visible = select(document_access.c.document_id).where(document_access.c.principal.in_(principals))
    named = select(documents.c.collection).where(documents.c.collection != "", documents.c.id.in_(visible))
    return frozenset(conn.execute(named.distinct()).scalars())


def list_documents(conn: Connection, principals: frozenset[str]) -> list[Document]:
    """The documents the principals may read, by name."""
    visible = select(document_access.c.document_id).where(document_access.c.principal.in_(principals))
    rows = conn.execute(select(documents).where(documents.c.id.in_(visible)).order_by(documents.c.name))
    return [_document(row) for row in rows]


def holdings(conn: Connection, source: str | None = None) -> list[Holding]:
    """Every document with its readers, by name; of one source where that is named. For operators: not filtered."""
    return _holdings(conn, true() if source is None else documents.c.source == source)


def holding(conn: Connection, name: str) -> Holding | None:
    """One document with its readers. For operators: not filtered."""
    return next(iter(_holdings(conn, documents.c.name == name)), None)


def newest(conn: Connection, limit: int) -> list[Holding]:
    """The documents that came or were changed last. For operators: not filtered."""
    latest = select(documents.c.id).order_by(documents.c.updated_at.desc(), documents.c.id).limit(limit)
    return held(conn, list(conn.execute(latest).scalars()))


def held(conn: Connection, ids: Sequence[int]) -> list[Holding]:
    """The documents of these ids, in their order; what is gone is left out. For operators: not filtered."""
    found = {one.document.id: one for one in _holdings(conn, documents.c.id.in_(ids))}
    return [found[each] for each in ids if each in found]


def totals(conn: Connection) -> dict[str, Stats]:
    """How much each source keeps; what was added by hand stands under an empty name."""
    counted = select(passages.c.document_id, func.count().label("n")).group_by(passages.c.document_id).subquery()
    rows = conn.execute(
        select(documents.c.source, func.count(), func.coalesce(func.sum(counted.c.n), 0))
        .outerjoin(counted, counted.c.document_id == documents.c.id)
        .group_by(documents.c.source)
    )
    return {source: Stats(documents=int(held), passages=int(pieces)) for source, held, pieces in rows}


def stats(conn: Connection) -> Stats:
    """How much there is, for operators and metrics. Reads no text."""
    held = conn.execute(select(func.count()).select_from(documents)).scalar_one()
    return Stats(documents=held, passages=conn.execute(select(func.count()).select_from(passages)).scalar_one())


# --- the same on both databases ---------------------------------------------------------------------------------


def _postgresql(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"


def _pairs(conn: Connection, statement: Select[Any]) -> list[tuple[Any, Any]]:
    return [(row[0], row[1]) for row in conn.execute(statement)]


def _holdings(conn: Connection, where: ColumnElement[bool]) -> list[Holding]:
    """What fits, by name, with what belongs to it: three queries however many there are."""
    ids = select(documents.c.id).where(where)
    counting = select(passages.c.document_id, func.count()).where(passages.c.document_id.in_(ids))
    counted = dict(_pairs(conn, counting.group_by(passages.c.document_id)))
    readers: dict[int, set[str]] = {}
    reading = select(document_access.c.document_id, document_access.c.principal)
    for document, principal in _pairs(conn, reading.where(document_access.c.document_id.in_(ids))):
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
        for row in conn.execute(select(documents).where(where).order_by(documents.c.name))
    ]


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
