"""Finding pictures, on both databases: who sees what, what is found by which words, each once, page by page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import access
from storage import attendance, gallery, jobs
from storage.database import Database
from storage.gallery import Sight, Wanted
from storage.records import JobState
from tests.pictured import NOW, ordered, person, wanted


@pytest.fixture
def db(migrated_url: str) -> Iterator[Database]:
    with Database.open(migrated_url) as opened:
        yield opened


def found(conn: Connection, sight: Sight, wanted: Wanted, **page: int) -> list[int]:
    """The jobs of the pictures that are found."""
    return [one.job.id for one in gallery.page(conn, sight, wanted, **page)]


def test_what_the_database_shows_is_what_the_rule_says(db: Database) -> None:
    """Every owner, chat, secrecy and state, seen by everybody there may be: and nothing else, by any way of asking."""

    def work(conn: Connection) -> None:
        me, other = person(conn, "me"), person(conn, "other")
        for owner, group, private, state in product((me, other), ("", "g1", "g2"), (False, True), JobState):
            values: dict[str, Any] = {"private": True} if private else {}
            ordered(conn, owner, f"{state} {owner}", group=group, state=state, model=f"m{owner}", **values)
        attendance.note(conn, me, "feishu:g1")
        attendance.note(conn, me, "feishu:g1")
        made = jobs.recent(conn, limit=1000)
        seen = attendance.of(conn, me)
        assert seen == {"feishu:g1"}
        seers = (
            Sight(user_id=me, groups=seen),
            Sight(user_id=me),
            Sight(user_id=me, groups=seen, only="feishu:g1"),
            Sight(user_id=me, groups=seen, only="feishu:g2"),
            Sight(user_id=me, everything=True),
            Sight(user_id=me, everything=True, only="feishu:g2"),
            Sight(user_id=10**6),
        )
        for seer in seers:
            visible = {job.id for job in made if access.sees(seer, job)}
            assert set(found(conn, seer, Wanted(), limit=1000)) == visible, seer
            assert set(found(conn, seer, wanted("done"), limit=1000)) == visible, seer
            assert set(found(conn, seer, Wanted(ids=tuple(range(1, 1000))), limit=1000)) == visible, seer
            owners = {job.user_id for job in made if job.id in visible}
            assert {one for one, _ in gallery.choices(conn, seer).people} == owners, seer
            assert set(gallery.choices(conn, seer).models) == {f"m{owner}" for owner in owners}, seer
        mine, everybody, nobody = (len(found(conn, seers[n], Wanted(), limit=1000)) for n in (1, 4, 6))
        assert (mine, everybody, nobody) == (6, 6 + 3, 0), "own private ones too, others' never"

    db.run_sync(work)


WORDS = [
    (
        "一只金毛犬在海边奔跑",
        ("金毛", "金毛犬", "毛", "海边", "海邊", "奔跑 金毛", " 金毛，海边 "),
        ("毛金", "银毛", "边海"),
    ),
    (
        "水墨Panda，红围巾 ＰＯＳＴＥＲ v2",
        ("panda", "PANDA", "pan", "poster", "红圍巾", "v2", "panda 水墨"),
        ("anda", "v3"),
    ),
    ('Don\'t say "OR" NOT near* (x) 100%', ("don", "or", "not", "near", "100", "say x"), ("and", "nothing")),
    ("貓咪與Café", ("猫咪", "貓", "café", "与"), ("狗", "cafeteria")),
]


def test_words_find_whatever_is_written_with_them_in_any_width_case_and_script(db: Database) -> None:
    def work(conn: Connection) -> None:
        me = person(conn, "me")
        made = [ordered(conn, me, prompt) for prompt, *_ in WORDS]
        sight = Sight(user_id=me)
        for job, (_, finds, misses) in zip(made, WORDS, strict=True):
            for text in finds:
                assert job in found(conn, sight, wanted(text)), text
            for text in misses:
                assert job not in found(conn, sight, wanted(text)), text
        for text in ("' OR 1=1 --", '" OR "', "a* b*", "\\", "'; drop table", "&|!:*", "长" * 5000, "x" * 5000):
            gallery.page(conn, sight, wanted(text))  # whatever is asked, it is words and no query

    db.run_sync(work)


def test_newest_first_each_file_once_and_page_by_page(db: Database) -> None:
    def work(conn: Connection) -> None:
        me, other = person(conn, "me"), person(conn, "other")
        same = "ab" * 32
        first = ordered(conn, me, "老的猫", shas=(same,), at=NOW - timedelta(days=40))
        for number in range(5):
            ordered(conn, me, f"第{number}只猫", shas=("", ""), size=(1024, 768))
        hidden = ordered(conn, other, "别人的猫", shas=(same,))
        again = ordered(conn, me, "新的猫", shas=(same,), model="Z-Image-Turbo", at=NOW - timedelta(days=2))
        sight, pages, before = Sight(user_id=me), [], None
        while batch := gallery.page(conn, sight, wanted("猫"), before=before, limit=3):
            pages += [one.asset.id for one in batch]
            before = batch[-1].asset.id
        assert pages == sorted(set(pages), reverse=True)
        assert len(pages) == 11, "ten, and the doubled one once"
        assert (first in found(conn, sight, Wanted()), again in found(conn, sight, Wanted())) == (False, True)
        assert found(conn, sight, wanted("老的")) == [first], "what is found by these words is shown, once"
        assert hidden in found(conn, Sight(user_id=me, everything=True), wanted("别人"))
        assert found(conn, sight, Wanted(model="Z-Image-Turbo")) == [again]
        assert found(conn, sight, Wanted(size=(64, 48))) == [again]
        assert found(conn, sight, Wanted(owners=(other,))) == found(conn, sight, Wanted(owners=())) == []
        day = f"{NOW - timedelta(days=40):%Y-%m-%d}"
        assert found(conn, sight, Wanted(first_day=day, last_day=day)) == [first]
        assert gallery.choices(conn, sight) == gallery.Choices(
            people=((me, "me"),), models=("Z-Image-Turbo", "practice"), sizes=((64, 48), (1024, 768))
        )

    db.run_sync(work)
