"""The people of a WeCom app: names and departments of those whom it may see."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from bot.platforms import directory
from bot.platforms.base import PlatformError
from bot.platforms.directory import LASTS, Person, Place
from bot.platforms.wecom.people import Caller, People
from bot.platforms.wecom.places import PLATFORM, userid
from storage import links
from storage.database import Database

log = logging.getLogger(__name__)

CALLS: Final = 60  # calls of the contact API in a minute: WeCom tells one person by each
ROOT: Final = "1"  # the department that is the whole organisation
#: No such member or department, or the app does not see it: it is not told, and asking again today does not help.
HIDDEN: Final = frozenset({40003, 60003, 60011, 60111, 60123})
#: The app may not ask about anybody.
BARRED: Final = frozenset({48002})


class Directory(directory.Directory):
    """The people of the app. Used from the event loop only."""

    def __init__(
        self,
        client: Caller,
        people: People,
        db: Database,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(PLATFORM, db, at_once=1, calls=CALLS, sleep=sleep)
        self._client = client
        self._robots = people
        self._barred_until = 0.0
        self._told: set[str] = set()  # what the operator was told already

    async def run(self) -> None:
        """Learn who the robot's people are, and what there is to know of everybody, as long as the program runs."""
        async with asyncio.TaskGroup() as both:
            both.create_task(super().run())
            both.create_task(self._robots.run())

    async def _due(self, ids: Sequence[str]) -> list[str]:
        """Those to ask about: not by what the robot calls somebody, which is no userid."""
        if time.monotonic() < self._barred_until:
            return []
        due = await super()._due(ids)
        strange = await self._db.read(links.unexplained, PLATFORM, due)
        return [one for one in due if one not in strange]

    async def _people(self, ids: Sequence[str]) -> list[Person]:
        found = [person_of(one, await self._ask("user/get", userid=one)) for one in ids]
        return [one for one in found if one is not None]

    async def _departments(self, ids: Sequence[str]) -> list[Place]:
        found = [place_of(one, await self._ask("department/get", id=one)) for one in ids]
        return [one for one in found if one is not None]

    async def _ask(self, path: str, **params: str) -> Mapping[str, Any]:
        """WeCom's answer; empty where it may not be told. Raises PlatformError."""
        if time.monotonic() < self._barred_until:
            return {}
        await self._pace()
        try:
            return await self._client.call("GET", path, params=params)
        except PlatformError as error:
            if error.code in BARRED:
                self._barred_until = time.monotonic() + LASTS.total_seconds()
            elif error.code not in HIDDEN:
                raise
            self._tell(path, error)
            return {}

    def _tell(self, path: str, error: PlatformError) -> None:
        """Tell the operator once of each: who else is hidden is for the log of those who look closely."""
        cause = f"{path} {error.code}"
        level = logging.DEBUG if cause in self._told else logging.WARNING
        self._told.add(cause)
        log.log(level, "some of WeCom's people stay without name or department: %s", error, extra={"action": "hidden"})


def open_people(client: Caller | None, db: Database) -> tuple[People, Directory | None]:
    """Who WeCom's people are and what there is to know of them; without an app (`client`) there is no directory.

    Whoever opens them closes People; Directory.run() runs both.
    """
    known = People(client, db)
    return known, None if client is None else Directory(client, known, db)


def person_of(asked: str, answer: Mapping[str, Any]) -> Person | None:
    """What user/get tells of the member that was asked for; None when it is nothing. Pure."""
    if not answer:
        return None
    name, ids, main = answer.get("name"), answer.get("department"), _id(answer.get("main_department"))
    told = [_id(one) for one in ids] if isinstance(ids, list) else None
    departments = None
    if told is not None:
        primary_first = [*(one for one in told if one == main), *told]
        departments = tuple(dict.fromkeys(one for one in primary_first if one not in ("", ROOT)))
    # A name that is the userid is what an app gets that may not see names.
    real = name.strip() if isinstance(name, str) and userid(name) != asked else ""
    return Person(id=asked, name=real or None, departments=departments)


def place_of(asked: str, answer: Mapping[str, Any]) -> Place | None:
    """What department/get tells of the department that was asked for; None when it is nothing. Pure."""
    told = answer.get("department")
    if not isinstance(told, Mapping):
        return None
    name, parent = told.get("name"), _id(told.get("parentid"))
    return Place(id=asked, name=name.strip() if isinstance(name, str) else "", parent="" if parent == ROOT else parent)


def _id(value: object) -> str:
    """An id of a department as text; empty for what is none, and for 0, which stands above the organisation."""
    return str(value) if type(value) is int and value > 0 else ""
