"""The lengths of months. Pure."""

from __future__ import annotations

from calendar import monthrange
from datetime import date


def last_of(year: int, month: int) -> int:
    """The number of the month's last day."""
    return monthrange(year, month)[1]


def shifted(day: date, months: int) -> date:
    """The same day `months` later, or the last day of a month that lacks it."""
    years, index = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(years, index + 1, min(day.day, last_of(years, index + 1)))
