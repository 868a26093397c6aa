"""👍 and 👎: what people think of a picture or an answer. Whoever sees the card may say it."""

from __future__ import annotations

from bot.commands import Vote
from bot.context import Context, Handled
from bot.handlers.draw import refused
from scheduler.policy import Refusal
from storage import feedback, jobs
from storage.records import JobState

SAID = {feedback.UP: "vote.up", feedback.DOWN: "vote.down", 0: "vote.back"}


def vote(ctx: Context, command: Vote) -> Handled:
    """Keep the vote, or take the same one back; thanks come as a toast and nowhere else."""
    job = jobs.get(ctx.conn, command.job)
    if job is None:
        return refused(ctx, Refusal(code="unknown_job", detail={"job": command.job}))
    if job.state is not JobState.DONE:
        return refused(ctx, Refusal(code="not_finished", detail={"job": job.id}))
    mine = ctx.conn, job.id, ctx.user.id, command.value, ctx.now
    stands = feedback.say(*mine, command.reasons, command.said) if command.stated else feedback.vote(*mine)
    return Handled(outcome="reply", toast=("success", ctx.house.words.say(SAID[stands])))
