"""Events out: drains the outbox. Sends under a stable key, marks once confirmed, keeps what a failed try achieved.

What a message says is rendered when it is sent, from the job's row as it stands then: a card that was held up shows
the present, and an outcome that overtakes its card makes the card unnecessary.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bot.ordering import BOOKED
from bot.platforms.base import (
    PROBLEM,
    Blocked,
    ChatPlatform,
    Elsewhere,
    Outgoing,
    PlatformError,
    Retry,
    Unconfigured,
    Undelivered,
)
from bot.reply import Reply
from bot.rush import Rush
from scheduler import quota
from scheduler.progress import Signal
from scheduler.queue import COPY, HELD
from storage import audit, jobs, outbox, owner
from storage.database import Database
from storage.errors import StorageError
from storage.faults import point
from storage.outbox import BLOCKED
from storage.records import ChatType, Delivery, DeliveryState, Origin, utcnow

log = logging.getLogger("moqi.delivery")

IDLE = 1.0
PARALLEL = 16  # messages on their way at once
LEASE = timedelta(seconds=90)  # longer than any single try
MARK_AGAIN, MARKING = 1.0, 60.0  # seconds between two tries to keep that it was sent, and in all: less than the lease
WINDOW = timedelta(minutes=50)  # a platform forgets an idempotency key after an hour: no blind try beyond
REMEMBERED = 10_000  # ended jobs whose late progress is still kept off
REDIRECTED = "redirected"  # in a receipt: why the message goes to its owner instead of its chat
AWAY = timedelta(seconds=1)  # until a message is looked at again whose platform's connection is not here
FIRST_TRIES = 3  # of an outcome, for which its copies wait
SECOND = timedelta(seconds=1)  # between two looks whether it has arrived
TURN = timedelta(milliseconds=50)  # an outcome waits this long for its card's answer, again and again


@dataclass(frozen=True, slots=True)
class Post:
    """Send a new message."""


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the earlier message of this receipt."""

    receipt: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Skip:
    """It is not to be sent."""

    why: str = "the outcome came first"


@dataclass(frozen=True, slots=True)
class Wait:
    """Another message of its job is on its way; what becomes of that decides about this one."""

    pause: timedelta = TURN


def decide(delivery: Delivery, siblings: Mapping[str, Delivery]) -> Post | Update | Skip | Wait:
    """What to do with a message, given the other messages of its job."""
    outcome, card, held = siblings.get("outcome"), siblings.get("card"), siblings.get(HELD)
    if delivery.slot.startswith(COPY):
        return _share(outcome)
    if delivery.slot in ("card", HELD) and outcome is not None and delivery.attempts <= 1:
        return Skip()
    if delivery.slot == "outcome" and held is not None and held.state is DeliveryState.PENDING:
        return Wait()  # it would cover the outcome
    if delivery.slot not in ("outcome", "revision", HELD) or card is None:
        return Post()
    match card.state:
        case DeliveryState.SENT if delivery.receipt.get(REDIRECTED) and not card.receipt.get(REDIRECTED):
            return Post()  # the card stands in a chat that is gone
        case DeliveryState.SENT:
            return Update(card.receipt)
        case DeliveryState.PENDING:
            return Wait()
        case _:
            return Post()


def _share(outcome: Delivery | None) -> Post | Skip | Wait:
    """A group sees the pictures of somebody's reservation after them, and not what could not be shown to them."""
    if outcome is not None and BLOCKED in outcome.receipt:
        return Skip("its content is refused where it was ordered")
    waits = outcome is not None and outcome.state is DeliveryState.PENDING and outcome.attempts <= FIRST_TRIES
    return Wait(SECOND) if waits else Post()


def next_try(attempts: int, asked: float | None, spread: float) -> timedelta:
    """How long until the next try: what the platform asked for, else doubling to a minute, spread by ±20 %."""
    wait = asked if asked is not None else min(60.0, 0.5 * 2.0 ** min(attempts - 1, 10))
    return timedelta(seconds=wait * (0.8 + 0.4 * spread))


class Cards:
    """One writer per card, so that a late progress update never covers the outcome."""

    def __init__(self) -> None:
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ended: dict[int, None] = {}  # the latest only: a late update comes within seconds

    @asynccontextmanager
    async def outcome(self, job_id: int) -> Any:
        """Write the last state of a card; from here on nobody updates it any more."""
        self._ended[job_id] = None
        while len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        async with self._locks[job_id]:
            yield
        self._locks.pop(job_id, None)

    @asynccontextmanager
    async def progress(self, job_id: int) -> Any:
        """Write a passing state; yields False when the outcome was or is being written."""
        if job_id in self._ended:
            yield False
            return
        async with self._locks[job_id]:
            yield job_id not in self._ended


#: A picture as it is shown in a chat: (asset's id, where). See bot/showing.py.
ReadImage = Callable[[int, Origin], bytes]


class LazyImages(Mapping[int, bytes]):
    """The pictures of a reply as its chat is shown them, made when a platform asks for them: in a thread."""

    def __init__(self, reply: Reply, origin: Origin, read: ReadImage) -> None:
        self._ids = [picture.asset for picture in reply.pictures]
        self._origin = origin
        self._read = read

    def __getitem__(self, asset: int) -> bytes:
        if asset not in self._ids:
            raise KeyError(asset)
        return self._read(asset, self._origin)

    def __iter__(self) -> Iterator[int]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides about a message: the other messages of its job, and what it says now."""

    siblings: Mapping[str, Delivery]
    reply: Reply


#: Tells admins of a platform's problem: (transaction, platform, problem, whether messages arrive all the same).
TellAdmins = Callable[[Connection, str, str, bool], None]


class Sender:
    """Sends what the outbox holds."""

    def __init__(
        self,
        db: Database,
        platforms: Mapping[str, ChatPlatform],
        render: Callable[[Connection, Delivery], Reply],
        read_image: ReadImage,
        cards: Cards,
        rush: Rush | None = None,
        tell_admins: TellAdmins = lambda conn, platform, problem, working: None,
    ) -> None:
        self._db = db
        self._platforms = platforms
        self._render = render
        self._read_image = read_image
        self._cards = cards
        self._rush = rush or Rush()
        self._tell_admins = tell_admins
        self.wake = Signal()
        self._under_way: set[asyncio.Task[None]] = set()
        self._loop: asyncio.Task[None] | None = None
        self._stopping = False
        self._crowded = False  # the loop waits for room

    async def run(self) -> None:
        """Send until `stop`."""
        self._loop = asyncio.current_task()
        self.wake.attach(asyncio.get_running_loop())
        while not self._stopping:
            try:
                claimed, pause = await self._claim(self._room())
            except StorageError:
                log.exception("cannot read the outbox; trying again", extra={"action": "outbox-failed"})
                claimed, pause = [], IDLE
            for delivery in claimed:
                self._start(delivery)
            if not claimed:
                await self.wake.wait(pause)

    async def stop(self, grace: float) -> None:
        """Claim nothing more and let messages under way finish; what is cut keeps its key and is tried again."""
        self._stopping = True
        self.wake.give()
        if self._loop is not None:  # it may be claiming: what nobody would send waits for the end of its lease
            await asyncio.wait({self._loop}, timeout=grace)
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=grace)
        for task in list(self._under_way):
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def take(self, conn: Connection, key: str) -> Callable[[], None]:
        """Lease a message in the transaction that writes it; returns what to call in the event loop once committed.

        Looking for it afterwards took four more turns through other threads, 5 ms for every picture.
        """
        if self._stopping or self._room() <= 0:
            return self.wake.give
        delivery = outbox.take(conn, key, utcnow(), LEASE, owner.name())
        if delivery is None:
            return self.wake.give
        return partial(self._start, delivery, self._seen(conn, delivery))

    def _seen(self, conn: Connection, delivery: Delivery) -> Seen | None:
        try:
            return self._look(conn, delivery)
        except DBAPIError:
            raise
        except Exception:  # noqa: BLE001 - a message that cannot be rendered must not undo its job
            return None  # looked at again when it is sent, and given up there

    def _room(self) -> int:
        """How many messages may be claimed now: one at a time while events pour in."""
        return (1 if self._rush.on else PARALLEL) - len(self._under_way)

    async def _claim(self, room: int) -> tuple[list[Delivery], float]:
        """What may be sent now, else the seconds until something may. Room, or a message put off, wakes us before."""
        self._crowded = room <= 0
        if self._crowded:
            return [], IDLE
        now = utcnow()
        due = await self._db.read(outbox.next_free, now)
        if due is None or due > now:
            return [], IDLE if due is None else min(IDLE, (due - now).total_seconds())
        return await self._db.run(outbox.claim, now, LEASE, room, owner.name()), 0.01

    def _start(self, delivery: Delivery, seen: Seen | None = None) -> None:
        point("delivery-claimed")
        task = asyncio.create_task(self._deliver(delivery, seen), name=f"delivery {delivery.key}")
        self._under_way.add(task)

        def ended(done: asyncio.Task[None]) -> None:
            self._under_way.discard(done)
            if self._crowded:
                self.wake.give()

        task.add_done_callback(ended)

    async def _deliver(self, delivery: Delivery, seen: Seen | None) -> None:
        try:
            if seen is None:
                seen = await self._db.read(self._look, delivery)
            await self._step(delivery, seen)
        except asyncio.CancelledError:  # the program stops; perhaps it was sent, so the try counts
            now, reason = utcnow(), "cut off by a stop"
            await self._db.run(outbox.postpone, delivery.id, now, reason, dict(delivery.receipt))
            raise
        except StorageError:
            # The lease runs out and the message is due again, under the same key.
            log.exception("delivery %s not marked", delivery.key, extra={"action": "mark-failed"})
        except Exception as defect:  # the loop's one net: a defect in one message does not stop the others
            log.exception("delivery %s failed", delivery.key, extra={"action": "delivery-failed"})
            await self._db.run(self._give_up, delivery, f"internal: {defect!r}", dict(delivery.receipt))

    async def _step(self, delivery: Delivery, seen: Seen) -> None:
        match decide(delivery, seen.siblings):
            case Skip(why):
                await self._db.run(outbox.skipped, delivery.id, why)
            case Wait(pause):
                await self._db.run(outbox.hand_back, delivery.id, utcnow() + pause)
                self.wake.give()
            case Post():
                await self._send(delivery, seen.reply, None)
            case Update(receipt):
                await self._send(delivery, seen.reply, receipt)

    def _look(self, conn: Connection, delivery: Delivery) -> Seen:
        return Seen(_siblings(conn, delivery), self._render(conn, delivery))

    async def _send(self, delivery: Delivery, reply: Reply, earlier: Mapping[str, Any] | None) -> None:
        platform = self._platforms.get(delivery.origin.platform)
        if platform is None:
            reason = f"platform {delivery.origin.platform!r} is not enabled on this server"
            await self._db.run(self._give_up, delivery, reason, {})
            return
        try:
            receipt = await self._transmit(platform, delivery, reply, earlier)
        except Elsewhere as error:
            log.debug("delivery %s waits: %s", delivery.key, error)
            await self._db.run(outbox.hand_back, delivery.id, utcnow() + AWAY)
            return
        except PlatformError as error:
            await self._after_error(delivery, error)
            return
        point("delivery-sent")
        await self._mark(delivery, receipt)
        point("delivery-kept")

    async def _mark(self, delivery: Delivery, receipt: dict[str, Any]) -> None:
        """Keep that a message was sent, as soon as anything can be written: what follows it waits for that."""
        until = time.monotonic() + MARKING
        while True:
            try:
                await self._db.run(self._sent, delivery, receipt)
                return
            except StorageError:
                if time.monotonic() >= until:
                    raise
                log.exception("delivery %s not marked; trying again", delivery.key, extra={"action": "mark-failed"})
            await asyncio.sleep(MARK_AGAIN)

    def _sent(self, conn: Connection, delivery: Delivery, receipt: dict[str, Any]) -> None:
        blocked = {BLOCKED: delivery.receipt[BLOCKED]} if BLOCKED in delivery.receipt else {}
        outbox.sent(conn, delivery.id, {**receipt, **blocked}, utcnow())
        if problem := receipt.get(PROBLEM):
            self._tell_admins(conn, delivery.origin.platform, problem, True)

    async def _transmit(
        self, platform: ChatPlatform, delivery: Delivery, reply: Reply, earlier: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        async def keep(receipt: Mapping[str, Any]) -> None:
            delivery.receipt.update(receipt)  # also what is written when this try fails or is cut off
            await self._db.run(outbox.keep, delivery.id, dict(delivery.receipt))

        key = f"{delivery.key}-b" if BLOCKED in delivery.receipt else delivery.key
        message = Outgoing(key=key, origin=delivery.origin, reply=reply, receipt=delivery.receipt, keep=keep)
        images = LazyImages(reply, delivery.origin, self._read_image)
        if delivery.slot in ("revision", HELD) and earlier is not None:
            return await platform.update(earlier, message, images)
        if delivery.slot != "outcome" or delivery.job_id is None:
            return await platform.post(message, images)
        async with self._cards.outcome(delivery.job_id):
            if earlier is None:
                return await platform.post(message, images)
            return await platform.update(earlier, message, images)

    async def _after_error(self, delivery: Delivery, error: PlatformError) -> None:
        now = utcnow()
        first = datetime.fromisoformat(delivery.receipt.get("first_try", now.isoformat()))
        receipt = {**delivery.receipt, **error.receipt, "first_try": first.isoformat()}
        match error:
            case Blocked() if BLOCKED not in receipt:
                await self._db.run(self._blocked, delivery, str(error), receipt)
                self.wake.give()
            case Undelivered():
                await self._db.run(self._unreachable, delivery, str(error), receipt)
                self.wake.give()
            case _ if now - first > WINDOW and not isinstance(error, Unconfigured):
                reason = f"no confirmation within {WINDOW}: {error}"
                await self._db.run(self._give_up, delivery, reason, receipt)
            case _:
                asked = error.after if isinstance(error, Retry) else 60.0
                until = now + next_try(delivery.attempts, asked, random.random())
                log.warning("delivery %s: %s", delivery.key, error, extra={"action": "delivery-retry"})
                await self._db.run(self._put_off, delivery, until, error, receipt)
                self.wake.give()

    def _put_off(
        self, conn: Connection, delivery: Delivery, until: datetime, error: PlatformError, receipt: dict[str, Any]
    ) -> None:
        outbox.postpone(conn, delivery.id, until, str(error), receipt)
        if isinstance(error, Unconfigured):
            self._tell_admins(conn, delivery.origin.platform, str(error), False)

    def _blocked(self, conn: Connection, delivery: Delivery, reason: str, receipt: dict[str, Any]) -> None:
        """What it says is not allowed there: it says so instead, at once, and what nobody sees costs nobody anything.

        The job keeps its result; the same content is not sent again.
        """
        log.warning("delivery %s: its content is refused: %s", delivery.key, reason, extra={"action": "blocked"})
        kept = {name: value for name, value in receipt.items() if name != "card_id"}
        outbox.postpone(conn, delivery.id, utcnow(), reason, {**kept, BLOCKED: reason})
        if delivery.slot == "outcome" and delivery.job_id is not None:
            quota.give_back(conn, delivery.job_id, utcnow(), reason)
        audit.append(conn, "delivery", "delivery.blocked", delivery.key, {"reason": reason}, utcnow())

    def _unreachable(self, conn: Connection, delivery: Delivery, reason: str, receipt: dict[str, Any]) -> None:
        """The platform will never take it there: what was booked goes to its owner, anything else is given up."""
        if problem := receipt.pop(PROBLEM, ""):  # somebody can let it reach whom it is for
            self._tell_admins(conn, delivery.origin.platform, problem, True)
        if not _for_owner(conn, delivery):
            self._give_up(conn, delivery, reason, receipt)
            return
        log.warning("delivery %s goes to its owner: %s", delivery.key, reason, extra={"action": "redirected"})
        owner = replace(delivery.origin, chat_id="", chat_type=ChatType.DIRECT, message_id="", thread_id="")
        # What was uploaded for the group is left behind: in another chat the policy may want another mark on it.
        outbox.redirect(conn, delivery.id, owner, {REDIRECTED: reason}, utcnow())

    def _give_up(self, conn: Connection, delivery: Delivery, reason: str, receipt: dict[str, Any]) -> None:
        log.error("delivery %s given up: %s", delivery.key, reason, extra={"action": "delivery-failed"})
        outbox.gave_up(conn, delivery.id, reason, receipt)
        if delivery.slot == "outcome" and delivery.job_id is not None:
            quota.give_back(conn, delivery.job_id, utcnow(), reason)
        audit.append(conn, "delivery", "delivery.failed", delivery.key, {"reason": reason}, utcnow())


def _siblings(conn: Connection, delivery: Delivery) -> dict[str, Delivery]:
    """The messages that decide about this one, by slot."""
    if delivery.job_id is not None:
        return outbox.of_job(conn, delivery.job_id)
    earlier = outbox.by_key(conn, delivery.replaces) if delivery.replaces else None
    return {} if earlier is None else {"card": earlier}


def _for_owner(conn: Connection, delivery: Delivery) -> bool:
    """Whether a message that cannot reach its group goes to the person directly instead: once, and only what was
    booked. Who orders in a group sees that it is gone; who booked weeks ago does not."""
    if delivery.slot.startswith(COPY):  # its owner has it already
        return False
    if delivery.origin.chat_type is not ChatType.GROUP:  # nor again: what was redirected goes to a person
        return False
    if delivery.job_id is None:
        return delivery.key.startswith("res-")
    job = jobs.get(conn, delivery.job_id)
    return job is not None and BOOKED in job.params


def reply_row(conn: Connection, key: str, origin: Origin, reply: Reply, now: datetime) -> None:
    """Put an answer that belongs to no job into the outbox."""
    outbox.add(conn, key, origin, slot="reply", body=reply.to_json(), now=now)
