"""Whom a command means."""

from __future__ import annotations

from bot import manage
from bot.context import Context
from scheduler.policy import Refusal
from storage import users
from storage.records import User


def one_person(ctx: Context, who: str) -> User | Refusal:
    """The person named: by mention, by platform:id, or by name. A platform id not seen before makes the person."""
    mentioned = {m.name: m.identity for m in ctx.event.mentions}
    if who in mentioned:
        return users.resolve(ctx.conn, mentioned[who], who, ctx.now)
    try:
        return manage.find_or_make(ctx.conn, who, ctx.now)
    except manage.NoPerson as error:
        code = "ambiguous_person" if error.meant else "unknown_person"
        return Refusal(code=code, detail={"who": who, "names": list(error.meant)})
