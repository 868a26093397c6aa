"""/help, /quota, /status and /kb: what the platform offers, what is left, how it is doing, what it knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot import manage
from bot.commands import Help, QuotaShow, Sources, Status
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.handlers.models import chosen_by
from bot.handlers.people import holder, one_person
from bot.kb_plan import Tally
from bot.manage import Holder
from bot.replies.operate import Condition, LaneStatus
from scheduler import quota
from scheduler.policy import Refusal
from storage import documents, jobs, line, reservations, syncs
from storage.records import Allowance, ChatType, JobState, Kind, Payer, ReservationState, Role, Unit

#: Further ahead than anything is booked for.
YEARS = timedelta(days=3660)


def help_(ctx: Context, command: Help) -> Handled:
    """The commands, or one of them in detail."""
    house = ctx.house
    styles = house.card.adapters if house.card else ()
    return Handled(outcome="reply", reply=house.words.help(command.topic, ctx.user.role, house.rules, styles))


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
    """Engines, queues, what is to come, and how long the program has been up."""
    zone = ctx.house.policy.timezone
    first = reservations.due(ctx.conn, ctx.now + YEARS, 1)
    reply = ctx.house.words.status(
        Condition(
            engines=ctx.house.engines,
            lanes={kind: _lane(ctx, kind) for kind in Kind},
            reservations=reservations.count(ctx.conn, ReservationState.ACTIVE),
            next_at=first[0][1].astimezone(zone) if first else None,
            choice=chosen_by(ctx.conn, zone),
            unmarked=ctx.house.unmarked if ctx.user.role is Role.ADMIN else (),
            uptime=(ctx.now - ctx.house.started_at).total_seconds(),
        )
    )
    return Handled(outcome="reply", reply=reply)


def sources(ctx: Context, command: Sources) -> Handled:
    """Where the knowledge base comes from. A group hears numbers only: the pages' names are not for everybody."""
    read = [Tally.from_json(one.report) for one in syncs.all_syncs(ctx.conn) if one.report is not None]
    zone = ctx.house.policy.timezone
    local = [replace(one, at=one.at.astimezone(zone)) for one in read]
    held = documents.stats(ctx.conn).documents
    reply = ctx.house.words.sources(local, held, named=ctx.event.origin.chat_type is ChatType.DIRECT)
    return Handled(outcome="reply", reply=reply)


def _lane(ctx: Context, kind: Kind) -> LaneStatus:
    lane = jobs.peek_lane(ctx.conn, kind)
    resting = lane.open_until is not None and lane.open_until > ctx.now
    return LaneStatus(
        waiting=line.waiting(ctx.conn, kind),
        running=jobs.count(ctx.conn, JobState.RUNNING, kind=kind),
        paused=lane.paused,
        failures=lane.failures,
        resting_until=lane.open_until.astimezone(ctx.house.policy.timezone) if resting and lane.open_until else None,
        cause=lane.cause if ctx.user.role is Role.ADMIN else "",  # it may name paths of the machine
    )
