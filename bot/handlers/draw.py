"""/draw and /redo: a picture is ordered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot import access, ordering
from bot.commands import Draw, Redo
from bot.context import Context, Handled
from scheduler import queue
from scheduler.policy import Refusal
from storage import jobs
from storage.records import Job, Kind, Origin

DOUBLE_CLICK = timedelta(seconds=2)  # two presses this close are one: each costs units


def draw(ctx: Context, command: Draw) -> Handled:
    """Accept the order and let its card say where it stands; or say why not."""
    return submit(ctx, ordering.params_of(command), ctx.event.origin, parent=None)


def redo(ctx: Context, command: Redo) -> Handled:
    """The same picture again: same seed unless told otherwise, with the changes named."""
    parent = jobs.get(ctx.conn, command.job)
    refusal = access.redo(ctx.user, parent)
    if refusal is not None or parent is None:
        return refused(ctx, refusal or Refusal(code="unknown_job", detail={"job": command.job}))
    if ctx.event.kind == "action" and jobs.redone_since(ctx.conn, parent.id, ctx.user.id, ctx.now - DOUBLE_CLICK):
        return Handled(outcome="ignored:pressed twice", toast=("info", ctx.house.words.already_done()))
    params = changed(parent.params, command)
    # A pressed button answers to the message the picture was ordered with, not to the card itself.
    origin = replace(parent.origin, sender=ctx.event.origin.sender) if ctx.event.kind == "action" else ctx.event.origin
    return submit(ctx, params, origin, parent=parent)


def changed(params: dict[str, Any], command: Redo) -> dict[str, Any]:
    """The earlier order with what the person wants otherwise. Pure but for a fresh seed."""
    wanted = {
        "prompt": command.prompt,
        "width": command.width,
        "height": command.height,
        "count": command.count,
        "seed": ordering.fresh_seed() if command.reseed else command.seed,
        "steps": command.steps,
        "cfg": command.cfg,
        "negative": command.negative,
    }
    kept = {name: value for name, value in params.items() if name != ordering.BOOKED}  # it is ordered now
    return {**kept, **{name: value for name, value in wanted.items() if value is not None}}


def submit(ctx: Context, params: dict[str, Any], origin: Origin, parent: Job | None) -> Handled:
    """Hand an order to the queue."""
    wanted = ordering.submission(
        ctx.house, key=ctx.key, user=ctx.user, origin=origin, params=params, parent_id=parent.id if parent else None
    )
    if isinstance(wanted, Refusal):
        return refused(ctx, wanted)
    job = queue.submit(ctx.conn, wanted, ctx.house.policy, ctx.now)
    if isinstance(job, Refusal):
        return refused(ctx, job)
    toast = ("success", ctx.house.words.toast_queued(job.id))
    card = "" if wanted.card is None else queue.message_key(job.id, "card")
    return Handled(outcome=f"job:{job.id}", work=(Kind.DRAW,), card=card, toast=toast)


def refused(ctx: Context, refusal: Refusal) -> Handled:
    """Say why not, in the chat or in the toast of a pressed button."""
    reply = ctx.house.words.refusal(refusal.code, refusal.detail)
    return Handled(outcome=f"refused:{refusal.code}", reply=reply, toast=("warning", reply.text))
