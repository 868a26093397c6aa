"""What admins do: quotas, roles, pausing."""

from __future__ import annotations

from bot import manage
from bot.commands import Pause, QuotaGrant, QuotaSet, Resume, SetRole
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.handlers.people import one_person
from scheduler.policy import Refusal
from storage import audit, jobs
from storage.records import Allowance, Kind


def quota_set(ctx: Context, command: QuotaSet) -> Handled:
    """Give somebody an allowance of their own, from this period on."""
    person = one_person(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    allowance = Allowance(amount=command.amount, period=command.period)
    standing = manage.set_quota(ctx.conn, _actor(ctx), person, command.unit, allowance, ctx.house.policy, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.quota_set(person.name, standing))


def quota_grant(ctx: Context, command: QuotaGrant) -> Handled:
    """Give somebody units once; they do not lapse."""
    person = one_person(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    standing = manage.grant(ctx.conn, _actor(ctx), person, command.unit, command.amount, ctx.house.policy, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.quota_granted(person.name, command.amount, standing))


def set_role(ctx: Context, command: SetRole) -> Handled:
    """Make somebody an admin, a reviewer or a user."""
    person = one_person(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    manage.set_role(ctx.conn, _actor(ctx), person, command.role, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.role_set(person.name, command.role))


def pause(ctx: Context, command: Pause) -> Handled:
    """Start nothing more; what was accepted waits."""
    return _pause(ctx, paused=True)


def resume(ctx: Context, command: Resume) -> Handled:
    """Go on."""
    return _pause(ctx, paused=False)


def _pause(ctx: Context, *, paused: bool) -> Handled:
    for kind in Kind:
        jobs.pause(ctx.conn, kind, paused)
    audit.append(ctx.conn, _actor(ctx), "queue.pause" if paused else "queue.resume", "queue", {}, ctx.now)
    said = ctx.house.words.paused() if paused else ctx.house.words.resumed()
    return Handled(outcome="reply", reply=said, work=() if paused else tuple(Kind))


def _actor(ctx: Context) -> str:
    return f"user:{ctx.user.id}"
