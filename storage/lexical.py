"""Finding passages by their words: BM25 on SQLite, idf-weighted ranks on PostgreSQL, over the tokens that we cut."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, RowMapping, bindparam, func, select, text

from storage.passages import Readable, passage_of, readable_by
from storage.records import NewPassage, ScoredPassage, SearchTerms
from storage.tables import passages

#: How much a match of two characters counts against a match of a dictionary word.
BIGRAM_WEIGHT = 0.4

#: Longer questions are cut to this many terms of each kind; a pasted page must not become a query of thousands.
MAX_TERMS = 64

#: Candidates are looked for by the rarest terms, as long as all together stand in no more passages than this: a term
#: that is everywhere chooses nothing and costs the most.
AFFORDED = 6_000

#: PostgreSQL, where scoring a candidate costs ten times as much, leaves out any term of more than this share of the
#: passages. It still counts in the score.
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


def look_up(
    conn: Connection, ids: Sequence[int], terms: SearchTerms, principals: frozenset[str]
) -> dict[int, ScoredPassage]:
    """Passages that were found otherwise, by id, with how much of the terms they hold; the principals' own only."""
    if not ids:
        return {}
    wanted = SearchTerms(words=terms.words[:MAX_TERMS], bigrams=terms.bigrams[:MAX_TERMS])
    weights = _idf(
        (_frequencies_postgresql if _postgresql(conn) else _frequencies_sqlite)(conn, wanted), wanted, _count(conn)
    )
    held = text(_HELD_POSTGRESQL if _postgresql(conn) else _HELD_SQLITE).bindparams(bindparam("ids", expanding=True))
    present = {row.id: frozenset(row.held.split()) for row in conn.execute(held, {"ids": list(ids)})}
    rows = conn.execute(readable_by(principals).where(passages.c.id.in_(ids))).mappings()
    return {row["id"]: _scored(row, 0.0, wanted, present[row["id"]], weights) for row in rows}


_HELD_SQLITE = "select rowid as id, w || ' ' || b as held from passages_fts where rowid in :ids"
_HELD_POSTGRESQL = "select id, array_to_string(tsvector_to_array(ts), ' ') as held from passages_fts where id in :ids"


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


def choosing(terms: SearchTerms, frequencies: Mapping[str, int], common: float = math.inf) -> list[str]:
    """The terms to look for candidates by: the rarest, as many as are afforded, none in more than `common` passages;
    but at least one that occurs."""
    asked = {term: frequencies.get(term, 0) for term in (*terms.words, *terms.bigrams)}
    chosen, total = [], 0
    for term in sorted(asked, key=lambda one: asked[one]):  # stable: words before pairs of characters
        if total and (total + asked[term] > AFFORDED or asked[term] > common):
            break
        chosen.append(term)
        total += asked[term]
    return chosen


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
    frequencies = _frequencies_sqlite(conn, terms)
    match = " OR ".join(_quoted(term) for term in choosing(terms, frequencies))
    values = {"match": match, "bigram": BIGRAM_WEIGHT, "k": k, **readable.values}
    rows = conn.execute(statement, values).mappings().all()
    weights = _idf(frequencies, terms, _count(conn))
    return [_scored(row, row["score"], terms, frozenset(f"{row['w']} {row['b']}".split()), weights) for row in rows]


def _quoted(term: str) -> str:
    """A term for FTS5's MATCH: of our own tokens only; what the user typed never reaches the query language."""
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
    frequencies = _frequencies_postgresql(conn, terms)
    count = _count(conn)
    weights = _idf(frequencies, terms, count)
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
        "lexemes": [_lexeme(term) for term in weights],
        "idfs": list(weights.values()),
        "match": " | ".join(_lexeme(term) for term in choosing(terms, frequencies, max(COMMON * count, k))),
        "k": k,
        **readable.values,
    }
    rows = conn.execute(statement, values).mappings().all()
    return [_scored(row, float(row["score"]), terms, frozenset(row["lexemes"]), weights) for row in rows]


def unsettled(conn: Connection) -> bool:
    """Whether there are terms to count."""
    return _postgresql(conn) and bool(conn.execute(text("select exists (table passages_df_fresh)")).scalar_one())


def settle(conn: Connection) -> None:
    """Count the terms of what was put in and taken out since the last time, and file what the index has gathered.

    Until then a new term counts as one that nobody wrote yet, which moves the order a little and hides nothing.
    """
    if _postgresql(conn):
        conn.execute(text("select passages_df_settle(), gin_clean_pending_list('passages_fts_ts')"))


def _frequencies_postgresql(conn: Connection, terms: SearchTerms) -> dict[str, int]:
    asked = sorted({*terms.words, *terms.bigrams})
    rows = conn.execute(
        text("select term, n from passages_df where term = any(cast(:asked as text[]))"), {"asked": asked}
    )
    return {row.term: row.n for row in rows}
