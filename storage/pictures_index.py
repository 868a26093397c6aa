"""The words of pictures in the full-text index, and which pictures hold them all. Cutting them is not done here.

Terms are letters and digits only (inference/grounding/captions.py), so that none means anything to a query language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Integer, TextClause, literal_column, select, text

from storage.tables import assets

LONGEST = 64  # characters of a term: PostgreSQL takes no lexeme over 2 KB
MOST = 32  # terms of one search

_PUT = {
    "sqlite": text("insert into pictures_fts (rowid, w) values (:id, :terms)"),
    "postgresql": text("insert into pictures_fts (id, ts) values (:id, cast(:terms as tsvector))"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """Something a picture must have been ordered with."""

    text: str
    begins: bool = False  # a word that only begins so will do: cat finds cats


def put(conn: Connection, asset_id: int, terms: Sequence[str]) -> None:
    """Index a picture; without terms no word finds it."""
    found = dict.fromkeys(term[:LONGEST] for term in terms)
    if found:
        joined = " ".join(map(_quoted, found)) if conn.dialect.name == "postgresql" else " ".join(found)
        conn.execute(_PUT[conn.dialect.name], {"id": asset_id, "terms": joined})


def holding(conn: Connection, terms: Sequence[Term]) -> ColumnElement[bool]:
    """The condition that an asset holds every one of these terms."""
    found = list(dict.fromkeys(terms))[:MOST]
    if conn.dialect.name == "postgresql":
        matching = " & ".join(_quoted(one.text[:LONGEST]) + (":*" if one.begins else "") for one in found)
        clause: TextClause = text("select id from pictures_fts where ts @@ cast(:matching as tsquery)")
    else:
        matching = " AND ".join(f'"{one.text[:LONGEST]}"' + ("*" if one.begins else "") for one in found)
        clause = text("select rowid as id from pictures_fts where pictures_fts match :matching")
    ids = clause.bindparams(matching=matching).columns(literal_column("id", Integer)).subquery("words")
    return assets.c.id.in_(select(ids.c.id))


def _quoted(term: str) -> str:
    return "'" + term.replace("'", "''").replace("\\", "\\\\") + "'"
