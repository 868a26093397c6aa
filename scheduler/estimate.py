"""How long until a result, and how sure that is. Pure: from what a lane measured to two numbers a person can rely on.

A lane learns its seconds per unit of work and how far these lie apart from run to run. What waits before a job is a sum
of such runs: the more there are the better their noise cancels out, but not the doubt about their mean. That foresees
nobody who comes later and whose turn is earlier, no retry and no pause. So the lane also remembers how its promises
turned out (Misses) and promises accordingly: the range is meant to hold in four of five cases. How often the first
promise held is what `benchmarks/fairness.py` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import exp, log, sqrt

from storage.records import Kind

#: How many jobs of a lane run at once, beside each other: pictures share the one device, in batches.
AT_ONCE = {Kind.DRAW: 1, Kind.ASK: 4}

#: What the newest measurement counts at least. The first few count in full: a cold start is corrected quickly.
NEWEST = 0.2

#: From fewer measurements nothing is said about how far they lie apart.
ENOUGH = 4

#: Which shares of the results come sooner than the least, the expected and the most that is said.
_SHARES = (0.1, 0.5, 0.9)

#: Where these lie for a normal distribution, in standard deviations: what is believed before anything was promised.
_NORMAL = (-1.28, 0.0, 1.28)

#: How far one outcome moves them at most.
_LESSON = 0.2

#: No promise is stretched by more standard deviations than these, whatever a lane that stood still has taught.
_FARTHEST = 25.0

#: The least relative doubt about anything: a worker looks for work only so often, a batch ends as a whole.
_LEAST = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What a lane has measured: seconds per unit of work."""

    rate: float = 0.0
    variance: float = 0.0
    samples: int = 0

    def after(self, measured: float) -> Pace:
        """The same after one more measurement."""
        share = max(NEWEST, 1.0 / (self.samples + 1))
        off = measured - self.rate
        return Pace(
            rate=self.rate + share * off,
            variance=(1 - share) * (self.variance + share * off * off),
            samples=self.samples + 1,
        )

    def doubt(self, runs: int) -> float:
        """The relative standard deviation of the seconds that so many runs take."""
        if self.rate <= 0:
            return _LEAST
        mean = max(NEWEST / (2 - NEWEST), 1.0 / max(1, self.samples))  # of the smoothed rate itself
        return sqrt(_LEAST**2 + self.variance / self.rate**2 * (1.0 / max(1, runs) + mean))


@dataclass(frozen=True, kw_only=True, slots=True)
class Misses:
    """How promises turned out: the quantiles _SHARES of log(real / promised), in standard deviations of the promise.

    They follow the outcomes without any belief about their distribution (Gibbs and Candes, Adaptive Conformal
    Inference, 2021): each one lies where its share of the outcomes falls below it.
    """

    early: float = _NORMAL[0]
    middle: float = _NORMAL[1]
    late: float = _NORMAL[2]

    def after(self, promised: float, doubt: float, real: float) -> Misses:
        """The same after one more promise of `promised` seconds, sure to within `doubt`, that took `real` seconds."""
        off = log(max(real, 0.01) / max(promised, 0.01)) / doubt
        known = (self.early, self.middle, self.late)
        moved = (
            value + _LESSON * (share if off > value else share - 1) for value, share in zip(known, _SHARES, strict=True)
        )
        early, middle, late = sorted(min(max(value, -_FARTHEST), _FARTHEST) for value in moved)
        return Misses(early=early, middle=middle, late=late)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Seconds until a result. `low` and `high` are None while too little was measured to say how sure that is."""

    seconds: float
    low: int | None = None
    high: int | None = None


def foreseen(pace: Pace, kind: Kind, ahead: float, own: float, left: float) -> float | None:
    """When a job of `own` work is done that `ahead` work waits before, while `left` seconds still run: in seconds.

    None before anything was measured: better no number than a wrong one.
    """
    if pace.samples == 0:
        return None
    return (left + ahead * pace.rate) / AT_ONCE[kind] + own * pace.rate


def wait(seconds: float, doubt: float | None, misses: Misses) -> Wait:
    """What to say of the seconds that are foreseen, sure to within the relative `doubt`, by how such words turned out.

    None = too little was measured.
    """
    if doubt is None:
        return Wait(seconds=seconds)
    least, expected, most = (seconds * exp(off * doubt) for off in (misses.early, misses.middle, misses.late))
    return Wait(seconds=expected, low=rounded(least), high=rounded(most))


def remaining(pace: Pace, running: Sequence[tuple[float, datetime]], now: datetime) -> float:
    """The seconds that are left of what runs: (work, since when). Jobs that were started together are one batch.

    What has taken longer than it should is given a tenth more: it is not done, and nothing better is known.
    """
    batches: dict[datetime, float] = {}
    for work, since in running:
        batches[since] = batches.get(since, 0.0) + work * pace.rate
    return sum(max(takes - (now - since).total_seconds(), takes / 10) for since, takes in batches.items())


def rounded(seconds: float) -> int:
    """As exactly as it can be meant: whole seconds to 10, then fives, tens, minutes, five minutes, half hours."""
    for below, step in ((10, 1), (60, 5), (120, 10), (1200, 60), (7200, 300)):
        if seconds < below:
            return max(1, round(seconds / step) * step)
    return round(seconds / 1800) * 1800
