"""/help, /quota and /status: what the platform offers, what is left, how it is doing."""

from __future__ import annotations

from bot import manage
from bot.commands import Help, QuotaShow, Status
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.handlers.people import holder, one_person
from bot.manage import Holder
from scheduler import quota
from scheduler.policy import Refusal
from storage import jobs, line
from storage.records import Allowance, JobState, Kind, Payer, Unit


def help_(ctx: Context, command: Help) -> Handled:
    """The commands, or one of them in detail."""
    return Handled(outcome="reply", reply=ctx.house.words.help(command.topic, ctx.user.role, ctx.house.rules))


def quota_show(ctx: Context, command: QuotaShow) -> Handled:
    """What is left of each unit, of every account that an order from here counts against; admins may ask for others."""
    if command == QuotaShow():
        return _left(ctx, None, quota.payers(ctx.user, ctx.event.origin))
    if command.of is Payer.DEFAULT:
        return Handled(outcome="reply", reply=ctx.house.words.quota_default(_default(ctx)))
    if command.of is Payer.USER:
        person = one_person(ctx, command.who)
        if isinstance(person, Refusal):
            return refused(ctx, person)
        return _left(ctx, manage.of_person(person), quota.payers(person, ctx.event.origin))
    found = holder(ctx, command.of, command.who)
    return refused(ctx, found) if isinstance(found, Refusal) else _left(ctx, found, (found.subject,))


def _left(ctx: Context, found: Holder | None, subjects: tuple[str, ...]) -> Handled:
    standings = {unit: quota.standings(ctx.conn, subjects, unit, ctx.house.policy, ctx.now) for unit in Unit}
    return Handled(outcome="reply", reply=ctx.house.words.quota(found, standings))


def _default(ctx: Context) -> dict[Unit, tuple[Allowance, ...]]:
    rules, mine = ctx.house.policy, (quota.DEFAULT,)
    return {unit: quota.allowed(ctx.conn, mine, unit, rules)[quota.DEFAULT].limits for unit in Unit}


def status(ctx: Context, command: Status) -> Handled:
    """Engines, queues and how long the program has been up."""
    waiting = {kind: line.waiting(ctx.conn, kind) for kind in Kind}
    running = {kind: jobs.count(ctx.conn, JobState.RUNNING, kind=kind) for kind in Kind}
    paused = {kind: jobs.peek_lane(ctx.conn, kind).paused for kind in Kind}
    uptime = (ctx.now - ctx.house.started_at).total_seconds()
    reply = ctx.house.words.status(ctx.house.engines, waiting, running, paused, uptime)
    return Handled(outcome="reply", reply=reply)
