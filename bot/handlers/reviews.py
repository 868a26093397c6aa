"""/review: what waits for a reviewer, deciding about it, appealing; and the forms that ask why."""

from __future__ import annotations

import secrets
from dataclasses import replace

from bot import access, commands, reviewing
from bot.commands import Appeal, Decide, Mistake, ReviewList, ShowForm, UsageError
from bot.context import Context, Handled, Shown
from bot.handlers.draw import refused
from bot.render import Renderer
from bot.replies.reasons import APPEAL_FORM, REASON
from scheduler.policy import Refusal
from scheduler.reviewing import appeal as ask_again
from scheduler.reviewing import decide as decided
from storage import jobs, outbox, reviews
from storage.records import ChatType, DeliveryState

SHOWN = 20
NONCE = "nonce"  # in a form's value: what one opening of it may order, it orders once


def listing(ctx: Context, command: ReviewList) -> Handled:
    """The open cases with how long each waits; what was ordered only where nobody else reads along."""
    found = reviewing.cases(ctx.conn, reviews.pending(ctx.conn, SHOWN))
    count, _ = reviews.standing(ctx.conn)
    private = ctx.event.origin.chat_type is ChatType.DIRECT
    return Handled(outcome="reply", reply=ctx.house.words.reviews(found, count, ctx.now, private=private))


def decide(ctx: Context, command: Decide) -> Handled:
    """Let held pictures go, or reject them; the first decision counts."""
    found = decided(
        ctx.conn,
        command.job,
        ctx.user,
        approve=command.approve,
        reason=command.reason,
        now=ctx.now,
        review_id=command.review,
    )
    if isinstance(found, Refusal):
        return refused(ctx, found)
    reply = ctx.house.words.reviewed(command.job, approved=command.approve)
    return Handled(outcome="reply", reply=reply, toast=("success", reply.text))


def appeal(ctx: Context, command: Appeal) -> Handled:
    """Have a rejection looked at again, by somebody else where there is somebody else."""
    refusal = access.appeal(ctx.user, jobs.get(ctx.conn, command.job))
    found = refusal or ask_again(ctx.conn, command.job, command.plea, ctx.now)
    if isinstance(found, Refusal):
        return refused(ctx, found)
    reviewing.ask(ctx.conn, found, ctx.house.through, ctx.now)
    reply = ctx.house.words.appealed(command.job)
    return Handled(outcome="reply", reply=reply, toast=("success", reply.text))


def read(ctx: Context, job: int, review: int) -> Decide | Appeal | UsageError:
    """What was sent with a form that asks why."""
    filled = ctx.event.value.get("form")
    why = filled.get(REASON) if isinstance(filled, dict) else None
    said = why if isinstance(why, str) else ""
    try:
        return commands.appeal(job, said) if ctx.event.action == APPEAL_FORM else commands.reject(job, said, review)
    except Mistake as mistake:
        return mistake.about("review")


def show(ctx: Context, command: ShowForm) -> Handled:
    """Show the pressed case with its form open, or closed again."""
    review = reviews.get(ctx.conn, command.review)
    refusal = access.allowed(ctx.user, Decide(job=command.job, approve=False), ctx.house.policy.timezone)
    if refusal is not None or review is None:
        return refused(ctx, refusal or Refusal(code="no_review", detail={"job": command.job}))
    delivery = outbox.of_message(ctx.conn, ctx.event.platform, ctx.event.origin.message_id)
    if delivery is None or delivery.state is not DeliveryState.SENT or delivery.body.get(reviewing.REVIEW) != review.id:
        reply = ctx.house.words.usage(UsageError(code="unknown_button"))
        return Handled(outcome="refused:unknown_button", toast=("warning", reply.text))
    reply = Renderer(lambda: ctx.house).delivery(ctx.conn, delivery)
    if reply.form is not None:
        value = {**reply.form.value, NONCE: secrets.token_hex(4)} if command.open else reply.form.value
        reply = replace(reply, form=replace(reply.form, value=value, open=command.open))
    return Handled(outcome="reply", shown=Shown(reply=reply, receipt=delivery.receipt))
