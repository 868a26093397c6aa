"""A large knowledge base: how fast 100,000 passages are indexed, and found by somebody who may read much or little.

The passages are CMRC 2018's texts among recombined sentences of DRCD (see `corpora.py`); the questions are CMRC's.
Everybody may read the former and forty of a hundred of the others, one department one of a hundred.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.corpora import DATA, load, recombined
from benchmarks.postgres import server
from inference.grounding import search
from storage import documents, lexical
from storage.database import Database
from storage.encryption import KEY_FILE, Key
from storage.migrations import migrate
from storage.records import NewPassage, SearchTerms

TITLE = "Knowledge base of 100,000 passages: indexing, and finding under a filter of readers"
COUNT, QUESTIONS = 100_000, 300
PIECES = 20  # passages of one document
TARGETS = 848  # the first so many passages are asked about
DEPTH = 10

WIDE, NARROW = frozenset({"everyone"}), frozenset({"dept:财务"})
GOALS = {"wide": 65.0, "narrow": 10.0}


def run(quick: bool = False) -> list[Figure]:
    """Figures of both databases; none where the data is missing."""
    if not DATA.is_dir():
        print(f"skipped: no data in {DATA}")
        return []
    asked = load("CMRC")
    among = (2_000 if quick else COUNT) - len(asked.texts)
    texts = [*asked.texts, *recombined([load("DRCD")], among)]
    questions = asked.questions[:: len(asked.questions) // (20 if quick else QUESTIONS)]
    with tempfile.TemporaryDirectory() as folder, server() as postgres:
        Key.make(Path(folder, "moqi.key"))
        sealed = f"sqlite:///{folder}/sealed.db?{KEY_FILE}={folder}/moqi.key"
        urls = {"SQLite": f"sqlite:///{folder}/moqi.db", "SQLite with a key": sealed, "PostgreSQL": postgres}
        return [found for name, url in urls.items() for found in _measured(name, url, texts, questions)]


def _measured(name: str, url: str, texts: Sequence[str], questions: Sequence[tuple[str, int]]) -> list[Figure]:
    migrate(url)
    with Database.open(url) as db:
        figures = _indexed(name, db, texts)
        db.run_sync(lexical.settle)
        asked = [search.terms(question) for question, _ in questions]
        for who, principals in (("wide", WIDE), ("narrow", NARROW)):
            times, found = _found(db, asked, principals)
            if who == "wide":
                right = [texts[one] in texts_found for (_, one), texts_found in zip(questions, found, strict=True)]
                figures.append(figure(f"{name}, {who}: right passage among ten", [sum(right) / len(right) * 100], "%"))
            figures += [
                figure(f"{name}, {who}: p50", [percentile(times, 50)], "ms"),
                figure(f"{name}, {who}: p99", [percentile(times, 99)], "ms", at_most=GOALS[who]),
            ]
    return figures


def _indexed(name: str, db: Database, texts: Sequence[str]) -> list[Figure]:
    cutting = keeping = 0.0
    for number, first in enumerate(range(0, len(texts), PIECES)):
        began = time.perf_counter()
        cut = [_piece(text) for text in texts[first : first + PIECES]]
        cutting += time.perf_counter() - began
        began = time.perf_counter()
        db.run_sync(_put, number, cut, first < TARGETS)
        keeping += time.perf_counter() - began
    return [
        figure(f"{name}: indexed, all", [len(texts) / (cutting + keeping)], "/s", at_least=1000),
        figure(f"{name}: of it cutting into terms", [len(texts) / cutting], "/s"),
        figure(f"{name}: of it keeping", [len(texts) / keeping], "/s"),
    ]


def _piece(text: str) -> NewPassage:
    return NewPassage(heading="", start=0, end=len(text), text=text, terms=search.index_terms(text))


def _put(conn: Connection, number: int, pieces: Sequence[NewPassage], public: bool) -> None:
    readers = frozenset(_readers(number)) | (WIDE if public else frozenset())
    documents.put_document(conn, name=str(number), title="", sha256="", recipe="", pieces=pieces, principals=readers)


def _readers(number: int) -> Iterator[str]:
    yield "user:1"
    if number % 10 < 4:
        yield from WIDE
    if number % 100 == 7:
        yield from NARROW


def _found(
    db: Database, asked: Sequence[SearchTerms], principals: frozenset[str]
) -> tuple[list[float], list[list[str]]]:
    """Milliseconds of each search, and the texts it found."""
    times: list[float] = []
    found: list[list[str]] = []
    for terms in asked:
        began = time.perf_counter()
        passages = db.read_sync(lexical.search, terms, principals, DEPTH)
        times.append((time.perf_counter() - began) * 1000)
        found.append([one.passage.text for one in passages])
    return times, found


if __name__ == "__main__":
    part(run, TITLE)
