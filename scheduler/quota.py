"""Units: what somebody has left, holding a price, closing the hold. All inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from scheduler import policy as rules
from scheduler.policy import EXTRA, Policy
from storage import ledger
from storage.ledger import Account
from storage.records import Allowance, EntryKind, LedgerEntry, Unit


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What somebody has of a unit right now."""

    unit: Unit
    allowance: Allowance
    own: bool  # set for this person, not the default
    left: int  # of the period's allowance; negative after it was lowered below what was spent
    extra: int
    bucket: str
    renews: datetime

    @property
    def total(self) -> int:
        """What can be spent now."""
        return max(0, self.left) + max(0, self.extra)


def subject(user_id: int) -> str:
    """A person's account."""
    return f"user:{user_id}"


def standing(conn: Connection, user_id: int, unit: Unit, policy: Policy, now: datetime) -> Standing:
    """Open the current period if it is new, and tell what is left. Locks both accounts until the transaction ends."""
    who = subject(user_id)
    own = ledger.allowance(conn, who, unit)
    allowance = own or policy.allowances[unit]
    bucket = rules.bucket(allowance.period, now, policy.timezone)
    period = Account(subject=who, unit=unit, bucket=bucket)
    extra = Account(subject=who, unit=unit, bucket=EXTRA)
    left = ledger.open_account(conn, period)
    missing = allowance.amount - ledger.granted(conn, period)
    if missing:  # a new period, or an allowance that changed in the middle of one
        ledger.add(conn, period, EntryKind.GRANT, missing, actor="policy", now=now, note=allowance.period)
    return Standing(
        unit=unit,
        allowance=allowance,
        own=own is not None,
        left=left + missing,
        extra=ledger.open_account(conn, extra),
        bucket=bucket,
        renews=rules.renewal(allowance.period, now, policy.timezone),
    )


def hold(conn: Connection, user_id: int, job_id: int, cost: int, have: Standing, now: datetime) -> None:
    """Take the price of an accepted job. Call only after `policy.admit` accepted this very standing."""
    parts = rules.split(cost, have.left, have.extra)
    if parts is None:
        raise ValueError(f"job {job_id}: a hold of {cost} was not admitted before")
    for bucket, amount in zip((have.bucket, EXTRA), parts, strict=True):
        if amount or (bucket != EXTRA and not cost):  # a free job still has a hold to settle
            account = Account(subject=subject(user_id), unit=have.unit, bucket=bucket)
            ledger.add(conn, account, EntryKind.HOLD, -amount, actor=account.subject, now=now, job_id=job_id)


def settle(conn: Connection, job_id: int, now: datetime) -> None:
    """The result was kept: the holds stand."""
    for entry in ledger.open_holds(conn, job_id):
        ledger.add(conn, _account(entry), EntryKind.SETTLE, 0, actor="scheduler", now=now, job_id=job_id)


def refund(conn: Connection, job_id: int, now: datetime, why: str) -> None:
    """Nothing was delivered: the holds are given back, to the very buckets they came from."""
    for entry in ledger.open_holds(conn, job_id):
        ledger.add(
            conn, _account(entry), EntryKind.REFUND, -entry.amount, actor="scheduler", now=now, job_id=job_id, note=why
        )


def give_back(conn: Connection, job_id: int, now: datetime, why: str) -> None:
    """The result exists but could never be delivered: nobody pays for what they did not get."""
    entries = ledger.of_job(conn, job_id)
    settled = {e.bucket for e in entries if e.kind is EntryKind.SETTLE}
    returned = {e.bucket for e in entries if e.kind is EntryKind.RETURN}
    for entry in entries:
        if entry.kind is EntryKind.HOLD and entry.bucket in settled - returned:
            account, amount = _account(entry), -entry.amount
            ledger.add(conn, account, EntryKind.RETURN, amount, actor="delivery", now=now, job_id=job_id, note=why)


def grant(conn: Connection, user_id: int, unit: Unit, amount: int, actor: str, now: datetime) -> None:
    """Give units that do not lapse."""
    account = Account(subject=subject(user_id), unit=unit, bucket=EXTRA)
    ledger.open_account(conn, account)
    ledger.add(conn, account, EntryKind.GRANT, amount, actor=actor, now=now)


def _account(entry: LedgerEntry) -> Account:
    return Account(subject=entry.account, unit=entry.unit, bucket=entry.bucket)
