"""Keeps what we know of a platform's people up to date, in the background: nobody waits for it, no event fails by it.

Whoever writes is looked up after their event was dealt with; the first answer may come before the name is known. What
was learned is kept in the database and asked for again after a day, few calls a minute. How to ask is the platform's.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from bot.events import ChatEvent
from bot.platforms.base import PlatformError, Retry, Unconfigured
from bot.platforms.budget import Budget
from bot.tenancy import Tenancy
from storage import profiles
from storage.database import Database
from storage.errors import StorageError
from storage.records import Department, Identity, Profile, utcnow

log = logging.getLogger(__name__)

LASTS: Final = timedelta(days=1)  # how long what was learned of somebody counts as true
LEVELS: Final = 12  # departments above a department that are looked at
TRIES: Final = 5  # times that somebody alone may fail to be looked up in a row
_LEFT: Final = timedelta(hours=1)  # how long they are left alone then
_AGAIN: Final = 30.0  # seconds until the next try after a failure that may pass
_UNTIL_REPAIRED: Final = 600.0  # and after one that an operator has to mend
_MANY: Final = 10_000  # people remembered in this process


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Somebody as the directory tells it; None = it does not."""

    id: str
    name: str | None
    departments: tuple[str, ...] | None  # their ids, the primary one first
    union_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A department and what it is part of."""

    id: str
    name: str  # empty when it is not told
    parent: str  # id; empty for none


class Directory(ABC):
    """The people of one platform. Used from the event loop only."""

    def __init__(
        self,
        platform: str,
        db: Database,
        *,
        at_once: int,
        calls: int,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`at_once`: people that one call may name; `calls`: how many of those in a minute."""
        self.platform = platform
        self._db = db
        self._sleep = sleep
        self._at_once = self._size = at_once
        self._waiting: dict[str, None] = {}  # external ids to look at, in the order they came
        self._failures: dict[str, int] = {}  # how often somebody alone was refused in a row
        self._known: dict[str, float] = {}  # whom there is nothing to look at of, and until when
        self._places: dict[str, Place] = {}  # departments by id
        self._places_until = 0.0
        self._calls = Budget(calls, 60.0)
        self._news = asyncio.Event()

    # --- what a platform knows how to do ------------------------------------------------------------------------

    @abstractmethod
    async def _people(self, ids: Sequence[str]) -> list[Person]:
        """Those of at most `at_once` people whom the platform tells about. Raises PlatformError."""

    @abstractmethod
    async def _departments(self, ids: Sequence[str]) -> list[Place]:
        """Those of these departments that the platform tells about. Raises PlatformError."""

    async def _turn(self) -> bool:
        """Look at something else than people, between two looks at these; whether there is more of it."""
        return False

    @property
    def tenancy(self) -> Tenancy | None:
        """Whom the platform is for, where several organisations meet on it."""
        return None

    # --- what is the same for all -------------------------------------------------------------------------------

    def note(self, event: ChatEvent) -> None:
        """Somebody has written or pressed a button: look them up when there is time."""
        if event.kind in ("message", "action"):
            self.want(event.sender.external_id)

    def want(self, external_id: str) -> None:
        """Look somebody up when there is time, unless that was done today."""
        self._want(self._waiting, external_id)

    async def run(self) -> None:
        """Learn what is waiting, for as long as the program runs."""
        self._news.set()
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                more = True
                while more or self._waiting:
                    more = await self._turn()
                    await self._introduce_some()
            except (PlatformError, StorageError) as error:
                log.warning("people of %s stay as they are known: %s", self.platform, error)
                await self._sleep(_rest(error))
                self._news.set()

    def _want(self, waiting: dict[str, None], one: str) -> None:
        if self._known.get(one, 0.0) <= time.monotonic() and len(waiting) < _MANY:
            waiting[one] = None
            self._news.set()

    def _looked_at(self, one: str, seconds: float) -> None:
        if len(self._known) > _MANY:
            self._known.clear()
        self._known[one] = time.monotonic() + seconds

    async def _introduce_some(self) -> None:
        """Look up those who have waited longest; those who make it fail come last, fewer at once, and alone at last."""
        ids = list(self._waiting)[: self._size]
        try:
            await self._introduce(ids)
        except PlatformError as error:
            if not _passes(error):
                self._put_back(ids, error)
            raise
        self._size = min(self._at_once, 2 * self._size)

    def _put_back(self, ids: Sequence[str], error: PlatformError) -> None:
        self._size = max(1, len(ids) // 2)
        for one in ids:
            del self._waiting[one]
            self._waiting[one] = None
        if len(ids) > 1:
            return
        [one] = ids
        self._failures[one] = self._failures.get(one, 0) + 1
        if self._failures[one] >= TRIES:
            log.warning("%s:%s is left alone for an hour: %s", self.platform, one, error)
            self._done(one, _LEFT.total_seconds())

    def _done(self, one: str, seconds: float) -> None:
        """There is nothing to look at of somebody for some time."""
        self._waiting.pop(one, None)
        self._failures.pop(one, None)
        self._looked_at(one, seconds)

    async def _introduce(self, ids: Sequence[str]) -> None:
        """Look up those of `ids` who are ours and were not looked up today."""
        if not ids:
            return
        due = await self._due(ids)
        if due:
            found = {one.id: one for one in await self._people(due)}
            await self._find_places({place for one in found.values() for place in one.departments or ()})
            await self._db.run(self._keep, due, found)
        for one in ids:
            # Those who are not ours yet may be at their next message: that a row exists is looked at again soon.
            self._done(one, LASTS.total_seconds() if one in due else 60.0)

    async def _due(self, ids: Sequence[str]) -> list[str]:
        return await self._db.read(profiles.outdated, self.platform, ids, utcnow() - LASTS)

    def _keep(self, conn: Connection, due: Iterable[str], found: dict[str, Person]) -> None:
        kept = []
        for external_id in due:
            identity = Identity(platform=self.platform, external_id=external_id)
            before = profiles.get(conn, identity) or Profile(identity=identity)
            kept.append(self._profile(found.get(external_id), before))
        profiles.keep(conn, kept)

    def _profile(self, told: Person | None, before: Profile) -> Profile:
        """What is known now: what is not told stays as it was."""
        known = told or Person(id=before.identity.external_id, name=None, departments=None)
        places = before.departments if known.departments is None else tuple(map(self._department, known.departments))
        return Profile(
            identity=before.identity,
            name=known.name or before.name,
            departments=places,
            union_id=known.union_id or before.union_id,
            tenant_key=before.tenant_key,
            guest=before.guest,
            fetched_at=utcnow(),
        )

    def _department(self, place_id: str) -> Department:
        above: list[tuple[str, str]] = []
        place = self._places[place_id]
        parent = self._places.get(place.parent)
        while parent is not None and len(above) < LEVELS:
            above.append((parent.id, parent.name))
            parent = self._places.get(parent.parent)
        return Department(id=place.id, name=place.name, above=tuple(above))

    async def _find_places(self, ids: set[str]) -> None:
        """Have these departments, and those above them, among the known ones."""
        if time.monotonic() > self._places_until:
            self._places.clear()
            self._places_until = time.monotonic() + LASTS.total_seconds()
        for _ in range(LEVELS):
            wanted = sorted(ids - self._places.keys() - {""})
            if not wanted:
                return
            told = {place.id: place for place in await self._departments(wanted)}
            self._places |= {one: told.get(one, Place(id=one, name="", parent="")) for one in wanted}
            ids = {self._places[one].parent for one in wanted}

    async def _pace(self) -> None:
        """Wait until one more call may be made."""
        now = time.monotonic()
        wait = self._calls.wait("", now)
        self._calls.take("", now + wait)
        if wait > 0:
            await self._sleep(wait)


def _passes(error: PlatformError) -> bool:
    """Whether it is nobody's own fault, and those it met may as well be the first again."""
    return isinstance(error, Unconfigured) or (isinstance(error, Retry) and error.after is not None)


def _rest(error: PlatformError | StorageError) -> float:
    if isinstance(error, Unconfigured):
        return _UNTIL_REPAIRED
    return max(_AGAIN, error.after or 0.0) if isinstance(error, Retry) else _AGAIN
