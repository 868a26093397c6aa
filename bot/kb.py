"""The knowledge base as a service: what `moqi kb …`, `/kb` and the start of the server call.

Reading and cutting documents takes processor time and happens in a thread; each document is then kept in one short
transaction of its own, so that a failed one leaves the others.

Folders are kept in step by bot/kb_folders.py, pages by bot/kb_urls.py, Feishu's wiki by bot/kb_wiki.py.

KnowledgeError
├── NoFolder       there is nothing at that path to keep in step with; nothing was changed
└── BadQuestions   the file of questions for bot/kb_eval.py is not what it should be; says which line
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from bot import kb_files, kb_listing
from bot.kb_access import PUBLIC as PUBLIC
from bot.kb_access import SILENT, Access
from bot.kb_listing import Found
from inference.grounding import parse, reader, tokens
from inference.grounding.chunk import STANDARD, Cutting
from inference.grounding.parse import ParseError
from scheduler.retrieval import Retrieval
from storage import documents
from storage.database import Database
from storage.documents import Holding
from storage.records import NewPassage, ScoredPassage

#: The mark of documents that `sync` keeps in step with its folder; those added by hand have none and it leaves them.
SYNCED = "folder"

#: Characters of the name of a document that was sent, without its ending.
LONGEST_NAME = 120


class KnowledgeError(Exception):
    """Something about the knowledge base cannot be done as asked."""


class NoFolder(KnowledgeError):
    """A source is not there. Emptying the knowledge base for a mistyped path would be worse than refusing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"There is no folder or file {folder}. Create it, or correct the path.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one document."""

    name: str
    status: str  # added | updated | moved | unchanged | removed | skipped | failed
    passages: int = 0
    before: str = ""  # moved: its name until now
    problem: str = ""  # skipped, failed, sometimes removed: why; added, updated: what was not read; and what to do
    code: str = (
        ""  # failed, of a document that was sent: unsupported | too_large | locked | no_text | unreadable | synced
    )
    unread: str = ""  # added, updated: its pages that were left out, "2, 5–7"


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
    principals: frozenset[str] = frozenset(),
    access: Access = SILENT,
    report: Report = _silent,
    cutting: Cutting = STANDARD,
) -> list[Outcome]:
    """Add or update files and whole folders. `report` hears of each document as it is done.

    A document is named by its path relative to the folder given, or by its file name. Where `principals` names nobody,
    `access` says who may read it.
    """
    listing = await asyncio.to_thread(kb_listing.look, list(paths))
    outcomes = [Outcome(name=name, status="failed", problem=problem) for name, problem in listing.refused]
    for outcome in outcomes:
        report(outcome)
    for name, found in listing.files.items():
        outcomes.append(await _put(db, name, found, principals, access, cutting))
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


def keep_given(
    conn: Connection,
    given: Given,
    principals: frozenset[str] = frozenset(),
    access: Access = SILENT,
) -> Outcome:
    """Put a document that was sent into the knowledge base, within the caller's transaction.

    Where `principals` names nobody, it keeps the readers it has, and a new one gets those that `access` says. One that
    is kept in step with a source is left alone: the next round would bring the source's back.
    """
    found = given.prepared
    if found is None:
        return Outcome(name=given.name, status="failed", problem=given.problem, code=given.code)
    held = documents.holding(conn, given.name)
    if held is not None and held.source:
        problem = f"{given.name} is kept in step with a source."
        return Outcome(name=given.name, status="failed", problem=problem, code="synced")
    readers = access.by_hand(given.name, principals, held.principals if held else frozenset())
    if held is not None and (held.document.sha256, held.recipe) == (found.sha256, found.recipe):
        if readers != held.principals:
            documents.set_access(conn, given.name, readers)
        return Outcome(name=given.name, status="unchanged", passages=held.passages)
    keep(conn, found, readers)
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


async def overview(db: Database) -> list[Holding]:
    """Every document with its readers, for operators."""
    return await db.read(documents.holdings)


async def _put(
    db: Database, name: str, found: Found, principals: frozenset[str], access: Access, cutting: Cutting
) -> Outcome:
    """A file added by hand; one that a source kept until now is the hand's from here on."""
    held = await db.read(documents.holding, name)
    readers = access.by_hand(name, principals, held.principals if held and not held.source else frozenset())
    try:
        read = await asyncio.to_thread(kb_files.read, name, found)
        if held is not None and (held.document.sha256, held.recipe, held.source) == (read.sha256, recipe(cutting), ""):
            if held.principals != readers:
                await db.run(documents.set_access, name, readers)
            return Outcome(name=name, status="unchanged", passages=held.passages)
        prepared = await asyncio.to_thread(prepare, read.data, name, read.sha256, cutting=cutting)
    except (ParseError, OSError) as error:
        return Outcome(name=name, status="failed", problem=kb_files.reason(error, name))
    await db.run(keep, prepared, readers)
    return kept(prepared, "updated" if held else "added")


def keep(
    conn: Connection,
    prepared: Prepared,
    readers: frozenset[str],
    *,
    source: str = "",
    ref: str = "",
    revision: str = "",
    url: str = "",
) -> None:
    """Put a prepared document in, or in its old version's place, within the caller's transaction."""
    documents.put_document(
        conn,
        name=prepared.name,
        title=prepared.title,
        sha256=prepared.sha256,
        recipe=prepared.recipe,
        pieces=prepared.pieces,
        principals=readers,
        source=source,
        ref=ref,
        revision=revision,
        url=url,
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


def prepare(
    data: bytes, name: str, sha256: str, *, kind: str = "", title: str = "", cutting: Cutting = STANDARD
) -> Prepared:
    """Read and cut a document; blocks. `kind` is its ending where `name` has none. Raises `ParseError`."""
    found = reader.read(data, name, kind=kind, title=title, cutting=cutting)
    return Prepared(
        name=name, title=found.title, sha256=sha256, recipe=recipe(cutting), pieces=found.passages, unread=found.unread
    )


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
