"""Working days by law and by habit."""

from __future__ import annotations

from datetime import date

import pytest

from scheduler.calendar import Country, is_workday, known, known_until

DAYS: list[tuple[str, Country, bool]] = [
    ("2026-11-18", "cn", True),  # a Wednesday
    ("2026-11-21", "cn", False),  # a Saturday
    ("2026-10-01", "cn", False),  # a Thursday, National Day
    ("2026-10-10", "cn", True),  # a Saturday made up for it
    ("2026-10-01", "none", True),
    ("2026-10-10", "none", False),
    ("2003-10-01", "cn", True),  # before the data: Monday to Friday
    ("2099-10-01", "cn", True),
    ("2099-10-03", "cn", False),
]


@pytest.mark.parametrize(("day", "country", "worked"), DAYS)
def test_is_it_worked(day: str, country: Country, worked: bool) -> None:
    assert is_workday(date.fromisoformat(day), country) is worked


def test_how_far_the_law_is_known() -> None:
    until = known_until("cn")
    assert until
    assert until >= 2026
    assert known(date(until, 12, 31), "cn")
    assert not known(date(until + 1, 1, 1), "cn")
    assert known_until("none") is None
    assert known(date(2099, 1, 1), "none")
