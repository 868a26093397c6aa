"""Two people who turned out to be one: what the one has goes over to the other, and no quota is doubled.

It happens where a platform calls somebody differently in different parts and could not be asked which ids are the same
(WeCom's robot, while its app's API is down): they are served under the id at hand rather than refused, and joined when
the platform tells. Who leaves is `former`, who stays is `person`. In one transaction, which may be repeated:

- **Identities** of the former mean the person from then on; the former is nobody's any more, is not found by name and
  no admin, but its row stays: the ledger and the audit log speak of it.
- **Role, ban, department**: the higher role of both; shut out if either was, for the longer time; an admin's word on
  the department goes along where the person has none.
- **Jobs**, done, waiting and running, **reservations**, tokens, web messages, votes and readers' rights are the
  person's. Jobs keep their places in the line; behind them comes whatever either of the two would have had to wait for.
- **Units**: the ledger is append-only, so holds stay on the former's account and are settled or given back there. What
  each job of the running day, week and month took is counted to the person's account of the same period as well (an
  entry of the kind `join`, one per job and period, whichever of these periods limits the person), and counted back if
  the job costs nothing in the end. So the person has left what one person would have left who ordered both. Granted
  units that the former has not spent move over; an allowance of the former's own does where the person has none.
  Groups and departments have paid at the order and pay nothing more.
- **Not moved**: what an answer takes beyond its hold while it is being joined stays with the former's account; a
  conversation begins anew, because it belongs to a chat and an id.

An order that was on its way while this happened is found by `settle` a moment later and follows.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from sqlalchemy import Connection

from scheduler import policy as rules
from scheduler import quota
from scheduler.standing import PERIODS
from storage import audit, joining, ledger, links, users
from storage.dialect import serialise
from storage.ledger import Account
from storage.records import EntryKind, Identity, Kind

#: Nothing older lies in a running day, week or month.
_LONGEST = timedelta(days=32)

#: How the audit log calls who does this.
ACTOR = "scheduler"


def pending(conn: Connection) -> bool:
    """Whether `settle` has something to do."""
    return bool(links.apart(conn) or joining.unfinished(conn))


def settle(conn: Connection, zone: tzinfo, now: datetime) -> list[int]:
    """Join whoever is known to be one by now; returns those who left."""
    left = []
    for served, real in links.apart(conn):
        pair = _pair(conn, served, real)
        if pair is not None and join(conn, *pair, zone, now):
            left.append(pair[0])
    for former, person in joining.unfinished(conn):
        join(conn, former, person, zone, now)
        left.append(former)
    return left


def _pair(conn: Connection, served: Identity, real: Identity) -> tuple[int, int] | None:
    """Who leaves and who stays; None when they are one already, if only since this moment."""
    former, person = users.of_identity(conn, served), users.of_identity(conn, real)
    if former is not None and person is None:
        users.also(conn, former.id, real)
        return None
    return None if former is None or person is None or former.id == person.id else (former.id, person.id)


def join(conn: Connection, former: int, person: int, zone: tzinfo, now: datetime) -> bool:
    """Make two people one; False when they are that already and nothing was left that anybody would miss."""
    for kind in Kind:
        serialise(conn, f"lane:{kind}")
    pair = joining.lock(conn, former, person)
    if pair is None:
        return False
    former, person = pair
    identities = joining.mark(conn, former, person)
    charged = _count(conn, former, person, zone, now)
    jobs = joining.hand_over(conn, former, person)
    granted = _bring(conn, former, person, now)
    if not identities and not jobs and not granted:
        return False
    detail = {
        "former": former,
        "identities": [str(one) for one in identities],
        "jobs": jobs,
        "charged": charged,
        "granted": granted,
    }
    audit.append(conn, ACTOR, "user.join", quota.subject(person), detail, now)
    return True


def _count(conn: Connection, former: int, person: int, zone: tzinfo, now: datetime) -> dict[str, int]:
    """Count to the person what the former's jobs took of the periods that still run; returns that by unit and period.

    Every period is counted, for an allowance of another period may limit the person, or come to do so.
    """
    running = {period: rules.bucket(period, now, zone) for period in PERIODS}
    charged: dict[str, int] = {}
    for price in ledger.from_periods(conn, former, now - _LONGEST):
        for period, bucket in running.items():
            if rules.bucket(period, price.at, zone) != bucket:
                continue
            account = Account(subject=quota.subject(person), unit=price.unit, bucket=bucket)
            ledger.open_account(conn, account)
            note = f"ordered as {quota.subject(former)}"
            ledger.add(
                conn, account, EntryKind.JOIN, -price.amount, actor=ACTOR, now=now, job_id=price.job_id, note=note
            )
            name = f"{price.unit}/{period}"
            charged[name] = charged.get(name, 0) + price.amount
    return charged


def _bring(conn: Connection, former: int, person: int, now: datetime) -> dict[str, int]:
    """Move granted units that are not spent; returns how many, by unit."""
    brought: dict[str, int] = {}
    for account, left in ledger.granted(conn, quota.subject(former)):
        to = Account(subject=quota.subject(person), unit=account.unit, bucket=account.bucket)
        ledger.open_account(conn, to)
        ledger.add(conn, account, EntryKind.JOIN, -left, actor=ACTOR, now=now, note=f"to {to.subject}")
        ledger.add(conn, to, EntryKind.JOIN, left, actor=ACTOR, now=now, note=f"from {account.subject}")
        brought[account.unit.value] = brought.get(account.unit.value, 0) + left
    return brought
