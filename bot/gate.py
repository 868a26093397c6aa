"""What stands before an order, whoever takes it: how often somebody may order."""

from __future__ import annotations

from bot.commands import Ask, Command, Conversation, Draw, Redo, Reserve, Retime
from bot.context import Context
from scheduler import rates
from scheduler.policy import Refusal

#: Which rates an order counts in. Everything else, /cancel, /help and /quota above all, is never limited.
SCOPES: dict[type, tuple[str, ...]] = {
    Draw: ("user", "draw"),
    Redo: ("user", "draw"),
    Reserve: ("user", "reserve"),
    Retime: ("user", "reserve"),
    Ask: ("user", "ask"),
    Conversation: ("user", "ask"),
}


def refusal(ctx: Context, wanted: Command | Conversation) -> Refusal | None:
    """Why this order is not taken now; None = it is."""
    return rates.take(ctx.conn, ctx.user.id, SCOPES.get(type(wanted), ()), ctx.house.policy, ctx.now)
