"""Keeping the knowledge base in step with parts of Feishu's wiki.

What may be read there is what the app may read; who gets answers from it is said in knowledge.yaml and nowhere else. A
page is fetched again when the wiki says it was changed; one that is gone, or that the app may no longer read, is taken
out; what could not be listed is left as it is. Each page is one short transaction of its own, and the wiki's version
of it stands in its row: a reading that was broken off goes on where it ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from bot import kb
from bot.kb import Outcome, Prepared, Report
from bot.kb_claims import Claim, claimed
from bot.kb_plan import Page, Tally, WikiSource, differs, moved, plan, settled, tally
from bot.platforms.base import PlatformError
from bot.platforms.feishu.wiki import Refused, Unlisted, Unread, Unsuitable, Wiki, WikiError
from inference.grounding.parse import ParseError
from storage import documents, syncs
from storage.database import Database
from storage.documents import Holding
from storage.errors import StorageError
from storage.records import utcnow
from storage.syncs import Lost

log = logging.getLogger("moqi.knowledge")

AGAIN = timedelta(minutes=2)  # after a reading that failed, and while another process has the source
Memory = dict[str, tuple[str, Outcome]]  # by page: the version of it that cannot be read, and why


# --- doing it ---------------------------------------------------------------------------------------------------


async def sync(
    db: Database,
    wiki: Wiki,
    source: WikiSource,
    *,
    report: Report = lambda outcome: None,
    total: Callable[[int], None] = lambda pages: None,
    unless_since: datetime | None = None,
    memory: Memory | None = None,
) -> Tally | None:
    """Bring what is held of a source in step with the wiki; `total` hears how many pages there are.

    With the same `memory` again, what could not be read is not fetched again before it was changed.
    None when another process reads it now, or when it was read since `unless_since`. What went wrong stands in the
    tally, which is kept as the source's last; StorageError alone is raised.
    """
    outcomes: list[Outcome] = []

    def heard(outcome: Outcome) -> None:
        outcomes.append(outcome)
        report(outcome)

    try:
        async with claimed(db, source.name, unless_since) as claim:
            if claim is None:
                return None
            seen, problem = 0, ""
            reading = _Reading(claim, wiki, source, heard, {} if memory is None else memory)
            try:
                seen = await reading.run(total)
            except (WikiError, PlatformError) as error:
                problem = str(error)
            found = replace(tally(source.name, seen, outcomes, utcnow()), problem=problem, note=reading.note)
            await claim.write(documents.collect_all, source.name, source.called)
            await claim.finish(found.to_json(), found.at)
            return found
    except Lost:
        log.warning("another process reads %s by now", source.name, extra={"action": "knowledge-lost"})
        return None


class _Reading:
    """One reading of one source, under a claim."""

    def __init__(self, claim: Claim, wiki: Wiki, source: WikiSource, heard: Report, memory: Memory) -> None:
        self._claim = claim
        self._wiki = wiki
        self._source = source
        self._heard = heard
        self._memory = memory
        self.note = ""  # what could not be found out, though the reading came to its end

    async def run(self, total: Callable[[int], None]) -> int:
        """Do it all; returns how many pages the wiki listed."""
        held = await self._held()
        try:
            listing = await self._wiki.pages(self._source.part.space, self._source.part.node, self._source.part.host)
        except Refused as error:
            await self._ask_each(list(held.values()), f"the app may not read it any more: {error}")
            raise Unlisted(str(error)) from error
        todo = plan(self._source.app, listing, held, kb.recipe(self._source.cutting))
        pages = (*todo.fetch, *todo.rename, *todo.same)
        total(len(pages) + len(todo.missing) + len(todo.skipped))
        for outcome in todo.skipped:
            self._heard(outcome)
        if listing.complete:
            for holding in todo.missing:
                await self._remove(holding, "")
        else:
            await self._ask_each(todo.missing, "the app may not read it any more")
        shut = await self._shut((*todo.rename, *todo.same))
        doubtful = [page for page in (*todo.rename, *todo.same) if page.node.obj in shut]
        for page in (*doubtful, *todo.fetch):  # what is said to be shut is asked for itself: its answer is the verdict
            await self._fetch(page, held.get(page.ref))
        for page in todo.rename:
            if page.node.obj not in shut:
                await self._write(_follow, page, page.revision)
                self._heard(Outcome(name=page.name, status="updated", passages=held[page.ref].passages))
        for page in todo.same:
            if page.node.obj not in shut:
                self._heard(Outcome(name=page.name, status="unchanged", passages=held[page.ref].passages))
        return len(pages) + len(todo.skipped)

    async def _fetch(self, page: Page, held: Holding | None) -> None:
        """Read a page and keep it, or take it out, or say why neither."""
        revision, outcome = self._memory.get(page.ref, ("", None))
        if held is None and outcome is not None and revision == page.revision:
            self._heard(outcome)
            return
        try:
            content = await self._wiki.read(page.node)
            sha256 = hashlib.sha256(content.data).hexdigest()
            prepared = await asyncio.to_thread(
                kb.prepare,
                content.data,
                page.name,
                sha256,
                kind=content.ending,
                title=page.title,
                cutting=self._source.cutting,
            )
        except Refused as error:
            if held is not None:
                await self._remove(held, str(error))
            else:
                self._heard(Outcome(name=page.name, status="skipped", problem=str(error)))
        except Unsuitable as error:
            await self._write(_drop, page.ref)  # what it held before is not in it any more
            self._useless(page, Outcome(name=page.name, status="skipped", problem=str(error)))
        except ParseError as error:
            self._useless(page, Outcome(name=page.name, status="failed", problem=str(error)))
        except Unread as error:
            self._heard(Outcome(name=page.name, status="failed", problem=str(error)))
        else:
            await self._keep(page, prepared, held)

    def _useless(self, page: Page, outcome: Outcome) -> None:
        """Fetching it again would give the same, until it is changed."""
        if settled(page, utcnow()) == page.revision:
            self._memory[page.ref] = (page.revision, outcome)
        self._heard(outcome)

    async def _keep(self, page: Page, prepared: Prepared, held: Holding | None) -> None:
        if held is not None and not differs(prepared, held):
            await self._write(_follow, page, settled(page, utcnow()))
            status = "updated" if moved(page, held) else "unchanged"
        elif (elsewhere := await self._write(_put, page, prepared)) is not None:
            problem = f"it is in the knowledge base already, from {elsewhere}"
            self._heard(Outcome(name=page.name, status="skipped", problem=problem))
            return
        else:
            status = "updated" if held else "added"
        self._heard(kb.kept(prepared, status))

    async def _shut(self, pages: Sequence[Page]) -> frozenset[str]:
        try:
            return await self._wiki.shut([(page.node.obj, page.node.kind) for page in pages])
        except Unread as error:
            self.note = str(error)
            return frozenset()

    async def _ask_each(self, held: Sequence[Holding], why: str) -> None:
        """Where no list can be had, every page says for itself whether it is still there for us."""
        for holding in held:
            if not await self._wiki.readable(_place(holding)):
                await self._remove(holding, why)

    async def _remove(self, holding: Holding, why: str) -> None:
        await self._write(_drop, holding.ref)
        self._heard(Outcome(name=holding.document.name, status="removed", problem=why))

    async def _held(self) -> dict[str, Holding]:
        mine = await self._claim.db.read(documents.holdings, self._source.name)
        if changed := self._source.access.changes(mine, {self._source.name: self._source.readers}):
            await self._claim.write(documents.grant, changed)  # waits for no answer of Feishu
        return {one.ref: one for one in mine}

    async def _write(self, act: Callable[..., Any], *given: Any) -> Any:
        return await self._claim.write(act, self._source, *given)


def _put(conn: Connection, source: WikiSource, page: Page, prepared: Prepared) -> str | None:
    """Keep a page; returns the source that has it already, if it is another one."""
    other = documents.source_of(conn, page.ref)
    if other is not None and other != source.name:
        return other
    name = documents.free_name(conn, page.name, page.ref)
    kb.keep(
        conn,
        replace(prepared, name=name),
        source.access.readers(name, source.readers),
        source=source.name,
        ref=page.ref,
        revision=settled(page, utcnow()),
        url=page.node.url,
    )
    return None


def _follow(conn: Connection, source: WikiSource, page: Page, revision: str) -> None:
    name = documents.free_name(conn, page.name, page.ref)
    documents.relabel(conn, page.ref, name=name, revision=revision, url=page.node.url)
    documents.set_access(conn, name, source.access.readers(name, source.readers))


def _drop(conn: Connection, source: WikiSource, ref: str) -> None:
    documents.delete_ref(conn, source.name, ref)


def _place(holding: Holding) -> str:
    """The token of its place in the tree, which its address ends with."""
    return holding.document.url.rpartition("/")[2].partition("?")[0]


# --- whose turn it is -------------------------------------------------------------------------------------------


async def follow(db: Database, wiki: Wiki, sources: Sequence[WikiSource]) -> None:
    """Read each source of one app again and again, for good; one after the other, because they share its limits."""
    clock = asyncio.get_running_loop().time
    due = {source.name: clock() for source in sources}
    failing: set[str] = set()
    memory: Memory = {}
    while True:
        source = min(sources, key=lambda one: due[one.name])
        await asyncio.sleep(max(0.0, due[source.name] - clock()))
        every = min(source.every, AGAIN) if source.name in failing else source.every
        found = await _turn(db, wiki, source, utcnow() - every * 0.8, memory)
        failing.discard(source.name)
        if found is not None and found.problem:
            failing.add(source.name)
            every = min(source.every, AGAIN)
        pause = min(every, AGAIN) if found is None else every
        due[source.name] = clock() + pause.total_seconds() * random.uniform(0.9, 1.1)


async def _turn(db: Database, wiki: Wiki, source: WikiSource, unless_since: datetime, memory: Memory) -> Tally | None:
    """One reading, told to the log."""
    try:
        found = await sync(db, wiki, source, unless_since=unless_since, memory=memory)
    except StorageError as error:
        log.exception("%s was not read; it is tried again", source.name, extra={"action": "knowledge-failed"})
        return Tally(source=source.name, at=utcnow(), problem=str(error))
    if found is not None:
        _tell(found)
    return found


def _tell(found: Tally) -> None:
    """A reading that found nothing new is no news; why pages are left out stands in the kept report."""
    if not found.problem and found.seen == found.unchanged + found.skipped:
        log.debug("knowledge: %s: %s", found.source, found, extra=_ACTION)
        return
    log.info("knowledge: %s: %s", found.source, found, extra=_ACTION)
    for name, why in found.why:
        log.warning("%s: %s", name, why, extra={"action": "document-failed"})


_ACTION = {"action": "knowledge"}


async def reports(db: Database) -> list[Tally]:
    """How the last reading of every source went."""
    return [Tally.from_json(one.report) for one in await db.read(syncs.all_syncs) if one.report is not None]
