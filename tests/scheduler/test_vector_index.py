"""Vectors are made behind the scenes, and a model takes part only when it has shown that it helps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection

from inference.embedding import exam
from inference.embedding.model import Embedder, EncoderCard
from inference.errors import EmbeddingError
from inference.grounding.search import index_terms
from scheduler import examination, vector_index
from scheduler.dense import Dense, Reranking
from scheduler.retrieval import Retrieval
from scheduler.vector_index import BATCH, RankExaminer, VectorIndex
from storage import documents, encoders, leases, vectors
from storage.database import Database
from storage.encoders import EncoderState
from storage.records import NewPassage, utcnow
from tests.blank import blank
from tests.inference.embedding.encoders import Counting, Guessing, Judging

EVERYONE = frozenset({"everyone"})
WORDS = [f"{one}{other}" for one in "报登预审发退请调" for other in "销记订批放还假休"]


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dozen questions tell these models apart."""
    monkeypatch.setattr(exam, "QUESTIONS", 12)
    monkeypatch.setattr(examination, "RANKED", 6)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(blank(tmp_path / "moqi.db")) as opened:
        yield opened


def sentences(count: int, seed: int = 0) -> list[str]:
    """Different sentences of an employee handbook, so to speak."""
    chance = random.Random(seed)
    return ["与".join(chance.sample(WORDS, 9)) + "。" for _ in range(count)]


def put(conn: Connection, name: str, texts: Sequence[str]) -> None:
    pieces = [NewPassage(heading="", start=0, end=len(t), text=t, terms=index_terms(t)) for t in texts]
    documents.put_document(
        conn, name=name, title="手册", sha256="0", recipe="1", pieces=pieces, principals=frozenset({"dept:人事部"})
    )


def index(db: Database, embedder: Embedder, **options: bool) -> tuple[VectorIndex, Dense]:
    dense = Dense(embedder, patience=5)
    return VectorIndex(db, embedder, dense, **options), dense


def count(db: Database, encoder: int) -> int:
    return db.read_sync(vectors.count, encoder)


async def test_a_good_model_is_admitted_with_its_figures_and_takes_part(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(60))
    embedder = Counting()
    made, dense = index(db, embedder)
    said: list[str] = []
    found = await made.turn(said.append)
    assert (found.state, found.reason, dense.encoder) == (EncoderState.LIVE, "", found.id)
    assert found.figures is not None
    assert (found.figures["passages"], found.figures["questions"], found.figures["places"]) == (60, 12, 3)
    assert found.figures["meaning"] >= 0.8 * found.figures["words"] > 0.5
    assert (count(db, found.id), embedder.read) == (60, 60)
    assert said[-1] == "60 of 60 passages"
    assert (made.progress.made, made.progress.passages) == (60, 60)


async def test_a_model_that_guesses_is_refused_with_the_reason(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(60))
    made, dense = index(db, Guessing(model="guessing"))
    found = await made.turn()
    assert (found.state, dense.encoder) == (EncoderState.REFUSED, None)
    assert "By itself it finds" in found.reason
    assert found.figures is not None
    assert found.figures["meaning"] < 0.2


async def test_a_model_that_cannot_be_good_enough_is_refused_before_it_read_everything(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of a hundred thousand passages take hours."""
    monkeypatch.setattr(vector_index, "EARLY", 2 * BATCH)
    db.run_sync(put, "a.md", sentences(5 * BATCH))
    bad, good = Guessing(model="guessing"), Counting()
    made, _ = index(db, bad)
    for _ in range(2):
        refused = await made.turn()
        assert (refused.state, bad.read) == (EncoderState.REFUSED, 2 * BATCH)
    assert refused.figures is not None
    assert (refused.figures["passages"], refused.figures["of"]) == (2 * BATCH, 5 * BATCH)
    admitted = await index(db, good)[0].turn()
    assert (admitted.state, good.read) == (EncoderState.LIVE, 5 * BATCH)


@pytest.mark.parametrize("passages", [0, 5, 19])
async def test_among_a_few_passages_nothing_is_shown_so_words_remain(db: Database, passages: int) -> None:
    """A model that guesses would be right by chance."""
    db.run_sync(put, "a.md", sentences(passages))
    found = await index(db, Counting())[0].turn()
    assert found.state is EncoderState.REFUSED
    assert f"There are {passages} passages" in found.reason


async def test_a_model_slower_than_a_question_waits_is_refused(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(25))
    embedder = Counting()
    found = await VectorIndex(db, embedder, Dense(embedder, patience=1e-9)).turn()
    assert found.state is EncoderState.REFUSED
    assert "embedding.patience" in found.reason


async def test_only_what_is_new_is_read_and_what_grew_much_is_examined_again(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(30))
    embedder = Counting()
    made, dense = index(db, embedder)
    first = await made.turn()
    asked = len(embedder.asked)
    assert (await made.turn(), embedder.read, len(embedder.asked)) == (first, 30, asked)
    db.run_sync(put, "b.md", sentences(20, seed=1))
    assert (await made.turn(), embedder.read, len(embedder.asked)) == (first, 50, asked), "not twice as many"
    db.run_sync(put, "c.md", sentences(10, seed=2))
    again = await made.turn()
    assert again.figures is not None
    assert (embedder.read, again.figures["passages"], dense.encoder) == (60, 60, first.id)
    assert len(embedder.asked) > asked


async def test_a_refused_model_reads_nothing_more_until_there_is_much_more_or_it_is_told_to(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(10))
    embedder = Counting()
    made, dense = index(db, embedder)
    await made.turn()
    db.run_sync(put, "b.md", sentences(9, seed=1))
    assert ((await made.turn()).state, embedder.read) == (EncoderState.REFUSED, 10)
    assert ((await made.turn(again=True)).state, embedder.read) == (EncoderState.REFUSED, 19)
    db.run_sync(put, "c.md", sentences(30, seed=2))
    assert ((await made.turn()).state, embedder.read) == (EncoderState.LIVE, 49)
    assert dense.encoder is not None


async def test_a_program_that_was_killed_goes_on_where_it_was(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(3 * BATCH))
    embedder = Counting()
    made, _ = index(db, embedder)

    def killed(said: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await made.turn(killed)
    (kept,) = db.read_sync(encoders.known)
    assert (kept.state, count(db, kept.id)) == (EncoderState.PREPARING, BATCH)
    fresh = Counting()
    assert (await index(db, fresh)[0].turn()).state is EncoderState.LIVE
    assert (fresh.read, count(db, kept.id)) == (2 * BATCH, 3 * BATCH)


async def test_documents_that_go_meanwhile_harm_nothing(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(2 * BATCH))
    db.run_sync(put, "b.md", sentences(2 * BATCH, seed=1))
    made, _ = index(db, Counting())

    def removed(said: str) -> None:
        db.run_sync(documents.delete_document, "b.md")

    found = await made.turn(removed)
    assert (count(db, found.id), found.state) == (2 * BATCH, EncoderState.LIVE)


async def test_a_new_model_is_prepared_while_the_old_one_serves_and_then_takes_its_place(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(30))
    old, first = index(db, Counting())
    await old.turn()
    new, second = index(db, Counting(model="better", dimension=128))
    old, first = index(db, Counting(), last=False)
    seen: list[int | None] = []
    await old.turn()
    after = await new.turn(lambda said: seen.append(first.encoder))
    assert seen
    assert None not in seen, "questions were answered by the old one all the time"
    assert (after.state, second.encoder) == (EncoderState.LIVE, after.id)
    assert ((await old.turn()).state, first.encoder) == (EncoderState.RETIRED, None)
    assert ((await new.turn()).state, second.encoder) == (EncoderState.LIVE, after.id)
    await db.run(encoders.forget, [after.id], utcnow() + timedelta(minutes=5))
    assert [one.model for one in db.read_sync(encoders.known)] == ["better"]


async def test_a_new_model_that_is_refused_leaves_the_old_one_in_its_place(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(60))
    old, first = index(db, Counting())
    await old.turn()
    assert (await index(db, Guessing(model="guessing"))[0].turn()).state is EncoderState.REFUSED
    assert ((await old.turn()).state, first.encoder is None) == (EncoderState.LIVE, False)


async def test_of_two_processes_one_makes_the_vectors(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(30))
    card = await Counting().open()
    now = utcnow()
    assert db.run_sync(leases.take, f"vectors {card.recipe}", "another", now + timedelta(minutes=1), now)
    embedder = Counting()
    made, dense = index(db, embedder)
    found = await made.turn(again=True)
    assert (found.state, embedder.read) == (EncoderState.PREPARING, 0)
    db.run_sync(encoders.admit, found.id, {"passages": 30}, utcnow())
    await made.turn()
    assert (dense.encoder, embedder.read) == (found.id, 0), "it uses what the other one made"


async def test_one_command_uses_what_was_admitted_and_makes_nothing(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(30))
    unknown = Counting()
    assert not await index(db, unknown)[0].join()
    await index(db, Counting())[0].turn()
    embedder = Counting()
    made, dense = index(db, embedder)
    assert await made.join()
    assert (dense.encoder is not None, embedder.read) == (True, 0)
    assert not await index(db, Counting(model="other"))[0].join()


async def test_a_model_that_does_not_open_is_told_once_and_tried_again(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    db.run_sync(put, "a.md", sentences(30))
    monkeypatch.setattr(vector_index, "AGAIN", 0.001)
    embedder = Counting()
    made, dense = index(db, embedder)
    tries = 0
    open_ = embedder.open

    async def opening() -> EncoderCard:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise EmbeddingError("The model is gone.", "Start it again.")
        return await open_()

    monkeypatch.setattr(embedder, "open", opening)
    running = asyncio.create_task(vector_index.keep(db, [made], None, pause=0.001))
    async with asyncio.timeout(20):
        while dense.encoder is None:
            await asyncio.sleep(0.005)
    running.cancel()
    await asyncio.wait({running})
    assert caplog.text.count("The model is gone. Start it again.") == 1


# --- rankers ----------------------------------------------------------------------------------------------------


def examiner(db: Database, model: Judging, patience: float = 5) -> tuple[RankExaminer, Reranking]:
    reranking = Reranking(model, patience=patience, candidates=10)
    return RankExaminer(db, model, reranking, Retrieval((), reranking)), reranking


def share(question: str, passage: str) -> float:
    return len(set(question.split("与")) & set(passage.strip("。").split("与")))


@pytest.mark.parametrize(
    ("likes", "patience", "state", "reason"),
    [
        (share, 5, EncoderState.LIVE, ""),
        (lambda question, passage: -share(question, passage), 5, EncoderState.REFUSED, "make the order worse"),
        (share, 1e-9, EncoderState.REFUSED, "embedding.reranker.patience"),
    ],
)
async def test_a_reranker_takes_part_when_the_order_is_no_worse(
    db: Database, likes: object, patience: float, state: EncoderState, reason: str
) -> None:
    db.run_sync(put, "a.md", sentences(40))
    model = Judging(likes)  # type: ignore[arg-type]
    examining, reranking = examiner(db, model, patience)
    found = await examining.turn()
    assert (found.state, reranking.on) == (state, state is EncoderState.LIVE)
    assert reason in found.reason
    read = len(model.read)
    assert await examining.turn() == found
    assert len(model.read) == read, "once is enough"
    fresh, other = examiner(db, Judging(share))
    assert (await fresh.join(), other.on) == (state is EncoderState.LIVE, state is EncoderState.LIVE)


async def test_a_reranker_that_fails_is_an_error_and_stays_off(db: Database) -> None:
    db.run_sync(put, "a.md", sentences(40))
    model = Judging(share)
    model.fails = True
    examining, reranking = examiner(db, model)
    with pytest.raises(EmbeddingError):
        await examining.turn()
    assert not reranking.on
