"""Which ids mean the same person, where parts of a platform call them differently: WeCom's robot and its app.

An alias is what the one part says, exactly as it says it. `own` is the external id its person has here while nothing
else is known; `external_id` is whose it really is, once the platform told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, or_, select

from storage import users
from storage.dialect import insert
from storage.records import Identity
from storage.tables import identities, links


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """What is known of an alias."""

    external_id: str  # whose it is; empty = not told yet
    asked_at: datetime | None  # when the platform told that


def of(conn: Connection, platform: str, aliases: Iterable[str]) -> dict[str, Link]:
    """What is known of these aliases; one that was never met is missing."""
    statement = select(links).where(links.c.platform == platform, links.c.alias.in_(sorted(set(aliases))))
    return {row.alias: Link(external_id=row.external_id, asked_at=row.asked_at) for row in conn.execute(statement)}


def note(conn: Connection, platform: str, met: Mapping[str, str]) -> None:
    """Remember aliases that nobody has explained yet, each with the external id its person has meanwhile."""
    rows = [{"platform": platform, "alias": alias, "own": own, "external_id": ""} for alias, own in met.items()]
    if rows:
        conn.execute(insert(conn, links).on_conflict_do_nothing(), rows)


def keep(conn: Connection, platform: str, told: Mapping[str, tuple[str, str]], now: datetime) -> None:
    """Remember whose these aliases are: (own, external id) of each.

    Somebody who was served under `own` gets the other id as a further one, unless that is somebody's already:
    scheduler/joining.py makes these two one.
    """
    for alias, (own, external_id) in told.items():
        values = {"own": own, "external_id": external_id, "asked_at": now}
        made = insert(conn, links).values(platform=platform, alias=alias, **values)
        conn.execute(made.on_conflict_do_update(index_elements=["platform", "alias"], set_=values))
        served = users.of_identity(conn, Identity(platform=platform, external_id=own))
        if served is not None and own != external_id:
            users.also(conn, served.id, Identity(platform=platform, external_id=external_id))


def due(conn: Connection, platform: str, before: datetime, limit: int) -> list[str]:
    """Aliases to ask about: those nobody explained, and those that were last explained before that instant."""
    statement = select(links.c.alias).where(
        links.c.platform == platform, or_(links.c.asked_at.is_(None), links.c.asked_at < before)
    )
    longest_first = (links.c.asked_at.is_not(None), links.c.asked_at, links.c.alias)
    return list(conn.execute(statement.order_by(*longest_first).limit(limit)).scalars())


def unexplained(conn: Connection, platform: str, external_ids: Iterable[str] | None = None) -> set[str]:
    """The external ids, of these or of all, that are only what an alias is called until somebody explains it."""
    statement = select(links.c.own).where(links.c.platform == platform, links.c.external_id == "")
    if external_ids is not None:
        statement = statement.where(links.c.own.in_(sorted(set(external_ids))))
    return set(conn.execute(statement).scalars())


def aliases(conn: Connection, platform: str, external_id: str) -> list[str]:
    """What the other part calls somebody, the alias that was explained last first; empty = it never met them."""
    known = or_(links.c.external_id == external_id, links.c.own == external_id)
    statement = select(links.c.alias).where(links.c.platform == platform, known)
    newest_first = (links.c.asked_at.is_(None), links.c.asked_at.desc(), links.c.alias)
    return list(conn.execute(statement.order_by(*newest_first)).scalars())


def real(conn: Connection, platform: str, own: str) -> str:
    """Who somebody really is whom an alias stood for; empty when no alias did, or nobody explained it."""
    statement = select(links.c.external_id).where(links.c.platform == platform, links.c.own == own)
    return conn.execute(statement.order_by(links.c.asked_at.desc()).limit(1)).scalar_one_or_none() or ""


def addresses(conn: Connection, user_id: int) -> list[Identity]:
    """A person's identities without those that are only another name for one of the others."""
    known = users.identities_of(conn, user_id)
    return [one for one in known if real(conn, one.platform, one.external_id) in ("", one.external_id)]


def apart(conn: Connection) -> list[tuple[Identity, Identity]]:
    """People who were served under an alias's own id and are somebody else's, or nobody's, under their real one.

    The first is what they were served under, the second is what they really are.
    """
    served, real = identities.alias(), identities.alias()
    statement = (
        select(links.c.platform, links.c.own, links.c.external_id)
        .join(served, and_(served.c.platform == links.c.platform, served.c.external_id == links.c.own))
        .outerjoin(real, and_(real.c.platform == links.c.platform, real.c.external_id == links.c.external_id))
        .where(links.c.external_id != "", links.c.external_id != links.c.own)
        .where(or_(real.c.user_id.is_(None), real.c.user_id != served.c.user_id))
    )
    return [
        (_identity(row.platform, row.own), _identity(row.platform, row.external_id)) for row in conn.execute(statement)
    ]


def count(conn: Connection, platform: str) -> tuple[int, int]:
    """How many aliases were met, and how many of them nobody has explained."""
    unknown = func.count().filter(links.c.external_id == "")
    row = conn.execute(select(func.count(), unknown).where(links.c.platform == platform)).one()
    return int(row[0]), int(row[1])


def _identity(platform: str, external_id: str) -> Identity:
    return Identity(platform=platform, external_id=external_id)
