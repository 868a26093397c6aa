"""What admins do: quotas, roles, pausing."""

from __future__ import annotations

from bot import manage
from bot.commands import Pause, QuotaClear, QuotaGrant, QuotaSet, Resume, SetRole
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.handlers.people import holder, one_person
from bot.manage import Holder
from bot.reply import Reply
from scheduler import pausing, quota
from scheduler.policy import Refusal
from storage import jobs
from storage.records import Allowance, JobState, Payer, Unit


def quota_set(ctx: Context, command: QuotaSet) -> Handled:
    """Give an account an allowance of its own, from this period on."""
    found = holder(ctx, command.of, command.who)
    if isinstance(found, Refusal):
        return refused(ctx, found)
    allowance = Allowance(amount=command.amount, period=command.period)
    manage.set_quota(ctx.conn, _actor(ctx), found.subject, command.unit, allowance, ctx.now)
    return _now_has(ctx, found, (command.unit,))


def quota_clear(ctx: Context, command: QuotaClear) -> Handled:
    """Take back what was set for an account."""
    found = holder(ctx, command.of, command.who)
    if isinstance(found, Refusal):
        return refused(ctx, found)
    units = tuple(Unit) if command.unit is None else (command.unit,)
    for unit in units:
        manage.clear_quota(ctx.conn, _actor(ctx), found.subject, unit, command.period, ctx.now)
    return _now_has(ctx, found, units)


def _now_has(ctx: Context, found: Holder, units: tuple[Unit, ...]) -> Handled:
    """Say what an account may spend now, and what is left of it."""
    words, policy, subject = ctx.house.words, ctx.house.policy, found.subject
    lines = []
    for unit in units:
        limits = quota.allowed(ctx.conn, (subject,), unit, policy).get(subject)
        pays = found.payer is not Payer.DEFAULT
        standing = quota.standing(ctx.conn, subject, unit, policy, ctx.now) if pays else None
        lines.append(words.quota_set(found, unit, limits, standing))
    return Handled(outcome="reply", reply=Reply(text="\n".join(lines)))


def quota_grant(ctx: Context, command: QuotaGrant) -> Handled:
    """Give an account units once, beside its allowance."""
    today = quota.today(ctx.now, ctx.house.policy.timezone)
    until = command.until.after(today) if command.until else None
    if command.until and until is None:
        return refused(ctx, Refusal(code="day_over"))
    found = holder(ctx, command.of, command.who)
    if isinstance(found, Refusal):
        return refused(ctx, found)
    unit, amount, policy = command.unit, command.amount, ctx.house.policy
    try:
        standing = manage.grant(ctx.conn, _actor(ctx), found.subject, unit, amount, policy, ctx.now, until)
    except manage.NotLimited:
        return refused(ctx, Refusal(code="not_limited", detail={"holder": found, "unit": unit}))
    return Handled(outcome="reply", reply=ctx.house.words.quota_granted(found, amount, until, standing))


def set_role(ctx: Context, command: SetRole) -> Handled:
    """Make somebody an admin, a reviewer or a user."""
    person = one_person(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    manage.set_role(ctx.conn, _actor(ctx), person, command.role, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.role_set(person.name, command.role))


def pause(ctx: Context, command: Pause) -> Handled:
    """Start nothing more; what was accepted waits. At once: what runs is put back into the queue."""
    stopped = pausing.pause(ctx.conn, command.kinds, _actor(ctx), ctx.now, at_once=command.now)
    running = sum(jobs.count(ctx.conn, JobState.RUNNING, kind=kind) for kind in command.kinds)
    reply = ctx.house.words.paused(command.kinds, at_once=command.now, running=len(stopped) or running)
    return Handled(outcome="reply", reply=reply, stop=tuple(stopped))


def resume(ctx: Context, command: Resume) -> Handled:
    """Go on."""
    pausing.resume(ctx.conn, command.kinds, _actor(ctx), ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.resumed(command.kinds), work=command.kinds)


def _actor(ctx: Context) -> str:
    return f"user:{ctx.user.id}"
