"""The turns before a question: whose sources may still be read, as far as there is room for them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from inference.requests import Turn
from inference.text.budget import fitting
from storage import conversations, documents, jobs
from storage.records import Job

ROOM = 1500  # tokens of a prompt
TURNS = 20  # at most, however short

#: The parameter of a job that is small talk, and by whose opinion: rules | model.
CHAT = "chat"


def open_turns(conn: Connection, job: Job, principals: frozenset[str]) -> tuple[Turn, ...]:
    """The questions before this one and their answers, oldest first: what the principals may still be told."""
    told = [turn for turn in _before(conn, job) if not _chatted(turn)]
    return fitting(_turns([turn for turn in told if documents.readable(conn, _cited(turn), principals)]), ROOM)


def small_talk(conn: Connection, job: Job) -> tuple[Turn, ...]:
    """The small talk before this one. What was answered from documents is no part of it."""
    return fitting(_turns([turn for turn in _before(conn, job) if _chatted(turn)]), ROOM)


def _before(conn: Connection, job: Job) -> list[Job]:
    """Of a question that somebody has answered again, alone: their turns before it where it was asked first."""
    asked = (jobs.get(conn, job.parent_id) if job.parent_id is not None else None) or job
    return conversations.turns(conn, job.user_id, conversations.key(asked.origin), TURNS, before=asked.id)


def _turns(told: Sequence[Job]) -> list[Turn]:
    return [Turn(question=str(one.params["question"]), answer=str((one.result or {})["text"])) for one in told]


def _chatted(turn: Job) -> bool:
    return bool((turn.result or {}).get(CHAT))


def _cited(turn: Job) -> list[int]:
    """The passages an earlier answer quotes."""
    return [int(citation["passage"]) for citation in (turn.result or {}).get("citations", ())]
