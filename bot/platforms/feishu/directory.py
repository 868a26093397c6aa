"""The people of a Feishu app: names and departments, our organisation, and groups that outsiders read along in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from bot.events import ChatEvent
from bot.platforms import directory
from bot.platforms.base import Unconfigured, Undelivered
from bot.platforms.directory import LASTS, Person, Place
from bot.platforms.feishu import contacts
from bot.platforms.feishu.client import FeishuClient
from bot.platforms.feishu.contacts import AT_ONCE
from bot.platforms.feishu.settings import FeishuSettings, Outsiders
from bot.tenancy import Tenancy
from storage import profiles
from storage.database import Database
from storage.records import ChatType

log = logging.getLogger(__name__)

CALLS: Final = 10  # calls of the contact API in a minute


class Directory(directory.Directory):
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
        super().__init__(platform, db, at_once=AT_ONCE, calls=CALLS, sleep=sleep)
        self._settings = settings
        self._client = client
        self._tenant = ""
        self._asked = False  # Feishu itself told the organisation, or told that it will not
        self._chats: dict[str, None] = {}  # groups to look at

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
        super().note(event)
        group = event.kind in ("message", "action") and event.origin.chat_type is ChatType.GROUP
        if group and event.origin.chat_id:
            self._want(self._chats, event.origin.chat_id)

    async def organisation(self) -> str:
        """The organisation our app belongs to, asked for if need be; empty when nothing tells. Raises PlatformError."""
        if not self._tenant:
            await self._load()
        return self._tenant

    async def _people(self, ids: Sequence[str]) -> list[Person]:
        await self._pace()
        return await contacts.people(self._client, ids)

    async def _departments(self, ids: Sequence[str]) -> list[Place]:
        told: list[Place] = []
        for start in range(0, len(ids), AT_ONCE):
            await self._pace()
            told += await contacts.departments(self._client, ids[start : start + AT_ONCE])
        return told

    async def _load(self) -> None:
        """Learn the organisation: from the platform, else as it was learned before, else as the events say it."""
        if self._asked:
            return
        kept = await self._db.read(profiles.tenant, self.platform)
        self._tenant = self._tenant or kept  # an event may have said it meanwhile
        try:
            told = await contacts.tenant(self._client)
        except Unconfigured as error:
            log.info("%s does not tell its organisation, the events do: %s", self.platform, error)
            told = ""
        self._asked = bool(told or self._tenant)
        self._tenant = told or self._tenant
        if self._tenant:
            await self._db.run(profiles.keep_tenant, self.platform, self._tenant)

    async def _turn(self) -> bool:
        """Learn our organisation, and of a group whether outsiders read along in it."""
        await self._load()
        if not self._chats:
            return False
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
        return bool(self._chats)
