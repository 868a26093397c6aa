"""The one door to passages: by words and by meaning, for those who may read them, whatever becomes of the models."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy import Connection

from inference.grounding.search import index_terms
from inference.text.resting import FAILURES
from scheduler.dense import Dense, Reranking
from scheduler.retrieval import Retrieval
from storage import documents, encoders, vectors
from storage.database import Database
from storage.encoders import EncoderKind
from storage.records import NewPassage, ScoredPassage, utcnow
from tests.inference.embedding.encoders import Counting, Judging

EVERYONE = frozenset({"everyone"})
SECRET = frozenset({"dept:人事部"})


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def colloquial(said: str) -> str:
    """What a model knows and words do not: that two words mean the same."""
    return said.replace("滴滴", "出租车费用").replace("能报不", "报销")


def put(conn: Connection, name: str, *texts: str, principals: frozenset[str] = EVERYONE) -> None:
    pieces = [NewPassage(heading="", start=0, end=len(t), text=t, terms=index_terms(t)) for t in texts]
    documents.put_document(conn, name=name, title=name, sha256="0", recipe="1", pieces=pieces, principals=principals)


@dataclass
class Made:
    """A knowledge base with vectors, and the model that made them."""

    db: Database
    embedder: Counting
    dense: Dense
    encoder: int

    async def texts(self, question: str, principals: frozenset[str] = EVERYONE, k: int = 10) -> list[str]:
        return [one.passage.text for one in await self.found(question, principals, k)]

    async def found(
        self, question: str, principals: frozenset[str], k: int, reranking: Reranking | None = None
    ) -> list[ScoredPassage]:
        retrieval = Retrieval([self.dense], reranking)
        query = await retrieval.prepare(question)
        return await retrieval.ranked(query, await self.db.read(retrieval.find, query, principals, k), k)


OPEN = ("出租车费用凭发票报销。", "会议室最早提前十四天预订。", "能耗报告每月五日提交。")
HIDDEN = ("高管的出租车费用不限金额报销。",)


@pytest.fixture
async def made(db: Database) -> Made:
    db.run_sync(put, "open.md", *OPEN)
    db.run_sync(put, "secret.md", *HIDDEN, principals=SECRET)
    embedder = Counting(means=colloquial)
    card = await embedder.open()
    encoder = db.run_sync(
        encoders.register, EncoderKind.EMBEDDER, recipe=card.recipe, model="m", dimension=card.dimension, now=utcnow()
    )
    bare = db.read_sync(vectors.missing, encoder.id, 99)
    found = await embedder.passages([one.text for one in bare])
    db.run_sync(vectors.put, encoder.id, [(one.id, each) for one, each in zip(bare, found, strict=True)])
    db.run_sync(encoders.admit, encoder.id, {}, utcnow())
    dense = Dense(embedder, patience=0.05)
    dense.encoder = encoder.id
    return Made(db=db, embedder=embedder, dense=dense, encoder=encoder.id)


async def test_what_words_do_not_find_meaning_does(made: Made) -> None:
    words = Made(db=made.db, embedder=made.embedder, dense=Dense(made.embedder, patience=1), encoder=0)
    assert await words.texts("滴滴能报不") == []
    assert (await made.texts("滴滴能报不"))[0] == OPEN[0]
    assert (await made.texts("会议室预订"))[0] == OPEN[1]


async def test_found_by_meaning_alone_says_how_much_of_the_words_is_there(made: Made) -> None:
    """Refusals are decided by that: 0 words of the question are in the passage."""
    best, *others = await made.found("滴滴能报不", EVERYONE, 10)
    assert (best.passage.text, best.passage.document, best.passage.heading) == (OPEN[0], "open.md", "")
    assert 0 <= best.coverage < 0.5
    assert [one.score for one in others] == sorted((one.score for one in others), reverse=True)
    (whole,) = await made.found("出租车费用凭发票报销", EVERYONE, 1)
    assert whole.coverage == 1.0


QUESTIONS = ("滴滴能报不", "出租车费用报销", "高管的出租车费用不限金额", "会议室", "没有的事")


@pytest.mark.parametrize("question", QUESTIONS)
async def test_a_passage_somebody_may_not_read_influences_nothing(made: Made, question: str) -> None:
    """Neither the passages, nor their order, nor their scores."""
    seen = await made.found(question, EVERYONE, 10)
    assert {one.passage.document for one in seen} <= {"open.md"}
    await made.db.run(documents.delete_document, "secret.md")
    without = await made.found(question, EVERYONE, 10)
    assert [(one.passage.id, one.score) for one in seen] == [(one.passage.id, one.score) for one in without]


async def test_nobody_finds_anything_and_a_reader_finds_both(made: Made) -> None:
    assert await made.texts("高管出租车", frozenset()) == []
    assert await made.texts("高管出租车", frozenset({"user:9"})) == []
    assert (await made.texts("高管出租车", EVERYONE | SECRET))[0] == HIDDEN[0]
    assert await made.texts("高管出租车", SECRET) == list(HIDDEN)


async def test_a_right_taken_between_asking_and_looking_counts(made: Made) -> None:
    retrieval = Retrieval([made.dense])
    query = await retrieval.prepare("出租车费用")
    await made.db.run(documents.set_access, "open.md", SECRET)
    assert await made.db.read(retrieval.find, query, EVERYONE, 10) == []


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_dead_or_slow_model_leaves_the_search_by_words_and_is_left_alone(made: Made, how: str) -> None:
    setattr(made.embedder, how, True)
    asked = len(made.embedder.asked)
    for _ in range(FAILURES + 2):
        assert (await made.texts("会议室预订"))[0] == OPEN[1]
    assert len(made.embedder.asked) - asked == FAILURES, "after that nobody waits for it any more"


async def test_an_encoder_that_was_replaced_a_moment_ago_leaves_the_search_by_words(made: Made) -> None:
    """Its table may be gone at any time from then on."""
    retrieval = Retrieval([made.dense])
    query = await retrieval.prepare("会议室预订")
    assert query.embedded is not None
    await made.db.run(encoders.refuse, made.encoder, "It is worse now.", {}, utcnow())
    await made.db.run(vectors.drop, made.encoder)
    found = await made.db.read(retrieval.find, query, EVERYONE, 10)
    assert found[0].passage.text == OPEN[1]


async def test_of_two_models_the_first_that_takes_part_is_asked(made: Made) -> None:
    next_ = Counting(model="next")
    retrieval = Retrieval([Dense(next_, patience=1), made.dense])
    query = await retrieval.prepare("会议室")
    assert query.embedded is not None
    assert (query.embedded.encoder, next_.asked) == (made.encoder, [])


# --- ranking ----------------------------------------------------------------------------------------------------


def liking(word: str) -> Judging:
    return Judging(lambda question, passage: float(word in passage))


def ranking(model: Judging, *, on: bool = True, candidates: int = 20) -> Reranking:
    made = Reranking(model, patience=0.05, candidates=candidates)
    made.on = on
    return made


async def texts(made: Made, model: Judging, k: int = 10, **options: bool | int) -> Sequence[str]:
    found = await made.found("会议室出租车能耗", EVERYONE, k, ranking(model, **options))  # type: ignore[arg-type]
    return [one.passage.text for one in found]


async def test_the_best_by_its_judgement_comes_first(made: Made) -> None:
    plain = await texts(made, liking("能耗"), on=False)
    assert await texts(made, liking("能耗")) == [OPEN[2], *(one for one in plain if one != OPEN[2])]
    assert await texts(made, liking("预订"), 1) == [OPEN[1]], "it read more than it was asked for"


async def test_it_reads_what_the_asker_may_read_and_no_more_than_its_candidates(made: Made) -> None:
    model = liking("高管")
    assert set(await texts(made, model)) == set(OPEN)
    await texts(made, model, candidates=2)
    assert model.read == [3, 2]


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_dead_or_slow_reranker_leaves_the_order_and_is_left_alone(made: Made, how: str) -> None:
    model = liking("能耗")
    setattr(model, how, True)
    reranking = ranking(model)
    plain = await made.texts("会议室出租车能耗")
    for _ in range(FAILURES + 2):
        found = await made.found("会议室出租车能耗", EVERYONE, 10, reranking)
        assert [one.passage.text for one in found] == plain
    assert len(model.read) == FAILURES


async def test_questions_at_once_each_get_their_own(made: Made) -> None:
    found = await asyncio.gather(*(made.texts(question) for question in ("会议室预订", "能耗报告", "出租车费用") * 5))
    assert [one[0] for one in found] == [OPEN[1], OPEN[2], OPEN[0]] * 5
