"""The ledger of units: append-only entries, a running balance per account, and the allowances they come from.

Every change of a balance is an entry; `add` writes both in one place, so balance = sum of entries holds by
construction and `moqi verify` can still find out when it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from storage.dialect import insert, insert_on
from storage.records import Allowance, EntryKind, LedgerEntry, Unit
from storage.tables import accounts, allowances, ledger

# Built once: every order passes here several times, and building a statement takes longer than running it.
_IS: dict[str, Any] = {name: bindparam(f"of_{name}") for name in ("account", "unit", "bucket")}
_SAME = (accounts.c.account == _IS["account"], accounts.c.unit == _IS["unit"], accounts.c.bucket == _IS["bucket"])
_ADD = ledger.insert()
_MOVE = update(accounts).where(*_SAME).values(balance=accounts.c.balance + bindparam("amount"))
_BALANCE = select(accounts.c.balance).where(*_SAME)
_LOCKED = _BALANCE.with_for_update()
_GRANTED = select(func.coalesce(func.sum(ledger.c.amount), 0)).where(
    ledger.c.account == _IS["account"],
    ledger.c.unit == _IS["unit"],
    ledger.c.bucket == _IS["bucket"],
    ledger.c.kind == EntryKind.GRANT,
)
_OF_JOB = select(ledger).where(ledger.c.job_id == bindparam("job")).order_by(ledger.c.id)
_ALLOWANCE = select(allowances).where(
    allowances.c.subject == bindparam("subject"), allowances.c.unit == bindparam("unit")
)


@cache
def _open(dialect: str) -> Any:
    return insert_on(dialect, accounts).on_conflict_do_nothing(index_elements=["account", "unit", "bucket"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What an entry changes: whose units, which unit, of which period."""

    subject: str  # user:12
    unit: Unit
    bucket: str  # day:2026-11-21 | extra


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
    conn.execute(_MOVE, {**_is(account), "amount": amount})


def open_account(conn: Connection, account: Account) -> int:
    """Make sure the account exists, lock it until the end of the transaction, and return its balance.

    Two people spending somebody's last unit at the same instant meet here, one after the other.
    """
    row = {"account": account.subject, "unit": account.unit, "bucket": account.bucket, "balance": 0}
    conn.execute(_open(conn.dialect.name), row)
    return int(conn.execute(_LOCKED, _is(account)).scalar_one())


def balance(conn: Connection, account: Account) -> int:
    """The balance of an account, 0 when nothing ever happened to it."""
    return int(conn.execute(_BALANCE, _is(account)).scalar_one_or_none() or 0)


def granted(conn: Connection, account: Account) -> int:
    """The sum of an account's grants: what the period was opened with."""
    return int(conn.execute(_GRANTED, _is(account)).scalar_one())


def open_holds(conn: Connection, job_id: int) -> list[LedgerEntry]:
    """The job's holds that are neither settled nor refunded yet."""
    entries = of_job(conn, job_id)
    closed = {e.bucket for e in entries if e.kind in (EntryKind.SETTLE, EntryKind.REFUND)}
    return [e for e in entries if e.kind is EntryKind.HOLD and e.bucket not in closed]


def of_job(conn: Connection, job_id: int) -> list[LedgerEntry]:
    """All entries of a job, oldest first."""
    rows = conn.execute(_OF_JOB, {"job": job_id})
    return [_entry(row) for row in rows]


def allowance(conn: Connection, subject: str, unit: Unit) -> Allowance | None:
    """What was set for this subject by an admin; None = the default of the policy."""
    row = conn.execute(_ALLOWANCE, {"subject": subject, "unit": unit}).one_or_none()
    return None if row is None else Allowance(amount=row.amount, period=row.period)


def set_allowance(conn: Connection, subject: str, unit: Unit, value: Allowance) -> None:
    """Set a subject's own allowance."""
    conn.execute(
        insert(conn, allowances)
        .values(subject=subject, unit=unit, amount=value.amount, period=value.period)
        .on_conflict_do_update(
            index_elements=["subject", "unit"], set_={"amount": value.amount, "period": value.period}
        )
    )


def _is(account: Account) -> dict[str, Any]:
    return {"of_account": account.subject, "of_unit": account.unit, "of_bucket": account.bucket}


def _entry(row: Row[Any]) -> LedgerEntry:
    data = dict(row._mapping)
    return LedgerEntry(**{**data, "unit": Unit(data["unit"]), "kind": EntryKind(data["kind"])})
