"""What every way of finding passages shares: which ones somebody may read, and how a row becomes a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, Select, Text, TextClause, bindparam, select, text

from storage.records import Passage
from storage.tables import document_access, documents, passages


@dataclass(frozen=True, slots=True)
class Readable:
    """What a search that is written as text looks through; the same parameters in each, see `values`."""

    principals: frozenset[str]
    sources: frozenset[str] | None = None  # documents from these alone, by the names of the sources; None = from all

    @property
    def values(self) -> dict[str, Any]:
        """`principals`, `sources`, and whether it is `anywhere`: 1 or 0."""
        sources = sorted(self.sources or ())
        return {"principals": sorted(self.principals), "sources": sources, "anywhere": int(self.sources is None)}

    @staticmethod
    def bound(statement: str) -> TextClause:
        """A statement with these parameters, to be run with their values."""
        lists = (bindparam(name, expanding=True, type_=Text) for name in ("principals", "sources"))
        return text(statement).bindparams(*lists)


def readable_by(principals: frozenset[str]) -> Select[Any]:
    """The passages the principals may read, with their document's name and address."""
    visible = select(document_access.c.document_id).where(document_access.c.principal.in_(principals))
    return (
        select(passages, documents.c.name.label("document"), documents.c.url)
        .join(documents, documents.c.id == passages.c.document_id)
        .where(passages.c.document_id.in_(visible))
    )


def passage_of(row: RowMapping) -> Passage:
    names = ("id", "document_id", "document", "heading", "ordinal", "start", "end", "text", "url")
    return Passage(**{name: row[name] for name in names})
