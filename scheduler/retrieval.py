"""How passages are found for a question, the same for answers, for `moqi kb search` and for measuring.

In three steps, because the middle one belongs into the reader's transaction: the rights of this moment decide what is
looked through, and a passage outside them influences nothing that is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from inference.grounding import fusion, search
from scheduler.dense import Dense, Embedded, Reranking
from storage import encoders, lexical, vectors
from storage.records import ScoredPassage, SearchTerms

#: Places of each ranking that are fused. The right passage is hardly ever further behind.
DEPTH = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """A question, ready to be looked up."""

    question: str
    terms: SearchTerms
    embedded: Embedded | None = None  # None: by words alone


class Retrieval:
    """Finds passages. Safe for concurrent use."""

    def __init__(self, dense: Sequence[Dense] = (), reranking: Reranking | None = None) -> None:
        """`dense`: of several the first that takes part is used: while one is prepared, the other serves."""
        self._dense, self._reranking = tuple(dense), reranking

    async def prepare(self, question: str) -> Query:
        """Cut the question into terms; off the event loop, where the first call loads the word segmenter."""
        terms, embedded = await asyncio.gather(asyncio.to_thread(search.terms, question), self._embedded(question))
        return Query(question=question, terms=terms, embedded=embedded)

    def find(
        self,
        conn: Connection,
        query: Query,
        principals: frozenset[str],
        k: int,
        sources: frozenset[str] | None = None,
    ) -> list[ScoredPassage]:
        """The passages that fit best among those the principals may read, best first; of `sources` alone if given.

        At least `k` if there are so many; more where they are still to be `ranked`. Sources are meant by the names that
        the settings give them.
        """
        if self._reranking is not None and self._reranking.on:
            k = max(k, self._reranking.candidates)
        asked = query.embedded
        if asked is None or not encoders.is_live(conn, asked.encoder):
            return lexical.search(conn, query.terms, principals, k, sources)
        return both(conn, query.terms, asked, principals, k, sources)

    async def ranked(self, query: Query, found: Sequence[ScoredPassage], k: int) -> list[ScoredPassage]:
        """The `k` best of what was found, best first."""
        if self._reranking is None:
            return list(found[:k])
        return (await self._reranking.ranked(query.question, found))[:k]

    async def _embedded(self, question: str) -> Embedded | None:
        taking_part = next((one for one in self._dense if one.encoder is not None), None)
        return None if taking_part is None else await taking_part.embedded(question)


def both(
    conn: Connection,
    terms: SearchTerms,
    asked: Embedded,
    principals: frozenset[str],
    k: int,
    sources: frozenset[str] | None = None,
) -> list[ScoredPassage]:
    """The `k` best passages by words and by meaning together; those found by meaning alone say how much of the terms
    they hold, too."""
    depth = max(DEPTH, k)
    by_words = {one.passage.id: one for one in lexical.search(conn, terms, principals, depth, sources)}
    near = vectors.search(conn, asked.encoder, asked.vector, principals, depth, sources)
    by_meaning = [one.id for one in near]
    fused = fusion.fuse(list(by_words), by_meaning)[:k]
    by_words |= lexical.look_up(conn, [id_ for id_, _ in fused if id_ not in by_words], terms, principals)
    return [replace(by_words[id_], score=score) for id_, score in fused]
