"""How well and how fast the knowledge base finds, against SQLite's own tokenizers, in one run.

Reads CMRC 2018 and DRCD from `../shared/ragdata` beside the checkout; says so and stops where that is missing.
On PostgreSQL too where the extra `dev` is installed.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, make_url, text

from benchmarks.common import Figure, figure, part, percentile
from benchmarks.postgres import server
from inference.grounding import search
from storage import documents, lexical
from storage.database import Database, sqlite_engine
from storage.encryption import KEY_FILE, Key
from storage.migrations import migrate
from storage.records import NewPassage

TITLE = "Knowledge base: Chinese questions, against SQLite's own tokenizers"
ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT.parent / "shared/ragdata"
SETS = {"CMRC dev": "cmrc2018/cmrc2018_dev.json", "DRCD dev": "drcd/DRCD_dev.json"}
EVERYONE = frozenset({documents.EVERYONE})
DEPTH = 10
TOKENIZERS = ("unicode61", "trigram")

Texts = Sequence[str]
Questions = Sequence[tuple[str, int]]  # question, index of the right text
Find = Callable[[str], list[int]]  # indices of texts, best first
Build = Callable[[Texts, ExitStack], Find]  # what it opens is closed with the stack


def run(quick: bool = False) -> list[Figure]:
    """One group of figures per data set and system; none where the data is missing."""
    if not DATA.is_dir():
        print(f"skipped: no data in {DATA}")
        return []
    found: list[Figure] = []
    with server() as postgres:
        for name, file in list(SETS.items())[: 1 if quick else None]:
            texts, questions = load(DATA / file)
            questions = questions[::3]  # over a thousand are left: enough for recall to a percent
            if quick:
                texts, questions = texts[:50], [pair for pair in questions if pair[1] < 50]
            with tempfile.TemporaryDirectory() as folder:
                systems = {"moqi, SQLite": partial(ours, url=f"sqlite:///{folder}/moqi.db")}
                Key.make(Path(folder, "moqi.key"))
                sealed = f"sqlite:///{folder}/sealed.db?{KEY_FILE}={folder}/moqi.key"
                systems["moqi, SQLite with a key"] = partial(ours, url=sealed)
                systems |= {f"plain FTS5, {kind}": partial(plain, folder=folder, tokenizer=kind) for kind in TOKENIZERS}
                systems["moqi, PostgreSQL"] = partial(ours, url=postgres)
                for system, build in systems.items():
                    found += measure(f"{name}, {system}", build, texts, questions)
    return found


def load(path: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Texts and questions of a SQuAD-shaped file."""
    texts: list[str] = []
    questions: list[tuple[str, int]] = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            questions += [(qa["question"], len(texts)) for qa in paragraph["qas"]]
            texts.append(paragraph["context"])
    return texts, questions


def measure(name: str, build: Build, texts: Texts, questions: Questions) -> list[Figure]:
    """Build, ask every question."""
    ranks, times = [], []
    with ExitStack() as stack:
        began = time.perf_counter()
        find = build(texts, stack)
        built = time.perf_counter() - began
        for question, right in questions:
            began = time.perf_counter()
            found = find(question)
            times.append((time.perf_counter() - began) * 1000)
            ranks.append(found.index(right) + 1 if right in found else 0)
    recall = [sum(1 <= rank <= k for rank in ranks) / len(ranks) * 100 for k in (1, 5)]
    return [
        figure(f"{name}: index built", [built], "s"),
        figure(f"{name}: right text first", recall[:1], "%"),
        figure(f"{name}: right text among five", recall[1:], "%"),
        figure(f"{name}: p50", [percentile(times, 50)], "ms"),
        figure(f"{name}: p99", [percentile(times, 99)], "ms"),
    ]


def ours(texts: Texts, stack: ExitStack, *, url: str) -> Find:
    """The product's own tables, tokens and query; one passage per text, as the data sets mean it."""
    migrate(url, "base")
    migrate(url)
    db = stack.enter_context(Database.open(url))
    db.run_sync(_put_all, texts)

    def find(question: str) -> list[int]:
        found = db.read_sync(lexical.search, search.terms(question), EVERYONE, DEPTH)
        return [int(one.passage.document) for one in found]

    return find


def _put_all(conn: Connection, texts: Texts) -> None:
    for number, content in enumerate(texts):
        terms = search.index_terms(content)
        piece = NewPassage(heading="", start=0, end=len(content), text=content, terms=terms)
        documents.put_document(
            conn, name=str(number), title="", sha256="", recipe="", pieces=[piece], principals=EVERYONE
        )


def plain(texts: Texts, stack: ExitStack, *, folder: str, tokenizer: str) -> Find:
    """What SQLite does by itself: the raw text in an FTS5 table, the question's runs of letters OR-ed."""
    engine = sqlite_engine(make_url(f"sqlite:///{folder}/{tokenizer}.db"), "BEGIN")
    stack.callback(engine.dispose)
    conn = stack.enter_context(engine.connect())
    conn.execute(text(f"create virtual table f using fts5(body, tokenize = '{tokenizer}')"))
    conn.execute(
        text("insert into f (rowid, body) values (:id, :body)"), [_row(n, body) for n, body in enumerate(texts)]
    )
    query = text("select rowid from f where f match :match order by rank limit :k")

    def find(question: str) -> list[int]:
        pieces = _trigrams(question) if tokenizer == "trigram" else _letters(question).split()
        match = " OR ".join(f'"{piece}"' for piece in pieces)
        return [int(row[0]) for row in conn.execute(query, {"match": match, "k": DEPTH})] if match else []

    return find


def _row(number: int, body: str) -> dict[str, object]:
    return {"id": number, "body": body}


def _letters(question: str) -> str:
    return "".join(character if character.isalnum() else " " for character in question)


def _trigrams(question: str) -> list[str]:
    return [run[i : i + 3] for run in _letters(question).split() for i in range(len(run) - 2)]


if __name__ == "__main__":
    part(run, TITLE)
