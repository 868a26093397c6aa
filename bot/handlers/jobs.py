"""/jobs and /cancel."""

from __future__ import annotations

from dataclasses import replace

from bot import access, privacy
from bot.commands import Cancel, Jobs
from bot.context import Context, Handled
from bot.handlers.draw import refused
from bot.render import Renderer
from bot.replies import reviewing
from bot.reviewing import case
from scheduler import places, queue
from scheduler.pausing import held
from scheduler.policy import Refusal
from scheduler.reservations import OPEN
from storage import jobs, reservations, reviews
from storage.records import ChatType, JobState, Place, Review, ReviewState

SHOWN = 10


def listing(ctx: Context, command: Jobs) -> Handled:
    """The person's newest jobs with where they stand, and their open reservations; or one job again."""
    if command.job is not None:
        return _again(ctx, command.job)
    here = ctx.event.origin
    mine = [
        job for job in jobs.recent(ctx.conn, user_id=ctx.user.id, limit=SHOWN) if not privacy.hidden(job.params, here)
    ]
    waits = [job for job in mine if job.state is JobState.QUEUED]
    stand: dict[int, Place] = {job.id: places.place(ctx.conn, job, ctx.now) for job in waits}
    holds = {job.id: held(ctx.conn, job, ctx.house.policy.timezone, ctx.now) for job in waits}
    booked = reservations.of_user(ctx.conn, ctx.user.id, OPEN, SHOWN)
    booked = [one for one in booked if not privacy.hidden(one.params, here)]
    return Handled(outcome="reply", reply=ctx.house.words.jobs(mine, stand, booked, ctx.now, holds))


def _again(ctx: Context, number: int) -> Handled:
    """A job as it stands, with its pictures or its answer: for whom its message did not reach."""
    job = jobs.get(ctx.conn, number)
    open_case = _open_case(ctx, number)
    refusal = access.look(ctx.user, job, open_case=open_case is not None)
    if refusal is not None or job is None:
        return refused(ctx, refusal or Refusal(code="unknown_job", detail={"job": number}))
    if open_case is not None and access.asset(ctx.user, job) and ctx.event.origin.chat_type is ChatType.DIRECT:
        return Handled(outcome="reply", reply=reviewing.case(case(ctx.conn, open_case), ctx.house.words))
    here = ctx.event.origin
    if privacy.hidden(job.params, here):
        return refused(ctx, Refusal(code="private_job", detail={"job": job.id}))
    reply = Renderer(lambda: ctx.house).job(ctx.conn, job, None)
    if (job.origin.platform, job.origin.chat_id) != (here.platform, here.chat_id):
        reply = replace(reply, buttons=(), form=None)  # they work where the job was ordered
    return Handled(outcome="reply", reply=replace(reply, grows=False, streaming=False))


def _open_case(ctx: Context, number: int) -> Review | None:
    """The job's review, while somebody has to decide about it."""
    review = reviews.newest(ctx.conn, number)
    return review if review is not None and review.state is ReviewState.PENDING else None


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
