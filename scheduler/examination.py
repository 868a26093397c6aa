"""Examining a model on the documents that are there, before it may take part in the search: inference/embedding/exam.py
says how that is judged."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select

from inference.embedding import exam
from inference.embedding.exam import Probe, Ranks, Verdict
from inference.embedding.model import Embedder, Reranker
from inference.grounding import search, tokens
from scheduler.dense import Embedded
from scheduler.retrieval import Query, Retrieval, both
from storage import lexical, vectors
from storage.database import Database
from storage.passages import readable_by
from storage.records import ScoredPassage, SearchTerms
from storage.tables import document_access, passages

RANKED = 30  # questions for a reranker, which reads many passages for each


async def examine(db: Database, embedder: Embedder, encoder: int, patience: float, *, early: bool = False) -> Verdict:
    """Examine an embedder on the passages that have its vectors: all, or (`early`) the first of them.

    Raises EmbeddingError, StorageError.
    """
    count, probes = await _probes(db, select(vectors.passages_of(encoder)), exam.QUESTIONS)
    ranks = []
    for probe in probes if count >= exam.FEWEST else ():
        began = time.perf_counter()
        asked = Embedded(encoder=encoder, vector=await embedder.question(probe.question))
        seconds = time.perf_counter() - began
        terms = await asyncio.to_thread(search.terms, probe.question)
        ranks.append(await db.read(_ranks, probe, terms, asked, exam.depth(count), seconds))
    return exam.judge(ranks, count, patience, early=early)


async def examine_ranks(
    db: Database, reranker: Reranker, retrieval: Retrieval, candidates: int, patience: float
) -> Verdict:
    """Examine a reranker on what the search finds. Raises EmbeddingError, StorageError."""
    count, probes = await _probes(db, select(passages.c.id), RANKED)
    before, after, seconds = [], [], []
    for probe in probes if count >= exam.FEWEST else ():
        query = await retrieval.prepare(probe.question)
        found = (await db.read(_with_every_right, retrieval, query, candidates))[:candidates]
        texts = [one.passage.text for one in found]
        if exam.place(probe.sentence, texts):
            began = time.perf_counter()
            scores = await reranker.scores(probe.question, texts)
            seconds.append(time.perf_counter() - began)
            before.append(exam.place(probe.sentence, texts))
            order = sorted(range(len(texts)), key=lambda place: -scores[place])
            after.append(exam.place(probe.sentence, [texts[place] for place in order]))
    return exam.judge_ranks(before, after, seconds, patience)


async def _probes(db: Database, among: Select[Any], questions: int) -> tuple[int, list[Probe]]:
    """How many passages these are, and questions made of some of them."""
    count, texts = await db.read(_sample, among, questions)
    return count, await asyncio.to_thread(exam.probes, texts, tokens.cut)


def everybody(conn: Connection) -> frozenset[str]:
    """Every principal: who examines looks through all that anybody may read."""
    return frozenset(conn.execute(select(document_access.c.principal).distinct()).scalars())


def _sample(conn: Connection, among: Select[Any], questions: int) -> tuple[int, list[str]]:
    ids = sorted(conn.execute(among).scalars())
    chosen = random.Random(len(ids)).sample(ids, min(questions, len(ids)))
    rows = conn.execute(readable_by(everybody(conn)).where(passages.c.id.in_(chosen)).order_by(passages.c.id))
    return len(ids), [row.text for row in rows]


def _ranks(conn: Connection, probe: Probe, terms: SearchTerms, asked: Embedded, places: int, seconds: float) -> Ranks:
    everyone = everybody(conn)
    by_meaning = [one.id for one in vectors.search(conn, asked.encoder, asked.vector, everyone, places)]
    read = lexical.look_up(conn, by_meaning, terms, everyone)
    return Ranks(
        words=_place(probe, lexical.search(conn, terms, everyone, places)),
        meaning=_place(probe, [read[id_] for id_ in by_meaning]),
        both=_place(probe, both(conn, terms, asked, everyone, places)),
        seconds=seconds,
    )


def _with_every_right(conn: Connection, retrieval: Retrieval, query: Query, k: int) -> list[ScoredPassage]:
    return retrieval.find(conn, query, everybody(conn), k)


def _place(probe: Probe, found: Sequence[ScoredPassage]) -> int:
    return exam.place(probe.sentence, [one.passage.text for one in found])


def size(conn: Connection) -> int:
    """How many passages there are."""
    return conn.execute(select(func.count()).select_from(passages)).scalar_one()
