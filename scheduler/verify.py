"""The invariants, checked on the database at rest or live. Each returns what breaks it, in words; empty = it holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, Text, and_, cast, exists, func, literal, not_, or_, select
from sqlalchemy.sql.elements import FunctionFilter

from scheduler import due
from scheduler.calendar import BadCalendar, from_json, occurrence_key
from scheduler.queue import REJECTED, REJECTED_AGAIN
from storage import audit, line
from storage.files import Files
from storage.ledger import EXTRA
from storage.outbox import REPLACED
from storage.records import DeliveryState, EntryKind, Fate, JobState, Payer, ReservationState, ReviewState
from storage.tables import (
    accounts,
    assets,
    inbox,
    jobs,
    ledger,
    occurrences,
    outbox,
    reservations,
    reviews,
    sources,
    users,
)

#: An event or file younger than this may still be on its way; only older ones can break an invariant.
GRACE = timedelta(minutes=2)

_UNDELIVERED = exists().where(
    outbox.c.job_id == jobs.c.id,
    outbox.c.slot == "outcome",
    or_(outbox.c.state == DeliveryState.FAILED, REPLACED),
)
_ENDED = [state.value for state in JobState if state.terminal]
#: A rejection that was wrong is made good for nothing: the price stays refunded.
_MADE_GOOD = exists().where(
    reviews.c.job_id == jobs.c.id, reviews.c.appeal_of.is_not(None), reviews.c.state == ReviewState.APPROVED
)
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
        (
            "every accepted event is handled, or waits no longer than its turn",
            lambda: _turns(conn, now),
        ),
        ("every ended job has one outcome, delivered once or with a reason why not", lambda: _outcomes(conn)),
        ("balances are the sums of the ledger; every hold is closed once", lambda: _ledger(conn)),
        ("every reservation fired once for each due time", lambda: _reservations(conn, now)),
        ("every asset has its file, and every file its asset", lambda: _assets(conn, files, now)),
        ("the audit chain is unbroken", lambda: audit.verify(conn)),
    ]
    return [Check(invariant=name, broken=check()[:_SHOW]) for name, check in checks]


def _turns(conn: Connection, now: datetime) -> list[str]:
    """What nobody has handled, and what is counted wrong of those that wait: they could be refused or passed over."""
    return _events(conn, now) + line.wrong(conn)


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
        _held(conn)
        + [f"job {row.id} is {row.state} but nobody is told" for row in conn.execute(silent)]
        + [f"job {row.id} is {row.state} but its outcome is in the outbox" for row in conn.execute(early)]
        + [f"message {row.key} was not sent and has no reason" for row in conn.execute(mute)]
        + [f"job {row.id} is done without a result" for row in conn.execute(empty)]
    )


def _held(conn: Connection) -> list[str]:
    """A held job has one open review, an open review a held job or the appeal of a rejected one.

    What was decided is what became of the job, and a decision says who made it.
    """
    of_job = reviews.alias()
    last = select(func.max(of_job.c.id)).where(of_job.c.job_id == jobs.c.id).scalar_subquery()
    pairs = select(
        jobs.c.id, jobs.c.state, jobs.c.error, reviews.c.state.label("review"), reviews.c.appeal_of
    ).select_from(jobs.outerjoin(reviews, reviews.c.id == last))
    found = conn.execute(pairs.where(or_(jobs.c.state == JobState.REVIEW, reviews.c.id.is_not(None))))
    broken = [
        f"job {row.id} is {row.state}, but its review is {row.review or 'missing'}"
        for row in found
        if not _fits(row.state, row.error, row.review, row.appeal_of is not None)
    ]
    ended = reviews.c.state != ReviewState.PENDING
    decided = reviews.c.state.in_([ReviewState.APPROVED, ReviewState.REJECTED])
    wrong = select(reviews.c.id, reviews.c.state).where(
        or_(
            ended != reviews.c.decided_at.is_not(None),
            decided != reviews.c.reviewer_id.is_not(None),
            and_(reviews.c.state == ReviewState.REJECTED, reviews.c.reason == ""),
        )
    )
    return broken + [
        f"review {row.id} is {row.state}, without whoever or whatever made it so" for row in conn.execute(wrong)
    ]


def _fits(state: str, error: str | None, review: str | None, appealed: bool) -> bool:
    """Whether a job's state is what its last review makes of it."""
    match review, appealed:
        case ReviewState.PENDING, False:
            return state == JobState.REVIEW
        case ReviewState.PENDING, True:
            return state == JobState.FAILED and error == REJECTED
        case ReviewState.APPROVED, _:
            return state == JobState.DONE
        case ReviewState.REJECTED, _:
            return state == JobState.FAILED and error == (REJECTED_AGAIN if appealed else REJECTED)
        case ReviewState.WITHDRAWN, False:
            return state == JobState.CANCELLED
    return False


def _ledger(conn: Connection) -> list[str]:
    return _balances(conn) + _holds(conn) + _free(conn)


def _balances(conn: Connection) -> list[str]:
    """What an account has, and was granted, is what its entries add up to; granted units are never overspent."""
    key = (ledger.c.account, ledger.c.unit, ledger.c.bucket)
    granted = func.coalesce(func.sum(ledger.c.amount).filter(ledger.c.kind == EntryKind.GRANT), 0)
    summed = select(*key, func.sum(ledger.c.amount).label("total"), granted.label("grants")).group_by(*key).subquery()
    same = and_(
        accounts.c.account == summed.c.account,
        accounts.c.unit == summed.c.unit,
        accounts.c.bucket == summed.c.bucket,
    )
    total, grants = func.coalesce(summed.c.total, 0), func.coalesce(summed.c.grants, 0)
    overspent = and_(accounts.c.bucket.like(f"{EXTRA}%"), accounts.c.balance < 0)
    statement = (
        select(accounts, total.label("total"), grants.label("grants"))
        .outerjoin(summed, same)
        .where(or_(accounts.c.balance != total, accounts.c.granted != grants, overspent))
    )
    orphaned = select(summed).outerjoin(accounts, same).where(accounts.c.account.is_(None))
    return [
        f"{row.account} {row.unit} {row.bucket}: "
        f"balance {row.balance} of {row.granted}, ledger {row.total} of {row.grants}"
        for row in conn.execute(statement)
    ] + [f"{row.account} {row.unit} {row.bucket}: entries without an account" for row in conn.execute(orphaned)]


def _closings(kind: EntryKind) -> FunctionFilter[int]:
    return func.count().filter(ledger.c.kind == kind)


def _holds(conn: Connection) -> list[str]:
    """Per job, account and bucket: one hold; closed once when the job has ended, not before. Its person always pays.

    A finished job may also have taken granted units at its end that it had not held.
    """
    more = and_(ledger.c.kind == EntryKind.SETTLE, ledger.c.amount < 0, ledger.c.bucket.like(f"{EXTRA}%"))
    statement = (
        select(
            ledger.c.job_id,
            ledger.c.account,
            ledger.c.bucket,
            jobs.c.state,
            _closings(EntryKind.HOLD).label("holds"),
            _closings(EntryKind.SETTLE).label("settles"),
            _closings(EntryKind.REFUND).label("refunds"),
            func.count().filter(more).label("more"),
            _MADE_GOOD.label("made_good"),
        )
        .join(jobs, jobs.c.id == ledger.c.job_id)
        .where(ledger.c.kind != EntryKind.JOIN)
        .group_by(ledger.c.job_id, ledger.c.account, ledger.c.bucket, jobs.c.state, jobs.c.id)
    )
    broken = []
    for row in conn.execute(statement):
        wanted = {"done": (1, 1, 0), "failed": (1, 0, 1), "cancelled": (1, 0, 1)}.get(row.state, (1, 0, 0))
        wanted = (1, 0, 1) if row.made_good else wanted
        found = (row.holds, row.settles, row.refunds)
        if found != wanted and not (row.state == JobState.DONE and found == (0, 1, 0) and row.more == 1):
            what = f"{row.holds} holds, {row.settles} settled, {row.refunds} refunded"
            broken.append(f"job {row.job_id} ({row.state}) {row.account} {row.bucket}: {what}")
    hold = and_(ledger.c.job_id == jobs.c.id, ledger.c.kind == EntryKind.HOLD)
    paid = exists().where(hold, ledger.c.account == literal(f"{Payer.USER}:") + cast(jobs.c.user_id, Text))
    # Who turned out to be somebody else leaves their jobs to them; the ledger stays as it was written.
    former = literal(f"{Payer.USER}:") + cast(users.c.id, Text)
    before = exists().where(hold, users.c.joined_to == jobs.c.user_id, ledger.c.account == former)
    unpaid = select(jobs.c.id).where(~paid, ~before)
    return broken + [f"job {row.id} has no hold of its person" for row in conn.execute(unpaid)]


def _free(conn: Connection) -> list[str]:
    """What failed, was cancelled or could never be delivered costs nobody anything; what was done costs each its price.

    An account pays the same in every period that it is limited in, and the rest from granted units.
    """
    by_bucket = (
        select(ledger.c.job_id, ledger.c.account, ledger.c.bucket, func.sum(ledger.c.amount).label("total"))
        .where(ledger.c.job_id.is_not(None), ledger.c.kind != EntryKind.JOIN)
        .group_by(ledger.c.job_id, ledger.c.account, ledger.c.bucket)
        .subquery()
    )
    period = by_bucket.c.bucket.not_like(f"{EXTRA}%")
    granted = func.sum(by_bucket.c.total).filter(not_(period))
    statement = (
        select(
            jobs.c.id,
            jobs.c.state,
            jobs.c.cost,
            by_bucket.c.account,
            func.coalesce(func.min(by_bucket.c.total).filter(period), 0).label("low"),
            func.coalesce(func.max(by_bucket.c.total).filter(period), 0).label("high"),
            func.coalesce(granted, 0).label("granted"),
            func.max(func.abs(by_bucket.c.total)).label("most"),
            _UNDELIVERED.label("undelivered"),
        )
        .join(by_bucket, by_bucket.c.job_id == jobs.c.id)
        .where(jobs.c.state.in_(_ENDED))
        .group_by(jobs.c.id, jobs.c.state, jobs.c.cost, by_bucket.c.account)
    )
    broken = []
    for row in conn.execute(statement):
        owed = -row.cost if row.state == JobState.DONE and not row.undelivered else 0
        paid = row.low + row.granted
        if row.low != row.high or paid != owed or (not owed and row.most):
            charged = f"{-paid}" if row.low == row.high else f"{-row.high} to {-row.low} in its periods"
            broken.append(f"job {row.id} ({row.state}) charged {row.account} {charged}, should be {-owed}")
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
    needed = {
        sha: kind
        for kind, table in (("source", sources), ("asset", assets))
        for sha in conn.execute(select(table.c.sha256).distinct()).scalars()
    }
    broken = [f"{kind} {sha}: {problem}" for sha, kind in needed.items() if (problem := files.check(sha))]
    young = now - GRACE
    for sha, written in files.iterate():
        if sha not in needed and written < young:
            broken.append(f"file {sha} belongs to no asset and no source")
    return broken
