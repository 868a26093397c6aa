"""The knowledge base: documents, who may read them, their passages, and finding passages by words.

Everything that returns text of a document takes the `principals` the reader has ("everyone", "user:12",
"user:feishu:ou_1", "dept:设计部", "group:feishu:oc_1"); no principals, no text. `holdings` is the operator's list and
is not filtered.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from storage.records import Document, NewPassage, Passage, ScoredPassage, SearchTerms, utcnow
from storage.tables import document_access, documents, passages

#: The principal that every reader has.
EVERYONE = "everyone"

#: How much a match of two characters counts against a match of a dictionary word.
BIGRAM_WEIGHT = 0.4

#: Longer questions are cut to this many terms of each kind; a pasted page must not become a query of thousands.
MAX_TERMS = 64

#: PostgreSQL looks for candidates by terms in at most this share of the passages: a term that is everywhere
#: chooses nothing and costs the most. It still counts in the score.
COMMON = 0.05


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


def search(conn: Connection, terms: SearchTerms, principals: frozenset[str], k: int) -> list[ScoredPassage]:
    """The `k` passages that fit the terms best among those the principals may read, best first."""
    wanted = SearchTerms(words=terms.words[:MAX_TERMS], bigrams=terms.bigrams[:MAX_TERMS])
    if not principals or k < 1 or not (wanted.words or wanted.bigrams):
        return []
    return (_search_postgresql if _postgresql(conn) else _search_sqlite)(conn, wanted, principals, k)


def get_passage(conn: Connection, passage_id: int, principals: frozenset[str]) -> Passage | None:
    """One passage, if the principals may read it."""
    row = conn.execute(_readable(principals).where(passages.c.id == passage_id)).one_or_none()
    return None if row is None else _passage(row._mapping)


def readable(conn: Connection, passage_ids: Iterable[int], principals: frozenset[str]) -> bool:
    """Whether the principals may read every one of these passages; one that is gone nobody may."""
    wanted = set(passage_ids)
    found = conn.execute(_readable(principals).where(passages.c.id.in_(wanted)).with_only_columns(passages.c.id))
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


def _readable(principals: frozenset[str]) -> Select[Any]:
    """The passages the principals may read, with their document's name and address."""
    visible = select(document_access.c.document_id).where(document_access.c.principal.in_(principals))
    return (
        select(passages, documents.c.name.label("document"), documents.c.url)
        .join(documents, documents.c.id == passages.c.document_id)
        .where(passages.c.document_id.in_(visible))
    )


def _passage(row: RowMapping) -> Passage:
    names = ("id", "document_id", "document", "heading", "ordinal", "start", "end", "text", "url")
    return Passage(**{name: row[name] for name in names})


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
    (_index_postgresql if _postgresql(conn) else _index_sqlite)(conn, ids, pieces)


def _forget_passages(conn: Connection, document: int) -> None:
    """SQLite's index follows by its trigger; PostgreSQL counts terms once per statement, so one statement first."""
    if _postgresql(conn):
        conn.execute(
            text("delete from passages_fts where id in (select id from passages where document_id = :document)"),
            {"document": document},
        )
    conn.execute(delete(passages).where(passages.c.document_id == document))


def _scored(
    row: RowMapping, score: float, terms: SearchTerms, present: frozenset[str], weights: Mapping[str, float]
) -> ScoredPassage:
    return ScoredPassage(passage=_passage(row), score=score, coverage=_coverage(terms, present, weights))


def _coverage(terms: SearchTerms, present: frozenset[str], weights: Mapping[str, float]) -> float:
    """The share of the terms' weight that is present; a word nobody ever wrote weighs the most.

    A missing pair of characters counts half: it may only straddle two words that both are there.
    """
    words = frozenset(terms.words)
    found = sum(weights[term] for term in words.union(terms.bigrams) & present)
    missing = sum(weights[term] * (1.0 if term in words else 0.5) for term in words.union(terms.bigrams) - present)
    return found / (found + missing) if found else 0.0


def _idf(frequencies: Mapping[str, int], terms: SearchTerms, count: int) -> dict[str, float]:
    """How much each term says: high for one that few of the `count` passages hold. Never negative."""
    asked = {*terms.words, *terms.bigrams}
    holding = {term: min(max(frequencies.get(term, 0), 0), count) for term in asked}
    return {term: math.log(1 + (count - n + 0.5) / (n + 0.5)) for term, n in holding.items()}


# --- SQLite -----------------------------------------------------------------------------------------------------


def _index_sqlite(conn: Connection, ids: Sequence[int], pieces: Sequence[NewPassage]) -> None:
    conn.execute(
        text("insert into passages_fts (rowid, w, b) values (:id, :w, :b)"),
        [
            {"id": id_, "w": " ".join(piece.terms.words), "b": " ".join(piece.terms.bigrams)}
            for id_, piece in zip(ids, pieces, strict=True)
        ],
    )


def _search_sqlite(conn: Connection, terms: SearchTerms, principals: frozenset[str], k: int) -> list[ScoredPassage]:
    """`order by bm25(…)` and not `order by rank`: it scores only what the readers' filter leaves."""
    statement = text(
        """select p.id, p.document_id, d.name as document, d.url, p.heading, p.ordinal, p.start, p."end", p.text,
                f.w, f.b, best.score
            from (select f.rowid as id, -bm25(passages_fts, 1.0, :bigram) as score
                  from passages_fts f join passages p on p.id = f.rowid
                  where passages_fts match :match
                    and p.document_id in (select document_id from document_access where principal in :principals)
                  order by score desc, f.rowid limit :k) best
            join passages p on p.id = best.id join documents d on d.id = p.document_id
            join passages_fts f on f.rowid = best.id
            order by best.score desc, p.id"""
    ).bindparams(bindparam("principals", expanding=True))
    values = {"match": _match(terms), "bigram": BIGRAM_WEIGHT, "principals": sorted(principals), "k": k}
    rows = conn.execute(statement, values).mappings().all()
    weights = _idf(_frequencies_sqlite(conn, terms), terms, _count(conn))
    return [_scored(row, row["score"], terms, frozenset(f"{row['w']} {row['b']}".split()), weights) for row in rows]


def _match(terms: SearchTerms) -> str:
    """An FTS5 expression of our own quoted tokens; what the user typed never reaches the query language."""
    return " OR ".join(_quoted(term) for term in dict.fromkeys((*terms.words, *terms.bigrams)))


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'


def _frequencies_sqlite(conn: Connection, terms: SearchTerms) -> dict[str, int]:
    """One look-up per term: a list of terms in one query would make FTS5 read its whole vocabulary."""
    asked = sorted({*terms.words, *terms.bigrams})
    looked_up = text(
        "select j.value as term, (select doc from passages_vocab where term = j.value) as n from json_each(:asked) j"
    )
    rows = conn.execute(looked_up, {"asked": json.dumps(asked, ensure_ascii=False)})
    return {row.term: row.n for row in rows if row.n is not None}


def _count(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(passages)).scalar_one()


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _index_postgresql(conn: Connection, ids: Sequence[int], pieces: Sequence[NewPassage]) -> None:
    """One statement for the whole document, so that its terms are counted once."""
    conn.execute(
        text(
            """insert into passages_fts (id, ts) select id, cast(ts as tsvector)
               from unnest(cast(:ids as integer[]), cast(:ts as text[])) as fresh (id, ts)"""
        ),
        {"ids": list(ids), "ts": [_tsvector(piece.terms) for piece in pieces]},
    )


def _tsvector(terms: SearchTerms) -> str:
    """The tokens as a tsvector literal: words labelled A, bigrams B, each with its position."""
    entries = [f"{_lexeme(term)}:{at}A" for at, term in enumerate(terms.words, 1)]
    entries += [f"{_lexeme(term)}:{at}B" for at, term in enumerate(terms.bigrams, 1)]
    return " ".join(entries)


def _lexeme(term: str) -> str:
    return "'" + term.replace("\\", "\\\\").replace("'", "''") + "'"


def _search_postgresql(conn: Connection, terms: SearchTerms, principals: frozenset[str], k: int) -> list[ScoredPassage]:
    """The sum over the terms of idf times `ts_rank`; `ts_rank_cd` lost 45 points of recall@1 on these tokens."""
    count = _count(conn)
    frequencies = _frequencies_postgresql(conn, terms)
    if not frequencies:
        return []
    weights = _idf(frequencies, terms, count)
    rare = [term for term, n in frequencies.items() if n <= max(COMMON * count, k)] or list(frequencies)
    statement = text(
        """select p.id, p.document_id, d.name as document, d.url, p.heading, p.ordinal, p.start, p."end", p.text,
                tsvector_to_array(f.ts) as lexemes,
                (select sum(q.idf * ts_rank(cast(:labels as real[]), f.ts, cast(q.lexeme as tsquery)))
                 from unnest(cast(:lexemes as text[]), cast(:idfs as double precision[])) as q (lexeme, idf)) as score
            from passages_fts f join passages p on p.id = f.id join documents d on d.id = p.document_id
            where f.ts @@ cast(:match as tsquery)
              and p.document_id in (select document_id from document_access where principal in :principals)
            order by score desc, p.id limit :k"""
    ).bindparams(bindparam("principals", expanding=True))
    values = {
        "labels": [0.0, 0.0, BIGRAM_WEIGHT, 1.0],  # D, C, B, A
        "lexemes": [_lexeme(term) for term in frequencies],
        "idfs": [weights[term] for term in frequencies],
        "match": " | ".join(_lexeme(term) for term in rare),
        "principals": sorted(principals),
        "k": k,
    }
    rows = conn.execute(statement, values).mappings().all()
    return [_scored(row, float(row["score"]), terms, frozenset(row["lexemes"]), weights) for row in rows]


def _frequencies_postgresql(conn: Connection, terms: SearchTerms) -> dict[str, int]:
    asked = sorted({*terms.words, *terms.bigrams})
    rows = conn.execute(
        text("select term, n from passages_df where term = any(cast(:asked as text[]))"), {"asked": asked}
    )
    return {row.term: row.n for row in rows}
