"""Rules refuse what can never be meant, and survive a trip through a table's column."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from scheduler.calendar import (
    BadRule,
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Once,
    Rule,
    from_json,
    shortest_gap,
    to_json,
)

NINE = (time(9),)
START = datetime(2026, 11, 18, 9, tzinfo=UTC)

RULES: list[tuple[Rule, dict[str, Any]]] = [
    (Once(at=START), {"rule": "once", "at": "2026-11-18T09:00:00Z"}),
    (EveryDay(times=(time(9), time(18, 30))), {"rule": "day", "times": ["09:00", "18:30"], "step": 1, "start": None}),
    (
        EveryDay(times=NINE, step=3, start=date(2026, 11, 18)),
        {"rule": "day", "times": ["09:00"], "step": 3, "start": "2026-11-18"},
    ),
    (
        EveryWeek(weekdays=(0, 2), times=NINE, step=2, start=date(2026, 11, 18)),
        {"rule": "week", "weekdays": [0, 2], "times": ["09:00"], "step": 2, "start": "2026-11-18"},
    ),
    (EveryWorkday(times=NINE), {"rule": "workday", "times": ["09:00"], "country": "cn"}),
    (EveryMonth(days=(-1, 15), times=NINE), {"rule": "month", "days": [-1, 15], "times": ["09:00"]}),
    (EveryInterval(minutes=30, start=START), {"rule": "interval", "minutes": 30, "start": "2026-11-18T09:00:00Z"}),
    (EveryCron(expression="0 9 * * 1-5"), {"rule": "cron", "expression": "0 9 * * 1-5"}),
]


@pytest.mark.parametrize(("rule", "written"), RULES)
def test_a_rule_survives_its_column(rule: Rule, written: dict[str, Any]) -> None:
    assert to_json(rule) == written
    assert from_json(json.loads(json.dumps(to_json(rule)))) == rule


RUBBISH: list[object] = [
    None,
    "",
    [],
    {},
    {"rule": "moon"},
    {"rule": ["day"]},
    {"rule": "once"},
    {"rule": "once", "at": "2026-11-18T09:00:00"},
    {"rule": "once", "at": 5},
    {"rule": "day", "times": []},
    {"rule": "day", "times": ["9"], "more": 1},
    {"rule": "day", "times": ["25:00"]},
    {"rule": "day", "times": ["18:00", "09:00"]},
    {"rule": "day", "times": ["09:00:30"]},
    {"rule": "day", "times": ["09:00"], "step": 2},
    {"rule": "day", "times": ["09:00"], "step": True},
    {"rule": "day", "times": ["09:00"], "step": 0},
    {"rule": "week", "weekdays": [7], "times": ["09:00"]},
    {"rule": "week", "weekdays": "01", "times": ["09:00"]},
    {"rule": "workday", "times": ["09:00"], "country": "us"},
    {"rule": "month", "days": [0], "times": ["09:00"]},
    {"rule": "month", "days": [32], "times": ["09:00"]},
    {"rule": "interval", "minutes": 4, "start": "2026-11-18T09:00:00Z"},
    {"rule": "interval", "minutes": "30", "start": "2026-11-18T09:00:00Z"},
    {"rule": "interval", "minutes": 10**30, "start": "2026-11-18T09:00:00Z"},
    {"rule": "cron", "expression": "0 9 * *"},
    {"rule": "cron", "expression": "0 0 9 * * *"},
    {"rule": "cron", "expression": "0 9 30 2 *"},
    {"rule": "cron", "expression": None},
    {"rule": "cron", "expression": "0," * 5000 + "0 * * * *"},
]


@pytest.mark.parametrize("value", RUBBISH)
def test_rubbish_is_refused_with_a_reason(value: object) -> None:
    with pytest.raises(BadRule, match=r".{10}"):
        from_json(value)


WRONG: list[Callable[[], object]] = [
    lambda: EveryDay(times=(time(9, tzinfo=UTC),)),
    lambda: EveryDay(times=(time(9), time(9))),
    lambda: EveryDay(times=NINE, step=367, start=date(2026, 1, 1)),
    lambda: EveryWeek(weekdays=(), times=NINE),
    lambda: EveryWeek(weekdays=(2, 0), times=NINE),
    lambda: EveryMonth(days=(15, 15), times=NINE),
]


@pytest.mark.parametrize("make", WRONG)
def test_a_value_that_means_nothing_cannot_be_made(make: Callable[[], object]) -> None:
    with pytest.raises(BadRule):
        make()


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Once(at=datetime(2026, 11, 18))
    with pytest.raises(ValueError, match="no time zone"):
        EveryInterval(minutes=30, start=datetime(2026, 11, 18))


GAPS: list[tuple[Rule, timedelta | None]] = [
    (Once(at=START), None),
    (EveryDay(times=NINE), timedelta(days=1)),
    (EveryDay(times=(time(0, 1), time(23, 59))), timedelta(minutes=2)),
    (EveryMonth(days=(1,), times=(time(9), time(9, 30))), timedelta(minutes=30)),
    (EveryInterval(minutes=45, start=START), timedelta(minutes=45)),
    (EveryCron(expression="* * * * *"), timedelta(minutes=1)),
    (EveryCron(expression="0,58 9 * * *"), timedelta(minutes=58)),
    (EveryCron(expression="0,58 9-10 * * *"), timedelta(minutes=2)),
    (EveryCron(expression="0,59 0,23 * * *"), timedelta(minutes=1)),
    (EveryCron(expression="0 9 * * *"), timedelta(days=1)),
    (EveryCron(expression="0 9,21 * * *"), timedelta(hours=12)),
]


@pytest.mark.parametrize(("rule", "gap"), GAPS)
def test_how_often_at_most(rule: Rule, gap: timedelta | None) -> None:
    assert shortest_gap(rule) == gap
