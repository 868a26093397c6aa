"""Traps that only the running loops can meet: the real sender, worker and alarms, on a real database and clock.

A process "dies" where a fault point raises instead of killing; what it held in memory is then dropped.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.delivery import Cards, Sender
from bot.platforms.base import Outgoing, Retry
from bot.reply import Reply
from scheduler import alarms as ringing
from scheduler import queue, verify
from scheduler.alarms import Alarms
from scheduler.calendar import Once
from scheduler.clock import Clock
from storage import assets, outbox, users
from storage.database import Database
from storage.files import Files
from storage.records import ChatType, Delivery, DeliveryState, Identity, Job, Kind, Occurrence, Origin, User, utcnow
from tests.chaos.machine import blank, roomy
from tests.chaos.world import POLICY, Front, opened, submission
from tests.scheduler.booked import booked

PATIENCE = 60.0  # seconds before something that takes a moment is given up

ORIGIN = Origin(platform="web", chat_id="p", chat_type=ChatType.DIRECT, message_id="m", sender="p")


class Gone(BaseException):
    """The process is dead: no net in it catches this."""


class Screen:
    """A platform that shows one message per key and may take a message without saying so."""

    name = "web"
    progress_interval = 0.0

    def __init__(self, *, cut: int = 0, dies: bool = False) -> None:
        self.keys: list[str] = []  # of the messages that stand there
        self.updated: list[str] = []  # of the messages that took the place of one
        self.cut = cut  # how many answers are lost
        self.dies = dies  # the process dies before the platform has the first message

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        if self.dies:
            self.dies = False
            raise Gone
        if message.key not in self.keys:
            self.keys.append(message.key)
        if self.cut:
            self.cut -= 1
            raise Retry("no answer", 0.01)
        return {"message_id": str(self.keys.index(message.key))}

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        self.updated.append(message.key)
        return dict(receipt)

    async def close(self) -> None: ...


def _render(conn: Connection, delivery: Delivery) -> Reply:
    return Reply(text=delivery.slot)


def _no_image(asset: int, origin: Origin) -> bytes:
    raise LookupError(asset)


@asynccontextmanager
async def house() -> AsyncIterator[tuple[Database, User]]:
    """An empty database and somebody in it."""
    with tempfile.TemporaryDirectory(prefix="moqi-chaos-", dir=roomy()) as folder:
        file = Path(folder) / "moqi.db"
        file.write_bytes(blank().read_bytes())
        db = opened(file)
        try:
            yield db, db.run_sync(users.resolve, Identity(platform="web", external_id="p"), "p", utcnow())
        finally:
            db.close()


async def until(look: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for something that comes soon; an assertion with `what` when it does not."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not look():
                await asyncio.sleep(0.01)
    assert look(), what


@asynccontextmanager
async def sender(db: Database, screen: Screen) -> AsyncIterator[Sender]:
    """A running sender; at the end it is dropped, as with its process."""
    running = Sender(db, {"web": screen}, _render, _no_image, Cards())
    loop = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        await _drop(loop, *running._under_way)


async def _drop(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Gone):
            await task


async def _message(db: Database) -> None:
    db.run_sync(outbox.add, "event-1", ORIGIN, slot="reply", body={"text": "1"}, now=utcnow())


def _sent(db: Database, key: str = "event-1") -> bool:
    found = db.read_sync(outbox.by_key, key)
    return found is not None and found.state is DeliveryState.SENT


async def an_answer_of_the_platform_is_lost() -> None:
    """It has the message: the next try must not show a second one."""
    async with house() as (db, _):
        screen = Screen(cut=1)
        await _message(db)
        async with sender(db, screen):
            await until(lambda: _sent(db), "the message is never sent")
        assert screen.keys == ["event-1"], f"people see {len(screen.keys)} messages"


async def the_sender_dies_before_its_message() -> None:
    """The next process must send it."""
    async with house() as (db, _):
        screen = Screen(dies=True)
        await _message(db)
        async with sender(db, screen):
            await until(lambda: not screen.dies, "it is never tried")
        db.run_sync(outbox.release_all)
        async with sender(db, screen):
            await until(lambda: _sent(db), "the message is never sent")
        assert screen.keys == ["event-1"], f"people see {len(screen.keys)} messages"


async def a_commit_fails_behind_a_result() -> None:
    """Nothing of it may be shown: the picture is drawn again."""
    async with house() as (db, user):
        screen = Screen()
        db.run_sync(queue.submit, submission("web:1", user, ORIGIN, 1), POLICY, utcnow())
        claim = db.run_sync(queue.claim, Kind.DRAW, lambda head: 1, POLICY, utcnow())
        assert claim is not None
        async with sender(db, screen) as running:
            await until(lambda: _sent(db, queue.message_key(claim.jobs[0].id, "card")), "the card")
            key = queue.message_key(claim.jobs[0].id, "outcome")

            def keep(conn: Connection) -> None:
                queue.succeed(conn, claim.jobs[0], {"seeds": [1]}, 1.0, utcnow())
                running.take(conn, key)
                raise Gone

            with suppress(Gone):
                db.run_sync(keep)
            await asyncio.gather(*running._under_way)  # what was sent too early
        assert key not in screen.updated, "a result is shown that was never kept"


@asynccontextmanager
async def alarms(db: Database, fired: list[Occurrence]) -> AsyncIterator[Alarms]:
    """Running alarms; at the end they are dropped."""
    clock = Clock({})
    running = ringing.Alarms(db, clock, Front, lambda: POLICY, fired.extend)
    loop = asyncio.create_task(running.run())
    clock.start()
    try:
        yield running
    finally:
        running.stop()
        clock.stop()
        await _drop(loop)


async def the_process_dies_between_alarm_and_firing() -> None:
    """The next one must fire it, once."""
    async with house() as (db, user):
        due = utcnow() + timedelta(seconds=0.3)
        number = booked(db, user, Once(at=due), utcnow(), POLICY, params={"cost": 1}).id
        fired: list[Occurrence] = []
        with dying_at("reservation-due") as died:
            async with alarms(db, fired) as running:
                running.arm(number, due)
                await until(lambda: bool(died), "the alarm never rings")
        assert not fired
        async with alarms(db, fired):
            with suppress(AssertionError):
                await until(lambda: bool(fired), "", patience=4 * ringing.SWEEP)
        assert [fate.reservation_id for fate in fired] == [number], f"reservation {number} fired {len(fired)} times"
        in_order(db)


async def a_reservation_of_later_is_left_alone() -> None:
    """On a machine whose own zone is not UTC."""
    async with house() as (db, user):
        with machine_zone("Asia/Shanghai"):
            now = datetime.fromtimestamp(time.time(), UTC)
            later = booked(db, user, Once(at=now + timedelta(hours=2)), now, POLICY, params={"cost": 1})
            fired: list[Occurrence] = []
            running = ringing.Alarms(db, Clock({}), Front, lambda: POLICY, fired.extend)
            await running._sweep()
            await running._fire_due()
        assert not fired, f"reservation {later.id} fired early"


async def a_picture_is_kept() -> None:
    """Its row and its file."""
    async with house() as (db, user):
        with tempfile.TemporaryDirectory() as folder:
            files = Files(Path(folder))
            job = db.run_sync(queue.submit, submission("web:1", user, ORIGIN, 1), POLICY, utcnow())
            assert isinstance(job, Job)
            size: dict[str, Any] = {"media_type": "image/png", "size": 9, "width": 1, "height": 1}
            db.run_sync(assets.add, sha256=files.put(b"a picture"), job_id=job.id, index=0, now=utcnow(), **size)
            in_order(db, files)


@contextmanager
def dying_at(point: str) -> Iterator[list[str]]:
    """The process dies at the first passage of this point of the alarms; it is noted when it did."""
    died: list[str] = []

    def pass_point(name: str) -> None:
        if name == point and not died:
            died.append(name)
            raise Gone

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ringing, "point", pass_point)
        yield died


@contextmanager
def machine_zone(name: str) -> Iterator[None]:
    """The zone of the machine, for the block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        yield
    time.tzset()


def in_order(db: Database, files: Files | None = None) -> None:
    """`moqi verify` finds nothing."""
    checks = db.read_sync(verify.verify, files or Files(Path("/nonexistent")), utcnow())
    broken = [f"verify: {check.invariant}: {what}" for check in checks for what in check.broken]
    assert not broken, broken


#: All of them, by name.
SCENARIOS: dict[str, Callable[[], Awaitable[None]]] = {
    scenario.__name__.replace("_", " "): scenario
    for scenario in (
        an_answer_of_the_platform_is_lost,
        the_sender_dies_before_its_message,
        a_commit_fails_behind_a_result,
        the_process_dies_between_alarm_and_firing,
        a_reservation_of_later_is_left_alone,
        a_picture_is_kept,
    )
}
