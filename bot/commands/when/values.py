"""What a phrase about time can mean, or what is wrong with it. Pure values; the sentences are in bot.replies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar

from scheduler.calendar import Rule

T = TypeVar("T")

#: Something the card should add to what was understood.
Note = Literal[
    "next_day",  # no day was said and today's has passed: it is tomorrow's
    "default_time",  # a day was said, or a part of it, but no time
    "after_midnight",  # "tomorrow" was said in the small hours: it is the calendar's tomorrow
    "gap_moved",  # the clock skips that time that night: it is the first moment after
    "fold_first",  # the clock shows that time twice that night: it is the first
]

Code = Literal[
    "time_unreadable",  # values: given, and near = the part that was not understood
    "time_missing",  # nothing was said
    "time_past",  # instants: what was asked for, the next same time
    "time_ambiguous",  # instants: the readings, ascending
    "time_too_far",  # instants: what was asked for; values: days
    "time_impossible",  # values: given; there is no 25:00, no 下午 at 3:00 in the morning
    "day_missing",  # values: given; which day of 下周, of next month?
    "date_impossible",  # values: given; there is no 30 February
    "time_recurring",  # values: given; a recurrence where one time is asked for: --every
    "recurrence_unreadable",  # values: given, near
    "recurrence_missing",  # nothing was said
    "recurrence_once",  # values: given; a single time where a recurrence is asked for: --at
    "recurrence_ambiguous",  # rules: the readings; instants: the next firing of each
    "recurrence_too_often",  # values: minutes = the least, given
    "recurrence_next_day",  # values: given; 工作日晚上12点 lies on the day after, which need not be worked
    "recurrence_never",  # values: given; no day will ever match
    "cron_wrong",  # values: given, why
    "window_unreadable",  # values: given
]


@dataclass(frozen=True, kw_only=True, slots=True)
class At:
    """One instant, in the future of the moment it was read at."""

    at: datetime  # UTC
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A phrase that cannot be booked as it stands."""

    code: Code
    values: Mapping[str, str] = field(default_factory=dict)
    instants: tuple[datetime, ...] = ()  # UTC
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken(Generic[T]):
    """What stood at the beginning of a text, and what follows it."""

    value: T
    said: str  # the phrase as written
    rest: str
