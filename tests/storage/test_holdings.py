"""The list of documents for operators, and whom they can name as readers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from storage import documents, holdings, principals, users
from storage.chats import ChatState, moved
from storage.database import Database
from storage.holdings import Wanted
from storage.records import Identity
from tests.asked import NOW, shelved
from tests.pictured import person


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def test_a_page_at_a_time_by_name_and_source(db: Database) -> None:
    def work(conn: Connection) -> None:
        for number in range(5):
            shelved(conn, f"制度 {number}.md", "一", "二")
        shelved(conn, "HR/100%_薪酬.md", "三", readers="dept:人事部 user:feishu:ou_1", source="folder")

        def names(offset: int = 0, **wanted: str) -> list[str]:
            found = holdings.page(conn, Wanted(**wanted), offset=offset, limit=4)
            return [one.document.name for one in found]

        everything = [*names(), *names(4)]
        assert sorted(everything) == sorted({"HR/100%_薪酬.md", *(f"制度 {number}.md" for number in range(5))})
        assert holdings.count(conn, Wanted()) == 6
        assert names(words="hr 薪酬") == names(words="100%_") == names(source="folder") == ["HR/100%_薪酬.md"]
        assert names(words="1%薪") == names(words="hr", source="") == []
        assert holdings.count(conn, Wanted(words="制度", source="")) == 5
        [held] = holdings.page(conn, Wanted(source="folder"), offset=0, limit=4)
        assert held.passages == 1
        assert held.principals == {"dept:人事部", "user:feishu:ou_1"}
        assert documents.held(conn, [99, held.document.id]) == [held]

    db.run_sync(work)


def test_readers_are_changed_from_the_next_question_on(db: Database) -> None:
    def work(conn: Connection) -> None:
        open_, shut = shelved(conn, "open.md", "一"), shelved(conn, "shut.md", "二", readers="dept:人事部")
        everyone = frozenset({"everyone"})
        assert holdings.readable(conn, {open_, shut, 99}, everyone) == {open_}
        documents.grant(conn, {open_: frozenset({"dept:人事部"}), shut: everyone})
        assert holdings.readable(conn, {open_, shut}, everyone) == {shut}
        assert [one.name for one in documents.list_documents(conn, everyone)] == ["shut.md"]
        documents.grant(conn, {shut: frozenset()})
        assert holdings.readable(conn, {open_, shut}, everyone | {"dept:人事部"}) == {open_}

    db.run_sync(work)


def test_texts_of_passages_that_are_still_there(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "AT_ONCE", 2)

    def work(conn: Connection) -> None:
        shelved(conn, "a.md", "一", "二", "三")
        assert sorted(holdings.texts(conn, [1, 2, 3, 99]).values()) == ["一", "三", "二"]

    db.run_sync(work)


def test_who_can_be_named_and_what_they_are_called(db: Database) -> None:
    def work(conn: Connection) -> None:
        lin = users.resolve(conn, Identity(platform="feishu", external_id="ou_1"), "林晓", NOW)
        users.set_department(conn, lin.id, "人事部")
        chen = person(conn, "陈立")
        moved(conn, "feishu", "oc_1", ChatState.MEMBER, "设计群", NOW)
        moved(conn, "feishu", "oc_2", ChatState.REMOVED, "旧群", NOW)
        known = dict(principals.known(conn))
        assert known == {
            "dept:人事部": "人事部",
            "group:feishu:oc_1": "设计群",
            "user:feishu:ou_1": "林晓",
            "user:web:陈立": "陈立",
        }
        asked = {*known, f"user:{chen}", "user:wecom:ou_1", "group:feishu:oc_9", "everyone", "role:admin", "user:"}
        assert principals.names(conn, asked) == {**known, f"user:{chen}": "陈立"}

    db.run_sync(work)
