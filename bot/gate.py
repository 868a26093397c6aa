"""What stands before an order, whoever takes it: how often somebody may order, and the opening hours."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot import commands
from bot.commands import Ask, Command, Conversation, Draw, Redo, Reserve, Retime
from bot.context import Context
from scheduler import hours, rates
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
#: What is wanted now, and may be ordered in the opening hours only.
FOR_NOW = (Draw, Redo, Ask, Conversation)

#: A longer command is not written out: who sent it can add the time to it.
LONGEST = 300


def refusal(ctx: Context, wanted: Command | Conversation) -> Refusal | None:
    """Why this order is not taken now; None = it is."""
    return _closed(ctx, wanted) or rates.take(
        ctx.conn, ctx.user.id, SCOPES.get(type(wanted), ()), ctx.house.policy, ctx.now
    )


def _closed(ctx: Context, wanted: Command | Conversation) -> Refusal | None:
    """Outside the opening hours a picture can be reserved: what to send for that comes with the refusal."""
    found = hours.closed(ctx.house.policy, ctx.user.role, ctx.now) if isinstance(wanted, FOR_NOW) else None
    if found is None or not isinstance(wanted, Draw | Redo) or ctx.event.platform == "terminal":
        return found
    opens = hours.bookable(ctx.house.policy, datetime.fromisoformat(found.detail["opens"]), ctx.now)
    at = opens.astimezone(ctx.house.policy.timezone).strftime("%Y-%m-%dT%H:%M")
    command = reservation(wanted, at, ctx.house.rules) if isinstance(wanted, Draw) else ""
    return replace(found, detail={**found.detail, "at": at, "command": command})


def reservation(wanted: Draw, at: str, rules: commands.Rules) -> str:
    """The command that reserves `wanted` for `at`; empty when none can be written so that it is read as meant."""
    flags = [f"--size {wanted.width}x{wanted.height}"] if (wanted.width, wanted.height) != rules.size.default else []
    flags += [f"--n {wanted.count}"] if wanted.count != rules.count.default else []
    flags += [f"--seed {wanted.seed}"] if wanted.seed is not None else []
    flags += [f"--steps {wanted.steps}"] if wanted.steps != rules.steps.default else []
    flags += [f"--cfg {wanted.cfg:g}"] if wanted.cfg != rules.cfg.default else []
    flags += [f"--at {at}"]
    flags += [f'--neg "{wanted.negative}"'] if wanted.negative else []
    prompt = " ".join(wanted.prompt.split())
    meant = replace(wanted, prompt=prompt)
    for written in (f"/draw {prompt} {' '.join(flags)}", f"/draw {' '.join(flags)} -- {prompt}"):
        read = commands.parse(written, rules)
        if len(written) <= LONGEST and isinstance(read, Reserve) and read == Reserve(draw=meant, at=at):
            return written
    return ""
