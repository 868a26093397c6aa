"""Whom a command means."""

from __future__ import annotations

from bot.context import Context
from scheduler.policy import Refusal
from storage import users
from storage.records import User


def one_person(ctx: Context, who: str) -> User | Refusal:
    """The person named: by mention, by platform:id, or by name. A platform id not seen before makes the person."""
    mentioned = {m.name: m.identity for m in ctx.event.mentions}
    if who in mentioned:
        return users.resolve(ctx.conn, mentioned[who], who, ctx.now)
    found = users.find(ctx.conn, who)
    if len(found) == 1:
        return found[0]
    code = "ambiguous_person" if found else "unknown_person"
    return Refusal(code=code, detail={"who": who, "names": [person.name for person in found[:5]]})
