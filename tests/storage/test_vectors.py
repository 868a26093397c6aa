"""The vectors of passages: who finds what by them, and that they never differ from the passages."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Connection, inspect, make_url, text

from storage import documents, encoders, vector_functions, vectors
from storage.database import Database, sqlite_engine
from storage.encoders import Encoder, EncoderKind, EncoderState
from storage.migrations import migrate
from storage.records import NewPassage, SearchTerms, utcnow
from storage.vectors import NoVectors

EVERYONE = frozenset({"everyone"})
NOTHING = SearchTerms(words=(), bigrams=())


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def vector(*numbers: float) -> bytes:
    length = math.hypot(*numbers)
    return array("f", [number / length for number in numbers]).tobytes()


def put(conn: Connection, name: str, *texts: str, principals: frozenset[str] = EVERYONE) -> list[int]:
    """A document; the ids of its passages."""
    pieces = [NewPassage(heading="甲", start=0, end=len(t), text=t, terms=NOTHING) for t in texts]
    document = documents.put_document(
        conn, name=name, title=f"T{name}", sha256="0", recipe="1", pieces=pieces, principals=principals
    )
    ids = conn.execute(text("select id from passages where document_id = :d order by ordinal"), {"d": document})
    return [int(row.id) for row in ids]


def register(conn: Connection, recipe: str = "r1", dimension: int = 3) -> Encoder:
    values = {"recipe": recipe, "model": f"model {recipe}", "dimension": dimension, "now": utcnow()}
    return encoders.register(conn, EncoderKind.EMBEDDER, **values)  # type: ignore[arg-type]


def made(conn: Connection, encoder: int, ids: Sequence[int], *made: bytes) -> None:
    vectors.put(conn, encoder, list(zip(ids, made, strict=True)))


def near(conn: Connection, encoder: int, asked: bytes, principals: frozenset[str] = EVERYONE, k: int = 9) -> list[int]:
    return [one.id for one in vectors.search(conn, encoder, asked, principals, k)]


def tables(conn: Connection) -> set[str]:
    return {name for name in inspect(conn).get_table_names() if name.startswith(vectors.PREFIX)}


X, Y, XY = vector(1, 0, 0), vector(0, 1, 0), vector(1, 1, 0)


def test_the_nearest_comes_first_and_only_what_one_may_read(db: Database) -> None:
    ids = db.run_sync(put, "a.md", "一", "二", "三")
    (secret,) = db.run_sync(put, "secret.md", "四", principals=frozenset({"user:3"}))
    encoder = db.run_sync(register).id
    db.run_sync(made, encoder, [*ids, secret], X, Y, XY, X)
    found = db.read_sync(vectors.search, encoder, X, EVERYONE, 9)
    assert [one.id for one in found] == [ids[0], ids[2], ids[1]]
    assert [one.similarity for one in found] == pytest.approx([1.0, 0.5**0.5, 0.0], abs=1e-6)
    assert db.read_sync(near, encoder, X, frozenset({"user:3"})) == [secret]
    assert db.read_sync(near, encoder, X, frozenset({"user:3", "everyone"}), 2) == [ids[0], secret]
    for nobody in (frozenset[str](), frozenset({"user:4"})):
        assert db.read_sync(near, encoder, X, nobody) == []
    assert db.read_sync(near, encoder, X, EVERYONE, 0) == []


def test_a_revoked_right_ends_with_the_next_query(db: Database) -> None:
    ids = db.run_sync(put, "a.md", "一")
    encoder = db.run_sync(register).id
    db.run_sync(made, encoder, ids, X)
    db.run_sync(documents.set_access, "a.md", {"user:3"})
    assert db.read_sync(near, encoder, X) == []
    assert db.read_sync(near, encoder, X, frozenset({"user:3"})) == ids


def test_a_passage_that_goes_takes_its_vector_along(db: Database) -> None:
    ids, kept = db.run_sync(put, "a.md", "一", "二"), db.run_sync(put, "b.md", "三")
    encoder = db.run_sync(register).id
    db.run_sync(made, encoder, [*ids, *kept], X, Y, XY)
    (fresh,) = db.run_sync(put, "a.md", "新")
    assert db.read_sync(near, encoder, X) == kept
    assert [one.id for one in db.read_sync(vectors.missing, encoder, 9)] == [fresh]
    db.run_sync(documents.delete_document, "b.md")
    assert (db.read_sync(near, encoder, X), db.read_sync(vectors.count, encoder)) == ([], 0)


def test_a_vector_of_a_passage_that_is_gone_is_left_out_and_one_that_is_there_stays(db: Database) -> None:
    """Between reading a passage and keeping its vector somebody may have changed the document."""
    ids = db.run_sync(put, "a.md", "一")
    encoder = db.run_sync(register).id
    db.run_sync(made, encoder, [*ids, 12345], X, Y)
    db.run_sync(made, encoder, ids, Y)
    (found,) = db.read_sync(vectors.search, encoder, X, EVERYONE, 9)
    assert found.id == ids[0]
    assert found.similarity == pytest.approx(1.0)


def test_what_is_missing_says_what_it_is_made_from(db: Database) -> None:
    ids = db.run_sync(put, "a.md", "一", "二", "三")
    encoder = db.run_sync(register).id
    db.run_sync(made, encoder, ids[:1], X)
    first, second = db.read_sync(vectors.missing, encoder, 9)
    assert first == vectors.Bare(id=ids[1], title="Ta.md", heading="甲", text="二")
    assert db.read_sync(vectors.missing, encoder, 1) == [first]
    assert db.read_sync(vectors.missing, encoder, 9, ids[1]) == [second]


@pytest.mark.parametrize("seed", range(2))
def test_what_is_found_is_what_the_oracle_says(db: Database, seed: int) -> None:
    """Random documents, rights and changes: a reader finds exactly the nearest of what plain Python says they may."""
    chance = random.Random(seed)
    principals = ["everyone", "user:1", "dept:设计部", "group:feishu:oc_1"]
    kept: dict[str, tuple[list[int], list[list[float]], frozenset[str]]] = {}
    encoder = db.run_sync(register).id
    for _ in range(25):
        name, readers = f"{chance.randrange(6)}.md", frozenset(chance.sample(principals, chance.randrange(4)))
        match chance.choice(["put", "put", "access", "delete"]):
            case "put":
                ids = db.run_sync(put, name, "一", "二", principals=readers)
                numbers = [[chance.gauss(0, 1) for _ in range(3)] for _ in ids]
                db.run_sync(made, encoder, ids, *(vector(*each) for each in numbers))
                kept[name] = ids, numbers, readers
            case "access" if name in kept:
                db.run_sync(documents.set_access, name, readers)
                kept[name] = *kept[name][:2], readers
            case "delete":
                db.run_sync(documents.delete_document, name)
                kept.pop(name, None)
        asking, asked = (
            frozenset(chance.sample(principals, chance.randrange(4))),
            [chance.gauss(0, 1) for _ in range(3)],
        )
        expected = sorted(
            (-sum(map(float.__mul__, asked, each)) / math.hypot(*each), id_)
            for ids, numbers, readers in kept.values()
            if readers & asking
            for id_, each in zip(ids, numbers, strict=True)
        )
        assert db.read_sync(near, encoder, vector(*asked), asking, 3) == [id_ for _, id_ in expected[:3]]


def test_signs_are_a_bit_for_each_number() -> None:
    assert vectors.signs(array("f", [1, -1, 0.5, 0, -0.1, 2, 3, -4, 9]).tobytes()) == bytes([0b10110110, 0b10000000])


def test_among_more_than_are_compared_exactly_the_nearest_are_still_found(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty of four hundred are chosen by their signs; on PostgreSQL the index is gone along."""
    monkeypatch.setattr(vectors, "CHOSEN", 40)
    monkeypatch.setattr(vectors, "MANY", 200)
    chance = random.Random(1)
    numbers = [[chance.gauss(0, 1) for _ in range(64)] for _ in range(400)]
    ids = [
        id_
        for part in range(4)
        for id_ in db.run_sync(put, f"{part}.md", *["一"] * 100, principals=EVERYONE if part else frozenset({"user:1"}))
    ]
    encoder = db.run_sync(register, "r", 64).id
    db.run_sync(made, encoder, ids, *(vector(*each) for each in numbers))
    assert db.run_sync(vectors.index, encoder, 64) == (db.url.get_backend_name() == "postgresql")
    assert not db.run_sync(vectors.index, encoder, 64), "it is there"
    found = 0
    for _ in range(10):
        asked = [number + chance.gauss(0, 0.3) for number in numbers[chance.randrange(100, 400)]]
        nearest = sorted(
            range(100, 400), key=lambda at: -sum(map(float.__mul__, asked, numbers[at])) / math.hypot(*numbers[at])
        )
        got = db.read_sync(near, encoder, vector(*asked), EVERYONE, 5)
        assert not set(got) & set(ids[:100])
        assert got[0] == ids[nearest[0]]
        found += len(set(got) & {ids[at] for at in nearest[:5]})
    assert found >= 35
    assert len(db.read_sync(near, encoder, vector(*numbers[0]), frozenset({"user:1"}), 200)) == 100


# --- encoders ---------------------------------------------------------------------------------------------------


def test_one_encoder_for_a_recipe_with_vectors_of_its_own(db: Database) -> None:
    ids = db.run_sync(put, "a.md", "一")
    first, again, other = db.run_sync(register), db.run_sync(register), db.run_sync(register, "r2", 2)
    assert first == again
    assert (first.state, first.dimension, first.figures) == (EncoderState.PREPARING, 3, None)
    assert db.read_sync(tables) == {f"vectors_{first.id}", f"vectors_{other.id}"}
    db.run_sync(made, first.id, ids, X)
    db.run_sync(made, other.id, ids, vector(0, 1))
    assert (db.read_sync(near, first.id, X), db.read_sync(near, other.id, vector(0, 1))) == (ids, ids)


def test_a_schema_that_is_taken_back_takes_the_vectors_along(db: Database) -> None:
    db.run_sync(register)
    migrate(db.url, "base")
    assert db.read_sync(tables) == set()


def test_a_ranking_model_has_no_vectors(db: Database) -> None:
    now = utcnow()
    encoders_ = [
        db.run_sync(encoders.register, kind, recipe="r", model="m", dimension=3, now=now) for kind in EncoderKind
    ]
    assert db.read_sync(tables) == {f"vectors_{encoders_[0].id}"}


def test_who_is_admitted_takes_the_place_of_the_one_before(db: Database) -> None:
    first, second = db.run_sync(register), db.run_sync(register, "r2")
    assert db.run_sync(encoders.admit, first.id, {"passages": 30}, utcnow()).state is EncoderState.LIVE
    refused = db.run_sync(encoders.refuse, second.id, "It is worse.", {"passages": 30}, utcnow())
    assert (refused.state, refused.reason) == (EncoderState.REFUSED, "It is worse.")
    assert [db.read_sync(encoders.is_live, one.id) for one in (first, second)] == [True, False]
    admitted = db.run_sync(encoders.admit, second.id, {"passages": 60}, utcnow())
    assert (admitted.reason, admitted.figures) == ("", {"passages": 60})
    assert db.read_sync(encoders.live, EncoderKind.EMBEDDER) == admitted
    assert [one.state for one in db.read_sync(encoders.known)] == [EncoderState.RETIRED, EncoderState.LIVE]
    stays = db.run_sync(encoders.register, first.kind, recipe="r1", model="", dimension=3, now=utcnow(), revive=False)
    assert stays.state is EncoderState.RETIRED
    assert db.run_sync(register).state is EncoderState.PREPARING, "the operator came back to it"


def test_who_is_not_wanted_any_more_goes_with_its_vectors_after_a_while(db: Database) -> None:
    now = utcnow()
    ids = db.run_sync(put, "a.md", "一", "二", "三")
    first, second, third = (db.run_sync(register, recipe) for recipe in ("r1", "r2", "r3"))
    db.run_sync(made, first.id, ids, X, Y, XY)
    db.run_sync(encoders.admit, first.id, {}, now)
    db.run_sync(encoders.admit, second.id, {}, now)

    def unwanted(**later: float) -> list[str]:
        return [one.recipe for one in db.read_sync(encoders.unwanted, [], now + timedelta(**later))]

    assert (unwanted(minutes=1), unwanted(minutes=3), unwanted(days=2)) == ([], ["r1"], ["r1", "r3"])
    assert db.read_sync(encoders.unwanted, [first.id], now + timedelta(minutes=3)) == []
    assert [db.run_sync(vectors.thin, first.id, 2) for _ in range(3)] == [True, True, False]
    db.run_sync(encoders.remove, first.id)
    assert db.read_sync(tables) == {f"vectors_{second.id}", f"vectors_{third.id}"}
    assert db.run_sync(register, "r4").id > third.id, "no table is taken for that of another model"


# --- one database ------------------------------------------------------------------------------------------------


def test_numpy_does_the_same_where_the_extension_does_not_load(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy")
    import sqlite_vec

    def missing() -> str:
        raise AttributeError("no such library")

    monkeypatch.setattr(sqlite_vec, "loadable_path", missing)
    vector_functions._say.cache_clear()
    url = f"sqlite:///{tmp_path}/moqi.db"
    migrate(url)
    with Database.open(url) as db:
        ids = db.run_sync(put, "a.md", "一", "二", "三")
        encoder = db.run_sync(register).id
        db.run_sync(made, encoder, ids, Y, XY, X)
        found = db.read_sync(vectors.search, encoder, X, EVERYONE, 9)
        assert [one.id for one in found] == ids[::-1]
        assert [one.similarity for one in found] == pytest.approx([1.0, 0.5**0.5, 0.0], abs=1e-6)


def test_no_statement_loads_an_extension(tmp_path: object) -> None:
    engine = sqlite_engine(make_url(f"sqlite:///{tmp_path}/moqi.db"), "BEGIN")
    with engine.connect() as conn, pytest.raises(Exception, match="not authorized"):
        conn.exec_driver_sql("select load_extension('anything')")
    engine.dispose()


def test_a_server_without_pgvector_is_told_so(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Words are searched there as before."""
    with Database.open(postgres_url) as db, pytest.raises(NoVectors, match="Install pgvector"):
        db.run_sync(_without_pgvector)


def _without_pgvector(conn: Connection) -> None:
    conn.execute(text("create temporary table pg_available_extensions (name text) on commit drop"))
    conn.execute(text("create temporary table pg_extension (extname text) on commit drop"))
    conn.execute(text("set local search_path = pg_temp, pg_catalog, public"))
    vectors.make(conn, 1, 3)


def test_a_question_may_be_asked_of_some_sources_alone(db: Database) -> None:
    """Together with the right to read, never instead of it."""
    (hr,) = db.run_sync(put, "hr.md", "一")
    (pay,) = db.run_sync(put, "pay.md", "二", principals=frozenset({"user:3"}))
    (hand,) = db.run_sync(put, "hand.md", "三")
    for name in ("hr.md", "pay.md"):
        db.run_sync(documents.collect, {name: "人事"})
    encoder = db.run_sync(register).id
    db.run_sync(made, encoder, [hr, pay, hand], X, X, X)

    def found(sources: frozenset[str] | None, principals: frozenset[str] = EVERYONE) -> set[int]:
        return {one.id for one in db.read_sync(vectors.search, encoder, X, principals, 9, sources)}

    assert found(None) == {hr, hand}
    assert found(frozenset({"人事"})) == {hr}
    assert found(frozenset({"人事"}), frozenset({"user:3"})) == {pay}
    assert (
        found(frozenset()) == found(frozenset({"财务"})) == found(frozenset({"人事"}), frozenset({"user:4"})) == set()
    )
