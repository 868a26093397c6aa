"""Pure decisions of the queue: admit or refuse, what a period is, when to try again. No clock, no database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any

from scheduler.calendar import Hours
from scheduler.standing import Standing
from storage.records import Allowance, Kind, Role, Unit, User

#: The unit a kind of work is paid in.
UNIT_OF = {Kind.DRAW: Unit.DRAW, Kind.ASK: Unit.ASK}

#: The classes of a lane, in the order in which they are served: what somebody waits for now, what was booked for a
#: time, what may come any time in a window, and what took its worker with it too often and runs alone.
INTERACTIVE, RESERVED, BATCH, SUSPECT = 0, 10, 20, 50

#: The periods of a rate.
PERIODS = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How often something may be done."""

    count: int  # at least 1
    name: str  # of the period: second, minute, hour, day

    @property
    def period(self) -> timedelta:
        return PERIODS[self.name]


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """The rules of policy.yaml that the queue enforces."""

    timezone: tzinfo
    allowances: Mapping[Unit, tuple[Allowance, ...]]  # of everybody who has none of their own
    #: Of groups and departments, by subject; one that is not here, or not for a unit, is not limited.
    shared: Mapping[str, Mapping[Unit, tuple[Allowance, ...]]] = field(default_factory=dict)
    warn_at: int = 80  # percent of an allowance at which its owner is told; 0 = never
    answer_tokens: int = 2000  # read and written for one unit of answers; 0 = every answer costs one
    concurrency: int = 3  # jobs of one person running at once
    rates: Mapping[str, Rate] = field(default_factory=dict)  # by scope: see scheduler/rates.py; not there = any
    interactive: Hours = ()  # when people may order for now; empty = always
    reserved: Hours = ()  # when what was reserved may start; empty = always
    exempt: frozenset[Role] = frozenset()  # of the interactive hours
    queue_per_user: int = 200
    queue_total: int = 2000
    lease: timedelta = timedelta(seconds=30)
    max_lost: int = 3  # a job whose worker vanished this often is suspect: it runs alone, behind all others
    max_suspect: int = 10  # after so many it is given up: it takes its worker with it each time
    max_attempts: int = 3  # of a job that failed for a passing reason
    reservations_per_user: int = 50  # that one person may have open at once
    shares: Mapping[Role, float] = field(default_factory=dict)  # of a busy queue; a role that is not here has 1
    ageing: timedelta = timedelta(minutes=15)  # so long a job waits in its class, then it rises into the one before
    breaker_failures: int = 3  # different jobs that fail one after another open a lane's circuit
    breaker_pause: timedelta = timedelta(minutes=5)

    def share(self, role: Role) -> float:
        """How much a person of this role gets of a busy queue, against 1 of others."""
        return self.shares.get(role, 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """Why something was not accepted. `code` names the sentence, `detail` fills it."""

    code: str
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What is known when a job is about to be accepted."""

    cost: int
    waiting_user: int  # jobs of this person in the queue
    waiting_total: int


def shut_out(user: User, zone: tzinfo) -> Refusal | None:
    """Why somebody may do nothing at all; None = they may."""
    if not user.banned:
        return None
    until = user.banned_until
    moment = "" if until is None else until.astimezone(zone).isoformat()
    return Refusal(code="banned", detail={"reason": user.ban_reason, "until": moment})


def admit(demand: Demand, have: Sequence[Standing], policy: Policy) -> Refusal | None:
    """Accept (None) or say why not. `have`: what everybody has left who would pay; the first short one is named."""
    if demand.waiting_total >= policy.queue_total:
        return Refusal(code="queue_full", detail={"limit": policy.queue_total})
    if demand.waiting_user >= policy.queue_per_user:
        return Refusal(code="too_many_waiting", detail={"limit": policy.queue_per_user})
    short = next((one for one in have if one.take(demand.cost) is None), None)
    return None if short is None else Refusal(code="quota", detail=_lacking(demand.cost, short))


def _lacking(cost: int, short: Standing) -> dict[str, Any]:
    limit = short.short(cost)
    return {
        "subject": short.subject,
        "unit": short.unit.value,
        "cost": cost,
        "left": short.total,
        "amount": limit.allowance.amount,
        "period": limit.allowance.period,
        "renews": limit.renews.isoformat(),
        "never": short.never(cost),  # more than the allowance gives at all: waiting does not help
    }


def answer_price(tokens: int, policy: Policy) -> int:
    """Units for an answer that a model read and wrote so many tokens for; at least 1."""
    return max(1, -(-tokens // policy.answer_tokens)) if policy.answer_tokens else 1


def bucket(period: str, now: datetime, zone: tzinfo) -> str:
    """The name of the period that `now` lies in, in the team's zone: day:2026-11-21, week:2026-W47, month:2026-11."""
    local = now.astimezone(zone)
    if period == "day":
        return f"day:{local:%Y-%m-%d}"
    if period == "week":
        year, week, _ = local.isocalendar()
        return f"week:{year}-W{week:02d}"
    if period == "month":
        return f"month:{local:%Y-%m}"
    raise ValueError(f"unknown period {period!r}: day, week or month")


def renewal(period: str, now: datetime, zone: tzinfo) -> datetime:
    """When the next period begins: local midnight, Monday, or the first of the month."""
    day = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period == "day":
        return day + timedelta(days=1)
    if period == "week":
        return day + timedelta(days=7 - day.weekday())
    if period == "month":
        return day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)
    raise ValueError(f"unknown period {period!r}: day, week or month")


def retry_after(attempt: int, policy: Policy) -> timedelta | None:
    """How long to wait before a job that failed for a passing reason runs again; None = give up."""
    return None if attempt >= policy.max_attempts else timedelta(seconds=2.0 ** (attempt - 1))


def circuit(failures: int, now: datetime, policy: Policy) -> datetime | None:
    """Until when a lane rests after so many consecutive failures; None = it goes on."""
    return now + policy.breaker_pause if failures >= policy.breaker_failures else None
