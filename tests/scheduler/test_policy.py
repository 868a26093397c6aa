"""The pure decisions, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler import policy
from scheduler.policy import Demand, Policy
from scheduler.standing import Granted, Limit, Standing
from storage.records import Allowance, Role, Unit

SHANGHAI = ZoneInfo("Asia/Shanghai")
RULES = Policy(
    timezone=SHANGHAI,
    allowances={Unit.DRAW: (Allowance(amount=5, period="day"),), Unit.ASK: (Allowance(amount=50, period="day"),)},
    queue_per_user=10,
    queue_total=100,
)


def standing(left: int = 9, extra: int = 0, subject: str = "user:1", amount: int = 9) -> Standing:
    renews = datetime(2026, 11, 22, tzinfo=SHANGHAI)
    day = Limit(allowance=Allowance(amount=amount, period="day"), bucket="day:x", left=left, renews=renews)
    granted = (Granted(left=extra),) if extra else ()
    return Standing(subject=subject, unit=Unit.DRAW, own=False, limits=(day,), granted=granted)


@pytest.mark.parametrize(
    ("demand", "have", "code"),
    [
        (Demand(cost=1, waiting_user=0, waiting_total=0), standing(1), None),
        (Demand(cost=2, waiting_user=0, waiting_total=0), standing(1), "quota"),
        (Demand(cost=2, waiting_user=0, waiting_total=0), standing(1, 1), None),
        (Demand(cost=1, waiting_user=10, waiting_total=10), standing(), "too_many_waiting"),
        (Demand(cost=1, waiting_user=0, waiting_total=100), standing(), "queue_full"),
    ],
)
def test_admission(demand: Demand, have: Standing, code: str | None) -> None:
    refusal = policy.admit(demand, (have,), RULES)
    assert (refusal.code if refusal else None) == code


@pytest.mark.parametrize(
    ("person", "group", "department", "named"),
    [
        (3, 3, 3, None),
        (2, 2, 3, "user:1"),  # the first that does not suffice
        (3, 2, 2, "group:web:1"),
        (3, 3, 2, "dept:设计部"),
    ],
)
def test_everybody_who_pays_must_have_the_price(person: int, group: int, department: int, named: str | None) -> None:
    have = (standing(person), standing(group, subject="group:web:1"), standing(department, subject="dept:设计部"))
    refusal = policy.admit(Demand(cost=3, waiting_user=0, waiting_total=0), have, RULES)
    assert (refusal.detail["subject"] if refusal else None) == named


def test_a_quota_refusal_says_whose_it_is_what_is_left_and_when_it_renews() -> None:
    refusal = policy.admit(Demand(cost=4, waiting_user=0, waiting_total=0), (standing(2, 1, amount=5),), RULES)
    assert refusal is not None
    assert refusal.detail == {
        "subject": "user:1",
        "unit": "draw",
        "cost": 4,
        "left": 3,
        "amount": 5,
        "period": "day",
        "renews": "2026-11-22T00:00:00+08:00",
        "never": False,
    }


@pytest.mark.parametrize(
    ("tokens", "buys", "price"),
    [(0, 2000, 1), (1, 2000, 1), (2000, 2000, 1), (2001, 2000, 2), (9000, 2000, 5), (9000, 0, 1)],
)
def test_an_answer_costs_a_unit_for_every_started_so_many_tokens(tokens: int, buys: int, price: int) -> None:
    assert policy.answer_price(tokens, replace(RULES, answer_tokens=buys)) == price


@pytest.mark.parametrize(
    ("period", "now", "bucket", "renews"),
    [
        # 16:00 UTC is midnight in Shanghai: the team's day decides, not the server's.
        ("day", "2026-11-21T15:59:59+00:00", "day:2026-11-21", "2026-11-22T00:00:00+08:00"),
        ("day", "2026-11-21T16:00:00+00:00", "day:2026-11-22", "2026-11-23T00:00:00+08:00"),
        ("week", "2026-11-21T04:00:00+00:00", "week:2026-W47", "2026-11-23T00:00:00+08:00"),
        ("week", "2027-01-01T04:00:00+00:00", "week:2026-W53", "2027-01-04T00:00:00+08:00"),
        ("month", "2026-11-30T15:00:00+00:00", "month:2026-11", "2026-12-01T00:00:00+08:00"),
        ("month", "2026-12-31T12:00:00+00:00", "month:2026-12", "2027-01-01T00:00:00+08:00"),
    ],
)
def test_periods_follow_the_teams_zone(period: str, now: str, bucket: str, renews: str) -> None:
    instant = datetime.fromisoformat(now)
    assert policy.bucket(period, instant, SHANGHAI) == bucket
    assert policy.renewal(period, instant, SHANGHAI) == datetime.fromisoformat(renews)


def test_an_unknown_period_is_refused() -> None:
    with pytest.raises(ValueError, match="day, week or month"):
        policy.bucket("year", datetime.now(UTC), SHANGHAI)
    with pytest.raises(ValueError, match="day, week or month"):
        policy.renewal("year", datetime.now(UTC), SHANGHAI)


def test_passing_failures_are_tried_again_a_few_times_later_and_later() -> None:
    waits = [policy.retry_after(attempt, RULES) for attempt in (1, 2, 3)]
    assert waits == [timedelta(seconds=1), timedelta(seconds=2), None]


def test_a_role_has_the_share_it_was_given_and_else_one() -> None:
    rules = replace(RULES, shares={Role.ADMIN: 3.0})
    assert [rules.share(role) for role in (Role.ADMIN, Role.REVIEWER, Role.USER)] == [3.0, 1.0, 1.0]


def test_the_circuit_opens_after_consecutive_failures() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert policy.circuit(RULES.breaker_failures - 1, now, RULES) is None
    assert policy.circuit(RULES.breaker_failures, now, RULES) == now + RULES.breaker_pause
