"""Which days people work: by the law of mainland China, or simply Monday to Friday. Pure.

The State Council publishes each year's holidays and make-up days late in the year before, so the data always ends soon.
Beyond it a legal working day is taken to be Monday to Friday, and `known_until` says from when on that is a guess.
"""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import Literal

#: "cn": public holidays and make-up working days of mainland China. "none": Monday to Friday, everywhere and always.
Country = Literal["cn", "none"]
COUNTRIES: tuple[Country, ...] = ("cn", "none")

_SATURDAY = 5


def is_workday(day: date, country: Country) -> bool:
    """Whether people work on `day`."""
    if country == "none" or not known(day, country):
        return day.weekday() < _SATURDAY
    # Imported here: teams with plain weekdays never need its tables.
    import chinese_calendar  # type: ignore[import-untyped]

    return bool(chinese_calendar.is_workday(day))


def known(day: date, country: Country) -> bool:
    """Whether the answer for `day` is law rather than a guess."""
    if country == "none":
        return True
    first, last = _years()
    return first <= day.year <= last


def known_until(country: Country) -> int | None:
    """The last year whose holidays are known; None when there is nothing to know."""
    return None if country == "none" else _years()[1]


@cache
def _years() -> tuple[int, int]:
    import chinese_calendar

    return min(chinese_calendar.holidays).year, max(chinese_calendar.holidays).year
