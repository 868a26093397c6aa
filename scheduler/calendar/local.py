"""From a wall clock's date and time to the one instant it means, daylight saving included. Pure.

A clock time that a spring night skips means the first instant after the gap; one that an autumn night shows twice means
the first of the two. Both follow from one sentence: the first instant at which the wall clock shows that time or later.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

_SECOND = timedelta(seconds=1)


def instant(day: date, clock: time, zone: tzinfo) -> datetime:
    """The first instant (UTC) at which the wall clock of `zone` shows `clock` on `day`, or the end of a gap there."""
    wall = datetime.combine(day, clock)
    late = wall.replace(tzinfo=zone).astimezone(UTC)
    if late.astimezone(zone).replace(tzinfo=None) == wall:
        return late
    return _gap_end(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), late, zone)


def is_skipped(day: date, clock: time, zone: tzinfo) -> bool:
    """Whether the wall clock never shows that time on that day."""
    return local(instant(day, clock, zone), zone) != datetime.combine(day, clock)


def is_repeated(day: date, clock: time, zone: tzinfo) -> bool:
    """Whether the wall clock shows that time twice on that day."""
    wall = datetime.combine(day, clock, tzinfo=zone)
    return not is_skipped(day, clock, zone) and wall.utcoffset() != wall.replace(fold=1).utcoffset()


def local(moment: datetime, zone: tzinfo) -> datetime:
    """What the wall clock shows at `moment`, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None)


def aware(moment: datetime) -> datetime:
    """`moment`, unless it has no zone: then nobody knows when it is. Raises ValueError."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment


def _gap_end(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """The instant in (low, high] at which the offset of `zone` changes."""
    after = high.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + timedelta(seconds=(high - low) // _SECOND // 2)
        if middle.astimezone(zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return high
