"""How long until a result, as tables."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler import estimate
from scheduler.estimate import ENOUGH, Pace
from storage.records import Kind, utcnow


def measured(*rates: float) -> Pace:
    pace = Pace()
    for rate in rates:
        pace = pace.after(rate)
    return pace


def test_a_cold_start_is_corrected_quickly_and_then_slowly() -> None:
    first = measured(2.0)
    assert (first.rate, first.variance, first.samples) == (2.0, 0.0, 1)
    second = first.after(4.0)
    assert (second.rate, second.variance) == (3.0, 1.0)
    settled = Pace(rate=2.0, variance=0.0, samples=100).after(4.0)
    assert settled.rate == pytest.approx(2.4)


def test_the_spread_is_learned_as_the_rate_is() -> None:
    steady, wild = measured(*[2.0] * 30), measured(*[1.0, 3.0] * 15)
    assert steady.variance == 0.0
    assert wild.variance == pytest.approx(1.0, rel=0.2)
    assert wild.doubt(1) > 4 * steady.doubt(1)


def test_more_runs_are_surer_but_never_surer_than_their_mean() -> None:
    wild = measured(*[1.0, 3.0] * 15)
    doubts = [wild.doubt(runs) for runs in (1, 4, 100, 10_000)]
    assert doubts == sorted(doubts, reverse=True)
    assert doubts[-1] > 0.1


@pytest.mark.parametrize(
    ("samples", "sure"), [(0, None), (1, False), (ENOUGH - 1, False), (ENOUGH, True), (1000, True)]
)
def test_nothing_is_promised_that_was_not_measured(samples: int, sure: bool | None) -> None:
    found = estimate.wait(Pace(rate=2.0, variance=0.1, samples=samples), Kind.DRAW, 10.0, 5, 1.0, 3.0)
    assert (None if found is None else found.low is not None) is sure


def test_the_range_lies_around_what_is_expected_and_follows_the_spread() -> None:
    def spread(variance: float) -> tuple[int, int]:
        found = estimate.wait(Pace(rate=2.0, variance=variance, samples=50), Kind.DRAW, 20.0, 5, 2.0, 6.0)
        assert found is not None
        assert found.seconds == 50.0  # 6 still run, 20 * 2 wait before, 2 * 2 are its own
        assert found.low is not None
        assert found.high is not None
        return found.low, found.high

    assert spread(0.0) == (45, 55)
    assert spread(1.0) == (35, 70)


def test_answers_are_written_beside_each_other() -> None:
    found = estimate.wait(Pace(rate=2.0, samples=50), Kind.ASK, 8.0, 8, 1.0, 4.0)
    assert found is not None
    assert found.seconds == (4.0 + 16.0) / 4 + 2.0


@pytest.mark.parametrize(
    ("elapsed", "left"),
    [(0.0, 8.0), (6.0, 2.0), (8.0, 0.8), (60.0, 0.8)],  # overdue: something, for it is not done
)
def test_what_is_left_of_a_batch(elapsed: float, left: float) -> None:
    now = utcnow()
    began = now - timedelta(seconds=elapsed)
    batch = [(1.0, began), (3.0, began)]
    assert estimate.remaining(Pace(rate=2.0, samples=9), batch, now) == pytest.approx(left)
    assert estimate.remaining(Pace(rate=2.0, samples=9), [], now) == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.1, 1),
        (7.4, 7),
        (12.0, 10),
        (13.0, 15),
        (64.0, 60),
        (118.0, 120),
        (170.0, 180),
        (1500.0, 1500),
        (9000.0, 9000),
    ],
)
def test_no_more_digits_than_are_meant(seconds: float, said: int) -> None:
    assert estimate.rounded(seconds) == said
