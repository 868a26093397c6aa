"""Keeping the knowledge base in step with all its sources while the server runs, by the settings of the moment.

Folders are looked through every few seconds by names, sizes and times alone. A notice from the system would come
sooner, but not from network shares, nor from a folder mounted into a container, which is where companies keep their
documents; and whoever may miss a notice has to look all the same. A look at 5,000 files takes 40 ms of a processor.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence

from bot import kb, kb_files, kb_folders, kb_listing, kb_urls, kb_wiki, sources
from bot.kb import Outcome
from bot.kb_confine import confine
from bot.kb_fetch import Fetcher
from bot.kb_folders import Memory, Wanted, Watching
from bot.kb_listing import Listing
from bot.kb_plan import Tally, WikiSource
from bot.platforms.feishu.wiki import Wiki
from bot.settings import Settings
from storage import syncs
from storage.database import Database
from storage.errors import StorageError
from storage.records import utcnow

log = logging.getLogger("moqi.knowledge")

AGAIN = 1.0  # seconds between two tries to begin
RESTLESS = 60.0  # seconds that files may go on changing before they are read all the same
EASY = 20  # looks take at most one part in so many of the time: a slow share is not asked all day
RETRYING = 120.0  # seconds until a file that could not be opened is tried again
CONFIRMING = 60.0  # seconds between two notes that nothing has changed
TELLING = 10.0  # seconds between two lines about a reading that takes long


class Following:
    """Reads all sources, and goes on doing so."""

    def __init__(
        self,
        db: Database,
        settings: Callable[[], Settings],
        indexed: Callable[[], None] = lambda: None,
        fetcher: Callable[[], Fetcher] = Fetcher,
    ) -> None:
        self._db = db
        self._settings = settings
        # Told once there is something to answer from: what was complete once, and holds by the rights of now; or else
        # when the folders have been read for the first time. May be told again.
        self._indexed = indexed
        self._fetcher = fetcher
        self._memory: Memory = {}
        self._read: Listing | None = None  # the folders as they were when they were read last
        self._problem = ""  # the last one, told once
        self._retry = math.inf  # when files that could not be opened are tried again
        self._confirmed = 0.0  # when it was noted last that nothing has changed

    async def run(self, *, follow: bool) -> None:
        """Bring in what the folders hold; with `follow` then keep in step with everything, for good."""
        settings = self._settings()
        await self._begin(settings)
        self._indexed()
        while follow:
            await self._follow(settings)
            settings = self._settings()
            log.info("the sources are read as knowledge.yaml says now", extra={"action": "knowledge-settings"})
            await self._confine(settings)

    async def _begin(self, settings: Settings) -> None:
        """What the settings say about readers, then the folders. Raises StorageError that would come again."""
        while True:
            try:
                await self._confine(settings)
                return await self._sync(sources.folders(settings))
            except StorageError as error:
                if not error.transient:
                    raise
                log.exception("knowledge not read yet; trying again", extra={"action": "knowledge-failed"})
            await asyncio.sleep(AGAIN)  # what is unchanged costs nothing the second time

    async def _confine(self, settings: Settings) -> None:
        await confine(self._db, sources.readers(settings), sources.access(settings))
        self._read = None

    async def _follow(self, settings: Settings) -> None:
        """Keep in step until the settings are others."""
        wikis = sources.wikis(settings)
        by_app = {one.app: [each for each in wikis if each.app == one.app] for one in wikis}
        pages = sources.urls(settings)
        tasks = [asyncio.create_task(self._wiki(settings, app, parts)) for app, parts in by_app.items()]
        tasks += [asyncio.create_task(kb_urls.follow(self._db, self._fetcher(), pages))] if pages else []
        watching = asyncio.create_task(self._watch(settings))
        going = {watching, *tasks}
        try:
            while not watching.done():
                done, going = await asyncio.wait(going, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()  # a defect ends them all, and they begin again together
        finally:
            for task in (watching, *tasks):
                task.cancel()
            await asyncio.gather(watching, *tasks, return_exceptions=True)

    async def _wiki(self, settings: Settings, app: str, parts: Sequence[WikiSource]) -> None:
        try:
            wiki = Wiki(sources.app(settings, app))
        except sources.NoApp as error:
            log.error("%s", error, extra={"action": "knowledge-missing"})
            return
        try:
            await kb_wiki.follow(self._db, wiki, parts)
        finally:
            await wiki.close()

    async def _watch(self, settings: Settings) -> None:
        """Look through the folders again and again; read them when something has changed and is quiet again."""
        wanted, pause = sources.folders(settings), sources.pause(settings).total_seconds()
        before, since = self._read, 0.0
        while self._settings().knowledge == settings.knowledge:
            began = time.monotonic()
            now = await asyncio.to_thread(kb_listing.look, wanted.folders)
            took = time.monotonic() - began
            if began > self._retry:
                self._read, self._retry = None, math.inf
            since = began if now == self._read else since or began
            if now != self._read and (now == before or began - since > RESTLESS):
                await self._again(wanted, now)
                since = 0.0
            elif now == self._read:
                await self._confirm()
            before = now
            await asyncio.sleep(max(pause, took * EASY))

    async def _again(self, wanted: Wanted, now: Listing) -> None:
        try:
            await self._sync(wanted)
        except StorageError:
            log.exception("the folders were not read; it is tried again", extra={"action": "knowledge-failed"})
            return
        self._read = None if any(map(kb_files.is_fresh, now.files.values())) else now

    async def _confirm(self) -> None:
        """Let a monitor see now and then that the folders are looked through although nothing changes."""
        if time.monotonic() - self._confirmed < CONFIRMING:
            return
        self._confirmed = time.monotonic()
        try:
            await self._db.run(syncs.confirm, kb.SYNCED, utcnow())
        except StorageError:
            log.exception("a look at the folders was not noted", extra={"action": "knowledge-failed"})

    async def _sync(self, wanted: Wanted) -> None:
        telling = _Telling()
        watching = Watching(report=telling.report, total=telling.total, settled=self._indexed)
        result = await kb_folders.sync(self._db, wanted, watching, attended=False, memory=self._memory)
        self._retry = time.monotonic() + RETRYING if result.unopened else math.inf
        self._tell(result.tally)

    def _tell(self, found: Tally) -> None:
        if found.problem != self._problem and found.problem:
            log.error("%s", found.problem, extra={"action": "knowledge-missing"})
        self._problem = found.problem
        log.info("knowledge: %d documents: %s", found.seen, found, extra={"action": "knowledge"})


class _Telling:
    """Tells the log of documents that could not be read, and how far a long reading is."""

    def __init__(self) -> None:
        self._total = self._done = 0
        self._told = time.monotonic()

    def total(self, count: int) -> None:
        self._total = count

    def report(self, outcome: Outcome) -> None:
        self._done += 1
        if outcome.problem:
            log.warning("%s: %s", outcome.name, outcome.problem, extra={"action": "document-failed"})
        if time.monotonic() - self._told > TELLING:
            self._told = time.monotonic()
            log.info("knowledge: %d of %d done", self._done, self._total, extra={"action": "knowledge-progress"})
