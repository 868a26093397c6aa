"""How passages are found for a question, the same for answers, for `moqi kb search` and for measuring.

In three steps, because the middle one belongs into the reader's transaction: the rights of this moment decide what is
looked through, and a passage outside them influences nothing that is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from inference.grounding import search
from storage import lexical
from storage.records import ScoredPassage, SearchTerms


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A question, ready to be looked up."""

    question: str
    terms: SearchTerms


class Retrieval:
    """Finds passages. Safe for concurrent use."""

    async def prepare(self, question: str) -> Query:
        """Cut the question into terms; off the event loop, where the first call loads the word segmenter."""
        return Query(question=question, terms=await asyncio.to_thread(search.terms, question))

    def find(
        self,
        conn: Connection,
        query: Query,
        principals: frozenset[str],
        k: int,
        sources: frozenset[str] | None = None,
    ) -> list[ScoredPassage]:
        """The `k` passages that fit best among those the principals may read, best first; of `sources` alone if given.

        Sources are meant by the names that the settings give them.
        """
        return lexical.search(conn, query.terms, principals, k, sources)

    async def ranked(self, query: Query, found: Sequence[ScoredPassage], k: int) -> list[ScoredPassage]:
        """The `k` best of what was found, best first."""
        return list(found[:k])
