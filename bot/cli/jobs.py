"""`moqi jobs …`: look at the queue and act on it, beside a running server or without one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from storage.feedback import Remarks
    from storage.records import Job, Review

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
Number = Annotated[int, typer.Argument(help="Number of the job.", metavar="JOB", min=1)]


def add(app: typer.Typer) -> None:
    """Add the words of this module."""
    group = typer.Typer(help="The queue: what waits, runs and has ended.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_jobs)
    group.command("show")(show)
    group.command("cancel")(cancel)
    group.command("retry")(retry)
    app.add_typer(group, name="jobs")


def list_jobs(
    state: Annotated[
        list[str] | None, typer.Option(help="queued, running, review, done, failed or cancelled; may be repeated.")
    ] = None,
    who: Annotated[str, typer.Option(help="Only of this person: a name, or <platform>:<user id>.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many, newest first.", min=1)] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs, newest first."""
    from bot import manage
    from storage import jobs

    states = _states(state or [])
    with common.database() as db:
        user_id = common.look(db, manage.find, who).id if who else None
        found = db.read_sync(jobs.recent, user_id=user_id, states=states, limit=limit)
        names = db.read_sync(_names, found)
    if as_json:
        common.show_json([_summary(job, names) for job in found])
        return
    rows = [
        (job.id, job.kind.value, job.state.value, names[job.user_id], common.moment(job.created_at), _said(job)[:60])
        for job in found
    ]
    common.show_table(("job", "kind", "state", "who", "ordered", "what"), rows, "No jobs.")


def show(job_id: Number, as_json: AsJson = False) -> None:
    """Show everything about one job: what was ordered, its times, its cost, what went wrong."""
    with common.database() as db:
        details = common.look(db, _details, job_id)
    if as_json:
        common.show_json(details)
        return
    for name, value in details.items():
        if value not in (None, "", [], {}):
            print(f"{name:12} {_plain(value)}")


def cancel(job_ids: Annotated[list[int], typer.Argument(help="Numbers of the jobs.", metavar="JOB…")]) -> None:
    """Cancel jobs: a waiting or held one at once, a running one at its next step. They cost nothing."""
    from bot import manage
    from storage.records import JobState, utcnow

    with common.database() as db:
        for job_id in job_ids:
            state = common.change(db, manage.cancel, common.actor(), job_id, utcnow())
            print(f"job {job_id}: " + ("stops at its next step" if state is JobState.RUNNING else state.value))


def retry(job_id: Number, as_json: AsJson = False) -> None:
    """Order a failed or cancelled job again, for its owner; a server does the work."""
    from bot import manage
    from bot.replies import Words
    from scheduler.policy import Refusal
    from storage.records import utcnow

    settings = common.settings()
    with common.database() as db:
        fresh = common.change(db, manage.retry, common.actor(), job_id, settings.policy.queue(), utcnow())
    if isinstance(fresh, Refusal):
        words = Words(settings.interface.language, settings.parameters)
        raise Failed(words.refusal(fresh.code, fresh.detail).text, Exit.REFUSED)
    if as_json:
        common.show_json({"job": fresh.id, "of": job_id, "state": fresh.state.value})
    else:
        print(f"job {job_id} is ordered again as job {fresh.id}")


def _states(words: list[str]) -> list[Any]:
    from storage.records import JobState

    try:
        return [JobState(word.lower()) for word in words]
    except ValueError as error:
        allowed = ", ".join(state.value for state in JobState)
        raise Failed(f"{error.args[0].split(' is ')[0]} is no state: write {allowed}.", Exit.USAGE) from error


def _names(conn: Connection, found: list[Job]) -> dict[int, str]:
    from storage import users

    people = {user_id: users.get(conn, user_id) for user_id in {job.user_id for job in found}}
    return {user_id: person.name if person else f"user {user_id}" for user_id, person in people.items()}


def _said(job: Job) -> str:
    return str(job.params.get("prompt") or job.params.get("question") or "")


def _summary(job: Job, names: dict[int, str]) -> dict[str, Any]:
    return {
        "job": job.id,
        "kind": job.kind.value,
        "state": job.state.value,
        "who": names[job.user_id],
        "cost": job.cost,
        "error": job.error,
        "created_at": common.iso(job.created_at),
        "finished_at": common.iso(job.finished_at),
        "text": _said(job),
    }


def _details(conn: Connection, job_id: int) -> dict[str, Any]:
    from bot import manage
    from scheduler import places
    from storage import feedback, ledger, reviews
    from storage.records import JobState, utcnow

    job = manage.job(conn, job_id)
    place = places.place(conn, job, utcnow()) if job.state is JobState.QUEUED else None
    entries, votes, why = ledger.of_job(conn, job_id), feedback.of_job(conn, job_id), feedback.remarks(conn, job_id)
    return {
        **_summary(job, _names(conn, [job])),
        "place": place.place if place else None,
        "wait": round(place.seconds, 1) if place and place.seconds is not None else None,
        "from": f"{job.origin.platform}:{job.origin.chat_id}",
        "started_at": common.iso(job.started_at),
        "attempt": job.attempt,
        "lost": job.lost,
        "parent": job.parent_id,
        "cause": job.cause,
        "params": job.params,
        "result": job.result,
        "reviews": [_review(one) for one in reviews.of_job(conn, job_id)],
        "votes": {"up": votes.up, "down": votes.down, **_why(why)} if votes.up or votes.down else None,
        "ledger": [
            {"account": one.account, "kind": one.kind.value, "amount": one.amount, "bucket": one.bucket}
            for one in entries
        ],
    }


def _review(review: Review) -> dict[str, Any]:
    """One question to the reviewers and what they said, without what is empty."""
    said = {
        "state": review.state.value,
        "why": [{name: value for name, value in one.items() if value} for one in review.why],
        "plea": review.plea,
        "reviewer": f"user:{review.reviewer_id}" if review.reviewer_id else "",
        "reason": review.reason,
        "created_at": common.iso(review.created_at),
        "decided_at": common.iso(review.decided_at),
    }
    return {name: value for name, value in said.items() if value}


def _why(remarks: Remarks) -> dict[str, Any]:
    """Why people did not like it, in the words they chose from and in their own."""
    from bot.replies import Words

    if not remarks.reasons and not remarks.said:
        return {}
    words = Words(common.settings().interface.language)
    reasons = {words.say(f"vote.reason.{name}"): count for name, count in remarks.reasons.items()}
    return {**({"reasons": reasons} if reasons else {}), **({"said": list(remarks.said)} if remarks.said else {})}


def _plain(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
