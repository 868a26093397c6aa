"""Keeps what we know of Feishu's people up to date, in the background: nobody waits for it, no event fails by it.

Whoever writes is looked up after their event was dealt with; the first answer may come before the name is known. What
was learned is kept in the database and asked for again after a day, many people by one call, few calls a minute.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from bot.events import ChatEvent
from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.budget import Budget
from bot.platforms.feishu import contacts
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.contacts import AT_ONCE, Person, Place
from bot.platforms.feishu.settings import FeishuSettings, Outsiders
from bot.tenancy import Tenancy
from storage import profiles
from storage.database import Database
from storage.errors import StorageError
from storage.records import ChatType, Department, Identity, Profile, utcnow

log = logging.getLogger(__name__)

LASTS: Final = timedelta(days=1)  # how long what was learned of somebody counts as true
CALLS: Final = 10  # calls of the contact API in a minute
LEVELS: Final = 12  # departments above a department that are looked at
_AGAIN: Final = 30.0  # seconds until the next try after a failure that may pass
_UNTIL_REPAIRED: Final = 600.0  # and after one that an operator has to mend
_MANY: Final = 10_000  # people remembered in this process


class Directory:
    """The people of one Feishu app. Used from the event loop only."""

    def __init__(
        self,
        platform: str,
        settings: FeishuSettings,
        client: FeishuClient,
        db: Database,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.platform = platform
        self._settings = settings
        self._client = client
        self._db = db
        self._sleep = sleep
        self._tenant = ""
        self._asked = False  # Feishu itself told the organisation, or told that it will not
        self._waiting: dict[str, None] = {}  # open_ids to look at, in the order they came
        self._chats: dict[str, None] = {}  # groups to look at
        self._known: dict[str, float] = {}  # open_id or chat_id -> until when there is nothing to look at
        self._places: dict[str, Place] = {}  # departments by id
        self._places_until = 0.0
        self._calls = Budget(CALLS, 60.0)
        self._news = asyncio.Event()

    @property
    def tenancy(self) -> Tenancy:
        """Whom the app is for, as far as that is known now."""
        return Tenancy(
            own=self._tenant,
            allowed=frozenset(self._settings.allowed_tenants),
            external=self._settings.external is Outsiders.ALLOW,
        )

    def note(self, event: ChatEvent) -> None:
        """Somebody has written or pressed a button: look them up when there is time."""
        if event.home and not self._tenant:
            self._tenant = event.home
            self._news.set()
        if event.kind in ("message", "action"):
            self.want(event.sender.external_id)
            if event.origin.chat_type is ChatType.GROUP and event.origin.chat_id:
                self._want(self._chats, event.origin.chat_id)

    def want(self, open_id: str) -> None:
        """Look somebody up when there is time, unless that was done today."""
        self._want(self._waiting, open_id)

    async def organisation(self) -> str:
        """The organisation our app belongs to, asked for if need be; empty when nothing tells. Raises PlatformError."""
        if not self._tenant:
            await self._load()
        return self._tenant

    async def run(self) -> None:
        """Learn what is waiting, for as long as the program runs."""
        self._news.set()
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self._load()
                while self._waiting or self._chats:
                    await self._introduce(list(self._waiting)[:AT_ONCE])
                    await self._look_at_chats()
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

    async def _look_at_chats(self) -> None:
        """Learn of a group whether outsiders read along in it."""
        if not self._chats:
            return
        chat_id = next(iter(self._chats))
        await self._pace()
        try:
            external = await contacts.is_external(self._client, chat_id)
        except (Undelivered, Unconfigured) as error:
            log.info("a group of %s tells nothing: %s", self.platform, error)
            external = False
        if external:
            await self._db.run(profiles.note_external, self.platform, chat_id)
        del self._chats[chat_id]
        self._looked_at(chat_id, LASTS.total_seconds())

    async def _load(self) -> None:
        """Learn the organisation: from the platform, else as it was learned before, else as the events say it."""
        if self._asked:
            return
        said = self._tenant
        self._tenant = said or await self._db.read(profiles.tenant, self.platform)
        try:
            told = await contacts.tenant(self._client)
        except Unconfigured as error:
            log.info("%s does not tell its organisation, the events do: %s", self.platform, error)
            told = ""
        self._asked = bool(told or self._tenant)
        self._tenant = told or self._tenant
        if self._tenant:
            await self._db.run(profiles.keep_tenant, self.platform, self._tenant)

    async def _introduce(self, ids: list[str]) -> None:
        """Look up those of `ids` who are ours and were not looked up today."""
        if not ids:
            return
        now = utcnow()
        due = await self._db.read(profiles.outdated, self.platform, ids, now - LASTS)
        found = {}
        if due:
            await self._pace()
            found = {one.open_id: one for one in await contacts.people(self._client, due)}
            await self._find_places({place for one in found.values() for place in one.departments or ()})
            await self._db.run(self._keep, due, found)
        for one in ids:
            del self._waiting[one]
            # Those who are not ours yet may be at their next message: that a row exists is looked at again soon.
            self._looked_at(one, LASTS.total_seconds() if one in due else 60.0)

    def _keep(self, conn: Connection, due: Iterable[str], found: dict[str, Person]) -> None:
        kept = []
        for open_id in due:
            identity = Identity(platform=self.platform, external_id=open_id)
            before = profiles.get(conn, identity) or Profile(identity=identity)
            kept.append(self._profile(found.get(open_id), before))
        profiles.keep(conn, kept)

    def _profile(self, told: Person | None, before: Profile) -> Profile:
        """What is known now: what is not told stays as it was."""
        known = told or Person(open_id=before.identity.external_id, union_id="", name=None, departments=None)
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
            told: dict[str, Place] = {}
            for start in range(0, len(wanted), AT_ONCE):
                await self._pace()
                some = await contacts.departments(self._client, wanted[start : start + AT_ONCE])
                told |= {place.id: place for place in some}
            self._places |= {one: told.get(one, Place(id=one, name="", parent="")) for one in wanted}
            ids = {self._places[one].parent for one in wanted}

    async def _pace(self) -> None:
        now = time.monotonic()
        wait = self._calls.wait("", now)
        self._calls.take("", now + wait)
        if wait > 0:
            await self._sleep(wait)


def _rest(error: PlatformError | StorageError) -> float:
    if isinstance(error, Unconfigured):
        return _UNTIL_REPAIRED
    return max(_AGAIN, error.after or 0.0) if isinstance(error, Retry) else _AGAIN
