"""What a reservation does when its time has come: run, skip, catch up, move on. Pure; the moment is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import takewhile

from scheduler.calendar import Once, Opening, Rule, firings, next_after

#: A firing this much later than it was due says so.
LATE_FROM = timedelta(minutes=1)
#: Due times older than this that were missed are no longer recorded one by one.
HORIZON = timedelta(days=30)
#: A proposal that nobody confirms lapses after this.
LAPSE = timedelta(days=1)
#: The part of a window's length that may be booked: estimates err, and others want to draw as well.
SHARE = 0.8
#: How many openings of a window are tried when the first is full.
OPENINGS = 14


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What a look at a due reservation decides."""

    missed: tuple[datetime, ...]  # due times that a later one stands for
    due: datetime  # the one that counts: the latest
    skip: str  # why that one is not run either; empty = it runs
    next_at: datetime | None  # None: it never fires again


def turn(
    rule: Rule, next_at: datetime, zone: tzinfo, now: datetime, late_limit: timedelta | None, closes: datetime | None
) -> Turn:
    """What to do at `now` about a reservation that was to fire at `next_at`.

    Of several missed times only the latest may run: nobody wants five morning pictures at noon.
    """
    due = due_times(rule, next_at, zone, now)
    return Turn(
        missed=tuple(due[:-1]),
        due=due[-1],
        skip=_skipped(now - due[-1], late_limit, now, closes),
        next_at=next_after(rule, max(now, next_at), zone),
    )


def due_times(rule: Rule, first: datetime, zone: tzinfo, now: datetime) -> list[datetime]:
    """Every due time from `first` to `now`, at least one; those before the horizon only when there is none after it."""
    old = first < now - HORIZON
    later = list(until(rule, now - HORIZON if old else first, zone, now))
    return later or [first] if old else [first, *later]


def until(rule: Rule, after: datetime, zone: tzinfo, last: datetime) -> Iterator[datetime]:
    """The firings of `rule` after `after`, up to and including `last`."""
    return takewhile(lambda moment: moment <= last, firings(rule, after, zone))


def _skipped(late: timedelta, limit: timedelta | None, now: datetime, closes: datetime | None) -> str:
    if closes is not None:
        return "window_closed" if now >= closes else ""
    return "too_late" if limit is not None and late > limit else ""


def lateness(due: datetime, now: datetime) -> timedelta:
    """How late a firing is; zero when that is not worth a word."""
    late = now - due
    return late if late >= LATE_FROM else timedelta()


def starts(rule: Rule, zone: tzinfo, now: datetime, closes: datetime | None) -> datetime | None:
    """When a reservation confirmed at `now` fires first; None when its time has passed.

    In the middle of its window that is at once.
    """
    if closes is not None and isinstance(rule, Once) and rule.at <= now < closes:
        return now
    return next_after(rule, now, zone)


def fits(opening: Opening, booked: float, work: float, rate: float, samples: int) -> bool:
    """Whether one more job of `work` has room in an opening with `booked` work.

    `rate`: the lane's measured seconds per unit of work. Before anything was measured everything fits.
    """
    capacity = (opening.closes - opening.opens).total_seconds() * SHARE
    return samples == 0 or (booked + work) * rate <= capacity
