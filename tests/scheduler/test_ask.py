"""Answers through their worker: what a language model reads and writes is what they cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from inference.errors import TextBusy, TextError
from inference.grounding.search import index_terms
from inference.requests import AnswerRequest, Turn
from inference.results import Answer, Citation, Delta
from inference.text.extractive import ExtractiveModel
from inference.text.grounded import GroundedModel
from inference.text.model import TextCard
from scheduler import queue
from scheduler.policy import Policy
from scheduler.progress import ProgressFeed
from scheduler.queue import Submission
from scheduler.runners import ask
from scheduler.runners.ask import AskRunner, audience
from scheduler.work import Busy, Stop, Success, Task
from scheduler.worker import Worker
from storage import documents, jobs, ledger, users
from storage.database import Database
from storage.records import (
    Allowance,
    ChatType,
    Identity,
    Job,
    JobState,
    Kind,
    Membership,
    NewPassage,
    Origin,
    Role,
    SearchTerms,
    Unit,
    utcnow,
)
from tests.blank import blank
from tests.inference.text.scripted import Scripted

POLICY = Policy(timezone=UTC, allowances={unit: (Allowance(amount=9, period="day"),) for unit in Unit})


class WritingModel:
    """A TextModel that writes one word for so many tokens. Not a stand-in for ours: another engine."""

    card = TextCard(name="scripted", model="scripted", generative=True)

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens

    async def stream(self, request: AnswerRequest) -> AsyncIterator[Delta | Answer]:
        yield Delta(text="满一年")
        yield Answer(text="满一年", grounded=True, engine="scripted", tokens=self.tokens)

    async def standalone(self, question: str, history: Sequence[Turn]) -> str:
        return question

    async def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(
    ("chat", "department", "expected"),
    [
        (ChatType.DIRECT, "", {"everyone", "user:3", "user:feishu:ou_1", "user:web:anna"}),
        (ChatType.DIRECT, "设计部", {"everyone", "user:3", "user:feishu:ou_1", "user:web:anna", "dept:设计部"}),
        (ChatType.GROUP, "设计部", {"everyone", "group:feishu:oc_1"}),
    ],
)
def test_who_will_read_an_answer(chat: ChatType, department: str, expected: set[str]) -> None:
    """What somebody may read alone is nothing for a group."""
    origin = Origin(platform="feishu", chat_id="oc_1", chat_type=chat, message_id="m", sender="ou_1")
    names = (Identity(platform="feishu", external_id="ou_1"), Identity(platform="web", external_id="anna"))
    assert audience(3, origin, department, names) == expected


@pytest.mark.parametrize(
    ("role", "chat", "guest", "expected"),
    [
        (Role.USER, ChatType.DIRECT, False, set()),
        (Role.REVIEWER, ChatType.DIRECT, False, {"role:reviewer"}),
        (Role.ADMIN, ChatType.DIRECT, False, {"role:reviewer", "role:admin"}),
        (Role.ADMIN, ChatType.DIRECT, True, set()),
        (Role.ADMIN, ChatType.GROUP, False, set()),  # everybody in it reads the answer
    ],
)
def test_what_a_role_lets_somebody_read(role: Role, chat: ChatType, guest: bool, expected: set[str]) -> None:
    origin = Origin(platform="feishu", chat_id="oc_1", chat_type=chat, message_id="m", sender="ou_1")
    found = audience(3, origin, who=Membership(guest=guest), role=role)
    assert {one for one in found if one.startswith("role:")} == expected


def asked(conn: Connection, key: str = "q", question: str = "年假?") -> Job:
    user = users.resolve(conn, Identity(platform="web", external_id="anna"), "anna", utcnow())
    origin = Origin(platform="web", chat_id="1", chat_type=ChatType.DIRECT, message_id="m", sender="anna")
    wanted = Submission(
        key=key, kind=Kind.ASK, user=user, origin=origin, params={"question": question}, cost=1, work=1.0
    )
    job = queue.submit(conn, wanted, POLICY, utcnow())
    assert isinstance(job, Job)
    return job


def answered(db: Database, job_id: int) -> Job | None:
    job = db.read_sync(jobs.get, job_id)
    assert job is not None
    return job if job.state.terminal else None


@pytest.mark.parametrize(("tokens", "cost"), [(0, 1), (1500, 1), (4500, 3), (99_999, 9)])
async def test_an_answer_costs_by_the_tokens_of_its_model(migrated_url: str, tokens: int, cost: int) -> None:
    with Database.open(migrated_url) as db:
        job = await db.run(asked)
        feed = ProgressFeed()
        runner = AskRunner(db, WritingModel(tokens), feed, lambda: "zh")
        runner.indexed = True
        worker = Worker(db, runner, lambda: POLICY, feed, lambda conn, key: lambda: None)
        serving = asyncio.create_task(worker.run())
        while (done := await asyncio.to_thread(answered, db, job.id)) is None:
            await asyncio.sleep(0.01)
        await worker.stop(5)
        await serving
        assert (done.state, done.cost, (done.result or {})["tokens"]) == (JobState.DONE, cost, tokens)
        entries = await asyncio.to_thread(db.read_sync, ledger.of_job, job.id)
        assert [(e.kind.value, e.amount) for e in entries] == [("hold", -1), ("settle", 1 - cost)]


class Full(WritingModel):
    """Takes no more at first, twice."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked = 0

    async def stream(self, request: AnswerRequest) -> AsyncIterator[Delta | Answer]:
        self.asked += 1
        if self.asked <= 2:
            raise TextBusy("enough to do")
        async for piece in super().stream(request):
            yield piece


async def test_a_question_that_an_engine_cannot_take_yet_waits_in_its_place(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "BREATH", 0.05)
    released: list[Job | None] = []
    model = Full()

    def release(conn: Connection, job: Job, *given: Any) -> bool:
        done = give_back(conn, job, *given)
        released.append(jobs.get(conn, job.id))
        return done

    give_back = queue.release
    monkeypatch.setattr(queue, "release", release)
    with Database.open(migrated_url) as db:
        job = await db.run(asked)
        feed = ProgressFeed()
        runner = AskRunner(db, model, feed, lambda: "zh")
        runner.indexed = True
        assert await runner.run([Task(job)]) == [Busy()]
        assert not await runner.ready()  # or the same question would come again at once
        worker = Worker(db, runner, lambda: POLICY, feed, lambda conn, key: lambda: None)
        serving = asyncio.create_task(worker.run())
        while (done := await asyncio.to_thread(answered, db, job.id)) is None:
            worker.wake.give()
            await asyncio.sleep(0.01)
        await worker.stop(5)
        await serving
    [back] = released
    assert back is not None
    assert (back.state, back.attempt, back.error) == (JobState.QUEUED, 0, None)
    assert (done.state, done.attempt, model.asked) == (JobState.DONE, 1, 3)


async def test_a_defect_in_a_claim_does_not_end_the_lane(
    migrated_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    claim, defects = queue.claim, [RuntimeError("nobody foresaw this")]

    def once_broken(*given: Any) -> Any:
        if defects:
            raise defects.pop()
        return claim(*given)

    monkeypatch.setattr(queue, "claim", once_broken)
    with Database.open(migrated_url) as db:
        job = await db.run(asked)
        feed = ProgressFeed()
        runner = AskRunner(db, WritingModel(0), feed, lambda: "zh")
        runner.indexed = True
        worker = Worker(db, runner, lambda: POLICY, feed, lambda conn, key: lambda: None)
        serving = asyncio.create_task(worker.run())
        while await asyncio.to_thread(answered, db, job.id) is None:
            assert not serving.done()
            await asyncio.sleep(0.01)
        await worker.stop(5)
        await serving
    assert "nobody foresaw this" in caplog.text


class Listener(WritingModel):
    """Writes an answer that cites what it was given, and remembers what it was told before."""

    def __init__(self) -> None:
        super().__init__(0)
        self.heard: list[AnswerRequest] = []

    async def stream(self, request: AnswerRequest) -> AsyncIterator[Delta | Answer]:
        self.heard.append(request)
        cited = tuple(
            Citation(mark=n, document=one.passage.document, passage=one.passage.id, heading="", quote="年假十天")
            for n, one in enumerate(request.passages, 1)
        )
        yield Answer(text="十天", grounded=True, citations=cited, engine="scripted")


def handbook(conn: Connection) -> None:
    terms = SearchTerms(words=("年假",), bigrams=("年假",))
    piece = NewPassage(heading="", start=0, end=5, text="年假十天。", terms=terms)
    documents.put_document(
        conn, name="手册", title="", sha256="", recipe="", pieces=[piece], principals={"user:web:anna"}
    )


async def test_an_engine_that_dies_leaves_the_passages_and_says_so(tmp_path: Path) -> None:
    url = await asyncio.to_thread(blank, tmp_path / "moqi.db")
    model, feed = Scripted('{"answerable": true, "cl', ending=TextError("EngineCore died")), ProgressFeed()
    with Database.open(url) as db:
        await db.run(handbook)
        runner = AskRunner(db, GroundedModel(model), feed, lambda: "zh")
        results = []
        for key in ("q1", "q2"):
            [outcome] = await runner.run([Task(await db.run(asked, key), Stop())])
            assert isinstance(outcome, Success)
            results.append(outcome.result)
    assert [(one["interrupted"], one["engine"]) for one in results] == [(True, "extractive")] * 2
    assert results[0]["offered"] == [{"passage": 1, "document": "手册", "document_id": 1}]
    assert results[0]["standalone"] == "年假?"
    assert model.asked[0].salt == model.asked[1].salt  # the same person may read the same


async def test_a_question_that_leans_on_another_is_searched_for_with_it(tmp_path: Path) -> None:
    url = await asyncio.to_thread(blank, tmp_path / "moqi.db")
    feed = ProgressFeed()
    text = "年假十天，当年有效。"

    def keep(conn: Connection) -> None:
        piece = NewPassage(heading="", start=0, end=len(text), text=text, terms=index_terms(text))
        documents.put_document(
            conn, name="手册", title="", sha256="", recipe="", pieces=[piece], principals={"everyone"}
        )

    with Database.open(url) as db:
        await db.run(keep)
        runner = AskRunner(db, ExtractiveModel(), feed, lambda: "zh")
        for key, question in (("q1", "年假几天？"), ("q2", "那结转呢？")):
            job = await db.run(asked, key, question)
            claim = await db.run(queue.claim, Kind.ASK, lambda head: 1, POLICY, utcnow())
            assert claim is not None
            [outcome] = await runner.run([Task(claim.jobs[0], Stop())])
            assert isinstance(outcome, Success)
            await db.run(queue.succeed, claim.jobs[0], outcome.result, 0.1, utcnow())
            done = await db.read(jobs.get, job.id)
            assert done is not None
            assert "年假十天" in (done.result or {})["text"], question


async def test_what_may_not_be_read_any_more_is_not_told_again(tmp_path: Path) -> None:
    """An earlier answer of the same conversation would hand on what its source no longer may."""
    url = await asyncio.to_thread(blank, tmp_path / "moqi.db")
    model, feed = Listener(), ProgressFeed()
    with Database.open(url) as db:
        runner = AskRunner(db, model, feed, lambda: "zh")
        runner.indexed = True
        worker = Worker(db, runner, lambda: POLICY, feed, lambda conn, key: lambda: None)
        serving = asyncio.create_task(worker.run())
        await db.run(handbook)

        async def told(key: str) -> AnswerRequest:
            job = await db.run(asked, key)
            worker.wake.give()
            while await asyncio.to_thread(answered, db, job.id) is None:
                await asyncio.sleep(0.01)
            return model.heard[-1]

        assert ([one.passage.document for one in (await told("q1")).passages], model.heard[0].history) == (["手册"], ())
        assert [turn.answer for turn in (await told("q2")).history] == ["十天"]
        await db.run(documents.set_access, "手册", {"user:99"})
        last = await told("q3")
        assert (last.passages, last.history) == ((), ())
        await worker.stop(5)
        await serving


async def test_a_role_is_looked_up_at_each_question_and_the_settings_bound_what_is_offered(tmp_path: Path) -> None:
    url = await asyncio.to_thread(blank, tmp_path / "moqi.db")
    model, feed = Listener(), ProgressFeed()

    def keep(conn: Connection) -> None:
        text = "年假十天。"
        piece = NewPassage(heading="", start=0, end=len(text), text=text, terms=index_terms(text))
        for name in ("一", "二", "三"):
            documents.put_document(
                conn, name=name, title="", sha256="", recipe="", pieces=[piece], principals={"role:admin"}
            )

    with Database.open(url) as db:
        await db.run(keep)
        runner = AskRunner(db, model, feed, lambda: "zh", passages=lambda: 2)
        for role in (Role.ADMIN, Role.REVIEWER):
            job = await db.run(asked, role.value)
            await db.run(users.set_role, job.user_id, role)
            claim = await db.run(queue.claim, Kind.ASK, lambda head: 1, POLICY, utcnow())
            assert claim is not None
            [outcome] = await runner.run([Task(claim.jobs[0], Stop())])
            assert isinstance(outcome, Success)
            await db.run(queue.succeed, claim.jobs[0], outcome.result, 0.1, utcnow())
    assert [len(request.passages) for request in model.heard] == [2, 0]
