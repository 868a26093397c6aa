"""Cron expressions of five fields, read by cronsim: the semantics of Debian's cron, not those of APScheduler. Pure.

An expression with fixed minutes and hours names times of the wall clock and fires once per time; one with a star in
either field names a rhythm and fires in both passes of an hour that the autumn night repeats. Cron itself does so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from cronsim import CronSim, CronSimError

from scheduler.calendar.errors import BadRule

#: Far longer than anything meant, far shorter than anything slow.
_LONGEST = 120
_SOME_DAY = datetime(2024, 1, 1)  # noqa: DTZ001 - only the fields are read, no time is computed from it
_HOUR = timedelta(hours=1)


def check(expression: str) -> None:
    """Raises BadRule when `expression` is no cron expression."""
    _read(expression, _SOME_DAY)


def is_rhythm(expression: str) -> bool:
    """Whether it has a star for minutes or hours: such an expression has no fixed times of the day."""
    minutes, hours = expression.split()[:2]
    return minutes.startswith("*") or hours.startswith("*")


def firings(expression: str, after: datetime) -> Iterator[datetime]:
    """The times after `after`: in its zone when it has one, else of a wall clock that is never set."""
    return _read(expression, after)


def shortest_gap(expression: str) -> timedelta:
    """The least time between two firings within a day, a whole day at most."""
    fields = _read(expression, _SOME_DAY)
    hours, minutes = sorted(fields.hours), sorted(fields.minutes)
    gaps = [timedelta(minutes=b - a) for a, b in pairwise(minutes)]
    around = timedelta(minutes=minutes[0] - minutes[-1])
    gaps += [(b - a) * _HOUR + around for a, b in pairwise([*hours, hours[0] + 24])]
    return min(gaps)


def _read(expression: str, after: datetime) -> CronSim:
    if len(expression) > _LONGEST or len(expression.split()) != 5:
        raise BadRule("a cron expression has five fields: minute hour day-of-month month day-of-week")
    try:
        return CronSim(expression, after)
    except CronSimError as error:
        raise BadRule(f"cron expression {expression!r}: {str(error).lower()}") from error
