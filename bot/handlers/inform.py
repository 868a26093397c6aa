"""/help, /quota and /status: what the platform offers, what is left, how it is doing."""

from __future__ import annotations

from bot.commands import Help, QuotaShow, Status
from bot.context import Context, Handled
from bot.handlers.people import one_person
from scheduler import quota
from scheduler.policy import Refusal
from storage import jobs
from storage.records import JobState, Kind, Unit, User


def help_(ctx: Context, command: Help) -> Handled:
    """The commands, or one of them in detail."""
    return Handled(outcome="reply", reply=ctx.house.words.help(command.topic, ctx.user.role, ctx.house.rules))


def quota_show(ctx: Context, command: QuotaShow) -> Handled:
    """What the person has left of each unit; admins may ask for somebody else."""
    person: User | Refusal = one_person(ctx, command.who) if command.who else ctx.user
    if isinstance(person, Refusal):
        return Handled(outcome=f"refused:{person.code}", reply=ctx.house.words.refusal(person.code, person.detail))
    standings = [quota.standing(ctx.conn, person.id, unit, ctx.house.policy, ctx.now) for unit in Unit]
    own = person.id == ctx.user.id
    return Handled(outcome="reply", reply=ctx.house.words.quota("" if own else person.name, standings))


def status(ctx: Context, command: Status) -> Handled:
    """Engines, queues and how long the program has been up."""
    waiting = {kind: jobs.count(ctx.conn, JobState.QUEUED, kind=kind) for kind in Kind}
    running = {kind: jobs.count(ctx.conn, JobState.RUNNING, kind=kind) for kind in Kind}
    paused = {kind: jobs.peek_lane(ctx.conn, kind).paused for kind in Kind}
    uptime = (ctx.now - ctx.house.started_at).total_seconds()
    reply = ctx.house.words.status(ctx.house.engines, waiting, running, paused, uptime)
    return Handled(outcome="reply", reply=reply)
