"""What to do with an outgoing message, when to try again, and one writer per card."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot import delivery as delivery_module
from bot.delivery import Cards, Post, Sender, Skip, Update, Wait, decide, next_try, reply_row
from bot.platforms.base import PROBLEM, Blocked, Outgoing, PlatformError, Retry, Unconfigured, Undelivered
from bot.reply import Reply
from scheduler import queue
from scheduler.policy import Policy
from scheduler.queue import Submission
from storage import jobs, users
from storage import outbox as outbox_rows
from storage.database import Database
from storage.errors import DiskFull
from storage.outbox import BLOCKED
from storage.records import (
    Allowance,
    ChatType,
    Delivery,
    DeliveryState,
    Identity,
    Job,
    Kind,
    Origin,
    Unit,
    utcnow,
)
from storage.tables import audit, outbox
from tests.blank import blank

ORIGIN = Origin(platform="feishu", chat_id="oc_1", chat_type=ChatType.GROUP, message_id="om_1", sender="ou_1")


def delivery(slot: str, state: DeliveryState = DeliveryState.PENDING, *, attempts: int = 1) -> Delivery:
    return Delivery(
        id=1,
        key=f"job-1-{slot}",
        origin=ORIGIN,
        job_id=1,
        slot=slot,
        body={},
        state=state,
        attempts=attempts,
        receipt={"message_id": "om_9"} if state is DeliveryState.SENT else {},
        reason="",
        created_at=utcnow(),
        sent_at=None,
    )


CARD, OUTCOME = delivery("card"), delivery("outcome")
MOVED = replace(OUTCOME, receipt={"redirected": "gone"})


@pytest.mark.parametrize(
    ("message", "siblings", "expected"),
    [
        (delivery("reply"), (), Post()),
        (CARD, (CARD,), Post()),
        (CARD, (CARD, OUTCOME), Skip()),  # never tried, and the outcome says it all
        (replace(CARD, attempts=2), (CARD, OUTCOME), Post()),  # it may be there already: find out, under the same key
        (OUTCOME, (OUTCOME,), Post()),  # ordered on the command line: no card
        (OUTCOME, (delivery("card", DeliveryState.SENT), OUTCOME), Update({"message_id": "om_9"})),
        (OUTCOME, (CARD, OUTCOME), Wait()),
        (OUTCOME, (delivery("card", DeliveryState.SKIPPED), OUTCOME), Post()),
        (OUTCOME, (delivery("card", DeliveryState.FAILED), OUTCOME), Post()),
        (delivery("revision"), (), Post()),
        (delivery("revision"), (CARD,), Wait()),
        (delivery("revision"), (delivery("card", DeliveryState.SENT),), Update({"message_id": "om_9"})),
        (MOVED, (delivery("card", DeliveryState.SENT),), Post()),  # the card stands in the group that is gone
        (MOVED, (replace(MOVED, slot="card", state=DeliveryState.SENT),), Update({"redirected": "gone"})),
    ],
)
def test_what_to_do(message: Delivery, siblings: tuple[Delivery, ...], expected: object) -> None:
    assert decide(message, {one.slot: one for one in siblings}) == expected


@pytest.mark.parametrize(
    ("attempts", "asked", "expected"),
    [(1, None, 0.5), (2, None, 1.0), (5, None, 8.0), (50, None, 60.0), (1, 30.0, 30.0)],
)
def test_tries_grow_apart_unless_the_platform_names_its_wait(
    attempts: int, asked: float | None, expected: float
) -> None:
    assert next_try(attempts, asked, 0.5) == timedelta(seconds=expected)
    assert next_try(attempts, asked, 0.0) < next_try(attempts, asked, 1.0)


async def test_progress_never_covers_the_outcome() -> None:
    cards, order = Cards(), []
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def progress() -> None:
        async with cards.progress(1) as wanted:
            if wanted:
                entered.set()
                await go_on.wait()
                order.append("progress")

    async def outcome() -> None:
        async with cards.outcome(1):
            order.append("outcome")

    slow = asyncio.create_task(progress())
    await entered.wait()
    last = asyncio.create_task(outcome())
    await asyncio.sleep(0)
    late = asyncio.create_task(progress())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(slow, last, late)
    assert order == ["progress", "outcome"]
    async with cards.progress(2) as wanted:
        assert wanted


class Wall:
    """A platform that takes what it is given once its gate is open."""

    name = "feishu"
    progress_interval = 0.0

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.posted: list[str] = []

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        await self.gate.wait()
        self.posted.append(message.key)
        return {"message_id": message.key}

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        raise AssertionError("nothing is updated here")

    async def close(self) -> None:
        """Nothing is open."""


class Busy(Wall):
    """A platform that takes each message at the second try."""

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        self.posted.append(message.key)
        if self.posted.count(message.key) == 1:
            raise Retry("too many", after=0.01)
        return {"message_id": message.key}


def stored(conn: Connection, delivery: Delivery) -> Reply:
    return Reply.from_json(delivery.body)


def unreadable(conn: Connection, delivery: Delivery) -> Reply:
    raise ValueError("a defect")


def sender_of(db: Database, wall: Wall, render: Callable[[Connection, Delivery], Reply] = stored) -> Sender:
    return Sender(db, {"feishu": wall}, render, lambda asset, origin: b"", Cards())


async def written(db: Database, sender: Sender, key: str = "event-1") -> Callable[[], None]:
    """Write a message and let the sender take it in the same transaction."""

    def write(conn: Connection) -> Callable[[], None]:
        reply_row(conn, key, ORIGIN, Reply(text="好"), utcnow())
        return sender.take(conn, key)

    return await db.run(write)


async def until(db: Database, state: DeliveryState) -> None:
    async with asyncio.timeout(20):
        while {row.state for row in await db.run(rows_of)} != {state}:
            await asyncio.sleep(0.01)


def row_of(conn: Connection) -> Any:
    return conn.execute(select(outbox)).one()


def rows_of(conn: Connection) -> list[Any]:
    return list(conn.execute(select(outbox)))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return blank(tmp_path / "moqi.db")


async def test_what_a_stop_meets_while_it_is_claimed_is_sent_and_not_left_under_its_lease(url: str) -> None:
    with Database.open(url) as db:
        wall, busy = Wall(), threading.Event()
        wall.gate.set()
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        await asyncio.sleep(0)
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        blocked = asyncio.create_task(db.run(lambda conn: busy.wait(20)))  # the claim has to stand in line
        sender.wake.give()
        await asyncio.sleep(0.2)
        asyncio.get_running_loop().call_later(0.2, busy.set)
        await sender.stop(20)
        running.cancel()
        await blocked
        row = await db.run(row_of)
        assert (row.state, row.lease_until) in ((DeliveryState.SENT, None), (DeliveryState.PENDING, None))
        assert wall.posted == ([row.key] if row.state == DeliveryState.SENT else [])


async def test_what_a_stop_cuts_off_is_due_at_once_under_the_same_key(url: str) -> None:
    with Database.open(url) as db:
        wall = Wall()
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        sender.wake.give()
        while (await db.run(row_of)).lease_until is None:
            await asyncio.sleep(0.01)
        await sender.stop(0.05)
        await running
        row = await db.run(row_of)
        assert (row.state, row.lease_until, row.attempts) == (DeliveryState.PENDING, None, 1)
        wall.gate.set()
        again = sender_of(db, wall)
        running = asyncio.create_task(again.run())
        while (await db.run(row_of)).state != DeliveryState.SENT:
            await asyncio.sleep(0.01)
        await again.stop(20)
        await running
        assert wall.posted == ["event-1"]


async def test_what_was_sent_while_nothing_could_be_written_is_marked_as_soon_as_it_can(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not posted again, and what follows it does not wait for the end of a lease."""
    marked, tries = outbox_rows.sent, []

    def full(*given: Any) -> None:
        tries.append(given)
        if len(tries) < 3:
            raise DiskFull
        marked(*given)

    monkeypatch.setattr(outbox_rows, "sent", full)
    monkeypatch.setattr(delivery_module, "MARK_AGAIN", 0.01)
    with Database.open(url) as db:
        wall = Wall()
        wall.gate.set()
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        sender.wake.give()
        await until(db, DeliveryState.SENT)
        await sender.stop(20)
        await running
        assert (await db.run(row_of)).attempts == 1
    assert wall.posted == ["event-1"]
    assert len(tries) == 3


async def test_a_message_taken_in_its_transaction_is_sent_without_being_looked_for(url: str) -> None:
    with Database.open(url) as db:
        wall = Wall()
        wall.gate.set()
        tell = await written(db, sender_of(db, wall))
        row = await db.run(row_of)
        assert (row.state, row.attempts) == (DeliveryState.PENDING, 1)
        assert row.lease_until is not None, "nobody else sends it"
        assert wall.posted == [], "nothing leaves before the commit is known"
        tell()
        await until(db, DeliveryState.SENT)
        assert wall.posted == ["event-1"]


async def test_a_message_that_cannot_be_rendered_fails_alone_and_not_what_it_tells(url: str) -> None:
    with Database.open(url) as db:
        tell = await written(db, sender_of(db, Wall(), unreadable))
        tell()
        await until(db, DeliveryState.FAILED)


async def test_without_room_or_after_a_stop_a_message_stays_free_for_the_loop(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database.open(url) as db:
        stopped, full = sender_of(db, Wall()), sender_of(db, Wall())
        await stopped.stop(0)
        await written(db, stopped, "event-1")
        monkeypatch.setattr("bot.delivery.PARALLEL", 0)
        await written(db, full, "event-2")
        assert [(row.attempts, row.lease_until) for row in await db.run(rows_of)] == [(0, None), (0, None)]


@pytest.mark.parametrize("platform", [Wall, Busy])
async def test_the_loop_is_woken_for_what_waits_for_room_or_for_its_next_try(
    url: str, monkeypatch: pytest.MonkeyPatch, platform: type[Wall]
) -> None:
    monkeypatch.setattr("bot.delivery.IDLE", 3600.0)
    monkeypatch.setattr("bot.delivery.PARALLEL", 1)
    with Database.open(url) as db:
        wall = platform()
        sender = sender_of(db, wall)
        for key in ("event-1", "event-2", "event-3"):
            await db.run(reply_row, key, ORIGIN, Reply(text="好"), utcnow())
        running = asyncio.create_task(sender.run())
        asyncio.get_running_loop().call_later(0.1, wall.gate.set)
        await until(db, DeliveryState.SENT)
        await sender.stop(20)
        await running
        assert set(wall.posted) == {"event-1", "event-2", "event-3"}


class Dissolved(Wall):
    """A platform on which one group is gone; what stood there cannot be changed either."""

    def __init__(self, *, nobody: bool = False) -> None:
        super().__init__()
        self.nobody = nobody  # the person is gone as well
        self.updated: list[str] = []

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        if message.origin.chat_id or self.nobody:
            gone = Undelivered("the group is dissolved" if message.origin.chat_id else "the person has left")
            gone.receipt = {"images": {"1": "img_v3_group"}}
            raise gone
        self.posted.append(f"{message.key} to {message.origin.sender}: {message.reply.text}")
        return {**message.receipt, "message_id": message.key}

    async def update(
        self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
    ) -> dict[str, Any]:
        if "redirected" not in receipt:
            raise Undelivered("the group is dissolved")
        self.updated.append(message.key)
        return dict(receipt)


async def fired(db: Database, *, booked: bool = True, card_sent: bool = False, ended: bool = True) -> int:
    """A job out of a group, whose messages wait; returns its number."""

    def write(conn: Connection) -> int:
        user = users.resolve(conn, Identity(platform="feishu", external_id="ou_1"), "anna", utcnow())
        params = {"count": 1, "prompt": "猫"} | (
            {"booked": {"reservation": 1, "late": 0, "missed": 0}} if booked else {}
        )
        wanted = Submission(
            key="res:1:x",
            kind=Kind.DRAW,
            user=user,
            origin=ORIGIN,
            params=params,
            cost=1,
            work=1.0,
            card=lambda conn, job, place: Reply(text="排队中").to_json(),
        )
        policy = Policy(timezone=UTC, allowances={unit: (Allowance(amount=9, period="day"),) for unit in Unit})
        job = queue.submit(conn, wanted, policy, utcnow())
        assert isinstance(job, Job)
        if card_sent:
            card = outbox_rows.of_job(conn, job.id)["card"]
            outbox_rows.sent(conn, card.id, {"message_id": "om_9"}, utcnow())
        if ended:
            queue.cancel(conn, job, "user:1", utcnow())
        return job.id

    return await db.run(write)


def as_text(conn: Connection, delivery: Delivery) -> Reply:
    return Reply.from_json(delivery.body) if delivery.body else Reply(text="画好了", state="done")


@pytest.mark.parametrize("card_sent", [False, True], ids=["card not sent", "card in the group"])
async def test_what_was_booked_goes_to_its_owner_once_when_its_group_is_gone(url: str, card_sent: bool) -> None:
    with Database.open(url) as db:
        job, wall = await fired(db, card_sent=card_sent), Dissolved()
        sender = sender_of(db, wall, as_text)
        running = asyncio.create_task(sender.run())
        await until_settled(db)
        await sender.stop(20)
        await running
        assert wall.posted == [f"job-{job}-outcome to ou_1: 画好了"]
        rows = {row.slot: row for row in await db.run(rows_of)}
        assert (rows["outcome"].state, rows["outcome"].receipt["redirected"]) == ("sent", "the group is dissolved")
        assert "images" not in rows["outcome"].receipt, "a picture uploaded for the group may bear another mark"
        assert rows["card"].state == ("sent" if card_sent else "skipped")


async def test_a_card_that_went_to_the_owner_is_changed_there(url: str) -> None:
    with Database.open(url) as db:
        job, wall = await fired(db, ended=False), Dissolved()
        sender = sender_of(db, wall, as_text)
        running = asyncio.create_task(sender.run())
        await until_settled(db)
        found = await db.read(jobs.get, job)
        assert found is not None
        await db.run(queue.cancel, found, "user:1", utcnow())
        sender.wake.give()
        await until_settled(db)
        await sender.stop(20)
        await running
        assert wall.posted == ["job-1-card to ou_1: 排队中"]
        assert wall.updated == ["job-1-outcome"]


@pytest.mark.parametrize(("booked", "nobody"), [(False, False), (True, True)], ids=["not booked", "owner gone"])
async def test_otherwise_it_is_given_up_with_its_reason(url: str, booked: bool, nobody: bool) -> None:
    with Database.open(url) as db:
        await fired(db, booked=booked)
        wall = Dissolved(nobody=nobody)
        sender = sender_of(db, wall, as_text)
        running = asyncio.create_task(sender.run())
        await until_settled(db)
        await sender.stop(20)
        await running
        [outcome] = [row for row in await db.run(rows_of) if row.slot == "outcome"]
        reason = "the person has left" if nobody else "the group is dissolved"
        assert (outcome.state, outcome.reason, wall.posted) == ("failed", reason, [])


@pytest.mark.parametrize(
    ("minutes", "error", "state"),
    [(49, Retry, "pending"), (51, Retry, "failed"), (600, Unconfigured, "pending")],
    ids=["within the hour", "after it", "never taken"],
)
async def test_trap_15_nothing_is_repeated_once_the_platform_has_forgotten_its_key(
    url: str, minutes: int, error: type[Retry | Unconfigured], state: str
) -> None:
    """Feishu knows a uuid for an hour; a later repetition of what may have arrived would show it twice."""

    class Silent(Wall):
        async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
            self.posted.append(message.key)
            raise error("no answer")

    first = (utcnow() - timedelta(minutes=minutes)).isoformat()
    with Database.open(url) as db:
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        row = await db.run(row_of)
        await db.run(outbox_rows.postpone, row.id, utcnow(), "cut", {"first_try": first})
        wall = Silent()
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        async with asyncio.timeout(20):
            while (row := await db.run(row_of)).reason == "cut":
                await asyncio.sleep(0.01)
        await sender.stop(20)
        await running
    assert (row.state, wall.posted) == (state, ["event-1"])
    assert "no answer" in row.reason


class Audited(Wall):
    """A platform whose audit refuses a word, or everything."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self.word = word

    async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
        self.posted.append(f"{message.key}: {message.reply.text}")
        if self.word in message.reply.text:
            raise Blocked("230022")
        return {"message_id": message.key}


def audited_text(conn: Connection, delivery: Delivery) -> Reply:
    return Reply(text="这里不能显示") if BLOCKED in delivery.receipt else Reply(text="一个秘密")


@pytest.mark.parametrize(("word", "state"), [("秘密", "sent"), ("", "failed")], ids=["a word", "everything"])
async def test_trap_26_what_the_audit_refuses_is_said_once_in_other_words_and_costs_nothing(
    url: str, word: str, state: str
) -> None:
    with Database.open(url) as db:
        await fired(db, booked=False)
        wall = Audited(word)
        sender = sender_of(db, wall, audited_text)
        running = asyncio.create_task(sender.run())
        await until_settled(db)
        await sender.stop(20)
        await running
        assert wall.posted == ["job-1-outcome: 一个秘密", "job-1-outcome-b: 这里不能显示"]
        [outcome] = [row for row in await db.run(rows_of) if row.slot == "outcome"]
        assert (outcome.state, outcome.receipt[BLOCKED]) == (state, "230022")
        assert "delivery.blocked" in await db.run(acts)


def acts(conn: Connection) -> list[str]:
    return [row.action for row in conn.execute(select(audit))]


async def test_what_must_not_be_done_twice_is_kept_before_the_next_step(url: str) -> None:
    class Halting(Wall):
        async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
            self.posted.append(str(message.receipt.get("card_id")))
            if "card_id" not in message.receipt:
                await message.keep({"card_id": "7355"})
            await self.gate.wait()
            return {**message.receipt, "message_id": "om_1"}

    with Database.open(url) as db:
        wall = Halting()
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        sender.wake.give()
        while (row := await db.run(row_of)).receipt != {"card_id": "7355"}:
            await asyncio.sleep(0.01)
        assert row.lease_until is not None, "it is still being sent"
        running.cancel()  # the process dies
        for task in sender._under_way:
            task.cancel()
        await db.run(outbox_rows.release_all)
        wall.gate.set()
        again = sender_of(db, wall)
        running = asyncio.create_task(again.run())
        await until(db, DeliveryState.SENT)
        await again.stop(20)
        await running
        assert wall.posted == ["None", "7355"]


@pytest.mark.parametrize(
    ("error", "problem", "becomes"),
    [
        (None, "a scope is missing", "sent"),
        (Unconfigured("the secret is wrong"), "the secret is wrong", "pending"),
        (Undelivered("they are out of reach"), "let them in", "failed"),
    ],
)
async def test_a_platforms_problem_reaches_the_admins(
    url: str, error: PlatformError | None, problem: str, becomes: str
) -> None:
    class Limping(Wall):
        async def post(self, message: Outgoing, images: Mapping[int, bytes]) -> dict[str, Any]:
            if error is None:
                return {"message_id": "om_1", PROBLEM: problem}
            error.receipt = {PROBLEM: problem}
            raise error

    told: list[tuple[str, str, bool]] = []
    with Database.open(url) as db:
        sender = Sender(
            db,
            {"feishu": Limping()},
            stored,
            lambda asset, origin: b"",
            Cards(),
            tell_admins=lambda conn, platform, problem, working: told.append((platform, problem, working)),
        )
        running = asyncio.create_task(sender.run())
        await db.run(reply_row, "event-1", ORIGIN, Reply(text="好"), utcnow())
        sender.wake.give()
        async with asyncio.timeout(20):
            while not told:
                await asyncio.sleep(0.01)
        await sender.stop(20)
        await running
        state = (await db.run(row_of)).state
    assert told == [("feishu", problem, not isinstance(error, Unconfigured))]
    assert state == becomes


async def test_a_revision_takes_the_place_of_the_message_it_replaces(url: str) -> None:
    class Changing(Wall):
        async def update(
            self, receipt: Mapping[str, Any], message: Outgoing, images: Mapping[int, bytes]
        ) -> dict[str, Any]:
            self.posted.append(f"{receipt['message_id']} is now {message.reply.text}")
            return dict(receipt)

    def write(conn: Connection) -> None:
        bodies = [Reply(text=text).to_json() for text in ("请确认", "已预约", "已取消")]
        outbox_rows.add(conn, "res-1-a", ORIGIN, slot="reply", body=bodies[0], now=utcnow())
        outbox_rows.add(conn, "res-1-b", ORIGIN, slot="revision", body=bodies[1], now=utcnow(), replaces="res-1-a")
        outbox_rows.add(conn, "res-1-c", ORIGIN, slot="revision", body=bodies[2], now=utcnow(), replaces="res-1-b")

    with Database.open(url) as db:
        wall = Changing()
        wall.gate.set()
        await db.run(write)
        sender = sender_of(db, wall)
        running = asyncio.create_task(sender.run())
        await until(db, DeliveryState.SENT)
        await sender.stop(20)
        await running
        assert wall.posted == ["res-1-a", "res-1-a is now 已预约", "res-1-a is now 已取消"]


async def until_settled(db: Database) -> None:
    async with asyncio.timeout(20):
        while any(row.state == DeliveryState.PENDING for row in await db.run(rows_of)):
            await asyncio.sleep(0.01)
