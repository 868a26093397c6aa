"""What an account has, and how a price is taken from it, as tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from scheduler import standing as purse
from scheduler.standing import Granted, Limit, Standing
from storage.ledger import Balance
from storage.records import Allowance, Payer, Unit

NOW = datetime(2026, 11, 21, tzinfo=UTC)
NEW_YEAR, SPRING = date(2027, 1, 1), date(2027, 3, 1)


def limit(left: int, period: str = "day", amount: int = 10) -> Limit:
    days = {"day": 1, "week": 7, "month": 30}[period]
    allowance = Allowance(amount=amount, period=period)
    return Limit(allowance=allowance, bucket=f"{period}:x", left=left, renews=NOW + timedelta(days=days))


def standing(*limits: Limit, granted: tuple[Granted, ...] = (), subject: str = "user:1") -> Standing:
    return Standing(subject=subject, unit=Unit.DRAW, own=False, limits=limits, granted=granted)


@pytest.mark.parametrize(
    ("cost", "periods", "granted", "expected"),
    [
        (1, {"d": 5}, [], {"d": 1}),
        (5, {"d": 5}, [], {"d": 5}),
        (6, {"d": 5}, [], None),
        (6, {"d": 5}, [Granted(left=1)], {"d": 5, "extra": 1}),
        (3, {"d": 0}, [Granted(left=3)], {"extra": 3}),
        (1, {"d": -2}, [Granted(left=1)], {"extra": 1}),  # lowered below what was spent: granted units still count
        (1, {"d": -2}, [], None),
        (0, {"d": 0}, [], {"d": 0}),  # a free job has a hold to settle too
        (3, {"d": 5, "m": 9}, [], {"d": 3, "m": 3}),  # each period counts for itself
        (3, {"d": 5, "m": 2}, [], None),
        (3, {"d": 5, "m": 2}, [Granted(left=1)], {"d": 2, "m": 2, "extra": 1}),
        (3, {"d": 0}, [Granted(left=2, until=NEW_YEAR), Granted(left=5)], {"extra:2027-01-01": 2, "extra": 1}),
        (2, {}, [Granted(left=2)], {"extra": 2}),
    ],
)
def test_a_price_comes_from_every_period_then_from_what_lapses_first(
    cost: int, periods: dict[str, int], granted: list[Granted], expected: dict[str, int] | None
) -> None:
    assert purse.take(cost, periods, granted) == expected


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (NEW_YEAR, [Granted(left=2, until=NEW_YEAR), Granted(left=3, until=SPRING), Granted(left=1)]),
        (NEW_YEAR + timedelta(days=1), [Granted(left=3, until=SPRING), Granted(left=1)]),  # its last day is over
        (SPRING + timedelta(days=1), [Granted(left=1)]),
    ],
)
def test_granted_units_count_until_the_end_of_their_last_day(today: date, expected: list[Granted]) -> None:
    balances = {
        "day:2027-01-01": Balance(left=9, granted=9),
        "extra": Balance(left=1, granted=5),
        "extra:2027-03-01": Balance(left=3, granted=3),
        "extra:2027-01-01": Balance(left=2, granted=2),
        "extra:2027-04-01": Balance(left=0, granted=2),
    }
    assert list(purse.granted_in(balances, today)) == expected


@pytest.mark.parametrize(
    ("limits", "tight", "total"),
    [
        ([limit(4), limit(9, "month")], "day", 4),
        ([limit(4), limit(2, "month")], "month", 2),
        ([limit(0), limit(0, "week"), limit(0, "month")], "month", 0),  # of equals the one that stays so longest
        ([limit(-3)], "day", 0),
    ],
)
def test_of_several_periods_the_one_with_the_least_left_is_tight(limits: list[Limit], tight: str, total: int) -> None:
    found = standing(*limits)
    assert (found.tight.allowance.period, found.total) == (tight, total)


@pytest.mark.parametrize(
    ("cost", "limits", "named", "never"),
    [
        (5, [limit(4), limit(9, "month")], "day", False),
        (5, [limit(0), limit(3, "month")], "month", False),  # tomorrow it would still not reach
        (11, [limit(4), limit(90, "month", 100)], "day", True),
    ],
)
def test_a_price_that_does_not_reach_names_the_allowance_that_lacks_it_longest(
    cost: int, limits: list[Limit], named: str, never: bool
) -> None:
    found = standing(*limits)
    assert found.take(cost) is None
    assert (found.short(cost).allowance.period, found.never(cost)) == (named, never)


def test_the_account_with_the_least_to_spend_binds() -> None:
    person = standing(limit(4))
    group = standing(limit(2), granted=(Granted(left=3),), subject="group:web:1")
    department = standing(limit(3, "month"), subject="dept:设计部")
    assert purse.binding([person, group, department]) is department
    assert [one.payer for one in (person, group, department)] == [Payer.USER, Payer.GROUP, Payer.DEPARTMENT]


@pytest.mark.parametrize(
    ("left", "cost", "warn_at", "told"),
    [
        (3, 1, 80, (80, 2)),  # the eighth of ten
        (4, 1, 80, None),
        (2, 1, 80, None),  # it was said before
        (9, 7, 80, (80, 2)),
        (9, 9, 80, (100, 0)),
        (3, 1, 0, None),
        (1, 1, 100, (100, 0)),
    ],
)
def test_an_order_that_takes_an_allowance_to_the_mark_is_told(
    left: int, cost: int, warn_at: int, told: tuple[int, int] | None
) -> None:
    found = purse.notices([standing(limit(left))], cost, warn_at)
    assert [(one["percent"], one["left"]) for one in found] == ([told] if told else [])


def test_a_warning_says_whose_allowance_of_which_period() -> None:
    group = standing(limit(3), limit(90, "month", 100), subject="group:web:1")
    (notice,) = purse.notices([standing(limit(9)), group], 1, 80)
    assert (notice["subject"], notice["period"], notice["unit"]) == ("group:web:1", "day", "draw")
    assert purse.notices([standing(limit(0, amount=0), granted=(Granted(left=3),))], 1, 80) == ()
