"""What reviewers see of a held picture, and what is said about reviews. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.replies.cards import ALT_SHOWN, PROMPT_SHOWN, pictured, what
from bot.replies.language import Language, short
from bot.replies.reasons import reject_form
from bot.reply import Button, Reply
from inference.moderation import By, Verdict
from storage.records import Asset, Job, Review, ReviewState

APPROVE = "approve"  # the action of the button


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A review with all that is said about it."""

    review: Review
    job: Job
    owner: str  # the name of who ordered it
    reviewer: str = ""  # of who decided
    before: Review | None = None  # the rejection it appeals against
    rejected_by: str = ""
    assets: Sequence[Asset] = field(default=())


def case(found: Case, words: Language) -> Reply:
    """The card of a review: the picture, the order, why it is held and what can be done; or what was decided."""
    return _open(found, words) if found.review.state is ReviewState.PENDING else _over(found, words)


def _open(found: Case, words: Language) -> Reply:
    review, job = found.review, found.job
    title = "review.title" if review.appeal_of is None else "review.title.appeal"
    return Reply(
        title=words.say(title, job=job.id),
        state="review",
        text=what(job, PROMPT_SHOWN),
        fields=tuple(_fields(found, words)),
        pictures=pictured(job, found.assets, ALT_SHOWN),
        buttons=(
            Button(
                action=APPROVE,
                label=words.say("button.approve"),
                value={"job": job.id, "review": review.id},
                style="primary",
                hint=words.say("hint.approve", job=job.id),
            ),
        ),
        form=reject_form(job.id, review.id, words),
        note=words.say("review.note"),
    )


def _fields(found: Case, words: Language) -> list[tuple[str, str]]:
    negative = str(found.job.params.get("negative") or "")
    fields = [
        (words.say("field.who"), found.owner),
        (words.say("field.why"), words.listed([because(one, words) for one in found.review.why])),
    ]
    fields += [(words.say("field.negative"), negative)] if negative else []
    if found.before is not None:
        fields.append((words.say("field.rejected"), f"{found.rejected_by}: {found.before.reason}"))
        fields.append((words.say("field.plea"), found.review.plea))
    return fields


def because(why: Mapping[str, object], words: Language) -> str:
    """Why a picture is held, in words."""
    said = Verdict.from_json(why)
    values = {"label": said.label, "n": said.picture, "percent": round(100 * (said.score or 0.0))}
    if said.by is By.FAILURE and not said.picture:
        return words.say("review.why.order")
    return words.say("review.why.score" if said.by is By.PICTURE else f"review.why.{said.by.value}", **values)


def _over(found: Case, words: Language) -> Reply:
    review = found.review
    values = {"job": found.job.id, "who": found.reviewer}
    state = {ReviewState.APPROVED: "done", ReviewState.REJECTED: "failed"}.get(review.state, "cancelled")
    text = words.say("review.over.reason", reason=review.reason) if review.reason else ""
    title = words.say(f"review.over.{review.state.value}", **values)
    return Reply(title=title, state=state, text=text, tidies=True)


def listed(found: Sequence[Case], count: int, now: datetime, words: Language, *, private: bool) -> Reply:
    """What waits for a reviewer, the longest first; `private`: nobody else reads along, so the orders are told."""
    if not found:
        return Reply(text=words.say("review.none"))
    rows = [_row(one, now, words, private) for one in found] + (["…"] if count > len(found) else [])
    note = words.say("review.list.note" if private else "review.list.note.group")
    return Reply(title=words.say("review.list", count=count), text="\n".join(rows), note=note)


def _row(found: Case, now: datetime, words: Language, private: bool) -> str:
    waits = words.duration(max(0.0, (now - found.review.created_at).total_seconds()))
    row = "review.row" if found.review.appeal_of is None else "review.row.appeal"
    said = words.say(row, job=found.job.id, who=short(found.owner, 40), wait=waits)
    return f"{said} · {what(found.job, 40)}" if private else said
