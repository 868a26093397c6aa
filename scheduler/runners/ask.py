"""Answers: find the passages this asker may see, let the text engine write, keep the answer with its sources."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection

from inference.errors import InferenceError, TextBusy
from inference.requests import AnswerRequest, Turn
from inference.results import Answer, Delta
from inference.text.extractive import answerable
from inference.text.model import TextModel
from inference.text.smalltalk import SmallTalk
from scheduler.estimate import AT_ONCE
from scheduler.history import CHAT, open_turns, small_talk
from scheduler.progress import Progress, ProgressFeed
from scheduler.queue import Failure
from scheduler.retrieval import Query, Retrieval
from scheduler.work import Busy, Outcome, Stopped, Success, Task
from storage import profiles, users
from storage.database import Database
from storage.documents import EVERYONE
from storage.records import ChatType, Identity, Job, Kind, Membership, Origin, Role

#: Passages offered to the engine; the right one is among the first ten for 99 % of the questions measured.
PASSAGES = 10
#: Parameters of a job that asks only some sources: their names, and how they were called.
SOURCES, KB = "sources", "kb"
#: What a question was searched for as: in the result, and as a parameter of the same question asked again.
STANDALONE = "standalone"
#: The principals that somebody's role gives them beside what is theirs: an admin may what a reviewer may.
ROLES = {Role.ADMIN: {"role:admin", "role:reviewer"}, Role.REVIEWER: {"role:reviewer"}, Role.USER: set[str]()}
BREATH = 1.0  # seconds that an engine with too much to do is left alone
_NOTHING_MORE = Membership()


def audience(
    user_id: int,
    origin: Origin,
    department: str = "",
    identities: Iterable[Identity] = (),
    *,
    who: Membership = _NOTHING_MORE,
    role: Role = Role.USER,
    external: bool = False,
) -> frozenset[str]:
    """Who will read the answer. In a group that is the group, not the asker: their private documents stay private.

    `everyone` is everyone of ours: a guest, or a group that is `external`, has what was given to them by name only,
    whatever their role.
    """
    if origin.chat_type is ChatType.GROUP:
        group = f"group:{origin.platform}:{origin.chat_id}"
        return frozenset({group} if external or who.guest else {EVERYONE, group})
    own = {f"user:{user_id}", *(f"user:{identity}" for identity in identities)}
    if who.guest:
        return frozenset(own)
    departments = who.departments | {department} if department else who.departments
    return frozenset({EVERYONE, *own, *ROLES[role], *(f"dept:{name}" for name in departments)})


def readers(conn: Connection, user_id: int, origin: Origin) -> frozenset[str]:
    """The audience of a person's question, as the people and the group are known at this moment."""
    user = users.get(conn, user_id)
    return audience(
        user_id,
        origin,
        user.department if user else "",
        users.identities_of(conn, user_id),
        who=profiles.membership(conn, user_id),
        role=user.role if user else Role.USER,
        external=origin.chat_type is ChatType.GROUP and profiles.is_external(conn, origin.platform, origin.chat_id),
    )


class AskRunner:
    """Runs ask jobs one by one, several at a time."""

    kind = Kind.ASK
    parallel = AT_ONCE[Kind.ASK]

    def __init__(
        self,
        db: Database,
        model: TextModel,
        feed: ProgressFeed,
        language: Callable[[], str],
        retrieval: Retrieval | None = None,
        talk: SmallTalk | None = None,
        turn: Callable[[], bool] = lambda: True,
        passages: Callable[[], int] = lambda: PASSAGES,
    ) -> None:
        """`talk`: what answers small talk; None where there is no language model. `turn`: whether the model has its
        memory, so that a question may be begun."""
        self.indexed = False  # the first reading of the documents is over: before it, nothing would be found
        self._db = db
        self._model = model
        self._feed = feed
        self._language = language
        self._retrieval = retrieval or Retrieval()
        self._talk = talk
        self._turn = turn
        self._busy_until = 0.0  # time.monotonic
        self._passages = passages  # most that an answer is made from

    def room(self, head: Job) -> int:
        return 1

    async def ready(self) -> bool:
        return self.indexed and time.monotonic() >= self._busy_until and self._turn()

    async def run(self, batch: Sequence[Task]) -> list[Outcome]:
        return [await self._one(task) for task in batch]

    async def _one(self, task: Task) -> Outcome:
        began = time.monotonic()
        try:
            kept = await self._answer(task)
        except TextBusy:
            self._busy_until = time.monotonic() + BREATH
            return Busy()
        except InferenceError as error:
            return Failure(error="model_unavailable", cause=str(error), transient=error.transient)
        if kept is None:
            return Stopped()
        return Success(result=kept, took=time.monotonic() - began, tokens=kept["tokens"])

    async def _answer(self, task: Task) -> dict[str, Any] | None:
        """What the job's row keeps; None when it was stopped."""
        opinion = task.job.params.get(CHAT)
        if opinion == "rules":
            return await self._chat(task.job)
        request = await self._request(task.job)
        if opinion and not answerable(request.passages):  # what the documents speak of is no small talk
            return await self._chat(task.job)
        answer = await self._write(task, request)
        return None if answer is None else _kept(answer, request)

    async def _chat(self, job: Job) -> dict[str, Any]:
        """Small talk: without documents, and without what was said from them."""
        said, before = str(job.params["question"]), await self._db.read(small_talk, job)
        found = Answer(text="", grounded=False)
        if self._talk is not None:
            found = await self._talk.answer(said, before, self._language())
        # Whether it is grounded is no question: what is not is listed as something the documents lack.
        return {"text": found.text, "citations": [], "engine": found.engine, "tokens": found.tokens, CHAT: True}

    async def _request(self, job: Job) -> AnswerRequest:
        question = str(job.params["question"])
        standalone = str(job.params.get(STANDALONE) or "")
        standalone = standalone or await self._model.standalone(question, await self._db.read(_turns, job))
        query = await self._retrieval.prepare(standalone)
        request = await self._db.read(self._found, job, query)
        best = await self._retrieval.ranked(query, request.passages, self._passages())
        return replace(request, passages=tuple(best), language=self._language())

    def _found(self, conn: Connection, job: Job, query: Query) -> AnswerRequest:
        """What may be read at this moment: passages, and again the turns, for a right may have been taken."""
        principals = readers(conn, job.user_id, job.origin)
        return AnswerRequest(
            question=str(job.params["question"]),
            standalone=query.question,
            passages=tuple(self._retrieval.find(conn, query, principals, self._passages(), sources=_sources(job))),
            history=open_turns(conn, job, principals),
            salt=hashlib.sha256("\n".join(sorted(principals)).encode()).hexdigest()[:16],
        )

    async def _write(self, task: Task, request: AnswerRequest) -> Answer | None:
        text = ""
        async for piece in self._model.stream(request):
            if task.stop:
                return None
            match piece:
                case Delta():
                    text += piece.text
                    self._feed.publish(Progress(job=task.job.id, user_id=task.job.user_id, text=text))
                case Answer():
                    return piece
        raise RuntimeError(f"text engine {self._model.card.name!r} ended without an answer")


def _turns(conn: Connection, job: Job) -> tuple[Turn, ...]:
    return open_turns(conn, job, readers(conn, job.user_id, job.origin))


def _sources(job: Job) -> frozenset[str] | None:
    """The sources a question is asked of; None = all."""
    return frozenset(job.params[SOURCES]) if SOURCES in job.params else None


def _offered(request: AnswerRequest) -> list[dict[str, Any]]:
    """Which passages the engine saw; with their documents, for a passage goes with the next version of its text."""
    seen = (one.passage for one in request.passages)
    return [{"passage": one.id, "document": one.document, "document_id": one.document_id} for one in seen]


def _kept(answer: Answer, request: AnswerRequest) -> dict[str, Any]:
    return {
        "text": answer.text,
        "grounded": answer.grounded,
        "citations": [asdict(citation) for citation in answer.citations],
        "nearest": list(answer.nearest),
        "engine": answer.engine,
        "interrupted": answer.interrupted,
        "tokens": answer.tokens,
        STANDALONE: request.standalone,
        "offered": _offered(request),
    }
