"""Units: who pays for a job, what they have left, holding a price, closing the hold. All inside the caller's
transaction.

A job is paid by its person, and by the group chat and the department where an allowance is set for these: the same
price by each, held and closed together. Accounts are locked in this order and no other: person, group, department.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from typing import Any

from sqlalchemy import Connection

from scheduler import policy as rules
from scheduler import standing as purse
from scheduler.policy import Policy
from scheduler.standing import PERIODS, Granted, Limit, Standing
from storage import ledger
from storage.ledger import Account
from storage.records import Allowance, ChatType, EntryKind, LedgerEntry, Origin, Payer, Unit, User

#: What everybody has who has no allowance of their own: it can be set, but pays for nothing.
DEFAULT = Payer.DEFAULT.value


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """What one subject may spend of a unit."""

    limits: tuple[Allowance, ...]  # one for each period, the shortest first; at least one
    own: bool  # set by an admin for this very subject


@dataclass(frozen=True, kw_only=True, slots=True)
class Beyond:
    """What a job was charged at its end, beyond its hold."""

    units: int = 0
    parts: dict[Account, int] = field(default_factory=dict)  # of every account that pays for it
    notices: tuple[dict[str, Any], ...] = ()  # see standing.notices


def subject(user_id: int) -> str:
    """A person's account."""
    return f"{Payer.USER}:{user_id}"


def group(platform: str, chat_id: str) -> str:
    """A group chat's account."""
    return f"{Payer.GROUP}:{platform}:{chat_id}"


def department(name: str) -> str:
    """A department's account."""
    return f"{Payer.DEPARTMENT}:{name}"


def payers(user: User, origin: Origin) -> tuple[str, ...]:
    """Whose allowances an order of this person from this chat counts against, in the order of locking."""
    return (
        subject(user.id),
        *((group(origin.platform, origin.chat_id),) if origin.chat_type is ChatType.GROUP else ()),
        *((department(user.department),) if user.department else ()),
    )


def allowed(conn: Connection, subjects: Sequence[str], unit: Unit, policy: Policy) -> dict[str, Allowed]:
    """What each of these subjects may spend; one without any allowance is missing: nothing limits it."""
    own = ledger.allowances_of(conn, dict.fromkeys((*subjects, DEFAULT)), unit)
    found = {}
    for one in subjects:
        limits = own.get(one) or _given(one, unit, own, policy)
        if limits:
            shortest_first = tuple(sorted(limits, key=lambda limit: PERIODS.index(limit.period)))
            found[one] = Allowed(limits=shortest_first, own=one in own)
    return found


def _given(one: str, unit: Unit, own: dict[str, tuple[Allowance, ...]], policy: Policy) -> tuple[Allowance, ...]:
    if purse.payer(one) in (Payer.USER, Payer.DEFAULT):
        return own.get(DEFAULT) or policy.allowances[unit]
    return policy.shared.get(one, {}).get(unit, ())


def standings(
    conn: Connection, subjects: Sequence[str], unit: Unit, policy: Policy, now: datetime
) -> tuple[Standing, ...]:
    """What those of `subjects` have left that are limited; begins their periods, locks until the transaction ends.

    `subjects` must be in the order of `payers`.
    """
    found = allowed(conn, subjects, unit, policy)
    return tuple(_open(conn, one, unit, may, policy, now) for one, may in found.items())


def standing(conn: Connection, one: str, unit: Unit, policy: Policy, now: datetime) -> Standing | None:
    """The same for one subject; None = nothing limits it."""
    return next(iter(standings(conn, (one,), unit, policy, now)), None)


def _open(conn: Connection, one: str, unit: Unit, may: Allowed, policy: Policy, now: datetime) -> Standing:
    buckets = {rules.bucket(allowance.period, now, policy.timezone): allowance for allowance in may.limits}
    balances = ledger.open_accounts(conn, one, unit, list(buckets))
    limits = []
    for bucket, allowance in buckets.items():
        missing = allowance.amount - balances[bucket].granted
        if missing:  # a new period, or an allowance that changed in the middle of one
            account = Account(subject=one, unit=unit, bucket=bucket)
            ledger.add(conn, account, EntryKind.GRANT, missing, actor="policy", now=now, note=allowance.period)
        renews = rules.renewal(allowance.period, now, policy.timezone)
        limits.append(Limit(allowance=allowance, bucket=bucket, left=balances[bucket].left + missing, renews=renews))
    granted = purse.granted_in(balances, today(now, policy.timezone))
    return Standing(subject=one, unit=unit, own=may.own, limits=tuple(limits), granted=granted)


def today(now: datetime, zone: tzinfo) -> date:
    """The team's day."""
    return now.astimezone(zone).date()


def hold(conn: Connection, job_id: int, cost: int, have: Sequence[Standing], now: datetime) -> None:
    """Take the price of an accepted job from each, its person first.

    Call only after `policy.admit` accepted these very standings.
    """
    for one in have:
        parts = one.take(cost)
        if parts is None:
            raise ValueError(f"job {job_id}: a hold of {cost} on {one.subject} was not admitted before")
        for bucket in sorted(parts):
            account = Account(subject=one.subject, unit=one.unit, bucket=bucket)
            ledger.add(conn, account, EntryKind.HOLD, -parts[bucket], actor=have[0].subject, now=now, job_id=job_id)


def settle(conn: Connection, job_id: int, now: datetime, more: int = 0, policy: Policy | None = None) -> Beyond:
    """The result was kept: the holds stand, and what it used beyond them is taken too, as far as everybody has it.

    Nobody goes below zero for an answer that became longer than expected. `policy`: by which `more` is charged.
    """
    holds = ledger.open_holds(conn, job_id)
    charged = _charge(conn, holds, more, policy, now) if more > 0 and policy and holds else Beyond()
    for account, amount in ({_account(entry): 0 for entry in holds} | charged.parts).items():
        ledger.add(conn, account, EntryKind.SETTLE, -amount, actor="scheduler", now=now, job_id=job_id)
    return charged


def _charge(conn: Connection, holds: Sequence[LedgerEntry], more: int, policy: Policy, now: datetime) -> Beyond:
    have = [_purse(conn, one, holds, policy, now) for one in dict.fromkeys(entry.account for entry in holds)]
    taken = min(more, *(one.total for one in have))
    parts = {
        Account(subject=one.subject, unit=one.unit, bucket=bucket): amount
        for one in have
        for bucket, amount in sorted((one.take(taken) or {}).items())
    }
    return Beyond(units=taken, parts=parts, notices=purse.notices(have, taken, policy.warn_at))


def _purse(conn: Connection, one: str, holds: Sequence[LedgerEntry], policy: Policy, now: datetime) -> Standing:
    """What an account can still pay for its job: from the periods the job was accepted in, and what was granted."""
    unit = holds[0].unit
    buckets = [e.bucket for e in holds if e.account == one and not purse.is_granted(e.bucket)]
    balances = ledger.open_accounts(conn, one, unit, buckets)
    limits = []
    for bucket in buckets:
        period = bucket.partition(":")[0]
        allowance = Allowance(amount=balances[bucket].granted, period=period)
        renews = rules.renewal(period, now, policy.timezone)
        limits.append(Limit(allowance=allowance, bucket=bucket, left=balances[bucket].left, renews=renews))
    granted = purse.granted_in(balances, today(now, policy.timezone))
    return Standing(subject=one, unit=unit, own=False, limits=tuple(limits), granted=granted)


def refund(conn: Connection, job_id: int, now: datetime, why: str) -> None:
    """Nothing was delivered: the holds are given back, to the very buckets they came from."""
    holds = ledger.open_holds(conn, job_id)
    for entry in holds:
        ledger.add(
            conn, _account(entry), EntryKind.REFUND, -entry.amount, actor="scheduler", now=now, job_id=job_id, note=why
        )
    if holds:
        _carry_back(conn, job_id, now, why)


def give_back(conn: Connection, job_id: int, now: datetime, why: str) -> None:
    """The result exists but could never be delivered: nobody pays for what they did not get."""
    entries = ledger.of_job(conn, job_id)
    returned = {_account(e) for e in entries if e.kind is EntryKind.RETURN}
    due = [a for a in dict.fromkeys(_account(e) for e in entries if e.kind is EntryKind.SETTLE) if a not in returned]
    for account in due:
        paid = -sum(e.amount for e in entries if _account(e) == account and e.kind is not EntryKind.JOIN)
        ledger.add(conn, account, EntryKind.RETURN, paid, actor="delivery", now=now, job_id=job_id, note=why)
    if due:
        _carry_back(conn, job_id, now, why)


def _carry_back(conn: Connection, job_id: int, now: datetime, why: str) -> None:
    """Its price was also counted to whom its person turned out to be (scheduler/joining.py): give that back as well."""
    for entry in ledger.of_job(conn, job_id):
        if entry.kind is EntryKind.JOIN:
            note = f"job {job_id}: {why}"
            ledger.add(conn, _account(entry), EntryKind.JOIN, -entry.amount, actor="scheduler", now=now, note=note)


def grant(
    conn: Connection, one: str, unit: Unit, amount: int, actor: str, now: datetime, until: date | None = None
) -> None:
    """Give an account units beside its allowance; they lapse after the day `until` of the team's zone, if given."""
    account = Account(subject=one, unit=unit, bucket=Granted(left=amount, until=until).bucket)
    ledger.open_account(conn, account)
    ledger.add(conn, account, EntryKind.GRANT, amount, actor=actor, now=now)


def _account(entry: LedgerEntry) -> Account:
    return Account(subject=entry.account, unit=entry.unit, bucket=entry.bucket)
