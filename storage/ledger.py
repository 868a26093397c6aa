"""The ledger of units: append-only entries, a running balance per account, and the allowances they come from.

Every change of a balance is an entry; `add` writes both in one place, so balance = sum of entries holds by
construction and `moqi verify` can still find out when it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, delete, func, or_, select, update

from storage.dialect import insert, insert_on
from storage.records import Allowance, EntryKind, LedgerEntry, Payer, Unit
from storage.tables import accounts, allowances, jobs, ledger

#: Units granted by an admin beyond the allowance; `extra:2026-12-31` lapses after that day of the team's zone.
EXTRA = "extra"
_AFTER_EXTRA = "extrb"  # every bucket of granted units sorts between these two

#: Most subjects one order looks at: person, default, group, department.
SUBJECTS = 4

# Built once: every order passes here several times, and building a statement takes longer than running it.
_IS: dict[str, Any] = {name: bindparam(f"of_{name}") for name in ("account", "unit", "bucket")}
_SAME = (accounts.c.account == _IS["account"], accounts.c.unit == _IS["unit"], accounts.c.bucket == _IS["bucket"])
_ADD = ledger.insert()
_MOVE = (
    update(accounts)
    .where(*_SAME)
    .values(balance=accounts.c.balance + bindparam("amount"), granted=accounts.c.granted + bindparam("grant"))
)
_LOCKED = (
    select(accounts.c.bucket, accounts.c.balance, accounts.c.granted)
    .where(
        *_SAME[:2],
        # Says nothing new, but keeps the years of days that are over out of the search.
        accounts.c.bucket.between(bindparam("lowest"), bindparam("highest")),
        or_(
            accounts.c.bucket.in_(bindparam("buckets", expanding=True)),
            # What is spent needs no lock: nothing but a refund or a grant can happen to it.
            and_(accounts.c.bucket >= EXTRA, accounts.c.bucket < _AFTER_EXTRA, accounts.c.balance > 0),
        ),
    )
    .order_by(accounts.c.bucket)
    .with_for_update()
)
_OF_JOB = select(ledger).where(ledger.c.job_id == bindparam("job")).order_by(ledger.c.id)
_ALLOWANCES = (
    select(allowances)
    .where(
        allowances.c.subject.in_([bindparam(f"subject_{n}") for n in range(SUBJECTS)]),
        allowances.c.unit == bindparam("unit"),
    )
    .order_by(allowances.c.period)
)


@cache
def _open(dialect: str) -> Any:
    return insert_on(dialect, accounts).on_conflict_do_nothing(index_elements=["account", "unit", "bucket"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What an entry changes: whose units, which unit, of which period."""

    subject: str  # user:12 | group:feishu:oc_1 | dept:设计部
    unit: Unit
    bucket: str  # day:2026-11-21 | extra | extra:2026-12-31


@dataclass(frozen=True, kw_only=True, slots=True)
class Balance:
    """What a bucket holds."""

    left: int
    granted: int  # all its grants together: what the period was opened with


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a job took from each period of its person's allowance."""

    job_id: int
    unit: Unit
    amount: int
    at: datetime  # when it was ordered


def add(
    conn: Connection,
    account: Account,
    kind: EntryKind,
    amount: int,
    *,
    actor: str,
    now: datetime,
    job_id: int | None = None,
    note: str = "",
) -> None:
    """Append an entry and move the balance with it."""
    entry = {"account": account.subject, "unit": account.unit, "bucket": account.bucket, "kind": kind, "amount": amount}
    conn.execute(_ADD, {**entry, "job_id": job_id, "actor": actor, "note": note, "created_at": now})
    if amount:
        conn.execute(_MOVE, {**_is(account), "amount": amount, "grant": amount if kind is EntryKind.GRANT else 0})


def open_account(conn: Connection, account: Account) -> None:
    """Make sure the account exists."""
    row = {"account": account.subject, "unit": account.unit, "bucket": account.bucket, "balance": 0, "granted": 0}
    conn.execute(_open(conn.dialect.name), row)


def open_accounts(conn: Connection, subject: str, unit: Unit, periods: Sequence[str]) -> dict[str, Balance]:
    """The balances of these period buckets, made if missing, and of all that granted units are left in, by bucket.

    All are locked until the end of the transaction: two people spending somebody's last unit at the same instant
    meet here, one after the other.
    """
    found = _locked(conn, subject, unit, periods)
    missing = sorted(set(periods) - set(found))
    if missing:  # a new period
        for bucket in missing:
            open_account(conn, Account(subject=subject, unit=unit, bucket=bucket))
        found = _locked(conn, subject, unit, periods)
    return found


def _locked(conn: Connection, subject: str, unit: Unit, periods: Sequence[str]) -> dict[str, Balance]:
    ends = {"lowest": min((EXTRA, *periods)), "highest": max((_AFTER_EXTRA, *periods))}
    rows = conn.execute(_LOCKED, {"of_account": subject, "of_unit": unit, "buckets": list(periods), **ends})
    return {row.bucket: Balance(left=row.balance, granted=row.granted) for row in rows}


def open_holds(conn: Connection, job_id: int) -> list[LedgerEntry]:
    """The job's holds that are neither settled nor refunded yet, in the order they were taken."""
    entries = of_job(conn, job_id)
    closed = {(e.account, e.bucket) for e in entries if e.kind in (EntryKind.SETTLE, EntryKind.REFUND)}
    return [e for e in entries if e.kind is EntryKind.HOLD and (e.account, e.bucket) not in closed]


def of_job(conn: Connection, job_id: int) -> list[LedgerEntry]:
    """All entries of a job, oldest first."""
    rows = conn.execute(_OF_JOB, {"job": job_id})
    return [_entry(row) for row in rows]


def from_periods(conn: Connection, user_id: int, since: datetime) -> list[Price]:
    """What the jobs that somebody ordered since then took from periods of an allowance; what was free is left out."""
    spent = func.sum(ledger.c.amount)
    statement = (
        select(jobs.c.id, jobs.c.created_at, ledger.c.unit, spent.label("spent"))
        .join(ledger, ledger.c.job_id == jobs.c.id)
        .where(jobs.c.user_id == user_id, jobs.c.created_at >= since)
        .where(ledger.c.kind != EntryKind.JOIN, ledger.c.account.like(f"{Payer.USER}:%"))
        .where(ledger.c.bucket.not_like(f"{EXTRA}%"))
        .group_by(jobs.c.id, jobs.c.created_at, ledger.c.unit, ledger.c.bucket)
        .having(spent < 0)
        .order_by(jobs.c.id)
    )
    # Every period takes the same of a job: one of them tells it.
    found = {
        row.id: Price(job_id=row.id, unit=Unit(row.unit), amount=-row.spent, at=row.created_at)
        for row in conn.execute(statement)
    }
    return list(found.values())


def granted(conn: Connection, subject: str) -> list[tuple[Account, int]]:
    """The granted units an account has left."""
    statement = select(accounts).where(
        accounts.c.account == subject, accounts.c.bucket.like(f"{EXTRA}%"), accounts.c.balance > 0
    )
    return [
        (Account(subject=row.account, unit=Unit(row.unit), bucket=row.bucket), row.balance)
        for row in conn.execute(statement)
    ]


def allowances_of(conn: Connection, subjects: Iterable[str], unit: Unit) -> dict[str, tuple[Allowance, ...]]:
    """What admins set for these subjects, at most SUBJECTS of them; who is missing has the policy's."""
    wanted = list(subjects)
    if len(wanted) > SUBJECTS:
        raise ValueError(f"{len(wanted)} subjects: at most {SUBJECTS} at once")
    names = {f"subject_{n}": wanted[n] if n < len(wanted) else "" for n in range(SUBJECTS)}
    found: dict[str, tuple[Allowance, ...]] = {}
    for row in conn.execute(_ALLOWANCES, {**names, "unit": unit}):
        found[row.subject] = (*found.get(row.subject, ()), Allowance(amount=row.amount, period=row.period))
    return found


def set_allowance(conn: Connection, subject: str, unit: Unit, value: Allowance) -> None:
    """Set what a subject may spend in each such period; its other periods stay as they are."""
    conn.execute(
        insert(conn, allowances)
        .values(subject=subject, unit=unit, amount=value.amount, period=value.period)
        .on_conflict_do_update(index_elements=["subject", "unit", "period"], set_={"amount": value.amount})
    )


def clear_allowances(conn: Connection, subject: str, unit: Unit, period: str = "") -> int:
    """Take back what was set for a subject, of one period or of all; returns how many there were."""
    statement = delete(allowances).where(allowances.c.subject == subject, allowances.c.unit == unit)
    if period:
        statement = statement.where(allowances.c.period == period)
    return conn.execute(statement).rowcount


def _is(account: Account) -> dict[str, Any]:
    return {"of_account": account.subject, "of_unit": account.unit, "of_bucket": account.bucket}


def _entry(row: Row[Any]) -> LedgerEntry:
    data = dict(row._mapping)
    return LedgerEntry(**{**data, "unit": Unit(data["unit"]), "kind": EntryKind(data["kind"])})
