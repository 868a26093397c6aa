"""What a message points to and its platform keeps elsewhere: fetched before the message is dealt with.

A picture to draw from, a document for the knowledge base. The event is kept and acknowledged by then, and dealt with
in one short transaction afterwards; in between its sender's later messages wait, and nobody else's. Whatever is fetched
twice, after a crash or by two processes, is one file: its name is its content.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot import access, commands, kb, outsiders
from bot.commands import Command, Conversation, Draw, KbAdd, Preview, Reserve, UsageError
from bot.context import House
from bot.events import ChatEvent
from bot.inbox import NotYet
from bot.platforms.base import (
    BROKEN,
    FOREIGN,
    TOO_LARGE,
    ChatPlatform,
    Enclosed,
    Enclosing,
    PlatformError,
    Retry,
    Undelivered,
)
from bot.router import talk_of_others
from bot.tenancy import Standing
from inference.errors import BadSource
from inference.grounding import parse
from inference.grounding.chunk import STANDARD, Cutting
from inference.images import source
from storage import assets, outbox, users
from storage.database import Database
from storage.errors import StorageError
from storage.files import Files
from storage.records import InboxEntry, utcnow

log = logging.getLogger("moqi.enclosures")

PATIENCE = 40.0  # seconds for all tries together: then the person is told
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between them
AT_ONCE = 4  # files held in memory

#: What an error of the platform means to the person, by the platform's own number.
REASONS: Mapping[int | None, str] = {
    TOO_LARGE: "enclosed_large",
    234037: "enclosed_large",
    234003: "enclosed_gone",
    234004: "enclosed_not_in_chat",
    234038: "enclosed_restricted",
    234043: "enclosed_kind",
    230002: "enclosed_not_in_chat",
    230011: "enclosed_gone",
    230050: "enclosed_gone",
    230110: "enclosed_gone",
    40007: "enclosed_gone",  # WeCom: the media_id is over, after three days
    40006: "enclosed_large",
    830002: "enclosed_large",
    FOREIGN: "enclosed_failed",
    BROKEN: "enclosed_broken",
}

Value = dict[str, Any]  # what is added to the event's: picture, job, document (read); or trouble and its detail


def needed(wanted: Command | Conversation | UsageError) -> str:
    """What the handler of a command will look for: a picture, a file, or (empty) nothing. Pure."""
    match wanted:
        case Draw(source=begin) | Preview(draw=Draw(source=begin)) | Reserve(draw=Draw(source=begin)):
            return "picture" if begin is not None and not begin.job else ""
        case KbAdd():
            return "file"
    return ""


def reason(error: PlatformError) -> str:
    """The code of the sentence that says why something could not be fetched. Pure."""
    if isinstance(error, Undelivered):
        return REASONS.get(error.code, "enclosed_gone")
    return "enclosed_failed"


class Enclosures:
    """Fetches what messages point to, in the background."""

    def __init__(
        self,
        db: Database,
        files: Files,
        platforms: Mapping[str, ChatPlatform],
        house: Callable[[], House],
        wake: Callable[[], None],
        cutting: Callable[[], Cutting] = lambda: STANDARD,
    ) -> None:
        self._db = db
        self._files = files
        self._platforms = platforms
        self._house = house
        self._wake = wake
        self._cutting = cutting
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._ready: dict[int, Value] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def complete(self, entry: InboxEntry, event: ChatEvent) -> ChatEvent:
        """The event with what it points to; NotYet while that is being fetched."""
        if entry.id in self._ready:
            return replace(event, value={**event.value, **self._ready[entry.id]})
        if entry.id in self._under_way:
            raise NotYet
        platform: object = self._platforms.get(event.platform)
        points = event.kind == "message" and event.value and not talk_of_others(event)
        if not isinstance(platform, Enclosing) or not points:
            return event
        wanted = commands.parse(event.text, self._house().rules)
        kind = needed(wanted)
        if not kind or isinstance(wanted, UsageError) or not await self._db.read(self._may, event, wanted):
            return event
        task = asyncio.create_task(self._fetch(platform, entry.id, event, wanted, kind))
        self._under_way[entry.id] = task
        task.add_done_callback(partial(self._fetched, entry.id))
        raise NotYet

    def forget(self, entry: InboxEntry) -> None:
        """The event is dealt with."""
        self._ready.pop(entry.id, None)

    async def close(self) -> None:
        """Stop fetching; the events stay open."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _may(self, conn: Connection, event: ChatEvent, wanted: Command | Conversation) -> bool:
        """Whether it would be done at all: for others nothing is fetched, they are refused as always."""
        standing, user = outsiders.look(conn, self._house(), event), users.of_identity(conn, event.sender)
        if standing is Standing.OUTSIDER or (standing is Standing.GUEST and isinstance(wanted, KbAdd)):
            return False
        if user is None:  # somebody who never wrote before is no admin
            return not isinstance(wanted, KbAdd)
        return access.allowed(user, wanted) is None

    def _fetched(self, entry: int, _task: asyncio.Task[None]) -> None:
        self._under_way.pop(entry, None)
        if entry in self._ready:  # else it could not be kept: the next look at the inbox tries again
            self._wake()

    async def _fetch(
        self, platform: Enclosing, entry: int, event: ChatEvent, wanted: Command | Conversation, kind: str
    ) -> None:
        try:
            async with self._room:
                self._ready[entry] = await self._value(platform, event, wanted, kind)
        except StorageError:
            log.exception("what event %d points to is not kept; again later", entry, extra={"action": "fetch-failed"})
        except Exception:  # the net of this loop: the person hears of it, and the next message is fetched
            log.exception("what event %d points to is not fetched", entry, extra={"action": "fetch-failed"})
            self._ready[entry] = {"trouble": "enclosed_failed"}

    async def _value(self, platform: Enclosing, event: ChatEvent, wanted: Command | Conversation, kind: str) -> Value:
        parent = str(event.value.get("parent", ""))
        own = event.value.get("images") if kind == "picture" else event.value.get("files")
        if kind == "picture" and parent and not own:
            job = await self._db.read(outbox.job_of_message, event.platform, parent)
            if job is not None:  # a card of ours: its pictures are here
                return {"job": job}
        limit = source.MAX_BYTES if kind == "picture" else parse.MAX_BYTES
        try:
            async with asyncio.timeout(PATIENCE):
                found = await _patiently(platform, event, kind, limit)
        except (PlatformError, TimeoutError) as error:
            log.warning("event %s: %s", event.key, error, extra={"action": "fetch-failed"})
            code = reason(error) if isinstance(error, PlatformError) else "enclosed_failed"
            return {"trouble": code, "detail": {"limit": limit // 1_000_000}}
        if found is None:
            return {}
        return await (self._document(found, wanted) if isinstance(wanted, KbAdd) else self._picture(found))

    async def _picture(self, found: Enclosed) -> Value:
        try:
            return {"picture": await keep_picture(self._db, self._files, found.data)}
        except BadSource as error:
            log.info("a picture is refused: %s", error)
            return {"trouble": f"source_{error.reason}", "detail": LIMITS}

    async def _document(self, found: Enclosed, wanted: KbAdd) -> Value:
        return {
            "document": await asyncio.to_thread(kb.read_given, wanted.name or found.name, found.data, self._cutting())
        }


#: What the sentences about a picture that is refused tell.
LIMITS = {"megabytes": source.MAX_BYTES // 1_000_000, "megapixels": source.MAX_PIXELS // 1_000_000}


async def keep_picture(db: Database, files: Files, data: bytes) -> str:
    """Keep a picture that somebody gave; returns the SHA-256 by which orders name it. Raises BadSource."""
    kept = await asyncio.to_thread(source.keep, data)
    sha = await asyncio.to_thread(files.put, kept.data)
    await db.run(
        partial(
            assets.take,
            sha256=sha,
            media_type=kept.media_type,
            size=len(kept.data),
            width=kept.width,
            height=kept.height,
            now=utcnow(),
        )
    )
    return sha


async def _patiently(platform: Enclosing, event: ChatEvent, kind: str, limit: int) -> Enclosed | None:
    """Fetch it, again where it may work the next time. Raises PlatformError."""
    for pause in PAUSES:
        try:
            return await platform.enclosed(event, kind, limit)
        except Retry as error:
            log.info("fetching again: %s", error)
            await asyncio.sleep(min(error.after or pause, 10.0))
    return await platform.enclosed(event, kind, limit)
