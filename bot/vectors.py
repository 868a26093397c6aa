"""The search that the settings ask for: by words, and with the models for vectors and ranks that model.yaml names."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bot.opening import encoder_options
from bot.settings import Settings
from inference.embedding.model import Embedder, Reranker
from inference.embedding.registry import open_embedder, open_reranker
from inference.errors import InferenceError
from scheduler import vector_index
from scheduler.dense import Dense, Reranking
from scheduler.retrieval import Retrieval
from scheduler.vector_index import RankExaminer, VectorIndex
from storage.database import Database

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """A way to find passages, and what keeps it ready."""

    db: Database
    retrieval: Retrieval
    indexes: tuple[VectorIndex, ...]  # the one that is to take the other's place first
    ranks: RankExaminer | None
    models: tuple[Embedder | Reranker, ...]

    async def run(self) -> None:
        """Keep the vectors in step with the passages, for as long as the program runs."""
        if self.models:
            await vector_index.keep(self.db, self.indexes, self.ranks)

    async def join(self) -> None:
        """Use what was admitted before: for one command, which makes no vectors."""
        for each in (*self.indexes, *((self.ranks,) if self.ranks else ())):
            try:
                await each.join()
            except InferenceError as error:
                log.warning("searching without it: %s", error, extra={"action": "vectors-failed"})

    def measure(self, registry: CollectorRegistry) -> None:
        """What /metrics says of it."""
        from prometheus_client import Gauge

        if self.indexes:
            made = Gauge("moqi_vectors", "Passages that have a vector of this model.", ["model"], registry=registry)
            live = Gauge("moqi_embedder_live", "1 while this model takes part.", ["model"], registry=registry)
        for index in self.indexes:
            if index.progress.model:
                made.labels(index.progress.model).set(index.progress.made)
                live.labels(index.progress.model).set(index.live)

    async def close(self) -> None:
        for each in self.models:
            await each.close()


def open_search(settings: Settings, db: Database) -> Search:
    """The search; no model is loaded yet."""
    wanted = settings.model.embedding
    replacement, embedder = (open_embedder(encoder_options(settings, one)) for one in (wanted.next, wanted))
    found = [(one, each) for one, each in ((wanted.next, replacement), (wanted, embedder)) if each is not None]
    legs = [(each, Dense(each, patience=one.patience)) for one, each in found]
    indexes = tuple(VectorIndex(db, each, dense, last=each is found[0][1]) for each, dense in legs)
    reranker = open_reranker(encoder_options(settings, wanted.reranker))
    reranking = None
    if reranker is not None:
        one = wanted.reranker
        reranking = Reranking(reranker, patience=one.patience, candidates=one.candidates)
    retrieval = Retrieval([dense for _, dense in legs], reranking)
    ranks = RankExaminer(db, reranker, reranking, retrieval) if reranker and reranking else None
    models = (*(each for each, _ in legs), *((reranker,) if reranker else ()))
    return Search(db=db, retrieval=retrieval, indexes=indexes, ranks=ranks, models=models)
