"""The form of a finished picture: opened and closed on its card, and read when it is sent."""

from __future__ import annotations

import secrets
from dataclasses import replace

from bot import access, commands
from bot.commands import Redo, ShowForm, UsageError
from bot.context import Context, Handled, Shown
from bot.handlers import feedback, reviews
from bot.handlers.draw import refused
from bot.render import Renderer
from scheduler.policy import Refusal
from scheduler.queue import APPEAL, REJECTED
from storage import jobs, outbox
from storage.records import DeliveryState, Kind

NONCE = reviews.NONCE  # in a form's value: what one opening of it may order, it orders once


def show(ctx: Context, command: ShowForm) -> Handled:
    """Show the pressed card with its form open, or closed again; the toast says why not."""
    if command.review:
        return reviews.show(ctx, command)
    job = jobs.get(ctx.conn, command.job)
    if job is not None and job.kind is Kind.ASK and not command.open:
        return Handled(outcome="reply", shown=feedback.card(ctx, job, asking=False))
    appeals = job is not None and job.error == REJECTED
    refusal = access.appeal(ctx.user, job) if appeals else access.redo(ctx.user, job)
    if refusal is not None or job is None:
        return refused(ctx, refusal or Refusal(code="unknown_job", detail={"job": command.job}))
    shown = pressed(ctx, job.id, opened=command.open)
    if shown is None:
        reply = ctx.house.words.usage(UsageError(code="unknown_button"))
        return Handled(outcome="refused:unknown_button", toast=("warning", reply.text))
    return Handled(outcome="reply", shown=shown)


def read(ctx: Context, job: int) -> Redo | UsageError:
    """The order that was sent with a form. Whether it may be given is decided as for /redo."""
    parent = jobs.get(ctx.conn, job)
    filled = ctx.event.value.get("form")
    if parent is None or parent.kind is not Kind.DRAW or not isinstance(filled, dict):
        return Redo(job=job)
    said = {str(name): text for name, text in filled.items() if isinstance(text, str)}
    return commands.redo_form(job, parent.params, said, ctx.rules)


def pressed(ctx: Context, job: int, *, opened: bool) -> Shown | None:
    """The card that was pressed, as it stands now; None when it is not the one that shows this job."""
    slots = outbox.of_job(ctx.conn, job)
    outcome = slots.get(APPEAL, slots.get("outcome"))  # the later one has the picture
    if outcome is None or outcome.state is not DeliveryState.SENT:
        return None
    reply = Renderer(lambda: ctx.house).delivery(ctx.conn, outcome)
    if reply.form is None or outcome.receipt.get("message_id") != ctx.event.origin.message_id:
        return None
    value = {**reply.form.value, NONCE: secrets.token_hex(4)} if opened else reply.form.value
    return Shown(reply=replace(reply, form=replace(reply.form, value=value, open=opened)), receipt=outcome.receipt)
