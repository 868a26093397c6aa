"""What every way of finding passages shares: which ones somebody may read, and how a row becomes a value."""

from __future__ import annotations

from typing import Any

from sqlalchemy import RowMapping, Select, select

from storage.records import Passage
from storage.tables import document_access, documents, passages


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
