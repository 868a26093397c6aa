"""Keeping the knowledge base in step with folders: what is new, changed, moved, gone, in a report that says so.

Each document is a transaction of its own, and its row tells which version of its file it was made from: a reading that
was broken off goes on where it ended. Somebody at the terminal has every file's content compared and may empty a
folder; the server trusts size and time, and takes an empty folder for one that is not mounted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from sqlalchemy import Connection

from bot import kb, kb_files, kb_listing, kb_moves, kb_plan
from bot.kb import NoFolder, Outcome, Prepared
from bot.kb_access import SILENT, Access
from bot.kb_claims import Claim, claimed
from bot.kb_listing import Found, Listing
from bot.kb_plan import Tally
from inference.grounding.chunk import STANDARD, Cutting
from inference.grounding.parse import ParseError
from storage import documents, syncs
from storage.database import Database
from storage.documents import Holding
from storage.records import utcnow
from storage.syncs import Lost

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

#: Documents read at once: while one is written to the disk, or read by a child process, the next is under way.
AT_ONCE = 4

#: Documents taken out at once: on SQLite they share a flush to the disk.
GONE_AT_ONCE = 32

AGAIN = 0.5  # seconds between two tries to hold what another process reads


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a process remembers of a file, so as not to open it again while it stays the same."""

    mark: str
    sha256: str = ""
    outcome: Outcome | None = None  # it could not be read, and why


Memory = dict[str, Seen]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be kept in step."""

    folders: Mapping[Path, frozenset[str]]  # folders and files, with those who are named as their readers
    access: Access = SILENT
    cutting: Cutting = STANDARD  # how documents are cut
    names: Mapping[Path, str] = field(default_factory=dict)  # what people call some of them: see --kb


@dataclass(frozen=True, kw_only=True, slots=True)
class Watching:
    """Who hears of a reading while it goes on."""

    report: kb.Report = lambda outcome: None
    total: Callable[[int], None] = lambda count: None
    settled: Callable[[], None] = lambda: None  # it was read before, and what is held may be answered from again
    waiting: Callable[[], None] = lambda: None  # another process reads: told each time that is found out


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How a reading went."""

    outcomes: tuple[Outcome, ...]
    tally: Tally
    unopened: bool = False  # a file or folder was there and could not be opened: that may pass by itself


async def sync(
    db: Database,
    wanted: Wanted,
    watching: Watching | None = None,
    *,
    attended: bool = True,
    memory: Memory | None = None,
) -> Result:
    """Make the synced documents equal to the files of all folders together. Waits while another process does that.

    What no folder holds is taken out; documents added by hand stay as they are; a file that cannot be read any more
    keeps the version that is in. With `attended`, raises `NoFolder` before anything is done; else a folder that is not
    there is reported, and nothing is taken out.
    """
    if attended:
        for folder in wanted.folders:
            if not await asyncio.to_thread(folder.exists):
                raise NoFolder(folder)
    heard = watching or Watching()
    while True:
        try:
            async with claimed(db, kb.SYNCED) as claim:
                if claim is not None:
                    return await _read(claim, wanted, heard, {} if memory is None else memory, attended)
        except Lost:
            pass  # this process was away for long, and another one reads by now
        heard.waiting()
        await asyncio.sleep(AGAIN)


async def _read(claim: Claim, wanted: Wanted, watching: Watching, memory: Memory, attended: bool) -> Result:
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="moqi-documents")
    try:
        result = await _Reading(claim, pool, wanted, watching, memory).run(attended)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # a child that still reads ends by its limits
    await claim.finish(result.tally.to_json(), result.tally.at)
    return result


class _Reading:
    """One reading of all folders, under a claim, in threads of its own: those of all others must not wait for it."""

    def __init__(self, claim: Claim, pool: Executor, wanted: Wanted, watching: Watching, memory: Memory) -> None:
        self._claim = claim
        self._pool = pool
        self._wanted = wanted
        self._recipe = kb.recipe(wanted.cutting)
        self._watching = watching
        self._memory = memory
        self._trusting = False  # what size and time say
        self._held: dict[str, Holding] = {}
        self._moved: dict[str, Holding] = {}
        self._marks: dict[str, str] = {}  # versions of files whose content was found to be the same
        self._filled: set[str] = set()  # folders in which there was something the last time
        self._unopened = False
        self._outcomes: list[Outcome] = []

    async def run(self, attended: bool) -> Result:
        """Do it all: rights first, then what is gone, then what is new."""
        self._trusting = not attended
        listing = await asyncio.to_thread(kb_listing.look, self._wanted.folders)
        last = await self._claim.db.read(syncs.report_of, kb.SYNCED)
        self._filled = set(Tally.from_json(last).filled) if last is not None else set()
        self._held = {one.document.name: one for one in await self._claim.db.read(documents.holdings, kb.SYNCED)}
        problem = "" if attended else await self._doubt(listing)
        if problem:
            listing = replace(listing, unseen=("",))
        await self._grant(listing)
        await self._settle(listing)
        if last is not None:
            self._watching.settled()
        await self._all(in_order(listing.files.items(), lambda item: self._file(*item), AT_ONCE))
        if self._marks:
            await self._claim.write(documents.note_revisions, self._marks)
        await self._collect(listing)
        for name in self._memory.keys() - listing.files.keys():
            del self._memory[name]
        unopened = self._unopened or bool(listing.unseen)
        return Result(outcomes=tuple(self._outcomes), tally=self._tally(listing, problem), unopened=unopened)

    async def _settle(self, listing: Listing) -> None:
        """What was refused, has moved, has gone: behind this nothing is held that should not be."""
        missing = kb_moves.missing(listing, self._held)
        self._watching.total(len(listing.files) + len(listing.refused) + len(missing))
        for name, why in listing.refused:
            self._heard(Outcome(name=name, status="failed", problem=why))
        await self._move(listing)
        elsewhere = {one.document.name for one in self._moved.values()}
        gone = [one.document.name for one in missing if one.document.name not in elsewhere]
        await self._all(in_order(gone, self._remove, GONE_AT_ONCE))

    async def _thread(self, act: Callable[P, T], *given: P.args, **more: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, partial(act, *given, **more))

    async def _all(self, working: AsyncGenerator[Outcome]) -> None:
        async with aclosing(working) as outcomes:
            async for outcome in outcomes:
                self._heard(outcome)

    def _heard(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._watching.report(outcome)

    def _tally(self, listing: Listing, problem: str) -> Tally:
        seen = sum(one.status != "removed" for one in self._outcomes)
        found = kb_plan.tally(kb.SYNCED, seen, self._outcomes, utcnow())
        filled = {str(one.source) for one in listing.files.values()}
        if problem:  # it stays until it is settled, also through a restart
            filled |= self._filled
        return replace(found, problem=problem, note=listing.note, filled=tuple(sorted(filled)))

    async def _doubt(self, listing: Listing) -> str:
        """Why nothing may be taken out: a folder is not there, or is empty all of a sudden. Nobody is asked here."""
        for folder in self._wanted.folders:
            if not await asyncio.to_thread(folder.exists):
                return str(NoFolder(folder))
        emptied = [str(one) for one in listing.empty if str(one) in self._filled]
        if not emptied:
            return ""
        return (
            f"{emptied[0]} is empty and was not before. Mount it; or, if that is meant, run `moqi kb sync` to take its "
            "documents out."
        )

    async def _grant(self, listing: Listing) -> None:
        """Access that was taken away must not wait until everything is read, nor until a folder is there again."""
        wanted = {one.document.id: self._readers_of(one, listing) for one in self._held.values()}
        changed = {one.document.id for one in self._held.values() if wanted[one.document.id] != one.principals}
        if changed:
            await self._claim.write(documents.grant, {id_: wanted[id_] for id_ in changed})

    def _readers_of(self, held: Holding, listing: Listing) -> frozenset[str]:
        """Who reads what is held. Of a file that cannot be seen its folder is known where all have the same readers."""
        name, access = held.document.name, self._wanted.access
        if name in listing.files:
            return self._readers(name, listing.files[name])
        named = set(self._wanted.folders.values())
        return access.readers(name, named.pop() if len(named) == 1 else held.principals)

    async def _collect(self, listing: Listing) -> None:
        """Say by which name each document can be asked alone."""
        held = await self._claim.db.read(documents.collected, kb.SYNCED)
        wanted = {name: self._wanted.names.get(found.source, "") for name, found in listing.files.items()}
        changed = {name: called for name, called in wanted.items() if held.get(name, called) != called}
        if changed:
            await self._claim.write(documents.collect, changed)

    def _readers(self, name: str, found: Found) -> frozenset[str]:
        return self._wanted.access.readers(name, self._wanted.folders[found.source])

    async def _move(self, listing: Listing) -> None:
        """Follow documents to their new names, with all that was made of them."""
        contents = {}
        for name in kb_moves.candidates(listing, self._held):
            try:
                contents[name] = (await self._thread(kb_files.read, name, listing.files[name])).sha256
            except (ParseError, OSError):
                continue  # said when it is its turn
        for name, before in kb_moves.moves(listing, self._held, contents).items():
            found = listing.files[name]
            readers = self._readers(name, found)
            if await self._claim.write(_move, before, name, readers, kb_files.settled(found)):
                self._moved[name] = before

    async def _remove(self, name: str) -> Outcome:
        await self._claim.write(documents.delete_document, name)
        return Outcome(name=name, status="removed")

    async def _file(self, name: str, found: Found) -> Outcome:
        if (before := self._moved.get(name)) is not None:
            return await self._follow(name, found, before)
        held, seen = self._held.get(name), self._memory.get(name)
        if held is not None and self._known(held, found, seen):
            return Outcome(name=name, status="unchanged", passages=held.passages)
        if self._trusting and seen is not None and seen.outcome is not None and seen.mark == found.mark:
            return seen.outcome
        return await self._fetch(name, found, held)

    async def _follow(self, name: str, found: Found, before: Holding) -> Outcome:
        """What was moved has its passages already, unless they bear the file's old name or were made otherwise."""
        was = before.document.name
        if before.recipe == self._recipe and not kb_moves.titled_by_file(before, name):
            return Outcome(name=name, status="moved", passages=before.passages, before=was)
        outcome = await self._fetch(name, found, None)
        return outcome if outcome.status == "failed" else replace(outcome, status="moved", before=was)

    async def _fetch(self, name: str, found: Found, held: Holding | None) -> Outcome:
        """Read a file, and keep it where it is not what `held` was made from."""
        try:
            read = await self._thread(kb_files.read, name, found)
            self._memory[name] = Seen(mark=read.mark, sha256=read.sha256)
            if held is not None and (held.document.sha256, held.recipe) == (read.sha256, self._recipe):
                if read.mark != held.revision:
                    self._marks[name] = read.mark
                return Outcome(name=name, status="unchanged", passages=held.passages)
            prepared = await self._thread(kb.prepare, read.data, name, read.sha256, cutting=self._wanted.cutting)
        except (ParseError, OSError) as error:
            failed = Outcome(name=name, status="failed", problem=kb_files.reason(error, name))
            if isinstance(error, ParseError):
                self._memory[name] = Seen(mark=kb_files.settled(found), outcome=failed)
            else:
                self._unopened = True
            return failed
        status = await self._claim.write(_keep, prepared, self._readers(name, found), read.mark)
        if status is None:
            return Outcome(name=name, status="failed", problem=f"{name} is kept in step with another source.")
        return kb.kept(prepared, status)

    def _known(self, held: Holding, found: Found, seen: Seen | None) -> bool:
        """Whether a document needs no look into its file: it is the version that the row or this process knows."""
        if not self._trusting or held.recipe != self._recipe:
            return False
        if held.revision == found.mark:
            return True
        return seen is not None and (seen.mark, seen.sha256) == (found.mark, held.document.sha256)


def _move(conn: Connection, before: Holding, name: str, readers: frozenset[str], revision: str) -> bool:
    if not documents.move(conn, before.document.name, to=name, revision=revision):
        return False
    documents.set_access(conn, name, readers)
    return True


def _keep(conn: Connection, prepared: Prepared, readers: frozenset[str], revision: str) -> str | None:
    """Keep a document: what became of it, or None when another source has one of this name."""
    source = documents.source_named(conn, prepared.name)
    if source not in (None, "", kb.SYNCED):
        return None
    kb.keep(conn, prepared, readers, source=kb.SYNCED, revision=revision)
    return "added" if source is None else "updated"


async def in_order(items: Iterable[T], work: Callable[[T], Awaitable[R]], at_once: int) -> AsyncGenerator[R]:
    """What `work` makes of each item, in their order, with at most `at_once` under way."""
    pending: deque[asyncio.Future[R]] = deque()
    try:
        for item in items:
            pending.append(asyncio.ensure_future(work(item)))
            if len(pending) >= at_once:
                yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
