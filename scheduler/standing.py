"""What an account has of a unit, and how a price is taken from it. Pure.

An account may have several allowances at once (50 a day and 500 a month): each period counts for itself, so a price is
taken from all of them alike. What they do not reach for comes from granted units, those that lapse soonest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from storage.ledger import EXTRA, Balance
from storage.records import Allowance, Payer, Unit

#: From the shortest to the longest, as people list them.
PERIODS = ("day", "week", "month")


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """What is left of one allowance in its present period."""

    allowance: Allowance
    bucket: str
    left: int  # negative after the allowance was lowered below what was spent
    renews: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Granted:
    """Units that an admin gave beside the allowance."""

    left: int
    until: date | None = None  # their last day in the team's zone; None = they do not lapse

    @property
    def bucket(self) -> str:
        return EXTRA if self.until is None else f"{EXTRA}:{self.until.isoformat()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What one account has of a unit right now."""

    subject: str
    unit: Unit
    own: bool  # set by an admin for this very account, not for everybody
    limits: tuple[Limit, ...]  # at least one, but where a job was paid from granted units alone
    granted: tuple[Granted, ...] = ()  # what lapses soonest comes first

    @property
    def payer(self) -> Payer:
        return payer(self.subject)

    @property
    def tight(self) -> Limit:
        """The allowance of which least is left; of equals the one that stays so longest."""
        return min(self.limits, key=lambda limit: (limit.left, -limit.renews.timestamp()))

    @property
    def left(self) -> int:
        """What the allowances still give."""
        return min((limit.left for limit in self.limits), default=0)

    @property
    def extra(self) -> int:
        """Granted units."""
        return sum(one.left for one in self.granted)

    @property
    def total(self) -> int:
        """What can be spent now."""
        return max(0, self.left) + self.extra

    def take(self, cost: int) -> dict[str, int] | None:
        """How much of a price comes from which bucket; None when all together do not reach."""
        return take(cost, {limit.bucket: limit.left for limit in self.limits}, self.granted)

    def short(self, cost: int) -> Limit:
        """Of a price that does not reach: the allowance that lacks it longest."""
        wanted = cost - self.extra
        return max((one for one in self.limits if one.left < wanted), key=lambda one: one.renews, default=self.tight)

    def never(self, cost: int) -> bool:
        """Whether a price is more than an allowance gives at all, so that waiting does not help."""
        return any(limit.allowance.amount < cost - self.extra for limit in self.limits)


def binding(standings: Sequence[Standing]) -> Standing:
    """The account of which least can be spent: what it lacks is what a person meets first."""
    return min(standings, key=lambda one: (one.total, -one.tight.renews.timestamp()))


def payer(subject: str) -> Payer:
    """What kind of account a subject names."""
    return Payer(subject.partition(":")[0])


def take(cost: int, periods: Mapping[str, int], granted: Iterable[Granted]) -> dict[str, int] | None:
    """How much of a price comes from which bucket, given what is left in each; None when it does not reach.

    A price of 0 is taken from every period too: a free job has a hold to settle like any other.
    """
    period = min(cost, max(0, min(periods.values(), default=0)))
    parts = dict.fromkeys(periods, period) if period or not cost else {}
    missing = cost - period
    for one in granted:
        amount = min(missing, one.left)
        if amount:
            parts[one.bucket] = amount
            missing -= amount
    return None if missing else parts


def granted_in(balances: Mapping[str, Balance], today: date) -> tuple[Granted, ...]:
    """The granted units among an account's buckets that can be spent today, what lapses soonest first."""
    found = [
        Granted(left=balance.left, until=_until(bucket))
        for bucket, balance in balances.items()
        if is_granted(bucket) and balance.left > 0
    ]
    alive = [one for one in found if one.until is None or one.until >= today]
    return tuple(sorted(alive, key=lambda one: one.until or date.max))


def is_granted(bucket: str) -> bool:
    """Whether a bucket holds granted units; else it is a period of an allowance."""
    return bucket == EXTRA or bucket.startswith(f"{EXTRA}:")


def notices(standings: Sequence[Standing], cost: int, warn_at: int) -> tuple[dict[str, Any], ...]:
    """What to tell beside an accepted order: allowances that its price takes to `warn_at` percent or beyond."""
    return tuple(
        notice
        for standing in standings
        for limit in standing.limits
        if (notice := _notice(standing, limit, cost, warn_at))
    )


def _notice(standing: Standing, limit: Limit, cost: int, warn_at: int) -> dict[str, Any] | None:
    amount = limit.allowance.amount
    before = amount - limit.left
    after = before + (standing.take(cost) or {}).get(limit.bucket, 0)
    if not warn_at or not before * 100 < warn_at * amount <= after * 100:
        return None
    return {
        "code": "quota_used",
        "subject": standing.subject,
        "unit": standing.unit.value,
        "period": limit.allowance.period,
        "percent": after * 100 // amount,
        "left": amount - after,
    }


def _until(bucket: str) -> date | None:
    _, _, day = bucket.partition(":")
    return date.fromisoformat(day) if day else None
