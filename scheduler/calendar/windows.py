"""Windows of the day such as 22:00-06:00: opening hours, and "any time in this window". Pure.

A window that crosses midnight belongs to the day on which it opens: Mon-Fri 22:00-06:00 ends on Saturday morning. In a
night whose clock is set, its ends are the instants that local.py says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from scheduler.calendar.errors import BadWindow
from scheduler.calendar.local import aware, instant, local

_DAY = timedelta(days=1)
EVERY_DAY = tuple(range(7))
_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DASHES = str.maketrans("–—―−~～：，", "-----" + "-:,")
_CLOCK = r"([01]?\d|2[0-4]):([0-5]\d)"
_FORM = re.compile(rf"(?:([a-z]{{3}}(?:[-,][a-z]{{3}}){{0,6}}) +)?{_CLOCK} ?- ?{_CLOCK}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """Open from `opens` to `closes` on each of `weekdays`; `closes` at or before `opens` is on the next day."""

    opens: time
    closes: time  # equal to opens: the window lasts a whole day
    weekdays: tuple[int, ...] = EVERY_DAY  # of the opening; ascending, Monday is 0

    def __post_init__(self) -> None:
        if any(t.second or t.microsecond or t.tzinfo for t in (self.opens, self.closes)):
            raise BadWindow("a window opens and closes at whole minutes, without a zone")
        known = all(type(d) is int and d in EVERY_DAY for d in self.weekdays)
        if not self.weekdays or not known or list(self.weekdays) != sorted(set(self.weekdays)):
            raise BadWindow(f"the weekdays of a window must ascend from 0 (Monday) to 6 (Sunday): {self.weekdays}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """One time during which something is open: from `opens` up to, not including, `closes`."""

    opens: datetime  # UTC
    closes: datetime


#: Several windows are open whenever one of them is.
Hours = Sequence[Window]


def window_from_text(text: str) -> Window:
    """The window written in settings: "22:00-06:00", "Mon-Fri 09:00-18:00", "sat,sun 10:00-24:00". Raises BadWindow."""
    match = _FORM.fullmatch(" ".join(text.translate(_DASHES).lower().split())) if len(text) <= 80 else None
    if match is None:
        raise BadWindow(f"{text[:40]!r} is no window: write 22:00-06:00 or Mon-Fri 09:00-18:00")
    days, *clock = match.groups()
    opens, closes = (_time(h, m) for h, m in (clock[:2], clock[2:]))
    return Window(opens=opens, closes=closes, weekdays=_weekdays(days) if days else EVERY_DAY)


def window_to_text(window: Window) -> str:
    """`window` as settings write it: "22:00-06:00" or "mon,tue 09:00-18:00"."""
    closes = "24:00" if window.closes == time() else f"{window.closes:%H:%M}"
    days = "" if window.weekdays == EVERY_DAY else ",".join(_NAMES[d] for d in window.weekdays) + " "
    return f"{days}{window.opens:%H:%M}-{closes}"


def contains(hours: Hours, moment: datetime, zone: tzinfo) -> bool:
    """Whether something with these `hours` is open at `moment`."""
    opening = next(openings(hours, moment, zone), None)
    return opening is not None and opening.opens <= moment


def next_opening(hours: Hours, moment: datetime, zone: tzinfo) -> datetime | None:
    """The first instant (UTC) from `moment` on at which it is open: `moment` itself when it is; None for no windows."""
    opening = next(openings(hours, moment, zone), None)
    return None if opening is None else max(opening.opens, moment.astimezone(UTC))


def closing(hours: Hours, moment: datetime, zone: tzinfo) -> datetime | None:
    """The instant (UTC) at which the opening around `moment` ends; None when closed, or open for a week on end."""
    opening = next(openings(hours, moment, zone), None)
    if opening is None or opening.opens > moment or opening.closes - moment > 7 * _DAY:
        return None
    return opening.closes


def openings(hours: Hours, moment: datetime, zone: tzinfo) -> Iterator[Opening]:
    """The opening around `moment`, if any, and those after it, ascending; windows that meet or overlap are one.

    Ends after eight weeks' worth of days, so that a week without a pause cannot be one opening without an end.
    """
    aware(moment)
    first = local(moment, zone).date() - 2 * _DAY
    pending: Opening | None = None
    for opening in _single(hours, first, zone):
        if pending is None or opening.opens > pending.closes:
            if pending is not None and pending.closes > moment:
                yield pending
            pending = opening
        else:
            pending = Opening(opens=pending.opens, closes=max(pending.closes, opening.closes))
    if pending is not None and pending.closes > moment:
        yield pending


def _single(hours: Hours, first: date, zone: tzinfo) -> Iterator[Opening]:
    """Every window of every day for eight weeks, by the time it opens."""
    for offset in range(56):
        day = first + offset * _DAY
        today = [_on(window, day, zone) for window in hours if day.weekday() in window.weekdays]
        # A window that a clock change swallows whole is not open at all that night.
        yield from sorted((o for o in today if o.closes > o.opens), key=lambda o: (o.opens, o.closes))


def _on(window: Window, day: date, zone: tzinfo) -> Opening:
    closing_day = day if window.closes > window.opens else day + _DAY
    return Opening(opens=instant(day, window.opens, zone), closes=instant(closing_day, window.closes, zone))


def _time(hour: str, minute: str) -> time:
    if int(hour) == 24 and int(minute):
        raise BadWindow(f"there is no time {hour}:{minute}")
    return time(int(hour) % 24, int(minute))


def _weekdays(text: str) -> tuple[int, ...]:
    days: set[int] = set()
    for part in text.split(","):
        ends = part.split("-")
        if len(ends) > 2 or any(end not in _NAMES for end in ends):
            raise BadWindow(f"{part!r} is no weekday: write mon, tue, wed, thu, fri, sat or sun")
        first, last = _NAMES.index(ends[0]), _NAMES.index(ends[-1])
        days.update((first + i) % 7 for i in range((last - first) % 7 + 1))
    return tuple(sorted(days))
