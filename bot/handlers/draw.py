"""/draw and /redo: a picture is ordered."""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot import access
from bot.commands import Draw, Redo
from bot.context import Context, Handled, House
from bot.replies import job_reply
from inference.images import batching, pricing
from inference.requests import ImageRequest
from scheduler import queue
from scheduler.policy import Refusal
from scheduler.queue import Submission
from storage import jobs
from storage.records import Job, Kind, Origin

MAX_SEED = 2**32
DOUBLE_CLICK = timedelta(seconds=2)  # two presses this close are one: each costs units


def draw(ctx: Context, command: Draw) -> Handled:
    """Accept the order and let its card say where it stands; or say why not."""
    return submit(ctx, _params(command), ctx.event.origin, parent=None)


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
        "seed": fresh_seed() if command.reseed else command.seed,
        "steps": command.steps,
        "cfg": command.cfg,
        "negative": command.negative,
    }
    return {**params, **{name: value for name, value in wanted.items() if value is not None}}


def submit(ctx: Context, params: dict[str, Any], origin: Origin, parent: Job | None) -> Handled:
    """Hand an order to the queue."""
    if ctx.house.card is None:
        problem = ctx.house.engines[Kind.DRAW].problem
        return refused(ctx, Refusal(code="image_model_unavailable", detail={"problem": problem}))
    request = ImageRequest(
        prompt=params["prompt"],
        width=params["width"],
        height=params["height"],
        steps=params["steps"],
        seed=params["seed"],
        cfg=params["cfg"],
        negative=params["negative"],
    )
    wanted = Submission(
        key=ctx.key,
        kind=Kind.DRAW,
        user=ctx.user,
        origin=origin,
        params=params,
        cost=pricing.price(request.width, request.height, request.steps, params["count"], ctx.house.card),
        work=pricing.weight(request.width, request.height, request.steps, params["count"]),
        batch_key=batching.batch_key(request, batching.estimated_block(request.prompt)),
        parent_id=parent.id if parent else None,
        card=None if origin.platform == "terminal" else partial(first_card, ctx.house),
    )
    job = queue.submit(ctx.conn, wanted, ctx.house.policy, ctx.now)
    if isinstance(job, Refusal):
        return refused(ctx, job)
    toast = ("success", ctx.house.words.toast_queued(job.id))
    card = "" if wanted.card is None else queue.message_key(job.id, "card")
    return Handled(outcome=f"job:{job.id}", work=(Kind.DRAW,), card=card, toast=toast)


def first_card(house: House, conn: Connection, job: Job) -> dict[str, Any]:
    """What a job's card says at first: its place, even if its turn comes before the card is sent."""
    return job_reply(job, house.words, place=queue.place(conn, job), card=house.card).to_json()


def refused(ctx: Context, refusal: Refusal) -> Handled:
    """Say why not, in the chat or in the toast of a pressed button."""
    reply = ctx.house.words.refusal(refusal.code, refusal.detail)
    return Handled(outcome=f"refused:{refusal.code}", reply=reply, toast=("warning", reply.text))


def fresh_seed() -> int:
    """A seed nobody chose."""
    return secrets.randbelow(MAX_SEED)


def _params(command: Draw) -> dict[str, Any]:
    return {
        "prompt": command.prompt,
        "width": command.width,
        "height": command.height,
        "count": command.count,
        "seed": fresh_seed() if command.seed is None else command.seed,
        "steps": command.steps,
        "cfg": command.cfg,
        "negative": command.negative,
    }
