"""Finding passages by their words: BM25 on SQLite, idf-weighted ranks on PostgreSQL, over the tokens that we cut."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, RowMapping, func, select, text

from storage.passages import Readable, passage_of
from storage.records import NewPassage, ScoredPassage, SearchTerms
from storage.tables import passages

#: How much a match of two characters counts against a match of a dictionary word.
BIGRAM_WEIGHT = 0.4

#: Longer questions are cut to this many terms of each kind; a pasted page must not become a query of thousands.
MAX_TERMS = 64

#: PostgreSQL looks for candidates by terms in at most this share of the passages: a term that is everywhere
#: chooses nothing and costs the most. It still counts in the score.
COMMON = 0.05


def search(
    conn: Connection,
    terms: SearchTerms,
    principals: frozenset[str],
    k: int,
    sources: frozenset[str] | None = None,
) -> list[ScoredPassage]:
    """The `k` passages that fit the terms best among those the principals may read, best first.

    With `sources`, of documents from sources of these names alone.
    """
    wanted = SearchTerms(words=terms.words[:MAX_TERMS], bigrams=terms.bigrams[:MAX_TERMS])
    if not principals or k < 1 or not (wanted.words or wanted.bigrams):
        return []
    readable = Readable(principals, sources)
    return (_search_postgresql if _postgresql(conn) else _search_sqlite)(conn, wanted, readable, k)


def _scored(
    row: RowMapping, score: float, terms: SearchTerms, present: frozenset[str], weights: Mapping[str, float]
) -> ScoredPassage:
    return ScoredPassage(passage=passage_of(row), score=score, coverage=_coverage(terms, present, weights))


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


def index(conn: Connection, ids: Sequence[int], pieces: Sequence[NewPassage]) -> None:
    """Make new passages findable by their words."""
    (_index_postgresql if _postgresql(conn) else _index_sqlite)(conn, ids, pieces)


def _postgresql(conn: Connection) -> bool:
    return conn.dialect.name == "postgresql"


# --- SQLite -----------------------------------------------------------------------------------------------------


def _index_sqlite(conn: Connection, ids: Sequence[int], pieces: Sequence[NewPassage]) -> None:
    conn.execute(
        text("insert into passages_fts (rowid, w, b) values (:id, :w, :b)"),
        [
            {"id": id_, "w": " ".join(piece.terms.words), "b": " ".join(piece.terms.bigrams)}
            for id_, piece in zip(ids, pieces, strict=True)
        ],
    )


def _search_sqlite(conn: Connection, terms: SearchTerms, readable: Readable, k: int) -> list[ScoredPassage]:
    """`order by bm25(…)` and not `order by rank`: it scores only what the readers' filter leaves."""
    statement = readable.bound(
        """select p.id, p.document_id, d.name as document, d.url, p.heading, p.ordinal, p.start, p."end", p.text,
                f.w, f.b, best.score
            from (select f.rowid as id, -bm25(passages_fts, 1.0, :bigram) as score
                  from passages_fts f join passages p on p.id = f.rowid
                  where passages_fts match :match
                    and p.document_id in (select document_id from document_access where principal in :principals)
                    and (:anywhere = 1 or p.document_id in (select id from documents where collection in :sources))
                  order by score desc, f.rowid limit :k) best
            join passages p on p.id = best.id join documents d on d.id = p.document_id
            join passages_fts f on f.rowid = best.id
            order by best.score desc, p.id"""
    )
    values = {"match": _match(terms), "bigram": BIGRAM_WEIGHT, "k": k, **readable.values}
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


def _search_postgresql(conn: Connection, terms: SearchTerms, readable: Readable, k: int) -> list[ScoredPassage]:
    """The sum over the terms of idf times `ts_rank`; `ts_rank_cd` lost 45 points of recall@1 on these tokens."""
    count = _count(conn)
    frequencies = _frequencies_postgresql(conn, terms)
    if not frequencies:
        return []
    weights = _idf(frequencies, terms, count)
    rare = [term for term, n in frequencies.items() if n <= max(COMMON * count, k)] or list(frequencies)
    statement = readable.bound(
        """select p.id, p.document_id, d.name as document, d.url, p.heading, p.ordinal, p.start, p."end", p.text,
                tsvector_to_array(f.ts) as lexemes,
                (select sum(q.idf * ts_rank(cast(:labels as real[]), f.ts, cast(q.lexeme as tsquery)))
                 from unnest(cast(:lexemes as text[]), cast(:idfs as double precision[])) as q (lexeme, idf)) as score
            from passages_fts f join passages p on p.id = f.id join documents d on d.id = p.document_id
            where f.ts @@ cast(:match as tsquery)
              and p.document_id in (select document_id from document_access where principal in :principals)
              and (cast(:anywhere as integer) = 1 or d.collection in :sources)
            order by score desc, p.id limit :k"""
    )
    values = {
        "labels": [0.0, 0.0, BIGRAM_WEIGHT, 1.0],  # D, C, B, A
        "lexemes": [_lexeme(term) for term in frequencies],
        "idfs": [weights[term] for term in frequencies],
        "match": " | ".join(_lexeme(term) for term in rare),
        "k": k,
        **readable.values,
    }
    rows = conn.execute(statement, values).mappings().all()
    return [_scored(row, float(row["score"]), terms, frozenset(row["lexemes"]), weights) for row in rows]


def _frequencies_postgresql(conn: Connection, terms: SearchTerms) -> dict[str, int]:
    asked = sorted({*terms.words, *terms.bigrams})
    rows = conn.execute(
        text("select term, n from passages_df where term = any(cast(:asked as text[]))"), {"asked": asked}
    )
    return {row.term: row.n for row in rows}
