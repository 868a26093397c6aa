"""The pure decisions, as tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler import policy
from scheduler.policy import Demand, Policy
from storage.records import Allowance, Unit

SHANGHAI = ZoneInfo("Asia/Shanghai")
RULES = Policy(
    timezone=SHANGHAI,
    allowances={Unit.DRAW: Allowance(amount=5, period="day"), Unit.ASK: Allowance(amount=50, period="day")},
    queue_per_user=10,
    queue_total=100,
)


@pytest.mark.parametrize(
    ("cost", "left", "extra", "expected"),
    [
        (1, 5, 0, (1, 0)),
        (5, 5, 0, (5, 0)),
        (6, 5, 0, None),
        (6, 5, 1, (5, 1)),
        (3, 0, 3, (0, 3)),
        (1, -2, 1, (0, 1)),  # lowered below what was spent: granted units still count
        (1, -2, 0, None),
        (0, 0, 0, (0, 0)),
    ],
)
def test_a_price_is_taken_from_the_allowance_before_granted_units(
    cost: int, left: int, extra: int, expected: tuple[int, int] | None
) -> None:
    assert policy.split(cost, left, extra) == expected


@pytest.mark.parametrize(
    ("demand", "code"),
    [
        (Demand(cost=1, left=1, extra=0, waiting_user=0, waiting_total=0), None),
        (Demand(cost=2, left=1, extra=0, waiting_user=0, waiting_total=0), "quota"),
        (Demand(cost=2, left=1, extra=1, waiting_user=0, waiting_total=0), None),
        (Demand(cost=1, left=9, extra=0, waiting_user=10, waiting_total=10), "too_many_waiting"),
        (Demand(cost=1, left=9, extra=0, waiting_user=0, waiting_total=100), "queue_full"),
        (Demand(cost=1, left=9, extra=0, waiting_user=0, waiting_total=0, banned=True), "banned"),
    ],
)
def test_admission(demand: Demand, code: str | None) -> None:
    allowance = RULES.allowances[Unit.DRAW]
    refusal = policy.admit(demand, allowance, datetime(2026, 11, 22, tzinfo=UTC), RULES)
    assert (refusal.code if refusal else None) == code


def test_a_quota_refusal_says_what_is_left_and_when_it_renews() -> None:
    renews = datetime(2026, 11, 22, tzinfo=SHANGHAI)
    demand = Demand(cost=4, left=2, extra=1, waiting_user=0, waiting_total=0)
    refusal = policy.admit(demand, RULES.allowances[Unit.DRAW], renews, RULES)
    assert refusal is not None
    assert refusal.detail == {"cost": 4, "left": 3, "amount": 5, "period": "day", "renews": renews.isoformat()}


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


def test_the_rate_learns_quickly_at_first_and_steadily_later() -> None:
    rate = policy.smoothed(0.0, 0, 2.0)
    assert rate == 2.0
    assert policy.smoothed(rate, 1, 4.0) == 3.0
    assert policy.smoothed(2.0, 100, 4.0) == pytest.approx(2.4)


def test_no_waiting_time_is_told_before_anything_was_measured() -> None:
    assert policy.seconds(8.0, 0.0, 0) is None
    assert policy.seconds(8.0, 0.5, 1) == 4.0


def test_the_circuit_opens_after_consecutive_failures() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    assert policy.circuit(RULES.breaker_failures - 1, now, RULES) is None
    assert policy.circuit(RULES.breaker_failures, now, RULES) == now + RULES.breaker_pause
