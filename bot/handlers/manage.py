"""What admins do: quotas, roles, pausing."""

from __future__ import annotations

from typing import Any

from bot.commands import Pause, QuotaGrant, QuotaSet, Resume, SetRole
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.handlers.people import one_person
from scheduler import quota
from scheduler.policy import Refusal
from storage import audit, jobs, ledger, users
from storage.records import Allowance, Kind, User


def quota_set(ctx: Context, command: QuotaSet) -> Handled:
    """Give somebody an allowance of their own, from this period on."""
    person = one_person(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    allowance = Allowance(amount=command.amount, period=command.period)
    ledger.set_allowance(ctx.conn, quota.subject(person.id), command.unit, allowance)
    standing = quota.standing(ctx.conn, person.id, command.unit, ctx.house.policy, ctx.now)
    _audit(ctx, "quota.set", person, unit=command.unit.value, amount=command.amount, period=command.period)
    return Handled(outcome="reply", reply=ctx.house.words.quota_set(person.name, standing))


def quota_grant(ctx: Context, command: QuotaGrant) -> Handled:
    """Give somebody units once; they do not lapse."""
    person = one_person(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    quota.grant(ctx.conn, person.id, command.unit, command.amount, f"user:{ctx.user.id}", ctx.now)
    standing = quota.standing(ctx.conn, person.id, command.unit, ctx.house.policy, ctx.now)
    _audit(ctx, "quota.grant", person, unit=command.unit.value, amount=command.amount)
    return Handled(outcome="reply", reply=ctx.house.words.quota_granted(person.name, command.amount, standing))


def set_role(ctx: Context, command: SetRole) -> Handled:
    """Make somebody an admin, a reviewer or a user."""
    person = one_person(ctx, command.who)
    if isinstance(person, Refusal):
        return refused(ctx, person)
    users.set_role(ctx.conn, person.id, command.role)
    _audit(ctx, "role.set", person, role=command.role.value)
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
    audit.append(ctx.conn, f"user:{ctx.user.id}", "queue.pause" if paused else "queue.resume", "queue", {}, ctx.now)
    return Handled(outcome="reply", reply=ctx.house.words.paused() if paused else ctx.house.words.resumed())


def _audit(ctx: Context, action: str, person: User, **detail: Any) -> None:
    audit.append(ctx.conn, f"user:{ctx.user.id}", action, f"user:{person.id}", detail, ctx.now)
