"""The knowledge base's store: who finds what, and that the index never differs from the passages."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, make_url, text

from inference.grounding.search import index_terms, terms
from storage import documents, lexical
from storage.database import Database, sqlite_engine
from storage.migrations import migrate
from storage.records import NewPassage, SearchTerms

EVERYONE = frozenset({"everyone"})


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def put(conn: Connection, name: str, *texts: str, principals: frozenset[str] = EVERYONE, source: str = "") -> int:
    pieces = [NewPassage(heading="甲 › 乙", start=0, end=len(t), text=t, terms=index_terms(t)) for t in texts]
    return documents.put_document(
        conn, name=name, title=name, sha256="0", recipe="1", pieces=pieces, principals=principals, source=source
    )


def found(conn: Connection, question: str, principals: frozenset[str] = EVERYONE, k: int = 10) -> list[str]:
    return [one.passage.document for one in lexical.search(conn, terms(question), principals, k)]


def entries(conn: Connection) -> int:
    return int(conn.execute(text("select count(*) from passages_fts")).scalar_one())


SPELLINGS = (
    "报销",  # two characters: what trigram indexes cannot find
    "差旅费用怎么報銷？",  # traditional, with asking words
    "ＭａｃＢｏｏｋ",  # full width, other case
    "c++ 培训",
    "3.5%",
    "请问 报销 \" OR * NEAR( ) ' \\ : ^ -",  # what a query language would choke on
)


def test_questions_of_every_spelling_find_the_passage(db: Database) -> None:
    db.run_sync(put, "a.md", "差旅费用凭发票报销，MacBook 与 C++ 培训按 3.5% 计提。")
    db.run_sync(put, "b.md", "会议室最早提前十四天预订。")
    assert [question for question in SPELLINGS if db.read_sync(found, question)[:1] != ["a.md"]] == []
    assert db.read_sync(found, "食堂") == []


def test_the_better_passage_comes_first_with_all_its_values(db: Database) -> None:
    document = db.run_sync(put, "a.md", "年假可以结转。", "年假每年十天，工龄满十年十五天。")
    db.run_sync(put, "b.md", "工龄从入职之日起计算。")
    first, *others = db.read_sync(lexical.search, terms("工龄十年的年假"), EVERYONE, 10)
    assert (first.passage.document_id, first.passage.ordinal, first.passage.heading) == (document, 1, "甲 › 乙")
    assert first.passage.text == "年假每年十天，工龄满十年十五天。"
    assert all(first.score > other.score for other in others)
    assert len(others) == 2
    assert [one.passage.id for one in db.read_sync(lexical.search, terms("工龄十年的年假"), EVERYONE, 1)] == [
        first.passage.id
    ]


def test_coverage_says_how_much_of_the_question_is_there(db: Database) -> None:
    db.run_sync(put, "a.md", "租房补贴由行政部发放。", "其他。")
    whole, part = (
        db.read_sync(lexical.search, terms(question), EVERYONE, 1)[0].coverage for question in ("租房补贴", "高温补贴")
    )
    assert whole == 1.0
    assert 0 < part < 0.5


def test_nobody_reads_without_a_right(db: Database) -> None:
    db.run_sync(put, "open.md", "暗号是蓝鲸。")
    db.run_sync(put, "secret.md", "暗号是白鸽。", principals=frozenset({"user:3", "role:admin"}))
    cases = {
        frozenset[str](): [],
        frozenset({"user:4"}): [],
        EVERYONE: ["open.md"],
        frozenset({"user:3"}): ["secret.md"],
        frozenset({"everyone", "user:3"}): ["open.md", "secret.md"],
    }
    for principals, expected in cases.items():
        assert sorted(db.read_sync(found, "暗号", principals)) == expected
        assert [one.name for one in db.read_sync(documents.list_documents, principals)] == expected


def test_a_passage_is_handed_out_only_to_its_readers(db: Database) -> None:
    db.run_sync(put, "secret.md", "暗号是白鸽。", principals=frozenset({"user:3"}))
    (one,) = db.read_sync(lexical.search, terms("暗号"), frozenset({"user:3"}), 1)
    number = one.passage.id
    assert db.read_sync(documents.get_passage, number, frozenset({"user:3"})) == one.passage
    for others in (frozenset[str](), EVERYONE, frozenset({"user:4"})):
        assert db.read_sync(documents.get_passage, number, others) is None


def test_a_revoked_right_ends_with_the_next_query(db: Database) -> None:
    db.run_sync(put, "a.md", "暗号是蓝鲸。")
    assert db.run_sync(documents.set_access, "a.md", {"user:3"})
    assert db.read_sync(found, "暗号") == []
    assert db.read_sync(found, "暗号", frozenset({"user:3"})) == ["a.md"]
    assert not db.run_sync(documents.set_access, "none.md", {"user:3"})


def test_a_new_version_takes_the_old_ones_place(db: Database) -> None:
    first = db.run_sync(put, "a.md", "旧版写着海豚。", "第二段。")
    second = db.run_sync(put, "a.md", "新版写着骆驼。")
    assert first == second
    assert db.read_sync(found, "海豚") == []
    assert db.read_sync(found, "骆驼") == ["a.md"]
    assert db.read_sync(entries) == 1


def test_a_deleted_document_is_gone_from_everything(db: Database) -> None:
    db.run_sync(put, "a.md", "写着海豚。", "第二段。")
    assert db.run_sync(documents.delete_document, "a.md")
    assert not db.run_sync(documents.delete_document, "a.md")
    assert db.read_sync(found, "海豚") == []
    assert db.read_sync(entries) == 0
    assert db.read_sync(documents.stats) == documents.Stats(documents=0, passages=0)
    assert db.read_sync(documents.holdings) == []


def test_the_index_follows_whoever_deletes(db: Database) -> None:
    db.run_sync(put, "a.md", "写着海豚。")

    def by_hand(conn: Connection) -> None:
        conn.execute(text("delete from documents"))

    db.run_sync(by_hand)
    assert db.read_sync(entries) == 0


def test_what_fails_leaves_the_old_version_whole(db: Database) -> None:
    db.run_sync(put, "a.md", "写着海豚。")

    def broken(conn: Connection) -> None:
        put(conn, "a.md", "写着骆驼。")
        raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError):
        db.run_sync(broken)
    assert db.read_sync(found, "海豚") == ["a.md"]
    assert db.read_sync(found, "骆驼") == []


def test_holdings_and_stats_tell_the_operator(db: Database) -> None:
    db.run_sync(put, "b.md", "二", principals=frozenset({"user:3", "chat:web:1"}), source="folder")
    db.run_sync(put, "a.md", "一一", "二二")
    one, other = db.read_sync(documents.holdings)
    assert (one.document.name, one.passages, one.principals, one.source) == ("a.md", 2, EVERYONE, "")
    assert (other.document.name, other.principals, other.source) == (
        "b.md",
        frozenset({"user:3", "chat:web:1"}),
        "folder",
    )
    assert db.read_sync(documents.stats) == documents.Stats(documents=2, passages=3)
    one_each = {"folder": documents.Stats(documents=1, passages=1), "": documents.Stats(documents=1, passages=2)}
    assert db.read_sync(documents.totals) == one_each
    assert db.read_sync(documents.holdings, "folder") == [other]
    assert (db.read_sync(documents.holding, "a.md"), db.read_sync(documents.holding, "c.md")) == (one, None)
    assert db.read_sync(documents.newest, 1) == [one]


def test_a_document_without_passages_can_be_kept(db: Database) -> None:
    db.run_sync(put, "empty.md")
    assert [one.passages for one in db.read_sync(documents.holdings)] == [0]


def test_no_terms_find_nothing(db: Database) -> None:
    db.run_sync(put, "a.md", "写着海豚。")
    assert db.read_sync(lexical.search, SearchTerms(words=(), bigrams=()), EVERYONE, 10) == []
    assert db.read_sync(lexical.search, terms("海豚"), EVERYONE, 0) == []


def test_terms_in_almost_every_passage_still_find_something(db: Database) -> None:
    db.run_sync(put, "a.md", *[f"公司第{number}条规定。" for number in range(60)])
    assert len(db.read_sync(found, "公司")) == 10


def test_a_pasted_page_is_a_question_too(db: Database) -> None:
    db.run_sync(put, "a.md", "写着海豚。")
    assert db.read_sync(found, "海豚" + "".join(map(chr, range(0x4E00, 0x5E00)))) == ["a.md"]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_found_is_what_the_oracle_says(db: Database, seed: int) -> None:
    """Random documents, rights and changes: a reader finds exactly the documents plain Python says they may read."""
    chance = random.Random(seed)
    principals = ["everyone", "user:1", "user:2", "role:admin"]
    rights: dict[str, frozenset[str]] = {}
    for _ in range(30):
        name = f"{chance.randrange(6)}.md"
        readers = frozenset(chance.sample(principals, chance.randrange(4)))
        match chance.choice(["put", "put", "access", "delete"]):
            case "put":
                db.run_sync(put, name, "共同的暗号", "别的", principals=readers)
                rights[name] = readers
            case "access":
                assert db.run_sync(documents.set_access, name, readers) == (name in rights)
                rights |= {name: readers} if name in rights else {}
            case "delete":
                assert db.run_sync(documents.delete_document, name) == (rights.pop(name, None) is not None)
        asking = frozenset(chance.sample(principals, chance.randrange(4)))
        assert sorted(db.read_sync(found, "暗号", asking)) == sorted(n for n, who in rights.items() if who & asking)
    assert db.read_sync(entries) == 2 * len(rights)


def test_terms_are_counted_exactly(db: Database) -> None:
    """How rare a term is decides ranks and refusals: FTS5 counts by itself, PostgreSQL by our triggers."""
    postgresql = db.url.get_backend_name() == "postgresql"
    counts = text("select term, n from passages_df" if postgresql else "select term, doc from passages_vocab")
    db.run_sync(put, "a.md", "海豚", "海豚和骆驼")
    db.run_sync(put, "b.md", "骆驼")
    expected = {"和": 1, "海豚": 2, "豚和": 1, "和骆": 1, "骆驼": 2}
    db.run_sync(lexical.settle)
    assert {row[0]: row[1] for row in db.read_sync(lambda conn: conn.execute(counts).all())} == expected
    db.run_sync(documents.delete_document, "a.md")
    db.run_sync(lexical.settle)
    assert [tuple(row) for row in db.read_sync(lambda conn: conn.execute(counts).all())] == [("骆驼", 1)]


def test_what_is_not_counted_yet_is_found(db: Database) -> None:
    db.run_sync(put, "a.md", "海豚")
    db.run_sync(lexical.settle)
    db.run_sync(put, "b.md", "骆驼")
    assert db.read_sync(found, "骆驼", EVERYONE) == ["b.md"]


@pytest.mark.parametrize(
    ("frequencies", "chosen"),
    [
        ({"年假": 40, "规定": 900}, ["年假", "规定"]),
        ({"年假": 40, "规定": 5_961}, ["年假"]),  # together they would stand in more than 6,000
        ({"规定": 50_000}, ["年假", "规定"]),  # nobody has written of the other one: the common one must do
        ({"年假": 20_000, "规定": 50_000}, ["年假"]),
    ],
)
def test_candidates_are_looked_for_by_the_rarest_terms(frequencies: dict[str, int], chosen: list[str]) -> None:
    terms = SearchTerms(words=("规定", "年假"), bigrams=())
    assert sorted(lexical.choosing(terms, frequencies)) == sorted(chosen)


def test_deleted_words_do_not_stay_in_the_file(tmp_path: Path) -> None:
    """Without FTS5's own secure-delete the tokens stay in index pages, whatever the pragma says."""
    file = tmp_path / "moqi.db"
    url = make_url(f"sqlite:///{file}")
    migrate(url)
    engine = sqlite_engine(url, "BEGIN IMMEDIATE", "secure_delete = on", "journal_mode = delete")
    with engine.begin() as conn:
        put(conn, "keep.md", "骆驼", "canaryaaa")
        put(conn, "gone.md", "secretcanary 海豚")
    assert b"secretcanary" in file.read_bytes()
    with engine.begin() as conn:
        documents.delete_document(conn, "gone.md")
    engine.dispose()
    assert b"secretcanary" not in file.read_bytes()
    assert b"canaryaaa" in file.read_bytes()


PIGEON = NewPassage(heading="", start=0, end=6, text="暗号是白鸽。", terms=index_terms("暗号是白鸽。"))


def kept(conn: Connection, name: str, ref: str, *, source: str = "wiki") -> int:
    return documents.put_document(
        conn, name=name, title="", sha256="", recipe="", pieces=[PIGEON], principals=EVERYONE,
        source=source, ref=ref, revision="1", url=f"https://a.cn/wiki/{ref}",
    )  # fmt: skip


def test_a_document_with_an_id_keeps_it_through_names(db: Database) -> None:
    first = db.run_sync(kept, "旧名", "app:x")
    assert db.run_sync(kept, "新名", "app:x") == first
    db.run_sync(put, "别的", "暗号是白鸽。")
    assert db.run_sync(documents.free_name, "别的", "app:x") == "别的 (x)"
    assert db.run_sync(documents.free_name, "新名", "app:x") == "新名"
    db.run_sync(documents.relabel, "app:x", name="第三名", revision="2", url="https://a.cn/3")
    assert db.read_sync(found, "暗号") == ["第三名", "别的"]
    [holding] = [one for one in db.read_sync(documents.holdings) if one.ref]
    assert (holding.revision, holding.document.url, holding.source) == ("2", "https://a.cn/3", "wiki")
    assert db.read_sync(documents.source_of, "app:x") == "wiki"
    assert not db.run_sync(documents.delete_ref, "another", "app:x")
    assert db.run_sync(documents.delete_ref, "wiki", "app:x")
    assert db.read_sync(documents.source_of, "app:x") is None


def test_documents_are_given_to_others_at_once(db: Database) -> None:
    ids = [db.run_sync(kept, ref, ref) for ref in ("a", "b")]
    db.run_sync(put, "own", "暗号是白鸽。")
    db.run_sync(documents.grant, dict.fromkeys([*ids, 999], frozenset({"dept:人事部", "user:3"})))
    assert db.read_sync(found, "暗号") == ["own"]
    for principal in ("dept:人事部", "user:3"):
        assert db.read_sync(found, "暗号", frozenset({principal})) == ["a", "b"]
    db.run_sync(documents.grant, dict.fromkeys(ids, frozenset[str]()))
    assert db.read_sync(found, "暗号", frozenset({"user:3"})) == []


def test_a_document_is_moved_with_its_passages_unless_its_place_is_taken(db: Database) -> None:
    moved = db.run_sync(put, "a.md", "写着海豚。")
    db.run_sync(put, "b.md", "写着骆驼。")
    assert not db.run_sync(documents.move, "a.md", to="b.md", revision="2")
    assert db.run_sync(documents.move, "a.md", to="c/a.md", revision="2")
    assert not db.run_sync(documents.move, "a.md", to="d.md", revision="2")
    assert db.read_sync(found, "海豚") == ["c/a.md"]
    db.run_sync(documents.note_revisions, {"c/a.md": "3", "gone.md": "3"})
    held = db.read_sync(documents.holding, "c/a.md")
    assert held is not None
    assert (held.document.id, held.revision, held.passages) == (moved, "3", 1)
    assert db.read_sync(documents.source_named, "c/a.md") == ""
    assert db.read_sync(documents.source_named, "a.md") is None


def test_passages_are_readable_all_or_not(db: Database) -> None:
    db.run_sync(put, "a", "一", "二")
    db.run_sync(put, "b", "三", principals=frozenset({"user:3"}))
    seen = (db.read_sync(documents.get_passage, number, EVERYONE) for number in range(1, 4))
    mine = [passage.id for passage in seen if passage is not None]
    assert len(mine) == 2
    assert db.read_sync(documents.readable, mine, EVERYONE)
    assert db.read_sync(documents.readable, [], frozenset())
    assert not db.read_sync(documents.readable, [*mine, 999], EVERYONE)
    assert not db.read_sync(documents.readable, range(1, 4), EVERYONE)
    assert db.read_sync(documents.readable, range(1, 4), EVERYONE | {"user:3"})


def test_a_question_may_be_asked_of_some_sources_alone(db: Database) -> None:
    """Together with the right to read, never instead of it."""
    for name, collection, readers in (
        ("hr.md", "人事", EVERYONE),
        ("pay.md", "人事", frozenset({"user:3"})),
        ("it.md", "IT", EVERYONE),
        ("hand.md", "", EVERYONE),
    ):
        db.run_sync(put, name, "暗号是蓝鲸。", principals=readers)
        db.run_sync(documents.collect, {name: collection, "none.md": collection})

    def names(sources: frozenset[str] | None, principals: frozenset[str] = EVERYONE) -> list[str]:
        return sorted(
            one.passage.document for one in db.read_sync(lexical.search, terms("暗号"), principals, 10, sources)
        )

    assert names(None) == ["hand.md", "hr.md", "it.md"]
    assert names(frozenset({"人事"})) == ["hr.md"]
    assert names(frozenset({"人事"}), frozenset({"user:3"})) == ["pay.md"]
    assert names(frozenset({"人事", "IT"})) == ["hr.md", "it.md"]
    assert names(frozenset()) == names(frozenset({"财务"})) == names(frozenset({"人事"}), frozenset({"user:4"})) == []
    assert db.read_sync(documents.collections, EVERYONE) == {"人事", "IT"}
    assert db.read_sync(documents.collections, frozenset({"user:3"})) == {"人事"}
    db.run_sync(put, "hr.md", "新的一版。")
    assert db.read_sync(documents.collected, "") == {"hr.md": "人事", "pay.md": "人事", "it.md": "IT", "hand.md": ""}
    db.run_sync(documents.collect, {"it.md": ""})
    assert db.read_sync(documents.collections, EVERYONE) == {"人事"}
