"""Keeps the vectors of all passages made, in the background, and lets a model take part once it has passed.

Every turn makes what is missing, in small batches that are kept at once: a program that was killed goes on where it
was. New documents are found by their words meanwhile. Of several processes one does it, by a lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from inference.embedding import wording
from inference.embedding.exam import Verdict
from inference.embedding.model import Embedder, EncoderCard, Reranker
from inference.errors import InferenceError
from scheduler import examination
from scheduler.dense import Dense, Reranking
from scheduler.retrieval import Retrieval
from storage import encoders, leases, owner, vectors
from storage.database import Database
from storage.encoders import Encoder, EncoderKind, EncoderState
from storage.errors import StorageError
from storage.records import utcnow
from storage.vectors import Bare

log = logging.getLogger(__name__)

BATCH = 16  # passages at once: so many are lost when the program is killed
PAUSE = 5.0  # seconds between two turns: how old a document is at most before its vectors are begun
AGAIN = 30.0  # seconds until a model that does not open is tried again
LEASE = timedelta(seconds=120)  # how long a process keeps the work to itself after its last batch
KEPT = timedelta(minutes=2)  # how long a replaced model's vectors stay for questions that are under way
EARLY = 500  # passages after which a model that cannot be good enough is refused, before hours go into the others
GROWN = 2.0  # times as many passages, or as few: then a model is examined again

Report = Callable[[str], None]  # hears of each batch


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a model has come, for operators and metrics."""

    model: str = ""
    made: int = 0
    passages: int = 0


class VectorIndex:
    """Makes one embedder's vectors and has it examined; `dense` takes part from then on."""

    def __init__(self, db: Database, embedder: Embedder, dense: Dense, *, last: bool = True) -> None:
        """`last`: no other is to take its place; else it steps aside for good once another one has."""
        self.progress = Progress()
        self._db, self._embedder, self._dense, self._last = db, embedder, dense, last
        self._owner = f"{owner.name()}/vectors"

    @property
    def live(self) -> bool:
        """Whether it takes part."""
        return self._dense.encoder is not None

    async def turn(self, report: Report = lambda said: None, *, again: bool = False) -> Encoder:
        """Make what is missing, examine what is due (`again`: in any case), and take part or not.

        Raises EmbeddingError, StorageError; `dense` goes on with what was made before.
        """
        card = await self._embedder.open()
        found = await self._db.run(_registered, EncoderKind.EMBEDDER, card, self._last)
        self._take_part(found)
        if found.state is EncoderState.RETIRED or not await self._mine(card):
            return found
        due = again or found.state is EncoderState.PREPARING or await self._grown(found)
        if found.state is EncoderState.REFUSED and not due:
            return found
        if due and await self._is_long(found):
            if not await self._fill(found, card, report, EARLY):
                return found
            if (verdict := await self._examined(found, early=True)).reason:
                return await self._decided(found, verdict)
        if await self._fill(found, card, report) and due:
            return await self._decided(found, await self._examined(found))
        return found

    async def join(self) -> bool:
        """Take part if it was admitted before, and make nothing. Raises EmbeddingError, StorageError."""
        found = await self._db.read(encoders.live, EncoderKind.EMBEDDER)
        if found is not None and found.recipe == (await self._embedder.open()).recipe:
            self._take_part(found)
        return self._dense.encoder is not None

    async def _is_long(self, encoder: Encoder) -> bool:
        """Whether many vectors are still to be made."""
        return await self._db.read(examination.size) - await self._db.read(vectors.count, encoder.id) >= EARLY

    async def _examined(self, encoder: Encoder, *, early: bool = False) -> Verdict:
        found = await examination.examine(self._db, self._embedder, encoder.id, self._dense.patience, early=early)
        return replace(found, figures={**found.figures, "of": await self._db.read(examination.size)})

    async def _decided(self, encoder: Encoder, verdict: Verdict) -> Encoder:
        found = await self._db.run(_judged, encoder, verdict)
        self._take_part(found)
        return found

    async def _fill(self, encoder: Encoder, card: EncoderCard, report: Report, most: int = 0) -> bool:
        """Vectors for all passages that have none, or until `most` have one. False when another process makes them."""
        made, of, after = await self._db.read(vectors.count, encoder.id), await self._db.read(examination.size), 0
        while bare := [] if 0 < most <= made else await self._db.read(vectors.missing, encoder.id, BATCH, after):
            found = await self._embedder.passages([_wording(one) for one in bare])
            await self._db.run(vectors.put, encoder.id, [(one.id, each) for one, each in zip(bare, found, strict=True)])
            made, after = made + len(bare), bare[-1].id
            self.progress = Progress(model=card.model, made=made, passages=max(of, made))
            report(f"{made} of {max(of, made)} passages")
            if not await self._mine(card):
                return False
        self.progress = Progress(model=card.model, made=made, passages=max(of, made))
        await self._db.run(vectors.index, encoder.id, card.dimension)
        return True

    async def _grown(self, encoder: Encoder) -> bool:
        """Whether there are so many more or fewer passages that an examination says little any more."""
        then = int((encoder.figures or {}).get("of", 0))
        now = await self._db.read(examination.size)
        return now != then and (now >= GROWN * then or now * GROWN <= then)

    async def _mine(self, card: EncoderCard) -> bool:
        now = utcnow()
        return await self._db.run(leases.take, f"vectors {card.recipe}", self._owner, now + LEASE, now)

    def _take_part(self, encoder: Encoder) -> None:
        live = encoder.id if encoder.state is EncoderState.LIVE else None
        if live != self._dense.encoder:
            said = "takes part in the search" if live else f"takes no part in the search. {encoder.reason}".strip()
            log.info("%s %s", encoder.model, said, extra={"action": "embedder"})
        self._dense.encoder = live


class RankExaminer:
    """Has a reranker examined once the search is as it will be; `reranking` takes part from then on."""

    def __init__(self, db: Database, reranker: Reranker, reranking: Reranking, retrieval: Retrieval) -> None:
        self._db, self._reranker, self._reranking, self._retrieval = db, reranker, reranking, retrieval

    async def turn(self, *, again: bool = False) -> Encoder:
        """Examine it if it never was (`again`: in any case). Raises EmbeddingError, StorageError."""
        # It has no vectors, so nothing of it grows with the documents: one examination is enough.
        found = await self._db.run(_registered, EncoderKind.RERANKER, await self._reranker.open())
        if again or found.state is EncoderState.PREPARING:
            one = self._reranking
            self._reranking.on = False  # what it is compared with is the order without it
            verdict = await examination.examine_ranks(
                self._db, self._reranker, self._retrieval, one.candidates, one.patience
            )
            found = await self._db.run(_judged, found, verdict)
        self._reranking.on = found.state is EncoderState.LIVE
        return found

    async def join(self) -> bool:
        """Take part if it was admitted before. Raises EmbeddingError, StorageError."""
        found = await self._db.read(encoders.live, EncoderKind.RERANKER)
        self._reranking.on = found is not None and found.recipe == (await self._reranker.open()).recipe
        return self._reranking.on


async def keep(
    db: Database, indexes: Sequence[VectorIndex], ranks: RankExaminer | None, *, pause: float = PAUSE
) -> None:
    """Turn after turn, for as long as the program runs. What fails is said once and tried again after a while."""
    said: dict[int, str] = {}
    while True:
        wanted, rest = [], pause
        for number, each in enumerate((*indexes, *((ranks,) if ranks else ()))):
            try:
                wanted.append((await each.turn()).id)
                said.pop(number, None)
            except (InferenceError, StorageError) as error:
                rest = max(rest, AGAIN)
                if said.get(number) != str(error):
                    log.warning("searching without it: %s", error, extra={"action": "vectors-failed"})
                said[number] = str(error)
        if not said:
            await db.run(encoders.forget, wanted, utcnow() - KEPT)
        await asyncio.sleep(rest)


def _wording(one: Bare) -> str:
    return wording.passage(one.title, one.heading, one.text)


def _registered(conn: Connection, kind: EncoderKind, card: EncoderCard, revive: bool = True) -> Encoder:
    return encoders.register(
        conn, kind, recipe=card.recipe, model=card.model, dimension=card.dimension, now=utcnow(), revive=revive
    )


def _judged(conn: Connection, encoder: Encoder, verdict: Verdict) -> Encoder:
    if verdict.reason:
        return encoders.refuse(conn, encoder.id, verdict.reason, verdict.figures, utcnow())
    return encoders.admit(conn, encoder.id, verdict.figures, utcnow())
