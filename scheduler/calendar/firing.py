"""When a rule fires next, and the name of that occurrence. Pure: the moment and the zone are arguments."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import islice

from scheduler.calendar import cron
from scheduler.calendar.local import aware, instant, local
from scheduler.calendar.months import last_of
from scheduler.calendar.rules import (
    LAST_DAY,
    Daily,
    EveryCron,
    EveryDay,
    EveryInterval,
    EveryMonth,
    EveryWeek,
    EveryWorkday,
    Once,
    Rule,
)
from scheduler.calendar.workdays import is_workday

_DAY = timedelta(days=1)
#: Longer than any step between two days of a rule.
_HORIZON = 800


def next_after(rule: Rule, after: datetime, zone: tzinfo) -> datetime | None:
    """The first instant (UTC) strictly after `after` at which `rule` fires; None when it never will again."""
    return next(firings(rule, after, zone), None)


def upcoming(rule: Rule, after: datetime, zone: tzinfo, n: int) -> list[datetime]:
    """The next `n` instants (UTC) after `after`; fewer when the rule ends."""
    return list(islice(firings(rule, after, zone), n))


def firings(rule: Rule, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Every instant (UTC) after `after` at which `rule` fires, ascending, none twice."""
    aware(after)
    match rule:
        case Once():
            return iter([rule.at.astimezone(UTC)] if rule.at > after else [])
        case EveryInterval():
            return _interval(rule, after)
        case EveryCron():
            return _ascending(_cron(rule.expression, after, zone), after)
        case _:
            return _ascending(_daily(rule, after, zone), after)


def occurrence_key(rule: Rule, moment: datetime, zone: tzinfo) -> str:
    """The name of the occurrence at `moment`, the same at every try.

    For rules of the wall clock it is the local date and time, so that the second pass of an hour that an autumn night
    repeats has the name of the first; for rhythms and single instants it is the instant in UTC.
    """
    if keeps_wall_clock(rule):
        return local(aware(moment), zone).strftime("%Y-%m-%dT%H:%M")
    return aware(moment).astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def keeps_wall_clock(rule: Rule) -> bool:
    """Whether the rule names times of the day rather than instants."""
    if isinstance(rule, EveryCron):
        return not cron.is_rhythm(rule.expression)
    return not isinstance(rule, Once | EveryInterval)


def due_on(rule: Daily, day: date) -> bool:
    """Whether a rule of the wall clock fires on `day`."""
    match rule:
        case EveryDay():
            return rule.start is None or (day >= rule.start and (day - rule.start).days % rule.step == 0)
        case EveryWeek():
            return day.weekday() in rule.weekdays and _week_due(rule, day)
        case EveryWorkday():
            return is_workday(day, rule.country)
        case EveryMonth():
            return _month_due(rule, day)


def _week_due(rule: EveryWeek, day: date) -> bool:
    if rule.start is None:
        return True
    first_monday = rule.start - rule.start.weekday() * _DAY
    return day >= rule.start and (day - first_monday).days // 7 % rule.step == 0


def _month_due(rule: EveryMonth, day: date) -> bool:
    if day.day in rule.days:
        return True
    is_last = day.day == last_of(day.year, day.month)
    return is_last and (LAST_DAY in rule.days or rule.days[-1] > day.day)


def _interval(rule: EveryInterval, after: datetime) -> Iterator[datetime]:
    start, step = rule.start.astimezone(UTC), timedelta(minutes=rule.minutes)
    count = max(0, (after - start) // step + 1)
    while True:
        yield start + count * step
        count += 1


def _daily(rule: Daily, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    # A wall time up to what the clock shows at `after` has had its first instant, whatever the clock did since.
    day = local(after, zone).date()
    if isinstance(rule, EveryDay | EveryWeek) and rule.start:
        day = max(day, rule.start)
    idle = 0
    while idle < _HORIZON:
        if due_on(rule, day):
            idle = 0
            yield from (instant(day, clock, zone) for clock in rule.times)
        day += _DAY
        idle += 1


def _cron(expression: str, after: datetime, zone: tzinfo) -> Iterator[datetime]:
    if cron.is_rhythm(expression):
        for moment in cron.firings(expression, after.astimezone(zone)):
            yield moment.astimezone(UTC)
    else:
        for wall in cron.firings(expression, local(after, zone)):
            yield instant(wall.date(), wall.time(), zone)


def _ascending(moments: Iterator[datetime], after: datetime) -> Iterator[datetime]:
    """Those after `after`; two times that one gap skips become one instant, and it comes once."""
    last = after.astimezone(UTC)
    for moment in moments:
        if moment > last:
            last = moment
            yield moment
