"""Questions that wait for whoever keeps the documents: the same question once, and to each viewer what they may see.

Somebody's question is shown to reviewers and admins, their name to admins. What was answered, and from which documents,
is shown to those who may read every document that the engine saw: an answer quotes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from inference.grounding import search, tokens
from storage import holdings, questions, users
from storage.questions import Doubt
from storage.records import Job, Role, User

SINCE = timedelta(days=90)  # how far back the list looks
MOST = 500  # questions looked at
KEPT = 3  # of a group: answers, and what people said


@dataclass(frozen=True, kw_only=True, slots=True)
class Viewer:
    """Who looks: what they may know."""

    principals: frozenset[str] | None  # whose documents they may read; None = all of them (at the machine)
    names: bool  # whether they are told who asked

    @classmethod
    def of(cls, user: User, principals: frozenset[str]) -> Viewer:
        return cls(principals=principals, names=user.role is Role.ADMIN)


OPERATOR = Viewer(principals=None, names=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Open:
    """One question, however often it was asked."""

    question: str  # as it was asked last, with what a follow-up left out
    jobs: tuple[int, ...]  # the newest first
    people: int
    last: datetime
    refused: int  # how often the documents did not say it
    disliked: int  # how many said 👎
    reasons: Mapping[str, int]  # names in storage.feedback.REASONS
    said: tuple[str, ...]  # in their own words, the newest first
    answer: str  # what was said last; empty where the viewer may not see it
    documents: tuple[str, ...]  # that were offered to the engine; only those the viewer may read
    hidden: bool  # the answer is not for this viewer
    askers: tuple[str, ...]  # empty where the viewer is not told


def listed(conn: Connection, viewer: Viewer, now: datetime) -> list[Open]:
    """The open questions, the one asked last first."""
    found = questions.unanswered(conn, now - SINCE, MOST)
    offered = {each for one in found for each in _offered(one.job)}
    names = users.of_ids(conn, {one.job.user_id for one in found}) if viewer.names else {}
    allowed = offered if viewer.principals is None else holdings.readable(conn, offered, viewer.principals)
    return [_open(group, allowed, viewer, names) for group in grouped(found, lambda one: asked(one.job))]


def grouped(found: Sequence[Doubt], question: Callable[[Doubt], str]) -> list[list[Doubt]]:
    """Those that ask the same with the same words of content, in whatever order and with whatever politeness."""
    groups: dict[tuple[str, ...], list[Doubt]] = {}
    for one in found:
        groups.setdefault(alike(question(one)), []).append(one)
    return list(groups.values())


def alike(question: str) -> tuple[str, ...]:
    """The same for questions that ask the same. Characters, not words: 休年假 and 年假怎么休 are cut differently."""
    words = search.terms(question).words
    parts = {part for word in words for part in ((word,) if word.isascii() else word)}
    return tuple(sorted(parts - search.STOP)) or (tokens.fold(question).strip(),)


def asked(job: Job) -> str:
    """The question, in words that stand alone where it was a follow-up."""
    return str((job.result or {}).get("standalone") or job.params["question"])


def offered_names(job: Job) -> tuple[str, ...]:
    """The documents the engine saw, each once, best first."""
    return tuple(dict.fromkeys(str(one["document"]) for one in (job.result or {}).get("offered", ())))


def _offered(job: Job) -> dict[int, str]:
    return {int(one["document_id"]): str(one["document"]) for one in (job.result or {}).get("offered", ())}


def _open(group: list[Doubt], allowed: Collection[int], viewer: Viewer, names: Mapping[int, User]) -> Open:
    newest = group[0].job
    against = sorted((said for one in group for said in one.against), key=lambda one: one.at, reverse=True)
    hidden = not _may_read(newest, allowed, viewer)
    seen = {number: name for one in group for number, name in _offered(one.job).items() if number in allowed}
    return Open(
        question=asked(newest),
        jobs=tuple(one.job.id for one in group),
        people=len({one.job.user_id for one in group}),
        last=newest.created_at,
        refused=sum(one.refused for one in group),
        disliked=len(against),
        reasons=dict(Counter(reason for one in against for reason in one.reasons).most_common()),
        said=tuple(one.said for one in against if one.said)[:KEPT],
        answer="" if hidden else str((newest.result or {}).get("text", "")),
        documents=tuple(seen.values()),
        hidden=hidden,
        askers=_askers(group, names),
    )


def _may_read(job: Job, allowed: Collection[int], viewer: Viewer) -> bool:
    """Whether all that the engine saw may be read; where that was not kept, nobody is told what it said."""
    if viewer.principals is None:
        return True
    return "offered" in (job.result or {}) and all(each in allowed for each in _offered(job))


def _askers(group: Iterable[Doubt], names: Mapping[int, User]) -> tuple[str, ...]:
    found = (names[one.job.user_id].name for one in group if one.job.user_id in names)
    return tuple(dict.fromkeys(found))


def to_json(one: Open) -> dict[str, Any]:
    """As `moqi kb unanswered --json` and the page have it."""
    return {
        "question": one.question,
        "jobs": list(one.jobs),
        "times": len(one.jobs),
        "people": one.people,
        "last": one.last.isoformat(),
        "refused": one.refused,
        "disliked": one.disliked,
        "reasons": dict(one.reasons),
        "said": list(one.said),
        "answer": one.answer,
        "hidden": one.hidden,
        "documents": list(one.documents),
        "askers": list(one.askers),
    }
