"""The invariants, checked on the database at rest or live. Each returns what breaks it, in words; empty = it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, Text, and_, cast, exists, func, not_, or_, select

from scheduler import due
from scheduler.calendar import BadCalendar, from_json, occurrence_key
from storage import audit
from storage.files import Files
from storage.records import DeliveryState, EntryKind, Fate, JobState, ReservationState
from storage.tables import accounts, assets, inbox, jobs, ledger, occurrences, outbox, reservations

#: An event or file younger than this may still be on its way; only older ones can break an invariant.
GRACE = timedelta(minutes=2)

_ENDED = [state.value for state in JobState if state.terminal]
_SHOW = 20  # how many breaches of one kind are listed


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One invariant and what breaks it."""

    invariant: str
    broken: list[str]

    @property
    def ok(self) -> bool:
        return not self.broken


def verify(conn: Connection, files: Files, now: datetime) -> list[Check]:
    """All six invariants of the contract."""
    checks: list[tuple[str, Callable[[], list[str]]]] = [
        ("every accepted event is handled, or waits no longer than its turn", lambda: _events(conn, now)),
        ("every ended job has one outcome, delivered once or with a reason why not", lambda: _outcomes(conn)),
        ("balances are the sums of the ledger; every hold is closed once", lambda: _ledger(conn)),
        ("every reservation fired once for each due time", lambda: _reservations(conn, now)),
        ("every asset has its file, and every file its asset", lambda: _assets(conn, files, now)),
        ("the audit chain is unbroken", lambda: audit.verify(conn)),
    ]
    return [Check(invariant=name, broken=check()[:_SHOW]) for name, check in checks]


def _events(conn: Connection, now: datetime) -> list[str]:
    stuck = select(inbox.c.id, inbox.c.platform, inbox.c.key).where(
        inbox.c.handled_at.is_(None), inbox.c.received_at < now - GRACE
    )
    lost = (
        select(inbox.c.id, inbox.c.platform, inbox.c.key)
        .where(inbox.c.outcome.like("job:%"))
        .where(not_(exists().where(jobs.c.key == inbox.c.platform + ":" + inbox.c.key)))
    )
    return [f"event {row.id} ({row.platform} {row.key}) is not handled" for row in conn.execute(stuck)] + [
        f"event {row.id} ({row.platform} {row.key}) names a job that does not exist" for row in conn.execute(lost)
    ]


def _outcomes(conn: Connection) -> list[str]:
    silent = select(jobs.c.id, jobs.c.state).where(
        jobs.c.state.in_(_ENDED), not_(exists().where(outbox.c.job_id == jobs.c.id, outbox.c.slot == "outcome"))
    )
    early = (
        select(jobs.c.id, jobs.c.state)
        .where(jobs.c.state.not_in(_ENDED))
        .where(exists().where(outbox.c.job_id == jobs.c.id, outbox.c.slot == "outcome"))
    )
    mute = select(outbox.c.key).where(
        or_(
            and_(outbox.c.state.in_([DeliveryState.FAILED, DeliveryState.SKIPPED]), outbox.c.reason == ""),
            and_(outbox.c.state == DeliveryState.SENT, outbox.c.sent_at.is_(None)),
        )
    )
    empty = select(jobs.c.id).where(jobs.c.state == JobState.DONE, jobs.c.result.is_(None))
    return (
        [f"job {row.id} is {row.state} but nobody is told" for row in conn.execute(silent)]
        + [f"job {row.id} is {row.state} but its outcome is in the outbox" for row in conn.execute(early)]
        + [f"message {row.key} was not sent and has no reason" for row in conn.execute(mute)]
        + [f"job {row.id} is done without a result" for row in conn.execute(empty)]
    )


def _ledger(conn: Connection) -> list[str]:
    return _balances(conn) + _holds(conn) + _free(conn)


def _balances(conn: Connection) -> list[str]:
    summed = (
        select(ledger.c.account, ledger.c.unit, ledger.c.bucket, func.sum(ledger.c.amount).label("total"))
        .group_by(ledger.c.account, ledger.c.unit, ledger.c.bucket)
        .subquery()
    )
    same = and_(
        accounts.c.account == summed.c.account,
        accounts.c.unit == summed.c.unit,
        accounts.c.bucket == summed.c.bucket,
    )
    statement = (
        select(accounts, func.coalesce(summed.c.total, 0).label("total"))
        .outerjoin(summed, same)
        .where(accounts.c.balance != func.coalesce(summed.c.total, 0))
    )
    orphaned = select(summed).outerjoin(accounts, same).where(accounts.c.account.is_(None))
    return [
        f"{row.account} {row.unit} {row.bucket}: balance {row.balance}, ledger {row.total}"
        for row in conn.execute(statement)
    ] + [f"{row.account} {row.unit} {row.bucket}: entries without an account" for row in conn.execute(orphaned)]


def _closings(kind: EntryKind) -> object:
    return func.count().filter(ledger.c.kind == kind)


def _holds(conn: Connection) -> list[str]:
    """Per job and bucket: one hold; closed once when the job has ended, not before."""
    settles, refunds = _closings(EntryKind.SETTLE), _closings(EntryKind.REFUND)
    statement = (
        select(
            ledger.c.job_id,
            ledger.c.bucket,
            jobs.c.state,
            _closings(EntryKind.HOLD).label("holds"),  # type: ignore[attr-defined]
            settles.label("settles"),  # type: ignore[attr-defined]
            refunds.label("refunds"),  # type: ignore[attr-defined]
        )
        .join(jobs, jobs.c.id == ledger.c.job_id)
        .group_by(ledger.c.job_id, ledger.c.bucket, jobs.c.state)
    )
    broken = []
    for row in conn.execute(statement):
        wanted = {"done": (1, 1, 0), "failed": (1, 0, 1), "cancelled": (1, 0, 1)}.get(row.state, (1, 0, 0))
        if (row.holds, row.settles, row.refunds) != wanted:
            found = f"{row.holds} holds, {row.settles} settled, {row.refunds} refunded"
            broken.append(f"job {row.job_id} ({row.state}) {row.bucket}: {found}")
    bare = select(jobs.c.id).where(not_(exists().where(ledger.c.job_id == jobs.c.id)))
    return broken + [f"job {row.id} has no hold" for row in conn.execute(bare)]


def _free(conn: Connection) -> list[str]:
    """What failed, was cancelled or could never be delivered costs nothing; what was done costs its price."""
    total = func.sum(ledger.c.amount)
    undelivered = exists().where(
        outbox.c.job_id == jobs.c.id, outbox.c.slot == "outcome", outbox.c.state == DeliveryState.FAILED
    )
    statement = (
        select(jobs.c.id, jobs.c.state, jobs.c.cost, total.label("total"), undelivered.label("undelivered"))
        .join(ledger, ledger.c.job_id == jobs.c.id)
        .where(jobs.c.state.in_(_ENDED))
        .group_by(jobs.c.id, jobs.c.state, jobs.c.cost)
    )
    broken = []
    for row in conn.execute(statement):
        owed = -row.cost if row.state == JobState.DONE and not row.undelivered else 0
        if row.total != owed:
            broken.append(f"job {row.id} ({row.state}) was charged {-row.total}, should be {-owed}")
    return broken


def _reservations(conn: Connection, now: datetime) -> list[str]:
    return _overdue(conn, now) + _fates(conn) + _gaps(conn, now)


def _overdue(conn: Connection, now: datetime) -> list[str]:
    """Active ones whose time has come and gone; over the grace they should have fired, or been refused."""
    late = select(reservations.c.id, reservations.c.next_at).where(
        reservations.c.state == ReservationState.ACTIVE,
        or_(reservations.c.next_at.is_(None), reservations.c.next_at < now - GRACE),
    )
    silent = select(reservations.c.id, reservations.c.state).where(
        or_(
            and_(
                reservations.c.state == ReservationState.ENDED,
                not_(exists().where(occurrences.c.reservation_id == reservations.c.id)),
            ),
            and_(reservations.c.state.in_(["ended", "cancelled"]), reservations.c.reason == ""),
        )
    )
    return [f"reservation {row.id} was due at {row.next_at} and has not fired" for row in conn.execute(late)] + [
        f"reservation {row.id} is {row.state} without a due time or a reason" for row in conn.execute(silent)
    ]


def _fates(conn: Connection) -> list[str]:
    """What fired has its job and no other, what did not has its reason."""
    key = "res:" + cast(occurrences.c.reservation_id, Text) + ":" + occurrences.c.key
    wrong = (
        select(occurrences.c.reservation_id, occurrences.c.key, occurrences.c.fate)
        .outerjoin(jobs, jobs.c.id == occurrences.c.job_id)
        .where(
            or_(
                and_(occurrences.c.fate == Fate.FIRED, or_(jobs.c.id.is_(None), jobs.c.key != key)),
                and_(occurrences.c.fate != Fate.FIRED, or_(occurrences.c.reason == "", jobs.c.id.is_not(None))),
            )
        )
    )
    stray = select(jobs.c.id, jobs.c.key).where(
        jobs.c.key.like("res:%"), not_(exists().where(occurrences.c.job_id == jobs.c.id))
    )
    return [
        f"reservation {row.reservation_id} at {row.key}: {row.fate}, with a job or reason that does not fit"
        for row in conn.execute(wrong)
    ] + [f"job {row.id} ({row.key}) belongs to no due time of its reservation" for row in conn.execute(stray)]


def _gaps(conn: Connection, now: datetime) -> list[str]:
    """Every due time between the confirmation and the next one has its occurrence; the last thirty days of them."""
    active = select(reservations).where(
        reservations.c.state.in_(["active", "ended"]), reservations.c.since.is_not(None)
    )
    broken = []
    for row in conn.execute(active):
        after = max(row.since, now - due.HORIZON)
        known = select(occurrences.c.key).where(
            occurrences.c.reservation_id == row.id, occurrences.c.due_at > after - timedelta(days=1)
        )
        keys = set(conn.execute(known).scalars())
        try:
            zone, rule = ZoneInfo(row.zone), from_json(row.rule)
        except (BadCalendar, ZoneInfoNotFoundError) as error:
            broken.append(f"reservation {row.id} cannot be read: {error}")
            continue
        end = (row.next_at or now) if row.state == ReservationState.ACTIVE else now
        missing = [
            key
            for moment in due.until(rule, after, zone, min(end, now))
            if moment < end and (key := occurrence_key(rule, moment, zone)) not in keys
        ]
        broken += [f"reservation {row.id}: nothing is known of what was due at {key}" for key in missing[:3]]
    return broken


def _assets(conn: Connection, files: Files, now: datetime) -> list[str]:
    rows = {row.sha256: row.created_at for row in conn.execute(select(assets.c.sha256, assets.c.created_at))}
    broken = [f"asset {sha}: {problem}" for sha in rows if (problem := files.check(sha))]
    young = now - GRACE
    for sha, written in files.iterate():
        if sha not in rows and written < young:
            broken.append(f"file {sha} belongs to no asset")
    return broken
