"""The knowledge base as a service: what `moqi kb …`, `/kb` and the start of the server call.

Reading and cutting documents takes processor time and happens in a thread; each document is then kept in one short
transaction of its own, so that a failed one leaves the others.

KnowledgeError
├── NoFolder       there is nothing at that path to keep in step with; nothing was changed
└── BadQuestions   the file of questions for `evaluate` is not what it should be; says which line
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from sqlalchemy import Connection

from inference.grounding import parse, reader, tokens
from inference.grounding.chunk import STANDARD, Cutting
from inference.grounding.parse import ParseError
from inference.text.extractive import answerable
from scheduler.retrieval import Retrieval
from storage import documents
from storage.database import Database
from storage.documents import EVERYONE, Holding
from storage.records import NewPassage, ScoredPassage

#: The mark of documents that `sync` keeps in step with its folder; those added by hand have none and it leaves them.
SYNCED = "folder"

#: Who may read a document when nobody says otherwise.
PUBLIC = frozenset({EVERYONE})

#: Passages looked at to find ten different documents.
DEPTH = 30

#: Characters of the name of a document that was sent, without its ending.
LONGEST_NAME = 120


class KnowledgeError(Exception):
    """Something about the knowledge base cannot be done as asked."""


class NoFolder(KnowledgeError):
    """A source is not there. Emptying the knowledge base for a mistyped path would be worse than refusing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"There is no folder or file {folder}. Create it, or correct the path.")


class BadQuestions(KnowledgeError):
    """A line of the questions is not {"question": "…", "documents": ["…"]}."""

    def __init__(self, line: int) -> None:
        super().__init__(f'Line {line} is not a JSON object {{"question": "…", "documents": ["name", …]}}. Correct it.')
        self.line = line


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one document."""

    name: str
    status: str  # added | updated | unchanged | removed | skipped | failed
    passages: int = 0
    problem: str = ""  # skipped, failed, sometimes removed: why; added, updated: what was not read; and what to do
    code: str = (
        ""  # failed, of a document that was sent: unsupported | too_large | locked | no_text | unreadable | synced
    )
    unread: str = ""  # added, updated: its pages that were left out, "2, 5–7"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One line of an evaluation: the documents that answer it; none = must be refused."""

    question: str
    documents: frozenset[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A document read and cut, ready to be kept."""

    name: str
    title: str
    sha256: str
    recipe: str  # how its passages were made
    pieces: tuple[NewPassage, ...]
    unread: tuple[int, ...] = ()  # pages that need text recognition


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A document that somebody sent, as it was read; or why it could not be."""

    name: str
    prepared: Prepared | None = None
    problem: str = ""
    code: str = ""


Report = Callable[[Outcome], None]


def _silent(outcome: Outcome) -> None:
    """Nobody watches."""


def recipe(cutting: Cutting = STANDARD) -> str:
    """How passages are made. A document kept under another recipe is indexed again at the next occasion."""
    return f"parse {parse.VERSION}, chunk {cutting}, tokens {tokens.VERSION}"


# --- putting in and taking out ----------------------------------------------------------------------------------


async def add(
    db: Database,
    paths: Iterable[Path],
    *,
    principals: frozenset[str] = PUBLIC,
    report: Report = _silent,
    cutting: Cutting = STANDARD,
) -> list[Outcome]:
    """Add or update files and whole folders. `report` hears of each document as it is done.

    A document is named by its path relative to the folder given, or by its file name.
    """
    held = await _held(db)
    outcomes = []
    for name, path in await asyncio.to_thread(lambda: list(_named(paths))):
        outcomes.append(await _put(db, name, path, held.get(name), principals, "", cutting))
        report(outcomes[-1])
    return outcomes


def read_given(name: str, data: bytes, cutting: Cutting = STANDARD) -> Given:
    """Read a document that somebody sent, and keep nothing. Call it in a thread: see inference.grounding.reader.

    What it is, is told by its bytes, not by its name.
    """
    name = given_name(name)
    try:
        prepared = prepare(
            data, name, hashlib.sha256(data).hexdigest(), kind=parse.kind_of(data, name), cutting=cutting
        )
    except ParseError as error:
        return Given(name=name, problem=str(error), code=_CODES[type(error)])
    return Given(name=name, prepared=prepared)


def keep_given(conn: Connection, given: Given, principals: frozenset[str] = PUBLIC) -> Outcome:
    """Put a document that was sent into the knowledge base, within the caller's transaction.

    One that is kept in step with a source is left alone: the next round would bring the source's back.
    """
    found = given.prepared
    if found is None:
        return Outcome(name=given.name, status="failed", problem=given.problem, code=given.code)
    held = next((one for one in documents.holdings(conn) if one.document.name == given.name), None)
    if held is not None and held.source:
        problem = f"{given.name} is kept in step with a source."
        return Outcome(name=given.name, status="failed", problem=problem, code="synced")
    if held is not None and (held.document.sha256, held.recipe) == (found.sha256, found.recipe):
        return Outcome(name=given.name, status="unchanged", passages=held.passages)
    _keep(conn, found, principals, source="")
    return kept(found, "updated" if held else "added")


def given_name(name: str) -> str:
    """The name of a document by the name of the file it came in: no folders, nothing hidden, not too long. Pure."""
    last = parse.clean(name).replace("\\", "/").rpartition("/")[2]
    shown = " ".join(last.split()).lstrip(".").strip()
    stem, dot, suffix = shown.rpartition(".")
    return f"{(stem or suffix)[:LONGEST_NAME]}{dot if stem else ''}{suffix[:10] if stem else ''}" or "document"


async def remove(db: Database, name: str) -> bool:
    """Take a document out. False when there is none of this name."""
    return await db.run(documents.delete_document, name)


async def sync(
    db: Database,
    *sources: Path,
    principals: frozenset[str] = PUBLIC,
    readers: Mapping[Path, frozenset[str]] = MappingProxyType({}),
    report: Report = _silent,
    cutting: Cutting = STANDARD,
) -> list[Outcome]:
    """Make the synced documents equal to the files of all the sources (folders or files) together.

    Pass every source in one call: what none of them holds is taken out. Documents added by hand stay as they are. A
    file that cannot be read any more keeps the version that is in, and its outcome says what is wrong. `readers` says
    whose a source is where that is not `principals`. Raises `NoFolder`.
    """
    for source in sources:
        if not await asyncio.to_thread(source.exists):
            raise NoFolder(source)
    held = await _held(db)
    whose = {source: readers.get(source, principals) for source in sources}
    files, outcomes = _distinct(await asyncio.to_thread(lambda: list(_named(sources))))
    for outcome in outcomes:
        report(outcome)
    gone = [name for name, holding in held.items() if holding.source == SYNCED and name not in files]
    for name in gone:
        await remove(db, name)
        outcomes.append(Outcome(name=name, status="removed"))
        report(outcomes[-1])
    for name, path in files.items():
        outcomes.append(await _put(db, name, path, held.get(name), whose[_innermost(path, whose)], SYNCED, cutting))
        report(outcomes[-1])
    return outcomes


def _innermost(path: Path, sources: Iterable[Path]) -> Path:
    """The source a file belongs to: of a folder within a folder it is the inner one that says who may read it."""
    return max((one for one in sources if one == path or one in path.parents), key=lambda one: len(one.parts))


def _distinct(named: Iterable[tuple[str, Path]]) -> tuple[dict[str, Path], list[Outcome]]:
    """The files by name; of two with one name the first, and for the other an outcome that says so."""
    files: dict[str, Path] = {}
    refused = []
    for name, path in named:
        if files.setdefault(name, path) != path:
            problem = f"{path} has the same name as {files[name]}. Rename one of them."
            refused.append(Outcome(name=name, status="failed", problem=problem))
    return files, refused


async def overview(db: Database) -> list[Holding]:
    """Every document with its readers, for operators."""
    return await db.read(documents.holdings)


async def _held(db: Database) -> dict[str, Holding]:
    return {holding.document.name: holding for holding in await overview(db)}


async def _put(
    db: Database,
    name: str,
    path: Path,
    held: Holding | None,
    principals: frozenset[str],
    source: str,
    cutting: Cutting,
) -> Outcome:
    try:
        data = await asyncio.to_thread(_read, path, name)
        sha256 = hashlib.sha256(data).hexdigest()
        if held is not None and (held.document.sha256, held.recipe, held.source) == (sha256, recipe(cutting), source):
            if held.principals != principals:
                await db.run(documents.set_access, name, principals)
            return Outcome(name=name, status="unchanged", passages=held.passages)
        prepared = await asyncio.to_thread(prepare, data, name, sha256, cutting=cutting)
    except (ParseError, OSError) as error:
        return Outcome(name=name, status="failed", problem=str(error))
    await db.run(_keep, prepared, principals, source)
    return kept(prepared, "updated" if held else "added")


def _keep(conn: Connection, prepared: Prepared, principals: frozenset[str], source: str) -> None:
    documents.put_document(
        conn,
        name=prepared.name,
        title=prepared.title,
        sha256=prepared.sha256,
        recipe=prepared.recipe,
        pieces=prepared.pieces,
        principals=principals,
        source=source,
    )


_CODES: dict[type[Exception], str] = {
    parse.Unsupported: "unsupported",
    parse.TooLarge: "too_large",
    parse.Unreadable: "unreadable",
    parse.Locked: "locked",
    parse.NoText: "no_text",
}


def kept(prepared: Prepared, status: str) -> Outcome:
    """The outcome of a document that is in now; pages that need text recognition are not, and it says so."""
    pages = parse.listed(prepared.unread)
    problem = f"No text on p. {pages}, left out. Run text recognition (OCR) on the file." if pages else ""
    return Outcome(name=prepared.name, status=status, passages=len(prepared.pieces), problem=problem, unread=pages)


def _read(path: Path, name: str) -> bytes:
    parse.check_size(path.stat().st_size, name)
    return path.read_bytes()


def prepare(
    data: bytes, name: str, sha256: str, *, kind: str = "", title: str = "", cutting: Cutting = STANDARD
) -> Prepared:
    """Read and cut a document; blocks. `kind` is its ending where `name` has none. Raises `ParseError`."""
    found = reader.read(data, name, kind=kind, title=title, cutting=cutting)
    return Prepared(
        name=name, title=found.title, sha256=sha256, recipe=recipe(cutting), pieces=found.passages, unread=found.unread
    )


def _named(paths: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Names and files of what was given; of folders those that can be read, without hidden ones, in order."""
    for path in paths:
        if not path.is_dir():
            yield path.name, path
            continue
        for found in sorted(path.rglob("*")):
            relative = found.relative_to(path)
            hidden = any(part.startswith(".") for part in relative.parts)
            if found.is_file() and not hidden and found.suffix.lower() in parse.supported():
                yield relative.as_posix(), found


# --- asking and measuring ---------------------------------------------------------------------------------------


async def search(
    db: Database,
    question: str,
    *,
    k: int = 10,
    principals: frozenset[str] = PUBLIC,
    retrieval: Retrieval | None = None,
) -> list[ScoredPassage]:
    """The passages that fit a question best among those the principals may read, best first."""
    by = retrieval or Retrieval()
    query = await by.prepare(question)
    return await by.ranked(query, await db.read(by.find, query, principals, k), k)


def to_json(found: Sequence[ScoredPassage]) -> list[dict[str, object]]:
    """Found passages as `moqi kb search --json` prints them."""
    return [
        {
            "document": one.passage.document,
            "passage": one.passage.id,
            "score": round(one.score, 4),
            "text": one.passage.text,
        }
        for one in found
    ]


def read_questions(lines: Iterable[str]) -> list[Question]:
    """Questions from JSON lines; blank lines do not count. Raises `BadQuestions`."""
    return [_question(line, number) for number, line in enumerate(lines, 1) if line.strip()]


async def evaluate(
    db: Database,
    questions: Sequence[Question],
    *,
    principals: frozenset[str] = PUBLIC,
    retrieval: Retrieval | None = None,
) -> dict[str, float]:
    """Recall, rank and time of the search over questions whose documents are known.

    Ranks count different documents. Questions without documents must be refused; where there are any, there is also
    `refusal_precision` (of what was refused, how much had to be) and `refusal_recall` (of what had to be, how much
    was).
    """
    ranks, times, refused = [], [], []
    for one in questions:
        began = time.perf_counter()
        found = await search(db, one.question, k=DEPTH, principals=principals, retrieval=retrieval)
        times.append(time.perf_counter() - began)
        refused.append(not answerable(found))
        if one.documents:
            ranks.append(_rank(found, one.documents))
    metrics: dict[str, float] = {"n": len(questions), **_ranking(ranks), **_timing(times)}
    if len(ranks) < len(questions):
        metrics |= _refusal(refused, [not one.documents for one in questions])
    return metrics


def _question(line: str, number: int) -> Question:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadQuestions(number) from error
    match data:
        case {"question": str(question), "documents": list(names)} if all(isinstance(name, str) for name in names):
            return Question(question=question, documents=frozenset(names))
    raise BadQuestions(number)


def _rank(found: Sequence[ScoredPassage], right: frozenset[str]) -> int:
    """Where the first right document stands among the different documents found, from 1; 0 = nowhere."""
    names = dict.fromkeys(one.passage.document for one in found)
    return next((rank for rank, name in enumerate(names, 1) if name in right), 0)


def _ranking(ranks: Sequence[int]) -> dict[str, float]:
    count = max(len(ranks), 1)
    recall = {f"recall@{k}": round(sum(1 <= rank <= k for rank in ranks) / count, 4) for k in (1, 5, 10)}
    return {**recall, "mrr@10": round(sum(1 / rank for rank in ranks if 1 <= rank <= 10) / count, 4)}


def _timing(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    at = {name: ordered[min(int(len(ordered) * share), len(ordered) - 1)] for name, share in _QUANTILES}
    return {name: round(value * 1000, 3) for name, value in at.items()}


_QUANTILES = (("p50_ms", 0.50), ("p99_ms", 0.99))


def _refusal(refused: Sequence[bool], unanswerable: Sequence[bool]) -> dict[str, float]:
    right = sum(a and b for a, b in zip(refused, unanswerable, strict=True))
    precision = right / sum(refused) if any(refused) else 0.0
    return {"refusal_precision": round(precision, 4), "refusal_recall": round(right / sum(unanswerable), 4)}
