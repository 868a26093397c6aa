"""What WeCom would drop without a word is not sent."""

from __future__ import annotations

import pytest

from bot.platforms.wecom.app.codes import Busy
from bot.platforms.wecom.app.limits import Sends


class Time:
    """Time that passes by waiting."""

    def __init__(self) -> None:
        self.now = 1000.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def sends(time: Time) -> Sends:
    return Sends(clock=lambda: time.now, sleep=time.sleep)


async def test_thirty_a_minute_to_one_member(sends: Sends, time: Time) -> None:
    for _ in range(30):
        await sends.turn("alice")
    assert time.now == 1000.0
    with pytest.raises(Busy) as busy:
        await sends.turn("alice")
    assert busy.value.after == pytest.approx(63.0)
    await sends.turn("bob")  # somebody else's is another count
    time.now += 62.0
    await sends.turn("alice")  # a short wait is waited for
    assert time.now == pytest.approx(1063.0)


async def test_what_passes_leaves_room_for_outcomes_and_never_waits(sends: Sends, time: Time) -> None:
    for _ in range(10):
        await sends.turn("alice", passing=True)
    with pytest.raises(Busy):
        await sends.turn("alice", passing=True)
    for _ in range(20):
        await sends.turn("alice")
    assert time.now == 1000.0


async def test_a_thousand_an_hour_to_one_member(sends: Sends, time: Time) -> None:
    for number in range(1000):
        if number and number % 30 == 0:
            time.now += 64.0
        await sends.turn("alice")
    time.now += 64.0
    with pytest.raises(Busy) as busy:
        await sends.turn("alice")
    assert busy.value.after is not None
    assert busy.value.after > 1000.0
