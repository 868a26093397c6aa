"""/jobs and /cancel."""

from __future__ import annotations

from dataclasses import replace

from bot import access
from bot.commands import Cancel, Jobs
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.render import Renderer
from scheduler import places, queue
from scheduler.pausing import held
from scheduler.policy import Refusal
from scheduler.reservations import OPEN
from storage import jobs, reservations
from storage.records import JobState, Place

SHOWN = 10


def listing(ctx: Context, command: Jobs) -> Handled:
    """The person's newest jobs with where they stand, and their open reservations; or one job again."""
    if command.job is not None:
        return _again(ctx, command.job)
    mine = jobs.recent(ctx.conn, user_id=ctx.user.id, limit=SHOWN)
    waits = [job for job in mine if job.state is JobState.QUEUED]
    stand: dict[int, Place] = {job.id: places.place(ctx.conn, job, ctx.now) for job in waits}
    holds = {job.id: held(ctx.conn, job, ctx.house.policy.timezone, ctx.now) for job in waits}
    booked = reservations.of_user(ctx.conn, ctx.user.id, OPEN, SHOWN)
    return Handled(outcome="reply", reply=ctx.house.words.jobs(mine, stand, booked, ctx.now, holds))


def _again(ctx: Context, number: int) -> Handled:
    """A job as it stands, with its pictures or its answer: for whom its message did not reach."""
    job = jobs.get(ctx.conn, number)
    refusal = access.result(ctx.user, job)
    if refusal is not None or job is None:
        return refused(ctx, refusal or Refusal(code="unknown_job", detail={"job": number}))
    reply = Renderer(lambda: ctx.house).job(ctx.conn, job, None)
    here = ctx.event.origin
    if (job.origin.platform, job.origin.chat_id) != (here.platform, here.chat_id):
        reply = replace(reply, buttons=(), form=None)  # they work where the job was ordered
    return Handled(outcome="reply", reply=replace(reply, grows=False, streaming=False))


def cancel(ctx: Context, command: Cancel) -> Handled:
    """Stop a job: at once while it waits, at its next step while it runs."""
    job = jobs.get(ctx.conn, command.job)
    refusal = access.cancel(ctx.user, job)
    if refusal is not None or job is None:
        return refused(ctx, refusal or Refusal(code="unknown_job", detail={"job": command.job}))
    state = queue.cancel(ctx.conn, job, f"user:{ctx.user.id}", ctx.now)
    if state in (JobState.DONE, JobState.FAILED):
        return refused(ctx, Refusal(code="already_ended", detail={"job": job.id, "state": state.value}))
    reply = ctx.house.words.cancelled(job.id, running=state is JobState.RUNNING)
    stop = (job.id,) if state is JobState.RUNNING else ()
    return Handled(outcome="reply", reply=reply, toast=("success", reply.text), stop=stop)
