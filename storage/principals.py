"""Who can be named as a reader of documents, and what people call them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from storage import users
from storage.chats import ChatState
from storage.tables import chats, identities
from storage.tables import users as people

USER, GROUP, DEPARTMENT = "user:", "group:", "dept:"


def known(conn: Connection, limit: int = 500) -> list[tuple[str, str]]:
    """Departments, groups and people with their names, at most `limit` of each."""
    departments = [(f"{DEPARTMENT}{name}", name) for name in list(users.departments(conn))[:limit]]
    joined = select(chats).where(chats.c.state == ChatState.MEMBER, chats.c.name != "").order_by(chats.c.name)
    groups = [(f"{GROUP}{row.platform}:{row.chat_id}", row.name) for row in conn.execute(joined.limit(limit))]
    called = select(identities.c.platform, identities.c.external_id, people.c.name)
    called = called.join(people, people.c.id == identities.c.user_id).order_by(people.c.name, identities.c.platform)
    each = [(f"{USER}{row.platform}:{row.external_id}", row.name) for row in conn.execute(called.limit(limit))]
    return [*departments, *groups, *each]


def names(conn: Connection, principals: Collection[str]) -> dict[str, str]:
    """What people call those of these whose name is known; departments and everyone say it themselves."""
    found = {one: one.removeprefix(DEPARTMENT) for one in principals if one.startswith(DEPARTMENT)}
    wanted = {tuple(one.split(":", 2)[1:]): one for one in principals if one.startswith(USER) and one.count(":") > 1}
    ids = {int(one.removeprefix(USER)): one for one in principals if one.removeprefix(USER).isdigit()}
    groups = {tuple(one.split(":", 2)[1:]): one for one in principals if one.startswith(GROUP) and one.count(":") > 1}
    called = select(identities.c.platform, identities.c.external_id, people.c.name)
    called = called.join(people, people.c.id == identities.c.user_id)
    called = called.where(identities.c.external_id.in_([key[1] for key in wanted]))
    found |= {
        wanted[key]: row.name for row in conn.execute(called) if (key := (row.platform, row.external_id)) in wanted
    }
    found |= {ids[number]: user.name for number, user in users.of_ids(conn, ids).items()}
    rooms = select(chats).where(chats.c.chat_id.in_([key[1] for key in groups]), chats.c.name != "")
    found |= {groups[key]: row.name for row in conn.execute(rooms) if (key := (row.platform, row.chat_id)) in groups}
    return found
