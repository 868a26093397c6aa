"""When rules fire: tables for the odd days, and a clock that walks by quarters of an hour for all the others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.calendar import (
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Once,
    Rule,
    keeps_wall_clock,
    next_after,
    occurrence_key,
    upcoming,
)
from scheduler.calendar.firing import due_on
from scheduler.calendar.rules import Daily

NEW_YORK, BERLIN = ZoneInfo("America/New_York"), ZoneInfo("Europe/Berlin")
LORD_HOWE, SHANGHAI = ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Shanghai")
ZONES = [NEW_YORK, BERLIN, LORD_HOWE, SHANGHAI]
#: A day before each night of 2026 and 2027 in which one of the zones sets its clock, a year's end, a leap day.
NIGHTS = [(2026, 3, 7), (2026, 3, 28), (2026, 4, 4), (2026, 10, 3), (2026, 10, 24), (2026, 10, 31)]
NIGHTS += [(2026, 12, 30), (2027, 2, 27), (2027, 3, 13), (2028, 2, 28)]


def times(*texts: str) -> tuple[time, ...]:
    return tuple(time.fromisoformat(text) for text in texts)


def cron(expression: str) -> EveryCron:
    return EveryCron(expression=expression)


def daily(*texts: str) -> EveryDay:
    return EveryDay(times=times(*texts))


def monthly(*days: int) -> EveryMonth:
    return EveryMonth(days=days, times=times("09:00"))


#: Rule, zone, said on the local date, its next local firings (with the offset where it matters).
FIRINGS: list[tuple[Rule, ZoneInfo, str, list[str]]] = [
    (daily("09:00", "18:00"), SHANGHAI, "2026-11-18T10:00", ["2026-11-18T18:00", "2026-11-19T09:00"]),
    (daily("09:00"), SHANGHAI, "2026-11-18T09:00", ["2026-11-19T09:00"]),
    (daily("00:00"), SHANGHAI, "2026-12-31T23:59", ["2027-01-01T00:00"]),
    # spring: the hour from two to three does not exist
    (daily("02:30"), NEW_YORK, "2026-03-07T12:00", ["2026-03-08T03:00", "2026-03-09T02:30"]),
    (daily("02:15", "02:45"), NEW_YORK, "2026-03-07T12:00", ["2026-03-08T03:00", "2026-03-09T02:15"]),
    (daily("02:30", "03:00"), BERLIN, "2026-03-28T12:00", ["2026-03-29T03:00", "2026-03-30T02:30"]),
    (daily("02:15"), LORD_HOWE, "2026-10-03T12:00", ["2026-10-04T02:30", "2026-10-05T02:15"]),
    (cron("30 2 * * *"), NEW_YORK, "2026-03-07T12:00", ["2026-03-08T03:00", "2026-03-09T02:30"]),
    (cron("15,45 2 * * *"), NEW_YORK, "2026-03-07T12:00", ["2026-03-08T03:00", "2026-03-09T02:15"]),
    (daily("02:30"), NEW_YORK, "2026-03-08T01:59", ["2026-03-08T03:00", "2026-03-09T02:30"]),
    (daily("02:30"), NEW_YORK, "2026-03-08T03:00", ["2026-03-09T02:30"]),
    # autumn: an hour is shown twice, and once is enough
    (daily("01:30"), NEW_YORK, "2026-10-31T12:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30"]),
    (daily("01:30"), NEW_YORK, "2026-11-01T01:30-04:00", ["2026-11-02T01:30"]),
    (daily("01:30"), NEW_YORK, "2026-11-01T01:10-05:00", ["2026-11-02T01:30"]),
    (daily("02:30"), BERLIN, "2026-10-24T12:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30"]),
    (daily("01:45"), LORD_HOWE, "2026-04-04T12:00", ["2026-04-05T01:45+11:00", "2026-04-06T01:45"]),
    (cron("30 1 * * *"), NEW_YORK, "2026-10-31T12:00", ["2026-11-01T01:30-04:00", "2026-11-02T01:30"]),
    (cron("30 1 * * *"), NEW_YORK, "2026-11-01T01:10-05:00", ["2026-11-02T01:30"]),
    (
        cron("*/30 * * * *"),
        NEW_YORK,
        "2026-11-01T01:00-04:00",
        ["2026-11-01T01:30-04:00", "2026-11-01T01:00-05:00", "2026-11-01T01:30-05:00", "2026-11-01T02:00"],
    ),
    # every so many days and weeks
    (
        EveryDay(times=times("09:00"), step=3, start=date(2026, 12, 30)),
        SHANGHAI,
        "2026-11-01T00:00",
        ["2026-12-30T09:00", "2027-01-02T09:00", "2027-01-05T09:00"],
    ),
    (
        EveryWeek(weekdays=(0, 4), times=times("09:00"), step=2, start=date(2026, 12, 23)),
        SHANGHAI,
        "2026-11-01T00:00",
        ["2026-12-25T09:00", "2027-01-04T09:00", "2027-01-08T09:00"],
    ),
    (
        EveryWeek(weekdays=(0,), times=times("09:00"), step=52, start=date(2026, 1, 5)),
        SHANGHAI,
        "2026-01-05T09:00",
        ["2027-01-04T09:00"],
    ),
    (EveryWeek(weekdays=(5, 6), times=times("10:00")), SHANGHAI, "2026-11-21T10:00", ["2026-11-22T10:00"]),
    # months that are too short
    (
        monthly(31),
        SHANGHAI,
        "2027-01-15T00:00",
        ["2027-01-31T09:00", "2027-02-28T09:00", "2027-03-31T09:00", "2027-04-30T09:00"],
    ),
    (
        EveryMonth(days=(29, 30), times=times("09:00")),
        SHANGHAI,
        "2027-02-01T00:00",
        ["2027-02-28T09:00", "2027-03-29T09:00"],
    ),
    (monthly(29), SHANGHAI, "2028-02-01T00:00", ["2028-02-29T09:00"]),
    (
        EveryMonth(days=(-1,), times=times("18:00")),
        SHANGHAI,
        "2028-02-29T17:00",
        ["2028-02-29T18:00", "2028-03-31T18:00"],
    ),
    (
        EveryMonth(days=(-1, 1), times=times("18:00")),
        SHANGHAI,
        "2026-12-31T17:00",
        ["2026-12-31T18:00", "2027-01-01T18:00"],
    ),
    # working days by law: a holiday on a Thursday, a Saturday that is worked, and the year without data
    (
        EveryWorkday(times=times("09:00")),
        SHANGHAI,
        "2026-09-30T09:00",
        ["2026-10-08T09:00", "2026-10-09T09:00", "2026-10-10T09:00", "2026-10-12T09:00"],
    ),
    (EveryWorkday(times=times("09:00"), country="none"), SHANGHAI, "2026-09-30T09:00", ["2026-10-01T09:00"]),
    # cron, with cron's own weekdays and its OR
    (cron("0 9 * * 1"), SHANGHAI, "2026-11-18T00:00", ["2026-11-23T09:00"]),
    (cron("0 9 * * 0"), SHANGHAI, "2026-11-18T00:00", ["2026-11-22T09:00"]),
    (cron("0 9 * * 7"), SHANGHAI, "2026-11-18T00:00", ["2026-11-22T09:00"]),
    (cron("0 9 * * mon-fri"), SHANGHAI, "2026-11-20T09:00", ["2026-11-23T09:00"]),
    (cron("0 9 1 * mon"), SHANGHAI, "2026-11-24T00:00", ["2026-11-30T09:00", "2026-12-01T09:00", "2026-12-07T09:00"]),
    (cron("*/20 9-10 * * *"), SHANGHAI, "2026-11-18T10:30", ["2026-11-18T10:40", "2026-11-19T09:00"]),
    (cron("0 9 29 2 *"), SHANGHAI, "2026-11-18T00:00", ["2028-02-29T09:00", "2032-02-29T09:00"]),
    # elapsed time knows no summer
    (
        EveryInterval(minutes=360, start=datetime(2026, 10, 31, 4, tzinfo=UTC)),
        NEW_YORK,
        "2026-10-31T18:00",
        ["2026-11-01T00:00", "2026-11-01T05:00", "2026-11-01T11:00"],
    ),
    (
        EveryInterval(minutes=90, start=datetime(2026, 12, 1, tzinfo=UTC)),
        SHANGHAI,
        "2026-11-01T00:00",
        ["2026-12-01T08:00", "2026-12-01T09:30"],
    ),
]


def moment(text: str, zone: ZoneInfo) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=zone)


@pytest.mark.parametrize(("rule", "zone", "after", "expected"), FIRINGS)
def test_it_fires_then(rule: Rule, zone: ZoneInfo, after: str, expected: list[str]) -> None:
    found = upcoming(rule, moment(after, zone), zone, len(expected))
    assert found == [moment(text, zone).astimezone(UTC) for text in expected]
    assert all(instant.tzinfo is UTC for instant in found)


def test_once_is_once() -> None:
    rule = Once(at=datetime(2026, 11, 18, 9, tzinfo=SHANGHAI))
    assert next_after(rule, datetime(2026, 11, 18, 8, 59, tzinfo=SHANGHAI), SHANGHAI) == rule.at
    assert next_after(rule, rule.at, SHANGHAI) is None
    assert upcoming(rule, rule.at - timedelta(days=1), SHANGHAI, 3) == [rule.at]


def test_a_rule_that_no_day_matches_ends() -> None:
    assert next_after(cron("0 9 */20 * 1L"), datetime(2026, 11, 18, tzinfo=UTC), SHANGHAI) is None


def test_a_day_that_an_island_skipped_fires_when_it_is_over() -> None:
    apia = ZoneInfo("Pacific/Apia")
    found = upcoming(daily("09:00"), datetime(2011, 12, 29, 12, tzinfo=apia), apia, 2)
    assert [instant.astimezone(apia).isoformat() for instant in found] == [
        "2011-12-31T00:00:00+14:00",
        "2011-12-31T09:00:00+14:00",
    ]


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        next_after(daily("09:00"), datetime(2026, 11, 18), SHANGHAI)
    with pytest.raises(ValueError, match="no time zone"):
        occurrence_key(daily("09:00"), datetime(2026, 11, 18), SHANGHAI)


#: Rule, zone, firing, its name.
KEYS: list[tuple[Rule, ZoneInfo, str, str]] = [
    (daily("01:30"), NEW_YORK, "2026-11-01T01:30-04:00", "2026-11-01T01:30"),
    (daily("01:30"), NEW_YORK, "2026-11-01T01:30-05:00", "2026-11-01T01:30"),
    (cron("30 1 * * *"), NEW_YORK, "2026-11-01T01:30-05:00", "2026-11-01T01:30"),
    (daily("02:30"), NEW_YORK, "2026-03-08T03:00-04:00", "2026-03-08T03:00"),
    (daily("09:00"), SHANGHAI, "2026-11-18T01:00+00:00", "2026-11-18T09:00"),
    (cron("*/30 * * * *"), NEW_YORK, "2026-11-01T01:30-04:00", "2026-11-01T05:30:00Z"),
    (cron("*/30 * * * *"), NEW_YORK, "2026-11-01T01:30-05:00", "2026-11-01T06:30:00Z"),
    (cron("0 * * * *"), NEW_YORK, "2026-11-01T01:00-05:00", "2026-11-01T06:00:00Z"),
    (Once(at=datetime(2026, 11, 18, tzinfo=UTC)), SHANGHAI, "2026-11-18T08:00+08:00", "2026-11-18T00:00:00Z"),
]


@pytest.mark.parametrize(("rule", "zone", "fires", "key"), KEYS)
def test_an_occurrence_has_a_name(rule: Rule, zone: ZoneInfo, fires: str, key: str) -> None:
    assert occurrence_key(rule, moment(fires, zone), zone) == key


# --- properties ---

clocks = st.builds(time, st.sampled_from([0, 1, 2, 3, 9, 23]), st.sampled_from([0, 15, 30, 45]))
some_times = st.lists(clocks, min_size=1, max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
starts = st.dates(date(2026, 1, 1), date(2028, 12, 31))


def ascending(values: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(values, min_size=1, max_size=4, unique=True).map(lambda found: tuple(sorted(found)))


daily_rules: st.SearchStrategy[Daily] = st.one_of(
    st.builds(EveryDay, times=some_times, step=st.integers(1, 4), start=starts),
    st.builds(EveryDay, times=some_times),
    st.builds(EveryWeek, weekdays=ascending(st.integers(0, 6)), times=some_times, step=st.integers(1, 3), start=starts),
    st.builds(EveryWorkday, times=some_times, country=st.sampled_from(["cn", "none"])),
    st.builds(EveryMonth, days=ascending(st.sampled_from([-1, 1, 15, 28, 29, 30, 31])), times=some_times),
)
crons = st.sampled_from(["30 1 * * *", "15,45 2 * * *", "0 2 1 * 1", "*/30 * * * *", "0 */2 * * *", "20 9-11 * * 0"])
other_rules: st.SearchStrategy[Rule] = st.one_of(
    crons.map(cron),
    st.builds(
        EveryInterval,
        minutes=st.integers(5, 3000),
        start=st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)),
    ),
)
nights = st.sampled_from(NIGHTS).map(lambda night: datetime(*night, tzinfo=UTC))
minutes = st.integers(0, 3 * 24 * 60).map(lambda count: timedelta(minutes=count))
zones = st.sampled_from(ZONES)


def walked(rule: Daily, first: datetime, last: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """The same, found without arithmetic: walk the wall clock and fire when it first shows a due time or later."""
    day = (first.astimezone(zone) - timedelta(days=2)).date()
    due = [datetime.combine(day + timedelta(days=i), clock) for i in range(10) for clock in rule.times]
    due = sorted(wall for wall in due if due_on(rule, wall.date()))
    quarter = (first - timedelta(days=3)).replace(minute=0)
    while due and quarter <= last:
        shown = quarter.astimezone(zone).replace(tzinfo=None)
        if due[0] <= shown:
            due = [wall for wall in due if wall > shown]
            if quarter > first:
                yield quarter
        quarter += timedelta(minutes=15)


@settings(max_examples=60, deadline=None)
@given(daily_rules, nights, minutes, zones)
def test_no_occurrence_is_skipped_and_none_invented(
    rule: Daily, night: datetime, offset: timedelta, zone: ZoneInfo
) -> None:
    after = night - timedelta(days=1) + offset
    until = after + timedelta(days=4)
    found = [instant for instant in upcoming(rule, after, zone, 16) if instant <= until]
    assert found == list(walked(rule, after, until, zone))


@settings(max_examples=60, deadline=None)
@given(daily_rules | other_rules, nights, minutes, zones)
def test_firings_ascend_and_their_names_differ(rule: Rule, night: datetime, offset: timedelta, zone: ZoneInfo) -> None:
    after = night - timedelta(days=1) + offset
    found = upcoming(rule, after, zone, 12)
    assert len(found) == 12
    assert all(a < b for a, b in pairwise([after, *found]))
    assert len({occurrence_key(rule, instant, zone) for instant in found}) == 12
    # One at a time gives the same as many at once.
    assert [next_after(rule, a, zone) for a in [after, *found[:-1]]] == found


@settings(max_examples=60, deadline=None)
@given(daily_rules, nights, minutes, zones)
def test_the_second_pass_of_an_hour_has_the_names_of_the_first(
    rule: Daily, night: datetime, offset: timedelta, zone: ZoneInfo
) -> None:
    assert keeps_wall_clock(rule)
    fires = next_after(rule, night - timedelta(days=1) + offset, zone)
    assert fires
    again = fires.astimezone(zone).replace(fold=1)
    assert occurrence_key(rule, again, zone) == occurrence_key(rule, fires, zone)
