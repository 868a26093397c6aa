"""/ban and /unban: an admin shuts somebody out."""

from __future__ import annotations

import re

from bot import bans, manage
from bot.commands import Ban, Unban
from bot.commands.operate import reason
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.handlers.people import one_person
from scheduler.policy import Refusal
from storage import users
from storage.records import Kind, User


def ban(ctx: Context, command: Ban) -> Handled:
    """Shut somebody out; say what became of their work."""
    who, why = parted(ctx, command.said)
    until = bans.end(command.span, command.until, ctx.house.policy.timezone, ctx.now)
    if until is not None and until <= ctx.now:
        return refused(ctx, Refusal(code="day_over"))
    person = one_person(ctx, who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    try:
        done = bans.ban(ctx.conn, _actor(ctx), person, users.shown(why), until, ctx.now)
    except bans.Untouchable as error:
        return refused(ctx, Refusal(code=error.code))
    shown = until.astimezone(ctx.house.policy.timezone) if until else None
    reply = ctx.house.words.banned(done.person, shown, done.cancelled + len(done.stopping))
    return Handled(outcome="reply", reply=reply, stop=done.stopping, work=tuple(Kind))


def unban(ctx: Context, command: Unban) -> Handled:
    """Let somebody in again."""
    person = _known(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    bans.unban(ctx.conn, _actor(ctx), person, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.unbanned(person))


def parted(ctx: Context, said: str) -> tuple[str, str]:
    """Who is meant, and the reason behind it: mentions are known, other names may have several words."""
    for name in sorted((mention.name for mention in ctx.event.mentions), key=len, reverse=True):
        if said.startswith(name):
            return name, reason(said[len(name) :])
    words = re.sub(r"[\s,，;；]+", " ", said).strip().split(" ")
    if ":" in words[0]:
        return words[0], reason(" ".join(words[1:]))
    for count in range(len(words), 0, -1):
        if len(users.find(ctx.conn, " ".join(words[:count]))) == 1:
            return " ".join(words[:count]), reason(" ".join(words[count:]))
    return words[0], reason(" ".join(words[1:]))


def _known(ctx: Context, who: str) -> User | Refusal:
    """As `one_person`, but nobody is made known by letting them in."""
    mentioned = {mention.name: mention.identity for mention in ctx.event.mentions}
    try:
        return manage.find(ctx.conn, str(mentioned.get(who, who)))
    except manage.NoPerson as error:
        code = "ambiguous_person" if error.meant else "unknown_person"
        return Refusal(code=code, detail={"who": who, "names": list(error.meant)})


def _actor(ctx: Context) -> str:
    return f"user:{ctx.user.id}"
