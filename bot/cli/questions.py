"""`moqi kb unanswered` and `moqi kb feedback`: what people asked in vain, and what they think of answers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot.cli import common
from bot.cli.common import Exit, Failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

AsJson = Annotated[bool, typer.Option("--json", help="Print the result for a program.")]
Days = Annotated[int, typer.Option("--days", help="How far back, in days.", min=1, max=3650)]


def unanswered(
    done: Annotated[
        list[int] | None,
        typer.Option("--done", help="Mark the question of this job, and those like it, as seen to.", metavar="JOB"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the questions of the last 90 days without a good answer: not in the documents, or given a 👎."""
    from bot.unanswered import to_json

    with common.database() as db:
        if done:
            changed = common.change(db, _settle, done)
            print(f"{changed} marked as seen to")
            return
        found = common.look(db, _open)
    if as_json:
        common.show_json([to_json(one) for one in found])
        return
    rows = [
        (one.jobs[0], one.question, len(one.jobs), one.disliked, ", ".join(one.reasons), ", ".join(one.askers))
        for one in found
    ]
    headers = ("job", "question", "asked", "disliked", "reasons", "who")
    common.show_table(headers, rows, "No question waits for an answer.")


def feedback(days: Days = 90, as_json: AsJson = False) -> None:
    """What people think of answers, the newest first: with the question, the answer and the passages offered for it."""
    with common.database() as db:
        found = common.look(db, _feedback, timedelta(days=days))
    if as_json:
        common.show_json(found)
        return
    rows = [
        (one["at"][:16].replace("T", " "), one["vote"], one["question"], ", ".join(one["reasons"]), one["said"])
        for one in found
    ]
    common.show_table(("at", "vote", "question", "reasons", "said"), rows, "Nobody has said anything about an answer.")


def _open(conn: Connection) -> Sequence[Any]:
    from bot.unanswered import OPERATOR, listed
    from storage.records import utcnow

    return listed(conn, OPERATOR, utcnow())


def _settle(conn: Connection, numbers: Sequence[int]) -> int:
    """Each named question with those that ask the same."""
    from storage import audit, questions
    from storage.records import utcnow

    groups = [one.jobs for one in _open(conn) if set(one.jobs) & set(numbers)]
    missing = set(numbers) - {job for jobs in groups for job in jobs}
    if missing:
        listed = ", ".join(map(str, sorted(missing)))
        raise Failed(
            f"No open question has the number {listed}. `moqi kb unanswered` shows those there are.", Exit.USAGE
        )
    jobs = [job for group in groups for job in group]
    changed = questions.settle(conn, jobs, None, utcnow())
    audit.append(conn, common.actor(), "kb.settle", f"job:{jobs[0]}", {"jobs": jobs}, utcnow())
    return changed


def _feedback(conn: Connection, back: timedelta) -> list[dict[str, Any]]:
    from storage import holdings, questions, users
    from storage.records import utcnow

    found = questions.opinions(conn, utcnow() - back)
    names = users.of_ids(conn, {one.user_id for one, _ in found})
    texts = holdings.texts(conn, {each["passage"] for _, job in found for each in _offered(job.result)})
    return [
        {
            "at": one.at.isoformat(),
            "job": job.id,
            "who": names[one.user_id].name,
            "vote": "up" if one.value > 0 else "down",
            "reasons": list(one.reasons),
            "said": one.said,
            "question": job.params.get("question", ""),
            "standalone": (job.result or {}).get("standalone", ""),
            "answer": (job.result or {}).get("text", ""),
            "grounded": (job.result or {}).get("grounded"),
            "engine": (job.result or {}).get("engine", ""),
            "citations": (job.result or {}).get("citations", []),
            "offered": [
                {"document": each["document"], "passage": each["passage"], "text": texts.get(each["passage"])}
                for each in _offered(job.result)
            ],
        }
        for one, job in found
    ]


def _offered(result: dict[str, Any] | None) -> list[dict[str, Any]]:
    return list((result or {}).get("offered", ()))
