"""What hangs on a person, handed over to whom they turned out to be: rows only, no unit is counted here.

Everything is safe to repeat: it moves what there still is. Why and in which order: scheduler/joining.py.
"""

from __future__ import annotations

from sqlalchemy import Connection, Text, cast, delete, exists, literal, or_, select, update

from storage import attendance, line
from storage.dialect import insert
from storage.ledger import EXTRA
from storage.records import Identity, Payer, Role
from storage.tables import (
    accounts,
    allowances,
    assets,
    document_access,
    feedback,
    identities,
    jobs,
    messages,
    rates,
    reservations,
    reviews,
    settled,
    templates,
    tokens,
    users,
)
from storage.users import identities_of

_RANK = (Role.USER.value, Role.REVIEWER.value, Role.ADMIN.value)


def lock(conn: Connection, former: int, person: int) -> tuple[int, int] | None:
    """Keep both as they are until we commit. Returns who really leaves and who stays; None = they are one already."""
    statement = select(users.c.id, users.c.joined_to).where(users.c.id.in_((former, person))).order_by(users.c.id)
    found = {row.id: row.joined_to for row in conn.execute(statement.with_for_update())}
    stays = found[person] or person  # never a chain: whoever is joined is so to the last one
    return None if former == stays else (former, stays)


def mark(conn: Connection, former: int, person: int) -> list[Identity]:
    """From now on `former` is `person`: what platforms call the one means the other. Returns these identities.

    The one who stays has the higher role of both, is shut out if either was, and keeps an admin's word on their
    department before the other's.
    """
    moved = identities_of(conn, former)
    conn.execute(update(identities).where(identities.c.user_id == former).values(user_id=person))
    conn.execute(update(users).where(or_(users.c.id == former, users.c.joined_to == former)).values(joined_to=person))
    old, new = (conn.execute(select(users).where(users.c.id == one)).one() for one in (former, person))
    values = {"role": max(old.role, new.role, key=_RANK.index)}
    if old.banned and not (new.banned and new.banned_until is None):
        until = None if old.banned_until is None else max(old.banned_until, new.banned_until or old.banned_until)
        values |= {"banned": True, "ban_reason": new.ban_reason or old.ban_reason, "banned_until": until}
    if old.department_set and not new.department_set:
        values |= {"department": old.department, "department_set": True}
    conn.execute(update(users).where(users.c.id == person).values(values))
    conn.execute(update(users).where(users.c.id == former).values(role=Role.USER.value))
    return moved


def hand_over(conn: Connection, former: int, person: int) -> int:
    """Hand over jobs, decisions, reservations, messages, templates, votes, paces and rights; returns how many jobs.

    The caller holds the lanes.
    """
    count = conn.execute(update(jobs).where(jobs.c.user_id == former).values(user_id=person)).rowcount
    conn.execute(update(assets).where(assets.c.user_id == former).values(user_id=person))
    attendance.hand_over(conn, former, person)
    line.hand_over(conn, former, person)
    for table in (reservations, tokens, messages):
        conn.execute(update(table).where(table.c.user_id == former).values(user_id=person))
    _templates(conn, former, person)
    conn.execute(update(reviews).where(reviews.c.reviewer_id == former).values(reviewer_id=person))
    conn.execute(update(settled).where(settled.c.user_id == former).values(user_id=person))
    _votes(conn, former, person)
    _rates(conn, former, person)
    _rights(conn, f"{Payer.USER}:{former}", f"{Payer.USER}:{person}")
    return count


def unfinished(conn: Connection) -> list[tuple[int, int]]:
    """Who was joined and still has something: an order that was on its way meanwhile, units that came back."""
    account = literal(f"{Payer.USER}:") + cast(users.c.id, Text)
    hanging = (jobs, assets, reservations, identities, tokens, messages, templates)
    held = [exists().where(table.c.user_id == users.c.id) for table in hanging]
    units = exists().where(accounts.c.account == account, accounts.c.bucket.like(f"{EXTRA}%"), accounts.c.balance > 0)
    statement = select(users.c.id, users.c.joined_to).where(users.c.joined_to.is_not(None), or_(*held, units))
    return [(row.id, row.joined_to) for row in conn.execute(statement.order_by(users.c.id))]


def _templates(conn: Connection, former: int, person: int) -> None:
    """Where both have one of a name, the former's is the same with their number behind it: none is lost."""
    mine = (templates.c.scope == "user") & (templates.c.owner == str(former))
    theirs = select(templates.c.key).where(templates.c.scope == "user", templates.c.owner == str(person))
    renamed = {name: templates.c[name].concat(f"-{former}") for name in ("key", "name")}
    conn.execute(update(templates).where(mine, templates.c.key.in_(theirs)).values(renamed))
    conn.execute(update(templates).where(mine).values(owner=str(person)))
    conn.execute(update(templates).where(templates.c.user_id == former).values(user_id=person))


def _votes(conn: Connection, former: int, person: int) -> None:
    """One word per person and job: their own under the name that stays counts."""
    said = select(feedback.c.job_id).where(feedback.c.user_id == person)
    conn.execute(delete(feedback).where(feedback.c.user_id == former, feedback.c.job_id.in_(said)))
    conn.execute(update(feedback).where(feedback.c.user_id == former).values(user_id=person))


def _rates(conn: Connection, former: int, person: int) -> None:
    """Who just ordered under the one name may not order at once under the other."""
    for row in conn.execute(select(rates).where(rates.c.user_id == former)).all():
        made = insert(conn, rates).values(user_id=person, scope=row.scope, at=row.at)
        later = {"at": made.excluded.at}
        conn.execute(
            made.on_conflict_do_update(
                index_elements=["user_id", "scope"], set_=later, where=rates.c.at < made.excluded.at
            )
        )
    conn.execute(delete(rates).where(rates.c.user_id == former))


def _rights(conn: Connection, former: str, person: str) -> None:
    """Quotas that an admin gave go along where the other has none of its own for the unit; so do readers' rights."""
    own = select(allowances.c.unit).where(allowances.c.subject == person)
    conn.execute(delete(allowances).where(allowances.c.subject == former, allowances.c.unit.in_(own)))
    conn.execute(update(allowances).where(allowances.c.subject == former).values(subject=person))
    read = select(document_access.c.document_id).where(document_access.c.principal == person)
    conn.execute(
        delete(document_access).where(document_access.c.principal == former, document_access.c.document_id.in_(read))
    )
    conn.execute(update(document_access).where(document_access.c.principal == former).values(principal=person))
