"""How fast passages are found by words, by vectors and by both, for who may read much and for who may read little.

Synthetic vectors in clusters and synthetic words: they order the ways and show the time, not how well a model finds.
That `moqi kb vectors --build` shows, on the documents themselves.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.postgres import server
from scheduler.dense import Embedded
from scheduler.retrieval import both
from storage import documents, encoders, lexical, vectors
from storage.database import Database
from storage.encoders import EncoderKind
from storage.migrations import migrate
from storage.records import NewPassage, SearchTerms, utcnow

TITLE = "Search by words and vectors"
PASSAGES, DIMENSION, QUESTIONS = 100_000, 1024, 60
PER_DOCUMENT = 20
WIDE, NARROW = frozenset({"everyone"}), frozenset({"user:1"})  # two fifths and a hundredth of the documents
K = 50


def run(quick: bool = False) -> list[Figure]:
    """The same on both databases; PostgreSQL with a fifth of the passages, where its index is built in a minute."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure("SQLite", f"sqlite:///{folder}/moqi.db", 400 if quick else PASSAGES, quick)
    with server() as url:
        return found + measure("PostgreSQL", url, 400 if quick else PASSAGES // 5, quick)


def measure(name: str, url: str, count: int, quick: bool) -> list[Figure]:
    """Build, ask."""
    dimension = 32 if quick else DIMENSION
    migrate(url)
    with Database.open(url) as db:
        made = _Made(db, count, dimension)
        found = [figure(f"{name}, {count} passages: vectors kept", [count / made.seconds], "1/s")]
        found += made.figures(name, "wide", WIDE)
        found += made.figures(name, "narrow", NARROW)
        if name == "PostgreSQL":
            vectors.MANY = count // 5
            began = time.perf_counter()
            db.run_sync(vectors.index, made.encoder, dimension)
            found.append(figure(f"{name}: index built", [time.perf_counter() - began], "s"))
            found += made.times(f"{name}, wide, by vectors with the index", made.by_vectors(WIDE))
        found.append(figure(f"{name}: first ten as by comparing all", [made.recall(10 if quick else 30)], "%"))
    return found


class _Made:
    """A knowledge base of random words and vectors, and questions to it."""

    def __init__(self, db: Database, count: int, dimension: int) -> None:
        import numpy as np

        self.db, self.chance, self.np = db, random.Random(0), np
        self.random = np.random.default_rng(0)
        self.centres = self.random.standard_normal((800, dimension)).astype("f4")
        self.vocabulary = [f"w{number}" for number in range(20_000)]
        ids: list[int] = []
        for number in range(count // PER_DOCUMENT):
            db.run_sync(self._put, number)
        ids = db.read_sync(lambda conn: list(conn.execute(text("select id from passages order by id")).scalars()))
        values: dict[str, Any] = {"recipe": "r", "model": "m", "dimension": dimension, "now": utcnow()}
        self.encoder = db.run_sync(encoders.register, EncoderKind.EMBEDDER, **values).id
        self.vectors = self._vectors(count)
        began = time.perf_counter()
        for start in range(0, count, 500):
            rows = [(ids[at], self.vectors[at].tobytes()) for at in range(start, min(start + 500, count))]
            db.run_sync(vectors.put, self.encoder, rows)
        self.seconds = time.perf_counter() - began
        self.ids = ids
        if db.url.get_backend_name() == "postgresql":
            db.run_sync(lambda conn: conn.execute(text("analyze")))

    def figures(self, name: str, who: str, principals: frozenset[str]) -> list[Figure]:
        return [
            *self.times(f"{name}, {who}, by words", self.by_words(principals)),
            *self.times(f"{name}, {who}, by vectors", self.by_vectors(principals)),
            *self.times(f"{name}, {who}, by both", self.by_both(principals)),
        ]

    def times(self, name: str, ask: Callable[[], object]) -> list[Figure]:
        ask()
        taken = []
        for _ in range(QUESTIONS):
            began = time.perf_counter()
            ask()
            taken.append((time.perf_counter() - began) * 1000)
        return [figure(f"{name}: p{at}", [percentile(taken, at)], "ms") for at in (50, 99)]

    def by_words(self, principals: frozenset[str]) -> Callable[[], object]:
        return lambda: self.db.read_sync(lexical.search, self._terms(), principals, K)

    def by_vectors(self, principals: frozenset[str]) -> Callable[[], object]:
        return lambda: self.db.read_sync(vectors.search, self.encoder, self._question(), principals, K)

    def by_both(self, principals: frozenset[str]) -> Callable[[], object]:
        return lambda: self.db.read_sync(
            both, self._terms(), Embedded(encoder=self.encoder, vector=self._question()), principals, 10
        )

    def recall(self, questions: int) -> float:
        """How many of the ten nearest that everyone may read are found, in percent."""
        readable = self.db.read_sync(self._readable)
        places = [at for at, id_ in enumerate(self.ids) if id_ in readable]
        found = 0
        for _ in range(questions):
            asked = self._question()
            near = self.np.argsort(-(self.vectors[places] @ self.np.frombuffer(asked, "f4")))[:10]
            got = self.db.read_sync(vectors.search, self.encoder, asked, WIDE, 10)
            found += len({one.id for one in got} & {self.ids[places[at]] for at in near})
        return 100 * found / (10 * questions)

    def _put(self, conn: Connection, number: int) -> None:
        pieces = []
        for _ in range(PER_DOCUMENT):
            words = tuple(self.chance.choices(self.vocabulary[: 10 ** self.chance.choice((2, 3, 4))], k=60))
            said = " ".join(words)
            terms = SearchTerms(words=words, bigrams=())
            pieces.append(NewPassage(heading="", start=0, end=len(said), text=said, terms=terms))
        reader = "everyone" if number % 5 < 2 else "user:1" if number % 100 == 2 else "user:2"
        name, readers = str(number), frozenset({reader})
        documents.put_document(conn, name=name, title="", sha256="", recipe="", pieces=pieces, principals=readers)

    def _readable(self, conn: Connection) -> set[int]:
        statement = (
            "select p.id from passages p join document_access a using (document_id) where principal = 'everyone'"
        )
        return set(conn.execute(text(statement)).scalars())

    def _vectors(self, count: int) -> Any:
        near = self.centres[self.random.integers(0, len(self.centres), count)]
        return self._long(near + self.random.standard_normal(near.shape, dtype="f4"))

    def _question(self) -> bytes:
        at = self.chance.randrange(len(self.vectors))
        noise = self.random.standard_normal((1, self.vectors.shape[1]), dtype="f4") * 0.02
        return bytes(self._long(self.vectors[at : at + 1] + noise).tobytes())

    def _long(self, numbers: Any) -> Any:
        return (numbers / self.np.linalg.norm(numbers, axis=1, keepdims=True)).astype("f4")

    def _terms(self) -> SearchTerms:
        return SearchTerms(words=tuple(self.chance.sample(self.vocabulary[:3000], 6)), bigrams=())


if __name__ == "__main__":
    part(run, TITLE)
