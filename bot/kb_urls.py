"""Keeping the knowledge base in step with pages of the web that knowledge.yaml names, each a source of its own.

A page is asked for with what its server called the last version, so that the same one does not come again. One that the
server shows no more is taken out; one that cannot be reached now stays as it is, and the report says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection

from bot import kb
from bot.kb import Outcome, Prepared, Report
from bot.kb_access import SILENT, Access
from bot.kb_claims import Claim, claimed
from bot.kb_fetch import Fetcher, FetchError, Gone, Limits, Page
from bot.kb_plan import Tally, tally
from inference.grounding import parse
from inference.grounding.chunk import STANDARD, Cutting
from inference.grounding.parse import ParseError
from storage import documents
from storage.database import Database
from storage.documents import Holding
from storage.errors import StorageError
from storage.records import utcnow
from storage.syncs import Lost

log = logging.getLogger("moqi.knowledge")

PREFIX = "url:"  # begins the name of every such source
AGAIN = timedelta(minutes=2)  # after a reading that failed, and while another process has the source


@dataclass(frozen=True, kw_only=True, slots=True)
class UrlSource:
    """One page and who gets answers from it."""

    url: str
    limits: Limits
    readers: frozenset[str]
    every: timedelta
    access: Access = SILENT
    cutting: Cutting = STANDARD  # how it is cut
    called: str = ""  # by people: see --kb

    @property
    def name(self) -> str:
        """What it is called in the database, in reports and in the log: without a query, which may hold a key."""
        address, _, query = self.url.partition("?")
        return f"{PREFIX}{address}{f'?{hashlib.sha256(query.encode()).hexdigest()[:8]}' if query else ''}"

    @property
    def document(self) -> str:
        """What the document is called: the address as people read it."""
        parts = urlsplit(self.url)
        shown = parse.clean(f"{parts.netloc}{unquote(parts.path)}")
        return " ".join(shown.split())[: kb.LONGEST_NAME].rstrip("/")


async def sync(
    db: Database,
    fetcher: Fetcher,
    source: UrlSource,
    *,
    report: Report = lambda outcome: None,
    unless_since: datetime | None = None,
) -> Tally | None:
    """Bring what is held of a page in step with it.

    None when another process reads it now, or when it was read since `unless_since`. What went wrong stands in the
    tally, which is kept as the source's last; StorageError alone is raised.
    """
    try:
        async with claimed(db, source.name, unless_since) as claim:
            if claim is None:
                return None
            outcome = await _read(claim, fetcher, source)
            report(outcome)
            found = tally(source.name, int(outcome.status != "removed"), [outcome], utcnow())
            found = replace(found, problem=outcome.problem if outcome.status == "failed" else "")
            await claim.write(documents.collect_all, source.name, source.called)
            await claim.finish(found.to_json(), found.at)
            return found
    except Lost:
        log.warning("another process reads %s by now", source.name, extra={"action": "knowledge-lost"})
        return None


async def _read(claim: Claim, fetcher: Fetcher, source: UrlSource) -> Outcome:
    held = next(iter(await claim.db.read(documents.holdings, source.name)), None)
    name = held.document.name if held else source.document
    if held is not None and (changed := source.access.changes([held], {source.name: source.readers})):
        await claim.write(documents.grant, changed)
    try:
        page = await fetcher.fetch(source.url, source.limits, _validators(held, source))
        if page is None and held is not None:
            return Outcome(name=name, status="unchanged", passages=held.passages)
        if page is None:
            raise FetchError("the server says that nothing has changed, and was not asked that")
        return await _keep(claim, source, held, page)
    except Gone as error:
        if held is None:
            return Outcome(name=name, status="failed", problem=str(error))
        await claim.write(documents.delete_document, name)
        return Outcome(name=name, status="removed", problem=str(error))
    except (FetchError, ParseError) as error:
        return Outcome(name=name, status="failed", problem=str(error))


async def _keep(claim: Claim, source: UrlSource, held: Holding | None, page: Page) -> Outcome:
    """Keep a page that came, where it is not the one that is held. Raises `ParseError`."""
    sha256, revision = hashlib.sha256(page.data).hexdigest(), json.dumps(page.validators, sort_keys=True)
    if held is not None and (held.document.sha256, held.recipe) == (sha256, kb.recipe(source.cutting)):
        await claim.write(documents.note_revisions, {held.document.name: revision})
        return Outcome(name=held.document.name, status="unchanged", passages=held.passages)
    prepared = await asyncio.to_thread(_prepare, source, page, sha256)
    name = await claim.write(_put, source, prepared, revision)
    return replace(kb.kept(prepared, "updated" if held else "added"), name=name)


def _prepare(source: UrlSource, page: Page, sha256: str) -> Prepared:
    name = source.document
    kind = page.ending or parse.kind_of(page.data, urlsplit(source.url).path)
    return kb.prepare(page.data, name, sha256, kind=kind, cutting=source.cutting)


def _put(conn: Connection, source: UrlSource, prepared: Prepared, revision: str) -> str:
    name = documents.free_name(conn, prepared.name, source.name)
    readers = source.access.readers(name, source.readers)
    placed = {"source": source.name, "ref": source.name, "revision": revision, "url": source.url}
    kb.keep(conn, replace(prepared, name=name), readers, **placed)
    return name


def _validators(held: Holding | None, source: UrlSource) -> Mapping[str, str]:
    """What the server called the version that is held; nothing where that is to be made anew."""
    if held is None or held.recipe != kb.recipe(source.cutting):
        return {}
    found: dict[str, str] = json.loads(held.revision or "{}")
    return found


async def follow(db: Database, fetcher: Fetcher, sources: Sequence[UrlSource]) -> None:
    """Read each page again and again, for good; one after the other, so that no server is pressed."""
    clock = asyncio.get_running_loop().time
    due = {source.name: clock() for source in sources}
    failing: set[str] = set()
    while sources:
        source = min(sources, key=lambda one: due[one.name])
        await asyncio.sleep(max(0.0, due[source.name] - clock()))
        every = min(source.every, AGAIN) if source.name in failing else source.every
        found = await _turn(db, fetcher, source, utcnow() - every * 0.8)
        failing.discard(source.name)
        if found is not None and found.problem:
            failing.add(source.name)
        pause = source.every if found is not None and not found.problem else min(source.every, AGAIN)
        due[source.name] = clock() + pause.total_seconds() * random.uniform(0.9, 1.1)


async def _turn(db: Database, fetcher: Fetcher, source: UrlSource, unless_since: datetime) -> Tally | None:
    """One reading, told to the log."""
    try:
        found = await sync(db, fetcher, source, unless_since=unless_since)
    except StorageError as error:
        log.exception("%s was not read; it is tried again", source.name, extra={"action": "knowledge-failed"})
        return Tally(source=source.name, at=utcnow(), problem=str(error))
    if found is not None and found.problem:
        log.warning("knowledge: %s: %s", source.name, found.problem, extra={"action": "document-failed"})
    elif found is not None:
        level = logging.DEBUG if found.seen == found.unchanged else logging.INFO
        log.log(level, "knowledge: %s: %s", source.name, found, extra={"action": "knowledge"})
    return found
