"""How well and how fast the knowledge base finds, against SQLite's own tokenizers, in one run.

Reads CMRC 2018 and DRCD from `../shared/ragdata` beside the checkout; says so and stops where that is missing.
Run: python benchmarks/retrieval.py [--postgres postgresql+psycopg://…]   (that database is emptied)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, make_url, text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from inference.grounding import search  # noqa: E402 - runs from a checkout, installed or not
from storage import documents  # noqa: E402
from storage.database import Database, sqlite_engine  # noqa: E402
from storage.migrations import migrate  # noqa: E402
from storage.records import NewPassage  # noqa: E402

DATA = ROOT.parent / "shared/ragdata"
SETS = {"CMRC dev": "cmrc2018/cmrc2018_dev.json", "DRCD dev": "drcd/DRCD_dev.json"}
EVERYONE = frozenset({documents.EVERYONE})
DEPTH = 10
TOKENIZERS = ("unicode61", "trigram")

Texts = Sequence[str]
Questions = Sequence[tuple[str, int]]  # question, index of the right text
Find = Callable[[str], list[int]]  # indices of texts, best first
Build = Callable[[Texts, ExitStack], Find]  # what it opens is closed with the stack


def main() -> int:
    """Print one line per data set and system."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgres", default="", help="URL of a PostgreSQL database to measure too; it is emptied")
    postgres = parser.parse_args().postgres
    if not DATA.is_dir():
        print(f"skipped: no data in {DATA}")
        return 0
    print(f"{'set':10}{'system':26}{'build s':>8}{'R@1':>7}{'R@5':>7}{'R@10':>7}{'MRR':>7}{'p50 ms':>8}{'p99 ms':>8}")
    for name, file in SETS.items():
        texts, questions = load(DATA / file)
        with tempfile.TemporaryDirectory() as folder:
            systems = {"moqi, SQLite": partial(ours, url=f"sqlite:///{folder}/moqi.db")}
            systems |= {f"plain FTS5, {kind}": partial(plain, folder=folder, tokenizer=kind) for kind in TOKENIZERS}
            if postgres:
                systems["moqi, PostgreSQL"] = partial(ours, url=postgres)
            for system, build in systems.items():
                measure(name, system, build, texts, questions)
    return 0


def load(path: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Texts and questions of a SQuAD-shaped file."""
    texts: list[str] = []
    questions: list[tuple[str, int]] = []
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            questions += [(qa["question"], len(texts)) for qa in paragraph["qas"]]
            texts.append(paragraph["context"])
    return texts, questions


def measure(name: str, system: str, build: Build, texts: Texts, questions: Questions) -> None:
    """Build, ask every question, print."""
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
    times.sort()
    recall = [sum(1 <= rank <= k for rank in ranks) / len(ranks) * 100 for k in (1, 5, 10)]
    mrr = sum(1 / rank for rank in ranks if rank) / len(ranks) * 100
    figures = "".join(f"{value:7.1f}" for value in (*recall, mrr))
    print(f"{name:10}{system:26}{built:8.1f}{figures}{times[len(times) // 2]:8.2f}{times[len(times) * 99 // 100]:8.2f}")


def ours(texts: Texts, stack: ExitStack, *, url: str) -> Find:
    """The product's own tables, tokens and query; one passage per text, as the data sets mean it."""
    migrate(url, "base")
    migrate(url)
    db = stack.enter_context(Database.open(url))
    db.run_sync(_put_all, texts)

    def find(question: str) -> list[int]:
        found = db.read_sync(documents.search, search.terms(question), EVERYONE, DEPTH)
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
    sys.exit(main())
