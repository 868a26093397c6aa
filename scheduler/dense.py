"""What the search has beside words, at the moment of a question: a vector of it, and a model that ranks what was found.

Either may be off, dead or slow. Then the question is answered by what there is, and one that failed several times in a
row is left alone for a while, so that nobody waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inference.embedding.model import Embedder, Reranker
from inference.errors import InferenceError
from inference.text.resting import Resting
from storage.records import ScoredPassage

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Embedded:
    """A question's vector, and whose it is: it fits no other encoder's."""

    encoder: int
    vector: bytes


class Dense:
    """Makes vectors of questions, once its encoder is admitted. Safe for concurrent use."""

    def __init__(self, embedder: Embedder, *, patience: float, resting: Resting | None = None) -> None:
        """`patience`: seconds that a question waits for its vector."""
        self.encoder: int | None = None  # whose vectors are searched; None = it takes no part
        self.patience = patience
        self._embedder = embedder
        self._resting = resting or Resting()

    async def embedded(self, question: str) -> Embedded | None:
        """The question's vector; None when there is none in time."""
        encoder = self.encoder
        if encoder is None or self._resting.rests():
            return None
        try:
            vector = await asyncio.wait_for(self._embedder.question(question), self.patience)
        except (InferenceError, TimeoutError) as error:
            self._resting.failed()
            log.warning("searching by words alone: %s", _why(error, self.patience), extra={"action": "no-vector"})
            return None
        self._resting.worked()
        return Embedded(encoder=encoder, vector=vector)


class Reranking:
    """Ranks what was found, once its model is admitted. Safe for concurrent use."""

    def __init__(self, reranker: Reranker, *, patience: float, candidates: int, resting: Resting | None = None) -> None:
        """`patience`: seconds that a question waits for it. `candidates`: how many passages it reads."""
        self.on = False
        self.patience, self.candidates = patience, candidates
        self._reranker = reranker
        self._resting = resting or Resting()

    async def ranked(self, question: str, found: Sequence[ScoredPassage]) -> list[ScoredPassage]:
        """What was found, the best of the first ones first; as it was when there is no rank in time."""
        first, others = list(found[: self.candidates]), list(found[self.candidates :])
        if not self.on or len(first) < 2 or self._resting.rests():
            return [*first, *others]
        try:
            scores = await asyncio.wait_for(
                self._reranker.scores(question, [one.passage.text for one in first]), self.patience
            )
        except (InferenceError, TimeoutError) as error:
            self._resting.failed()
            log.warning("passages keep their order: %s", _why(error, self.patience), extra={"action": "not-ranked"})
            return [*first, *others]
        self._resting.worked()
        best = sorted(zip(scores, first, strict=True), key=lambda pair: -pair[0])
        return [*(replace(one, score=score) for score, one in best), *others]


def _why(error: Exception, patience: float) -> str:
    return f"nothing came within {patience:g} s" if isinstance(error, TimeoutError) else str(error)
