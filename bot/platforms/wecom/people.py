"""One person, one identity: whose id it is that the robot calls somebody by, as far as the app can say.

The robot's ids are encrypted unless a super-admin of the organisation made the robot; the app knows members by their
userid. `recognise` puts the userid in the place of the robot's id before an event is dealt with, so that both count on
one quota. Nobody is refused because that takes long or fails: they are then served under the robot's id in lower case
(to match ids here is enough, its case only matters to WeCom), and joined later (scheduler/joining.py).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, Protocol

from bot.events import ChatEvent
from bot.platforms.base import PlatformError, Retry, Unconfigured, Undelivered
from bot.platforms.wecom.places import PLATFORM, Place, Way, place_of, userid
from bot.platforms.wecom.settings import Wecom
from storage import links
from storage.database import Database
from storage.errors import StorageError
from storage.records import Identity, utcnow

log = logging.getLogger(__name__)

PATIENCE: Final = 1.5  # seconds that an event waits for an answer: a pressed button has 2.5 until it must say something
LASTS: Final = timedelta(days=1)  # how long an answer counts before it is asked for again, in the background
AT_ONCE: Final = 1000  # ids that one call may name
_PATH: Final = "batch/openuserid_to_userid"
_AGAIN: Final = 30.0  # seconds until the next call after a failure that may pass
_UNTIL_REPAIRED: Final = 600.0  # and after one that an operator has to mend
_REFUSALS: Final = 24  # calls of a batch that may be refused: an id among a thousand is found by ten
_LOOK: Final = 300.0  # seconds between two looks at what nobody has explained yet
_MANY: Final = 20_000  # ids remembered in this process


class Caller(Protocol):
    """What asks WeCom's API for the app: bot/platforms/wecom/app/client.py."""

    async def call(
        self,
        verb: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]: ...


class People:
    """Who the robot's people are. Used from the event loop only."""

    def __init__(
        self,
        client: Caller | None,
        db: Database,
        *,
        patience: float = PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`client`: None where no app is configured; then the robot's ids are all that there is."""
        self._client = client
        self._db = db
        self._patience = patience
        self._sleep = sleep
        self._known: dict[str, str] = {}  # robot's id -> userid
        self._noted: set[str] = set()  # met while nobody could explain them
        self._refused: set[str] = set()  # ids that WeCom does not take for any: only `run` asks about them again
        self._waiting: dict[str, None] = {}  # ids to ask about, in the order they came
        self._asked: dict[str, asyncio.Future[None]] = {}  # those, and those that are being asked about
        self._asking: asyncio.Task[None] | None = None  # one call at a time; what comes meanwhile goes with the next
        self._late = False  # it takes longer than anybody should wait
        self._rests_until = 0.0  # after a failure; until then nobody waits
        self._trouble = ""

    async def recognise(self, event: ChatEvent) -> ChatEvent:
        """The event with userids in place of the robot's ids. Raises StorageError and nothing else.

        `origin.chat_id` keeps the id that the robot knows a direct chat by: nothing can be sent there by another one.
        """
        ids = [event.sender.external_id, event.origin.sender, *(one.identity.external_id for one in event.mentions)]
        ids = list(dict.fromkeys(filter(None, ids)))
        if place_of(event.origin).way is not Way.ROBOT:  # the app says userids, in whatever case
            return _renamed(event, {one: userid(one) for one in ids})
        return _renamed(event, {**{one: userid(one) for one in ids}, **await self._userids(ids)})

    async def address(self, place: Place) -> Place:
        """The place as its channel calls it: people by the robot's own id for them, by their userid for the app.

        Somebody of whom nothing else is known is called as they are here. Raises StorageError.
        """
        person = userid(place.target)
        if place.way is Way.ROBOT and not place.group:
            found = await self._db.read(links.aliases, PLATFORM, person)
            return replace(place, target=found[0] if found else place.target)
        if place.way is Way.APP:
            return replace(place, target=await self._db.read(links.real, PLATFORM, person) or person)
        return place

    @property
    def complaint(self) -> str:
        """Why the robot's people cannot be told who they are at this moment; empty = they are."""
        return self._trouble

    async def run(self) -> None:
        """Ask about what nobody explained yet, and once a day about the others, for as long as the program runs."""
        while self._client is not None:
            try:
                due = await self._db.read(links.due, PLATFORM, utcnow() - LASTS, AT_ONCE)
            except StorageError as error:
                log.warning("the robot's people stay as they are known: %s", error)
            else:
                if due and self._may_ask():
                    await asyncio.wait(self._ask(due))
            await self._sleep(max(_LOOK, self._rests_until - time.monotonic()))

    async def close(self) -> None:
        """Stop asking; what was not answered is asked for by the next process."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _userids(self, ids: Iterable[str]) -> dict[str, str]:
        """The userids of those that can be told in time."""
        unknown = [one for one in ids if one not in self._known]
        if unknown:
            await self._look_up(unknown)
        return {one: self._known[one] for one in ids if one in self._known}

    async def _look_up(self, ids: list[str]) -> None:
        """Learn these ids from what was told before, else by asking; what cannot be told now is noted for later."""
        found = await self._db.read(links.of, PLATFORM, ids)
        self._remember({one: link.external_id for one, link in found.items() if link.external_id})
        unknown = [one for one in ids if one not in self._known]
        to_ask = [one for one in unknown if one not in self._refused]
        if to_ask and self._may_ask():
            answers = self._ask(to_ask)
            if not self._late:
                _, pending = await asyncio.wait(answers, timeout=self._patience)
                self._late = bool(pending)
        missed = [one for one in unknown if one not in self._known and one not in self._noted]
        if missed:
            await self._db.run(links.note, PLATFORM, {one: userid(one) for one in missed})
            self._noted.update(missed)

    def _may_ask(self) -> bool:
        return self._client is not None and time.monotonic() >= self._rests_until

    def _ask(self, ids: Sequence[str]) -> set[asyncio.Future[None]]:
        """Have these ids asked about, each once at a time; what comes back is done when there is an answer or none."""
        for one in ids:
            if one not in self._asked:
                self._asked[one] = asyncio.get_running_loop().create_future()
                self._waiting[one] = None
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all(), name="who the robot's people are")
        return {self._asked[one] for one in ids}

    async def _ask_all(self) -> None:
        """Ask until nothing waits, or until it fails: what waits is noted and due again by itself."""
        while self._waiting:
            ids = list(self._waiting)[:AT_ONCE]
            for one in ids:
                del self._waiting[one]
            try:
                told = await self._told(ids)
                await self._db.run(links.keep, PLATFORM, {one: (userid(one), told[one]) for one in told}, utcnow())
            except (PlatformError, StorageError) as error:
                self._waiting.clear()
                self._failed(error)
                ids = list(self._asked)
            else:
                self._learned(ids, told)
            finally:
                for one in ids:
                    self._asked.pop(one).set_result(None)

    async def _told(self, ids: list[str]) -> dict[str, str]:
        """What WeCom says of these ids; one for which it refuses the others is left out, found by halves."""
        assert self._client is not None
        told: dict[str, str] = {}
        groups, refusals = [ids], 0
        while groups:
            some = groups.pop()
            try:
                told |= userids(some, await self._client.call("POST", _PATH, data={"open_userid_list": some}))
            except Undelivered as error:
                refusals += 1
                if refusals > _REFUSALS:
                    raise
                log.info("robots' ids are asked about by halves: %s", error)
                half = len(some) // 2
                groups += [some[half:], some[:half]] if half else []
        return told

    def _learned(self, ids: Iterable[str], told: Mapping[str, str]) -> None:
        self._remember(told)
        self._noted.difference_update(told)
        self._refused = (self._refused - told.keys()) | (set(ids) - told.keys())
        self._late, self._trouble = False, ""

    def _failed(self, error: PlatformError | StorageError) -> None:
        rest = _UNTIL_REPAIRED if isinstance(error, Unconfigured) else _AGAIN
        if isinstance(error, Retry):
            rest = max(rest, error.after or 0.0)
        self._rests_until = time.monotonic() + rest
        if not self._trouble:  # once, until it works again
            log.warning(
                "the robot's people are served under the robot's ids until WeCom tells who they are: %s",
                error,
                extra={"action": "people-unknown"},
            )
        self._trouble = str(error)

    def _remember(self, told: Mapping[str, str]) -> None:
        if len(self._known) > _MANY:
            self._known.clear()
        self._known |= told


def userids(ids: Iterable[str], answer: Mapping[str, Any]) -> dict[str, str]:
    """Whose these ids are by WeCom's answer. One that is no encrypted id comes back as invalid: it is a userid already.

    So does one of somebody outside the app's range; that is why each is asked for again after a day. Pure.
    """
    told = {one: userid(one) for one in ids}
    pairs = answer.get("userid_list")
    for pair in pairs if isinstance(pairs, list) else ():
        robots, real = (pair.get("open_userid"), pair.get("userid")) if isinstance(pair, Mapping) else (None, None)
        if isinstance(robots, str) and robots in told and isinstance(real, str) and userid(real):
            told[robots] = userid(real)
    return told


def _renamed(event: ChatEvent, userids: Mapping[str, str]) -> ChatEvent:
    """The event with these ids in place of those it came with."""

    def called(identity: Identity) -> Identity:
        return replace(identity, external_id=userids[identity.external_id])

    origin = event.origin
    return replace(
        event,
        sender=called(event.sender),
        origin=replace(origin, sender=userids[origin.sender]) if origin.sender else origin,
        mentions=tuple(replace(one, identity=called(one.identity)) for one in event.mentions),
    )


def missed(settings: Wecom) -> str:
    """What cannot be done because no app tells who the robot's people are; empty = nothing is missed. For doctor."""
    if not settings.aibot.enabled or settings.app.enabled:
        return ""
    return (
        "the robot's ids are all that is known of people: no names, no departments, and no logging in to the web page "
        "with WeCom. Ids are encrypted unless a super-admin (超级管理员) made the robot. With a self-built app of the "
        "same organisation (wecom.app: corp_id, agent_id, secret) one person is one account everywhere."
    )


async def trouble(client: Caller, robot_ids: Iterable[str] = ()) -> str:
    """Why the app cannot say whose ids the robot's are, asked with one of them or a made-up one. For doctor."""
    ids = list(robot_ids)[:1] or ["moqi-doctor"]
    try:
        await client.call("POST", _PATH, data={"open_userid_list": ids})
    except PlatformError as error:
        return str(error)
    return ""
