"""When a reservation fires, as frozen values. Pure; the arithmetic is in firing.py, the JSON form in codec.py.

    Rule
    ├── Once           at one instant
    ├── EveryDay       at times of the day, every day or every n days
    ├── EveryWeek      on weekdays at times, every week or every n weeks
    ├── EveryWorkday   on working days at times (workdays.py)
    ├── EveryMonth     on days of the month at times; a day the month lacks is its last day
    ├── EveryInterval  every n minutes of elapsed time
    └── EveryCron      five fields as in Debian's cron

Times of day are the wall clock's: local.py says what they mean in a night whose clock is set. Every value refuses what
can never be meant.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import pairwise

from scheduler.calendar import cron
from scheduler.calendar.errors import BadRule
from scheduler.calendar.local import aware
from scheduler.calendar.workdays import COUNTRIES, Country

#: The day of a month that is its last, whatever its number.
LAST_DAY = -1
#: Nobody may make a rule that fires more often than this.
LEAST_GAP = timedelta(minutes=5)
#: The longest interval and step: a year.
_MOST_MINUTES = 366 * 24 * 60
_DAY = timedelta(days=1)

WEEKDAYS = range(7)  # Monday is 0, as in datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Once:
    """Fire at one instant."""

    at: datetime  # aware

    def __post_init__(self) -> None:
        aware(self.at)


@dataclass(frozen=True, kw_only=True, slots=True)
class EveryDay:
    """Fire every `step` days, counted from `start` and never before it."""

    times: tuple[time, ...]  # ascending, at least one, whole minutes
    step: int = 1
    start: date | None = None  # must be given when step > 1

    def __post_init__(self) -> None:
        _check_times(self.times)
        _check_step(self.step, self.start, 366)


@dataclass(frozen=True, kw_only=True, slots=True)
class EveryWeek:
    """Fire on weekdays of every `step`-th week, counted from the week (Monday first) of `start`, never before it."""

    weekdays: tuple[int, ...]  # ascending, at least one; Monday is 0
    times: tuple[time, ...]
    step: int = 1
    start: date | None = None

    def __post_init__(self) -> None:
        _check_ascending("weekdays", self.weekdays, WEEKDAYS)
        _check_times(self.times)
        _check_step(self.step, self.start, 52)


@dataclass(frozen=True, kw_only=True, slots=True)
class EveryWorkday:
    """Fire on every working day."""

    times: tuple[time, ...]
    country: Country = "cn"

    def __post_init__(self) -> None:
        _check_times(self.times)
        if self.country not in COUNTRIES:
            raise BadRule(f"no working days are known for {self.country!r}, only for {', '.join(COUNTRIES)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class EveryMonth:
    """Fire on days of every month. The 31st of a month of 30 days is the 30th: a monthly thing happens every month."""

    days: tuple[int, ...]  # ascending, at least one, 1 to 31 or LAST_DAY
    times: tuple[time, ...]

    def __post_init__(self) -> None:
        _check_ascending("days", self.days, {LAST_DAY, *range(1, 32)})
        _check_times(self.times)


@dataclass(frozen=True, kw_only=True, slots=True)
class EveryInterval:
    """Fire every `minutes` of elapsed time from `start` on; setting the clock for summer does not change the rhythm."""

    minutes: int
    start: datetime  # aware; the first firing

    def __post_init__(self) -> None:
        aware(self.start)
        if not LEAST_GAP <= timedelta(minutes=self.minutes) <= timedelta(minutes=_MOST_MINUTES):
            raise BadRule(f"every {self.minutes} minutes is not between {LEAST_GAP} and a year")


@dataclass(frozen=True, kw_only=True, slots=True)
class EveryCron:
    """Fire as Debian's cron would: day of month OR weekday when both are given, 0 and 7 are Sunday."""

    expression: str  # five fields

    def __post_init__(self) -> None:
        cron.check(self.expression)


Daily = EveryDay | EveryWeek | EveryWorkday | EveryMonth
Rule = Once | EveryDay | EveryWeek | EveryWorkday | EveryMonth | EveryInterval | EveryCron


def shortest_gap(rule: Rule) -> timedelta | None:
    """The least time between two firings, as the wall clock counts it; None for a rule that fires once.

    For times of the day it is the gap within a day, a whole day being the most it can know.
    """
    match rule:
        case Once():
            return None
        case EveryInterval():
            return timedelta(minutes=rule.minutes)
        case EveryCron():
            return cron.shortest_gap(rule.expression)
        case _:
            minutes = [t.hour * 60 + t.minute for t in rule.times]
            around = [*minutes, minutes[0] + 24 * 60]
            return min((timedelta(minutes=b - a) for a, b in pairwise(around)), default=_DAY)


def _check_times(times: tuple[time, ...]) -> None:
    if not times or any(t.second or t.microsecond or t.tzinfo for t in times):
        raise BadRule("a rule needs times of the day in whole minutes, without a zone")
    if list(times) != sorted(set(times)):
        raise BadRule("the times of a rule must ascend")


def _check_ascending(name: str, values: tuple[int, ...], allowed: Collection[int]) -> None:
    if not values or not all(type(v) is int and v in allowed for v in values):
        raise BadRule(f"{name} are wrong: {values}")
    if list(values) != sorted(set(values)):
        raise BadRule(f"{name} must ascend: {values}")


def _check_step(step: int, start: date | None, most: int) -> None:
    if type(step) is not int or not 1 <= step <= most:
        raise BadRule(f"a step must be between 1 and {most}, not {step!r}")
    if step > 1 and start is None:
        raise BadRule("a rule with a step needs the day from which it counts")
