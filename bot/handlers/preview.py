"""/draw … --dry-run: what an order would cost, where it would stand, what would refuse it."""

from __future__ import annotations

from dataclasses import replace

from bot import gate, ordering, remix
from bot.commands import Preview
from bot.context import Context, Handled
from bot.handlers.draw import refused
from scheduler import queue
from scheduler.pausing import held
from scheduler.policy import Refusal


def preview(ctx: Context, command: Preview) -> Handled:
    """Tell it, and order nothing."""
    params = remix.ordered(ctx, command.draw)
    if isinstance(params, Refusal):
        return refused(ctx, params)
    params = ordering.seeded(params)
    origin = ctx.event.origin
    wanted = ordering.submission(ctx.house, key=ctx.key, user=ctx.user, origin=origin, params=params)
    if isinstance(wanted, Refusal):
        return refused(ctx, wanted)
    found = queue.preview(ctx.conn, wanted, ctx.house.policy, ctx.now)
    found = replace(found, refusal=gate.foreseen(ctx, command.draw) or found.refusal)
    hold = held(ctx.conn, wanted, ctx.house.policy.timezone, ctx.now)
    outcome = f"refused:{found.refusal.code}" if found.refusal else "reply"
    return Handled(outcome=outcome, reply=ctx.house.words.preview(params, found, hold))
