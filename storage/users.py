"""People and the names that platforms know them by."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, delete, exists, func, select, update

from storage.dialect import insert, serialise
from storage.errors import Missing
from storage.records import Identity, Role, User
from storage.tables import identities, users

LONGEST_NAME = 64  # characters

#: Control characters, lone surrogates, and what turns the direction of the text around it.
_UNWANTED = frozenset({"Cc", "Cs"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


#: Built once: everything anybody says passes here.
_OF_IDENTITY = (
    select(users)
    .join(identities)
    .where(identities.c.platform == bindparam("platform"), identities.c.external_id == bindparam("external_id"))
)

_OF_IDS = select(users).where(users.c.id.in_(bindparam("ids", expanding=True)))


def resolve(conn: Connection, identity: Identity, name: str, now: datetime, *, first_is_admin: bool = False) -> User:
    """The person with this identity, made if unknown. With `first_is_admin`, one made while no admin exists is one.

    Safe when two processes meet the same new person at once.
    """
    return of_identity(conn, identity) or _make(conn, identity, name, now, first_is_admin)


def get(conn: Connection, user_id: int) -> User | None:
    """The person with this id."""
    row = conn.execute(select(users).where(users.c.id == user_id)).one_or_none()
    return None if row is None else _user(row)


def of_ids(conn: Connection, ids: Iterable[int]) -> dict[int, User]:
    """Those of these people that exist."""
    return {row.id: _user(row) for row in conn.execute(_OF_IDS, {"ids": sorted(set(ids))})}


def of_identity(conn: Connection, identity: Identity) -> User | None:
    """The person with this identity."""
    row = conn.execute(_OF_IDENTITY, {"platform": identity.platform, "external_id": identity.external_id}).one_or_none()
    return None if row is None else _user(row)


def also(conn: Connection, user_id: int, identity: Identity) -> bool:
    """Give a person a further identity; False when it is somebody's already."""
    claim = insert(conn, identities).values(
        platform=identity.platform, external_id=identity.external_id, user_id=user_id
    )
    return conn.execute(claim.on_conflict_do_nothing().returning(identities.c.user_id)).one_or_none() is not None


def find(conn: Connection, text: str) -> list[User]:
    """Who may be meant by what a person wrote: `platform:id`, else an exact name, else names that begin so.

    A leading @ and the case of letters do not matter in names. More than one means: ask back.
    """
    text = text.strip().removeprefix("@")
    if not text:
        return []
    platform, colon, external_id = text.partition(":")
    if colon and platform and external_id:
        known = of_identity(conn, Identity.written(platform, external_id))
        if known is not None:
            return [known]
    exact = _where(conn, users.c.name == text) or _where(conn, users.c.name.ilike(_escaped(text), escape="/"))
    return exact or _where(conn, users.c.name.istartswith(text, autoescape=True))


def identities_of(conn: Connection, user_id: int) -> list[Identity]:
    """Every name that platforms know this person by."""
    statement = select(identities).where(identities.c.user_id == user_id)
    found = conn.execute(statement.order_by(identities.c.platform, identities.c.external_id))
    return [Identity(platform=row.platform, external_id=row.external_id) for row in found]


def set_role(conn: Connection, user_id: int, role: Role) -> User:
    """Give a person a role. Raises `Missing`."""
    return _change(conn, user_id, role=role.value)


def set_banned(
    conn: Connection, user_id: int, banned: bool, *, reason: str = "", until: datetime | None = None
) -> User:
    """Shut a person out, for good or until a moment, or let them in again. Raises `Missing`."""
    return _change(conn, user_id, banned=banned, ban_reason=reason, banned_until=until)


def banned(conn: Connection) -> list[User]:
    """Everybody who is shut out."""
    return _where(conn, users.c.banned)


def bans_over(conn: Connection, now: datetime) -> list[User]:
    """Those who were shut out until now or earlier."""
    return _where(conn, users.c.banned & (users.c.banned_until <= now))


def admins(conn: Connection) -> list[User]:
    """The admins who are not shut out."""
    return _where(conn, (users.c.role == Role.ADMIN.value) & users.c.banned.is_(False))


def reviewers(conn: Connection) -> list[User]:
    """Those who may decide on held pictures and are not shut out: reviewers and admins."""
    return _where(conn, users.c.role.in_([Role.REVIEWER.value, Role.ADMIN.value]) & users.c.banned.is_(False))


def set_department(conn: Connection, user_id: int, department: str) -> User:
    """Say which department a person belongs to, whatever a platform says; empty = none. Raises `Missing`."""
    return _change(conn, user_id, department=shown(department), department_set=True)


def follow_department(conn: Connection, user_id: int, department: str) -> User:
    """Take the department that a platform tells, from now on and whatever an admin set before. Raises `Missing`."""
    return _change(conn, user_id, department=shown(department), department_set=False)


def departments(conn: Connection) -> dict[str, int]:
    """Every department that somebody belongs to, with how many they are."""
    statement = select(users.c.department, func.count().label("people"))
    statement = statement.where(users.c.department != "", users.c.joined_to.is_(None))
    found = conn.execute(statement.group_by(users.c.department).order_by(users.c.department))
    return {row.department: row.people for row in found}


def rename(conn: Connection, user_id: int, name: str) -> User:
    """Change the name that others see. Raises `Missing`."""
    return _change(conn, user_id, name=shown(name) or f"user {user_id}")


def _make(conn: Connection, identity: Identity, name: str, now: datetime, first_is_admin: bool) -> User:
    if first_is_admin:  # two at once must not both find that there is no admin yet
        serialise(conn, "moqi-first-admin")
    role = Role.ADMIN if first_is_admin and not _has_admin(conn) else Role.USER
    values = {
        "name": shown(name) or shown(identity.external_id) or "?",
        "role": role.value,
        "department": "",
        "department_set": False,
        "banned": False,
        "ban_reason": "",
        "created_at": now,
    }
    made = _user(conn.execute(users.insert().values(values).returning(users)).one())
    if also(conn, made.id, identity):
        return made
    conn.execute(delete(users).where(users.c.id == made.id))
    first = of_identity(conn, identity)
    if first is None:
        raise Missing(f"{identity} was made and deleted by somebody else in the same moment.", "Try again.")
    return first


def _change(conn: Connection, user_id: int, **values: Any) -> User:
    row = conn.execute(update(users).where(users.c.id == user_id).values(values).returning(users)).one_or_none()
    if row is None:
        raise Missing(f"There is no user {user_id}.")
    return _user(row)


def _where(conn: Connection, condition: ColumnElement[bool]) -> list[User]:
    """Those of whom `condition` is true, without those who turned out to be somebody else."""
    found = conn.execute(select(users).where(condition, users.c.joined_to.is_(None)).order_by(users.c.id))
    return [_user(row) for row in found]


def _has_admin(conn: Connection) -> bool:
    return bool(conn.execute(select(exists().where(users.c.role == Role.ADMIN.value))).scalar())


def _is(identity: Identity) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return identities.c.platform == identity.platform, identities.c.external_id == identity.external_id


def shown(name: str, longest: int = LONGEST_NAME) -> str:
    """A name as one short line, without characters that would change how the text around it reads."""
    kept = (
        " " if char.isspace() else char
        for char in name
        if char.isspace() or (unicodedata.category(char) not in _UNWANTED and char not in _TURNING)
    )
    return " ".join("".join(kept).split())[:longest].rstrip()


def _escaped(text: str) -> str:
    for char in "/%_":
        text = text.replace(char, "/" + char)
    return text


def _user(row: Row[Any]) -> User:
    return User(
        id=row.id,
        name=row.name,
        role=Role(row.role),
        department=row.department,
        banned=bool(row.banned),
        created_at=row.created_at,
        ban_reason=row.ban_reason,
        banned_until=row.banned_until,
        department_set=bool(row.department_set),
    )
