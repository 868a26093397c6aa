"""How long until a result, as tables."""

from __future__ import annotations

import math
import random
from datetime import timedelta

import pytest

from scheduler import estimate
from scheduler.estimate import Misses, Pace, Wait
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


def test_nothing_is_foreseen_that_was_not_measured() -> None:
    assert estimate.foreseen(Pace(), Kind.DRAW, 10.0, 1.0, 3.0) is None
    assert estimate.foreseen(measured(2.0), Kind.DRAW, 20.0, 2.0, 6.0) == 50.0  # 6 run, 20 * 2 wait, 2 * 2 its own


def test_answers_are_written_beside_each_other() -> None:
    assert estimate.foreseen(Pace(rate=2.0, samples=50), Kind.ASK, 8.0, 1.0, 4.0) == (4.0 + 16.0) / 4 + 2.0


def test_the_range_lies_around_what_is_expected_and_follows_the_spread() -> None:
    def said(variance: float) -> Wait:
        return estimate.wait(50.0, Pace(rate=2.0, variance=variance, samples=50).doubt(6), Misses())

    assert said(0.0) == Wait(seconds=50.0, low=45, high=55)
    assert said(1.0) == Wait(seconds=50.0, low=35, high=70)
    assert estimate.wait(50.0, None, Misses()) == Wait(seconds=50.0)


@pytest.mark.parametrize(("typical", "spread"), [(1.0, 0.1), (1.6, 0.5), (0.5, 0.3)])
def test_promises_learn_from_how_they_turned_out(typical: float, spread: float) -> None:
    """Runs that take `typical` times what is foreseen, more or less: four of five come to lie in the range."""
    rng, misses, held, early = random.Random(5), Misses(), 0, 0
    for number in range(3000):
        real = 100.0 * typical * rng.lognormvariate(0, spread)
        said = estimate.wait(100.0, 0.2, misses)
        assert said.low is not None
        assert said.high is not None
        assert said.low <= said.seconds + 5  # what is said is rounded
        assert said.seconds - 5 <= said.high
        if number >= 1000:
            held += said.low <= real <= said.high
            early += real < said.seconds
        misses = misses.after(100.0, 0.2, real)
    assert held / 2000 == pytest.approx(0.8, abs=0.05)
    assert early / 2000 == pytest.approx(0.5, abs=0.05)


def test_a_lane_that_stood_still_teaches_no_more_than_any_other_miss() -> None:
    weeks = Misses().after(10.0, 0.2, 3e6)
    assert (weeks.early, weeks.middle, weeks.late) == pytest.approx((-1.26, 0.1, 1.46))
    for _ in range(1000):
        weeks = weeks.after(10.0, 0.2, 3e6)
    assert estimate.wait(10.0, 0.2, weeks).seconds == pytest.approx(10.0 * math.exp(5.0))
    assert weeks.after(10.0, 0.2, 0.0).middle < weeks.middle


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
