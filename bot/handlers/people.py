"""Whom a command means: a person, or whose quota."""

from __future__ import annotations

from bot import manage
from bot.context import Context
from bot.manage import Holder
from scheduler.policy import Refusal
from storage import users
from storage.records import Payer, User


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


def holder(ctx: Context, of: Payer, who: str) -> Holder | Refusal:
    """The account named: a person's as in `one_person`, this group's or another's, a department's, the default."""
    if of is Payer.USER:
        person = one_person(ctx, who)
        return person if isinstance(person, Refusal) else manage.of_person(person)
    try:
        return manage.holder(ctx.conn, of, who, ctx.now, ctx.event.origin)
    except manage.NoChat:
        return Refusal(code="unknown_chat", detail={"who": who} if who else {})
