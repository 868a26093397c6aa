"""How well and how fast the knowledge base finds, against other ways to index the same Chinese texts, in one run.

Reads CMRC 2018 and DRCD from `../shared/ragdata` beside the checkout; says so and stops where that is missing.
On PostgreSQL too where the extra `dev` is installed; against bm25s where that is installed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from sqlalchemy import Connection, make_url, text

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.corpora import DATA, FILES, Corpus, load, mixed
from benchmarks.postgres import server
from inference.grounding import search, tokens
from inference.text.extractive import answerable
from storage import documents, lexical
from storage.database import Database, sqlite_engine
from storage.migrations import migrate
from storage.records import NewPassage

TITLE = "Knowledge base: Chinese questions, against other ways to index the same texts"
EVERYONE = frozenset({documents.EVERYONE})
DEPTH = 10
OURS = ("moqi, SQLite", "moqi, PostgreSQL")
KEYWORDS = 150  # of each length

#: Floors a little under what was measured when the index was designed: set, figure, percent.
FLOORS: Mapping[tuple[str, str], float] = {
    ("CMRC", "first"): 96.5,
    ("CMRC", "among ten"): 99.5,
    ("CMRC, mixed", "first"): 94.5,
    ("CMRC, mixed", "among ten"): 99.0,
    ("DRCD, asked in simplified characters", "first"): 89.0,
    ("keywords of 2 characters", "among five"): 98.0,
}

Find = Callable[[str], list[int]]  # indices of texts, best first
Build = Callable[[Sequence[str], ExitStack], Find]  # what it opens is closed with the stack


def run(quick: bool = False) -> list[Figure]:
    """One group of figures per set and way; none where the data is missing."""
    if not DATA.is_dir():
        print(f"skipped: no data in {DATA}")
        return []
    found: list[Figure] = []
    with server() as postgres:
        for group in groups(quick):
            for name, build in _ways(postgres).items():
                asked = group if name in OURS else [replace(one, questions=one.questions[::5]) for one in group]
                with tempfile.TemporaryDirectory() as folder:
                    found += measure(name, partial(build, folder=folder), asked)
    return found + _refusals(load("CMRC"), load("DRCD"), quick)


def groups(quick: bool) -> list[list[Corpus]]:
    """Sets that share their texts, so that one index serves them all."""
    cmrc, drcd = (_sampled(load(name), quick) for name in FILES)
    simplified = tuple((tokens.fold(question), right) for question, right in drcd.questions)
    asked = replace(drcd, name="DRCD, asked in simplified characters", questions=simplified)
    together = mixed([cmrc, drcd])
    return [[cmrc], [drcd, asked], [*together, *(_keywords(together[0], length) for length in (2, 3, 4))]]


def _sampled(corpus: Corpus, quick: bool) -> Corpus:
    if not quick:
        return corpus
    kept = [number for number, (_, right) in enumerate(corpus.questions) if right < 50]
    return replace(
        corpus,
        texts=corpus.texts[:50],
        questions=tuple(corpus.questions[number] for number in kept),
        answers=tuple(corpus.answers[number] for number in kept),
    )


def _keywords(corpus: Corpus, length: int) -> Corpus:
    """Answers of so many Chinese characters as questions; any text that holds one is right, the first one counts."""
    words = dict.fromkeys(one for one in corpus.answers if len(one) == length and tokens.HAN_ONLY.fullmatch(one))
    questions = tuple((word, -1) for word in list(words)[:KEYWORDS])
    return replace(corpus, name=f"keywords of {length} characters", questions=questions, answers=())


def measure(way: str, build: Build, group: Sequence[Corpus]) -> list[Figure]:
    """Build the index once, ask every question of every set."""
    with ExitStack() as stack:
        began = time.perf_counter()
        find = build(group[0].texts, stack)
        rate = len(group[0].texts) / (time.perf_counter() - began)
        figures = [figure(f"{group[0].name}, {way}: indexed", [rate], "/s")]
        for corpus in group:
            figures += _asked(f"{corpus.name}, {way}", find, corpus, way in OURS)
    return figures


def _asked(name: str, find: Find, corpus: Corpus, ours: bool) -> list[Figure]:
    ranks, times = [], []
    for question, right in corpus.questions:
        began = time.perf_counter()
        found = find(question)
        times.append((time.perf_counter() - began) * 1000)
        ranks.append(_rank(found, question, right, corpus.texts))
    floors = FLOORS if ours else {}
    recall = {
        said: figure(f"{name}: {said}", [_recall(ranks, k)], "%", at_least=floors.get((corpus.name, said)))
        for said, k in (("first", 1), ("among five", 5), ("among ten", 10))
    }
    if not corpus.answers:  # keywords: which of the texts that hold one comes first means nothing
        return [recall["among five"]]
    return [
        *recall.values(),
        figure(f"{name}: MRR@10", [sum(1 / rank for rank in ranks if rank) / len(ranks) * 100], "%"),
        figure(f"{name}: p50", [percentile(times, 50)], "ms"),
        figure(f"{name}: p99", [percentile(times, 99)], "ms", at_most=50 if ours else None),
    ]


def _rank(found: Sequence[int], question: str, right: int, texts: Sequence[str]) -> int:
    """Where the right text stands, from 1; 0 = nowhere. A keyword (`right` < 0) is right in any text that holds it."""
    hits = (rank for rank, one in enumerate(found, 1) if (question in texts[one] if right < 0 else one == right))
    return next(hits, 0)


def _recall(ranks: Sequence[int], k: int) -> float:
    return sum(1 <= rank <= k for rank in ranks) / len(ranks) * 100


# --- the ways ---------------------------------------------------------------------------------------------------


def _ways(postgres: str) -> dict[str, Callable[..., Find]]:
    ways: dict[str, Callable[..., Find]] = {
        "moqi, SQLite": ours,
        "moqi, PostgreSQL": partial(ours, url=postgres),
        "FTS5 trigram": partial(plain, tokenizer="trigram"),
        "FTS5 unicode61": partial(plain, tokenizer="unicode61"),
        "PostgreSQL ts_rank_cd, our tokens": partial(density, url=postgres),
    }
    if find_spec("bm25s"):
        ways["bm25s, dictionary words"] = sparse
    return ways


def ours(texts: Sequence[str], stack: ExitStack, *, folder: str, url: str = "") -> Find:
    """The product's own tables, tokens and query; one passage per text, as the sets mean it."""
    db = filled(texts, stack, url or f"sqlite:///{folder}/moqi.db")

    def find(question: str) -> list[int]:
        found = db.read_sync(lexical.search, search.terms(question), EVERYONE, DEPTH)
        return [int(one.passage.document) for one in found]

    return find


def filled(texts: Sequence[str], stack: ExitStack, url: str) -> Database:
    """A database of the product with these texts."""
    migrate(url, "base")
    migrate(url)
    db = stack.enter_context(Database.open(url))
    db.run_sync(put_all, enumerate(texts))
    db.run_sync(lexical.settle)
    return db


def put_all(conn: Connection, texts: Iterable[tuple[int, str]], principals: frozenset[str] = EVERYONE) -> None:
    """Keep each text as a document of one passage, by its number."""
    for number, content in texts:
        terms = search.index_terms(content)
        piece = NewPassage(heading="", start=0, end=len(content), text=content, terms=terms)
        documents.put_document(
            conn, name=str(number), title="", sha256="", recipe="", pieces=[piece], principals=principals
        )


def plain(texts: Sequence[str], stack: ExitStack, *, folder: str, tokenizer: str) -> Find:
    """What SQLite does by itself: the raw text in an FTS5 table, the question's runs of letters OR-ed."""
    engine = sqlite_engine(make_url(f"sqlite:///{folder}/{tokenizer}.db"), "BEGIN")
    stack.callback(engine.dispose)
    conn = stack.enter_context(engine.connect())
    conn.execute(text(f"create virtual table f using fts5(body, tokenize = '{tokenizer}')"))
    rows: list[dict[str, Any]] = [{"id": number, "body": body} for number, body in enumerate(texts)]
    conn.execute(text("insert into f (rowid, body) values (:id, :body)"), rows)
    query = text("select rowid from f where f match :match order by rank limit :k")

    def find(question: str) -> list[int]:
        pieces = _trigrams(question) if tokenizer == "trigram" else _letters(question).split()
        match = " OR ".join(f'"{piece}"' for piece in pieces)
        return [int(row[0]) for row in conn.execute(query, {"match": match, "k": DEPTH})] if match else []

    return find


def density(texts: Sequence[str], stack: ExitStack, *, folder: str, url: str) -> Find:
    """PostgreSQL's own cover density ranking over the same tokens."""
    db = filled(texts, stack, url)
    query = text(
        """select d.name from passages_fts f join passages p on p.id = f.id join documents d on d.id = p.document_id
           where f.ts @@ cast(:match as tsquery)
           order by ts_rank_cd(f.ts, cast(:match as tsquery)) desc, p.id limit :k"""
    )

    def find(question: str) -> list[int]:
        terms = search.terms(question)
        match = " | ".join("'" + term.replace("\\", "\\\\").replace("'", "''") + "'" for term in terms.words)
        if not match:
            return []
        values = {"match": match, "k": DEPTH}
        return [int(name) for name in db.read_sync(lambda conn: conn.execute(query, values).scalars().all())]

    return find


def sparse(texts: Sequence[str], stack: ExitStack, *, folder: str) -> Find:
    """The library bm25s over dictionary words, in memory, anew at every change."""
    import bm25s

    index = bm25s.BM25()
    index.index([tokens.words(tokens.fold(one)) for one in texts], show_progress=False)

    def find(question: str) -> list[int]:
        words = tokens.words(tokens.fold(question))
        known = [word for word in words if word in index.vocab_dict]
        if not known:
            return []
        found, _ = index.retrieve([known], k=min(DEPTH, len(texts)), show_progress=False)
        return [int(one) for one in found[0]]

    return find


def _letters(question: str) -> str:
    return "".join(character if character.isalnum() else " " for character in question)


def _trigrams(question: str) -> list[str]:
    return [run[i : i + 3] for run in _letters(question).split() for i in range(len(run) - 2)]


# --- what nobody can answer -------------------------------------------------------------------------------------


def _refusals(cmrc: Corpus, drcd: Corpus, quick: bool) -> list[Figure]:
    """What is refused without a language model: half of the texts are there, and questions about the other half."""
    half = len(cmrc.texts) // 2
    step = 40 if quick else 2
    near = [(question, right < half) for question, right in cmrc.questions[::step]]
    far = [(question, False) for question, _ in drcd.questions[::step]]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        db = filled(cmrc.texts[:half], stack, f"sqlite:///{folder}/moqi.db")
        found: list[Figure] = []
        for name, questions in (("about the missing half", near), ("about something else", [*near[::2], *far])):
            refused = [
                not answerable(db.read_sync(lexical.search, search.terms(q), EVERYONE, DEPTH)) for q, _ in questions
            ]
            found += _refused(name, refused, [not there for _, there in questions])
    return found


def _refused(name: str, refused: Sequence[bool], unanswerable: Sequence[bool]) -> list[Figure]:
    right = sum(a and b for a, b in zip(refused, unanswerable, strict=True))
    return [
        figure(f"no model, asked {name}: refusal precision", [right / max(sum(refused), 1) * 100], "%"),
        figure(f"no model, asked {name}: refusal recall", [right / max(sum(unanswerable), 1) * 100], "%"),
    ]


if __name__ == "__main__":
    part(run, TITLE)
