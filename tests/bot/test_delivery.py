"""What to do with an outgoing message, when to try again, and one writer per card."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.delivery import Cards, Post, Skip, Update, Wait, decide, next_try
from storage.records import ChatType, Delivery, DeliveryState, Origin, utcnow

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
