"""What a due reservation does, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.calendar import EveryDay, EveryInterval, Once, Opening, Rule
from scheduler.due import HORIZON, Turn, due_times, fits, lateness, starts, turn

SHANGHAI = ZoneInfo("Asia/Shanghai")
DAILY = EveryDay(times=(time(9),))
MINUTE = timedelta(minutes=1)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """An instant of November 2026 by the clock of Shanghai."""
    return datetime(2026, 11, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


ONCE = Once(at=at(21, 9))


@pytest.mark.parametrize(
    ("rule", "next_at", "now", "limit", "closes", "expected"),
    [
        # on time
        (ONCE, at(21, 9), at(21, 9), None, None, Turn(missed=(), due=at(21, 9), skip="", next_at=None)),
        (DAILY, at(21, 9), at(21, 9), None, None, Turn(missed=(), due=at(21, 9), skip="", next_at=at(22, 9))),
        # late, run all the same; exactly at the limit is not beyond it
        (ONCE, at(21, 9), at(21, 10), None, None, Turn(missed=(), due=at(21, 9), skip="", next_at=None)),
        (ONCE, at(21, 9), at(21, 10), 60 * MINUTE, None, Turn(missed=(), due=at(21, 9), skip="", next_at=None)),
        # beyond the limit
        (ONCE, at(21, 9), at(21, 10), 59 * MINUTE, None, Turn(missed=(), due=at(21, 9), skip="too_late", next_at=None)),
        (
            DAILY,
            at(21, 9),
            at(21, 10),
            MINUTE,
            None,
            Turn(missed=(), due=at(21, 9), skip="too_late", next_at=at(22, 9)),
        ),
        # three were missed: the latest runs
        (
            DAILY,
            at(19, 9),
            at(21, 12),
            None,
            None,
            Turn(missed=(at(19, 9), at(20, 9)), due=at(21, 9), skip="", next_at=at(22, 9)),
        ),
        # or is skipped with the others
        (
            DAILY,
            at(19, 9),
            at(21, 12),
            60 * MINUTE,
            None,
            Turn(missed=(at(19, 9), at(20, 9)), due=at(21, 9), skip="too_late", next_at=at(22, 9)),
        ),
        # a window: any time before it closes, whatever the limit
        (ONCE, at(21, 9), at(21, 11), MINUTE, at(21, 12), Turn(missed=(), due=at(21, 9), skip="", next_at=None)),
        (
            ONCE,
            at(21, 9),
            at(21, 12),
            None,
            at(21, 12),
            Turn(missed=(), due=at(21, 9), skip="window_closed", next_at=None),
        ),
    ],
)
def test_a_turn(
    rule: Rule, next_at: datetime, now: datetime, limit: timedelta | None, closes: datetime | None, expected: Turn
) -> None:
    assert turn(rule, next_at, SHANGHAI, now, limit, closes) == expected


def test_a_long_sleep_is_recorded_as_far_as_the_horizon() -> None:
    every_five = EveryInterval(minutes=5, start=at(1, 0))
    now = at(1, 0) + timedelta(days=90)
    found = due_times(every_five, at(1, 0), SHANGHAI, now)
    assert now - HORIZON < found[0] <= now - HORIZON + timedelta(minutes=5)
    assert found[-1] == now
    assert due_times(ONCE, ONCE.at, SHANGHAI, now + HORIZON) == [ONCE.at]


def test_a_clock_set_back_neither_fires_early_nor_twice() -> None:
    """The row holds tomorrow's time; only that counts, whatever the clock said in between."""
    assert turn(DAILY, at(21, 9), SHANGHAI, at(21, 9), None, None).next_at == at(22, 9)
    assert turn(DAILY, at(22, 9), SHANGHAI, at(22, 9), None, None).missed == ()


@pytest.mark.parametrize(
    ("late", "expected"), [(0, 0), (59, 0), (60, 60), (720, 720)], ids=["on time", "59 s", "1 min", "12 min"]
)
def test_a_small_delay_is_not_worth_a_word(late: int, expected: int) -> None:
    assert lateness(at(21, 9), at(21, 9) + timedelta(seconds=late)) == timedelta(seconds=expected)


@pytest.mark.parametrize(
    ("rule", "now", "closes", "expected"),
    [
        (ONCE, at(21, 8), None, at(21, 9)),
        (ONCE, at(21, 9), None, None),  # confirmed too late
        (DAILY, at(21, 9), None, at(22, 9)),
        (ONCE, at(21, 8), at(21, 12), at(21, 9)),
        (ONCE, at(21, 10), at(21, 12), at(21, 10)),  # in the middle of the window: at once
        (ONCE, at(21, 12), at(21, 12), None),
    ],
)
def test_when_it_starts(rule: Rule, now: datetime, closes: datetime | None, expected: datetime | None) -> None:
    assert starts(rule, SHANGHAI, now, closes) == expected


@pytest.mark.parametrize(
    ("booked", "work", "rate", "samples", "expected"),
    [
        (0.0, 8.0, 100.0, 5, True),  # 800 s of an hour
        (20.0, 8.8, 100.0, 5, True),  # 2880 s: exactly four fifths
        (20.0, 8.9, 100.0, 5, False),
        (1e9, 1.0, 0.0, 0, True),  # nothing was measured yet
    ],
)
def test_the_room_in_a_window(booked: float, work: float, rate: float, samples: int, expected: bool) -> None:
    assert fits(Opening(opens=at(21, 9), closes=at(21, 10)), booked, work, rate, samples) is expected
