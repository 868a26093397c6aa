"""Which dates a day as written can be, seen from today. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from bot.commands.when.days import Day, Later, Offset, OfMonth, OfWeek, Vague
from scheduler.calendar.months import last_of, shifted

#: How many months or years ahead a date without them is looked for: a 29 February may be eight years away.
_MONTHS_AHEAD = 4
_YEARS_AHEAD = 9


@dataclass(frozen=True, kw_only=True, slots=True)
class Dates:
    """Dates a day can be. `rolling`: the first of them that is not past is meant; else all of them are readings."""

    options: tuple[date, ...]  # ascending; empty: there is no such date
    rolling: bool = False
    again: timedelta = timedelta(days=1)  # from a past one to the next one like it


def dates(day: Day, today: date) -> Dates:
    """The dates that `day` can be."""
    match day:
        case Offset():
            return Dates(options=(today + timedelta(days=day.days),))
        case OfWeek():
            return _of_week(day, today)
        case OfMonth():
            return _of_month(day, today)
        case Vague():
            return Dates(options=(), rolling=True)
        case Later():
            later = shifted(today, day.span.months) + timedelta(days=day.span.days)
            return Dates(options=(later,))


def _of_week(day: OfWeek, today: date) -> Dates:
    week = timedelta(days=7)
    monday = today - timedelta(days=today.weekday())
    if day.weekday is None:
        return _weekend(day, today, monday)
    this = monday + timedelta(days=day.weekday)
    if day.weeks is None:
        coming = this if this >= today else this + week
        return Dates(options=(coming, coming + week), rolling=True, again=week)
    if day.loose and this > today:
        return Dates(options=(this, this + week), again=week)
    return Dates(options=(this + day.weeks * week,), again=week)


def _weekend(day: OfWeek, today: date, monday: date) -> Dates:
    weeks = (day.weeks or 0) * timedelta(days=7)
    both = tuple(monday + timedelta(days=5 + i) + weeks for i in range(2))
    ahead = tuple(d for d in both if d >= today)
    return Dates(options=ahead or both[1:], again=timedelta(days=7))


def _of_month(day: OfMonth, today: date) -> Dates:
    if day.years is not None or day.year is not None:
        year = today.year + day.years if day.year is None and day.years is not None else day.year or 0
        return Dates(options=_valid(year, day.month or 1, day.day))
    if day.month is not None:
        options = [d for i in range(_YEARS_AHEAD) for d in _valid(today.year + i, day.month, day.day)]
    elif day.months is not None:
        first = shifted(today.replace(day=1), day.months)
        return Dates(options=_valid(first.year, first.month, day.day))
    else:
        firsts = [shifted(today.replace(day=1), i) for i in range(_MONTHS_AHEAD)]
        options = [d for first in firsts for d in _valid(first.year, first.month, day.day)]
    return Dates(options=tuple(d for d in options if d >= today), rolling=True)


def _valid(year: int, month: int, day: int) -> tuple[date, ...]:
    """The date, if the calendar has it."""
    if not (1 <= year <= 9990 and 1 <= month <= 12):
        return ()
    last = last_of(year, month)
    number = last if day == -1 else day
    return (date(year, month, number),) if 1 <= number <= last else ()
