"""/draw and /redo, and the buttons under a picture: one is ordered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot import access, ordering, privacy, remix
from bot.commands import Draw, Enlarge, From, Redo, Variation
from bot.context import Context, Handled
from bot.remix import SOURCE, STRENGTH, Drawn
from scheduler import queue
from scheduler.policy import Refusal
from storage import jobs
from storage.records import Job, Kind, Origin

DOUBLE_CLICK = timedelta(seconds=2)  # two presses this close are one: each costs units


def draw(ctx: Context, command: Draw) -> Handled:
    """Accept the order and let its card say where it stands; or say why not."""
    params = remix.ordered(ctx, command)
    if isinstance(params, Refusal):
        return refused(ctx, params)
    return submit(ctx, ordering.seeded(params), ctx.event.origin, parent=None)


def redo(ctx: Context, command: Redo) -> Handled:
    """The same picture again: same seed unless told otherwise, with the changes named."""
    parent = jobs.get(ctx.conn, command.job)
    refusal = access.redo(ctx.user, parent)
    if refusal is not None or parent is None:
        return refused(ctx, refusal or Refusal(code="unknown_job", detail={"job": command.job}))
    if command.strength is not None and SOURCE not in parent.params:
        return refused(ctx, Refusal(code="no_source_to_redo", detail={"job": parent.id}))
    return _again(ctx, parent, changed(parent.params, command))


def variation(ctx: Context, command: Variation) -> Handled:
    """A finished picture drawn a little differently: it is begun with, under another seed."""
    return _from_picture(ctx, command.job, command.picture, _varied)


def enlarge(ctx: Context, command: Enlarge) -> Handled:
    """A finished picture drawn larger: it is begun with, and only the details are drawn anew."""
    rule = ctx.house.rules.size

    def larger(found: Drawn) -> dict[str, Any] | Refusal:
        width, height = found.asset.width, found.asset.height
        size = rule.enlarged(width, height)
        if size is None:
            bound = {"side": rule.max_side, "pixels": rule.max_pixels}
            return Refusal(code="largest", detail={"size": f"{width}x{height}", **bound})
        return {"width": size[0], "height": size[1], "seed": found.seed, STRENGTH: remix.ENLARGED}

    return _from_picture(ctx, command.job, command.picture, larger)


def _varied(found: Drawn) -> dict[str, Any] | Refusal:
    size = {"width": found.asset.width, "height": found.asset.height}
    return {**size, "seed": ordering.fresh_seed(), STRENGTH: remix.VARIED}


def _from_picture(ctx: Context, job: int, picture: int, change: Callable[[Drawn], dict[str, Any] | Refusal]) -> Handled:
    """Order one picture that begins with a finished one, by that one's recipe and what `change` makes of it."""
    found = remix.drawn(ctx, From(job=job, picture=picture))
    if isinstance(found, Refusal):
        return refused(ctx, found)
    changes = change(found)
    if isinstance(changes, Refusal):
        return refused(ctx, changes)
    # Of very few steps hardly one would be run, or all of them: then nothing of the picture would be left.
    steps = max(found.job.params["steps"], int(ctx.house.rules.steps.default))
    params = {**_kept(found.job.params), "count": 1, "steps": steps, SOURCE: found.source, **changes}
    return _again(ctx, found.job, params)


def _again(ctx: Context, parent: Job, params: dict[str, Any]) -> Handled:
    """Order what goes back to an earlier job; two presses of one button within a moment are one."""
    if ctx.event.kind == "action":
        recent = jobs.redone_since(ctx.conn, parent.id, ctx.user.id, ctx.now - DOUBLE_CLICK)
        if any(_beginning(one) == _beginning(params) for one in recent):
            return Handled(outcome="ignored:pressed twice", toast=("info", ctx.house.words.already_done()))
    # A pressed button answers to the message the picture was ordered with, not to the card itself.
    origin = replace(parent.origin, sender=ctx.event.origin.sender) if ctx.event.kind == "action" else ctx.event.origin
    return submit(ctx, params, origin, parent=parent)


def _beginning(params: dict[str, Any]) -> tuple[object, object]:
    return params.get(SOURCE), params.get(STRENGTH)


def _kept(params: dict[str, Any]) -> dict[str, Any]:
    """An earlier order without the reservation it came from: it is ordered now."""
    return {name: value for name, value in params.items() if name not in ordering.OF_BOOKING}


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
        STRENGTH: command.strength,
        ordering.ADAPTERS: None if command.adapters is None else [list(one) for one in command.adapters],
        ordering.PRIVATE: command.private or None,
    }
    kept = {name: value for name, value in _kept(params).items() if name != ordering.TEMPLATE or command.prompt is None}
    wanted |= ordering.template(command.template)
    return {**kept, **{name: value for name, value in wanted.items() if value is not None}}


def submit(ctx: Context, params: dict[str, Any], asked: Origin, parent: Job | None) -> Handled:
    """Hand an order to the queue. A private one from a group goes on in its owner's own chat."""
    origin = privacy.place(ctx.house, params, asked)
    if isinstance(origin, Refusal):
        return refused(ctx, origin)
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
    reply = None if origin == asked else ctx.house.words.taken_privately()
    return Handled(outcome=f"job:{job.id}", reply=reply, work=(Kind.DRAW,), card=card, toast=toast)


def refused(ctx: Context, refusal: Refusal) -> Handled:
    """Say why not, in the chat or in the toast of a pressed button."""
    reply = ctx.house.words.refusal(refusal.code, refusal.detail)
    return Handled(outcome=f"refused:{refusal.code}", reply=reply, toast=("warning", reply.text))
