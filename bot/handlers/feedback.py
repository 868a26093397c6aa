"""👍 and 👎: what people think of a picture or an answer. Whoever sees the card may say it."""

from __future__ import annotations

from dataclasses import replace

from bot.commands import Vote
from bot.context import Context, Handled, Shown
from bot.handlers.draw import refused
from bot.render import Renderer
from bot.replies.reasons import why_form
from scheduler.policy import Refusal
from storage import feedback, jobs, outbox
from storage.records import DeliveryState, Job, JobState, Kind

SAID = {feedback.UP: "vote.up", feedback.DOWN: "vote.down", 0: "vote.back"}


def vote(ctx: Context, command: Vote) -> Handled:
    """Keep the vote, or take the same one back; thanks come as a toast and nowhere else.

    Whoever presses 👎 under an answer is asked why, on the card; WeCom's own 👎 has asked that already.
    """
    job = jobs.get(ctx.conn, command.job)
    if job is None or _unseen(ctx, job):
        return refused(ctx, Refusal(code="unknown_job", detail={"job": command.job}))
    if job.state is not JobState.DONE:
        return refused(ctx, Refusal(code="not_finished", detail={"job": job.id}))
    mine = ctx.conn, job.id, ctx.user.id, command.value, ctx.now
    before = feedback.of(ctx.conn, job.id, ctx.user.id)
    stands = feedback.say(*mine, command.reasons, command.said) if command.stated else feedback.vote(*mine)
    if job.kind is not Kind.ASK:
        return _thanks(ctx, SAID[stands])
    if stands == feedback.DOWN and not command.stated:
        shown = card(ctx, job, asking=True)
        return _thanks(ctx, "vote.why" if shown else "vote.down.answer", shown)
    shown = card(ctx, job, asking=False) if before == feedback.DOWN else None
    return _thanks(ctx, "vote.down.answer" if stands == feedback.DOWN else SAID[stands], shown)


def card(ctx: Context, job: Job, *, asking: bool) -> Shown | None:
    """The pressed card with the form that asks why, or without it; None where the press came from no card of ours."""
    found = [one for one in outbox.of_job(ctx.conn, job.id).values() if one.state is DeliveryState.SENT]
    pressed = next((one for one in found if one.receipt.get("message_id") == ctx.event.origin.message_id), None)
    if pressed is None or not ctx.event.origin.message_id:
        return None
    reply = Renderer(lambda: ctx.house).job(ctx.conn, job, None)
    form = why_form(job.id, ctx.house.words) if asking else None
    return Shown(reply=replace(reply, form=form), receipt=pressed.receipt)


def _unseen(ctx: Context, job: Job) -> bool:
    """A page shows nobody's answers but their own; what it sends may name any."""
    return ctx.event.platform == "web" and job.kind is Kind.ASK and job.user_id != ctx.user.id


def _thanks(ctx: Context, said: str, shown: Shown | None = None) -> Handled:
    return Handled(outcome="reply", toast=("success", ctx.house.words.say(said)), shown=shown)
