"""What platforms say about their people: names, departments, organisations; and where outsiders read along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from storage import users
from storage.dialect import insert
from storage.records import Department, Identity, Membership, Profile
from storage.tables import external_chats, identities, profiles, tenants

#: How often somebody who may not use Moqi is told so.
TOLD_EVERY = timedelta(hours=1)


def get(conn: Connection, identity: Identity) -> Profile | None:
    """What is known of somebody."""
    row = conn.execute(select(profiles).where(*_is(identity))).one_or_none()
    return None if row is None else _profile(row)


def outdated(conn: Connection, platform: str, external_ids: Iterable[str], before: datetime) -> list[str]:
    """Those of our own people that the directory was never asked about, or not since `before`."""
    statement = (
        select(identities.c.external_id)
        .outerjoin(
            profiles,
            (profiles.c.platform == identities.c.platform) & (profiles.c.external_id == identities.c.external_id),
        )
        .where(identities.c.platform == platform, identities.c.external_id.in_(sorted(set(external_ids))))
        .where(or_(profiles.c.guest.is_(None), profiles.c.guest.is_(False)))
        .where(or_(profiles.c.fetched_at.is_(None), profiles.c.fetched_at < before))
    )
    return sorted(conn.execute(statement).scalars())


def keep(conn: Connection, found: Sequence[Profile]) -> None:
    """Keep what the directory said; people are called by their real name and count for their first department.

    A department that an admin set stays.
    """
    for profile in found:
        values = {
            "name": profile.name,
            "departments": [_written(one) for one in profile.departments],
            "union_id": profile.union_id,
            "fetched_at": profile.fetched_at,
            **({"tenant_key": profile.tenant_key} if profile.tenant_key else {}),
        }
        _put(conn, profile.identity, values)
        _adopt(conn, profile)


def _adopt(conn: Connection, profile: Profile) -> None:
    person = users.of_identity(conn, profile.identity)
    if person is None:
        return
    if profile.name and users.shown(profile.name) not in ("", person.name):
        users.rename(conn, person.id, profile.name)
    if not person.department_set and users.shown(_first(profile)) != person.department:
        users.follow_department(conn, person.id, _first(profile))


def greet(conn: Connection, identity: Identity, name: str, union_id: str, tenant_key: str) -> None:
    """Keep what somebody's login told about them, one of ours; they are called by their real name."""
    values = {"union_id": union_id, "tenant_key": tenant_key, "guest": False, **({"name": name} if name else {})}
    _put(conn, identity, values)
    person = users.of_identity(conn, identity)
    if person is not None and users.shown(name) not in ("", person.name):
        users.rename(conn, person.id, name)


def note(conn: Connection, identity: Identity, tenant_key: str, guest: bool) -> None:
    """Remember where somebody belongs, as an event of theirs said."""
    _put(conn, identity, {"tenant_key": tenant_key, "guest": guest})


def tell(conn: Connection, identity: Identity, tenant_key: str, now: datetime) -> bool:
    """Whether an outsider is to be told now that they may not use Moqi: at most once in an hour."""
    last = conn.execute(select(profiles.c.refused_at).where(*_is(identity))).scalar_one_or_none()
    if last is not None and now - last < TOLD_EVERY:
        return False
    _put(conn, identity, {"tenant_key": tenant_key, "guest": True, "refused_at": now})
    return True


def tenant(conn: Connection, platform: str) -> str:
    """The organisation that a platform's app belongs to; empty while unknown."""
    return conn.execute(select(tenants.c.tenant_key).where(tenants.c.platform == platform)).scalar_one_or_none() or ""


def keep_tenant(conn: Connection, platform: str, tenant_key: str) -> None:
    """Remember it."""
    made = insert(conn, tenants).values(platform=platform, tenant_key=tenant_key)
    conn.execute(made.on_conflict_do_update(index_elements=["platform"], set_={"tenant_key": tenant_key}))


def note_external(conn: Connection, platform: str, chat_id: str) -> None:
    """Remember that people of other organisations are in a group."""
    made = insert(conn, external_chats).values(platform=platform, chat_id=chat_id)
    conn.execute(made.on_conflict_do_nothing())


def is_external(conn: Connection, platform: str, chat_id: str) -> bool:
    """Whether people of other organisations are known to be in a group."""
    mine = external_chats.c.platform == platform, external_chats.c.chat_id == chat_id
    return conn.execute(select(external_chats.c.chat_id).where(*mine)).one_or_none() is not None


def department(conn: Connection, user_id: int) -> str:
    """The department that somebody counts for by what platforms say; empty = they do not say."""
    return next((_first(profile) for profile in _of_user(conn, user_id) if _first(profile)), "")


def membership(conn: Connection, user_id: int) -> Membership:
    """The departments a person's platforms tell, and whether they are an outsider on one of them."""
    found = _of_user(conn, user_id)
    names = frozenset(name for profile in found for name in _names(profile))
    return Membership(departments=names, guest=any(profile.guest for profile in found))


def _of_user(conn: Connection, user_id: int) -> list[Profile]:
    mine = (profiles.c.platform == identities.c.platform) & (profiles.c.external_id == identities.c.external_id)
    statement = select(profiles).join(identities, mine).where(identities.c.user_id == user_id)
    return [_profile(row) for row in conn.execute(statement.order_by(profiles.c.platform, profiles.c.external_id))]


def _first(profile: Profile) -> str:
    return profile.departments[0].name if profile.departments else ""


def _names(profile: Profile) -> Iterable[str]:
    for one in profile.departments:
        for department_id, name in ((one.id, one.name), *one.above):
            yield f"{profile.identity.platform}:{department_id}"
            if name:
                yield users.shown(name)


def _put(conn: Connection, identity: Identity, values: dict[str, Any]) -> None:
    blank = {"name": "", "departments": [], "union_id": "", "tenant_key": "", "guest": False}
    key = {"platform": identity.platform, "external_id": identity.external_id}
    made = insert(conn, profiles).values({**blank, **values, **key})
    conn.execute(made.on_conflict_do_update(index_elements=["platform", "external_id"], set_=values))


def _is(identity: Identity) -> tuple[Any, Any]:
    return profiles.c.platform == identity.platform, profiles.c.external_id == identity.external_id


def _written(one: Department) -> dict[str, Any]:
    return {"id": one.id, "name": one.name, "above": [list(pair) for pair in one.above]}


def _profile(row: Row[Any]) -> Profile:
    departments = tuple(
        Department(id=one["id"], name=one["name"], above=tuple((a, b) for a, b in one["above"]))
        for one in row.departments
    )
    return Profile(
        identity=Identity(platform=row.platform, external_id=row.external_id),
        name=row.name,
        departments=departments,
        union_id=row.union_id,
        tenant_key=row.tenant_key,
        guest=bool(row.guest),
        fetched_at=row.fetched_at,
    )
