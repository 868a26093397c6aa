"""Questions for who keeps the documents: the same one once, and nobody learns from the list what they may not know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import unanswered
from bot.replies import Words
from bot.unanswered import OPERATOR, Open, Viewer, alike
from storage import feedback, users
from storage.database import Database
from storage.feedback import DOWN
from storage.records import ChatType, Role
from tests.asked import NOW, asked, shelved
from tests.bot.test_reserve import Chat, chat, db
from tests.pictured import person

__all__ = ["chat", "db"]

EVERYONE = frozenset({"everyone"})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("年假怎么休？", "请问，年假如何休", True),
        ("年假怎么休？", "怎么休年假", True),
        ("国外出差打车能报销吗", "出差国外打车可以报销么？", True),
        ("Can I bring my DOG?", "bring dog", True),
        ("年假怎么休", "病假怎么休", False),
        ("住酒店报多少", "住酒店 600 报多少", False),
        ("怎么", "为什么", False),  # nothing but asking words
        ("？？", "？？", True),
    ],
)
def test_what_counts_as_the_same_question(one: str, other: str, same: bool) -> None:
    assert (alike(one) == alike(other)) is same


def test_the_same_question_stands_once_with_all_that_was_said(db: Database) -> None:
    def work(conn: Connection) -> None:
        anna, ben = person(conn, "anna"), person(conn, "ben")
        guide = {"差旅.md": shelved(conn, "差旅.md", "一")}
        asked(conn, anna, "可以带狗吗", offered={}, at=NOW - timedelta(days=1))
        first = asked(conn, anna, "国外打车能报吗", offered=guide, at=NOW - timedelta(days=2))
        last = asked(conn, ben, "那国外呢", "可以 [1]", grounded=True, offered=guide, standalone="国外打车可以报么")
        feedback.say(conn, last, anna, DOWN, NOW, ["wrong", "figures"], "过时了")
        feedback.say(conn, last, ben, DOWN, NOW, ["wrong"], "")
        taxi, dog = unanswered.listed(conn, OPERATOR, NOW)
        assert taxi == Open(
            question="国外打车可以报么",
            jobs=(last, first),
            people=2,
            last=NOW,
            refused=1,
            disliked=2,
            reasons={"wrong": 2, "figures": 1},
            said=("过时了",),
            answer="可以 [1]",
            documents=("差旅.md",),
            hidden=False,
            askers=("ben", "anna"),
        )
        assert (dog.question, dog.refused, dog.documents) == ("可以带狗吗", 1, ())
        assert unanswered.to_json(taxi)["times"] == 2

    db.run_sync(work)


@pytest.mark.parametrize(
    ("viewer", "hidden", "documents"),
    [
        (OPERATOR, False, ("薪酬.md", "手册.md")),
        (Viewer(principals=EVERYONE | {"dept:人事部"}, names=True), False, ("薪酬.md", "手册.md")),
        (Viewer(principals=EVERYONE, names=True), True, ("手册.md",)),  # an admin is not in every department
        (Viewer(principals=EVERYONE, names=False), True, ("手册.md",)),
        (Viewer(principals=frozenset(), names=False), True, ()),
    ],
)
def test_an_answer_is_for_who_may_read_all_it_was_made_from(
    db: Database, viewer: Viewer, hidden: bool, documents: tuple[str, ...]
) -> None:
    def work(conn: Connection) -> list[Open]:
        seen = {
            "薪酬.md": shelved(conn, "薪酬.md", "P5", readers="dept:人事部"),
            "手册.md": shelved(conn, "手册.md", "x"),
        }
        asked(conn, person(conn, "anna"), "P5 多少钱", "P5 每月 20000 元", offered=seen)
        return unanswered.listed(conn, viewer, NOW)

    [found] = db.run_sync(work)
    assert (found.hidden, found.documents) == (hidden, documents)
    assert found.answer == ("" if hidden else "P5 每月 20000 元")
    assert found.askers == (("anna",) if viewer.names else ())
    shown = str(unanswered.to_json(found))
    assert ("20000" in shown) is not hidden
    assert ("薪酬" in shown) is not hidden


def test_what_may_have_been_quoted_is_hidden_where_nobody_kept_what_was_offered(db: Database) -> None:
    def work(conn: Connection) -> None:
        gone = shelved(conn, "旧.md", "x")
        asked(conn, person(conn, "anna"), "以前的问题", "以前的回答")
        asked(conn, person(conn, "anna"), "删掉的文档", "里面的话", offered={"旧.md": 99, "还在.md": gone})
        found = unanswered.listed(conn, Viewer(principals=EVERYONE, names=True), NOW)
        assert [(one.hidden, one.answer) for one in found] == [(True, ""), (True, "")]

    db.run_sync(work)


# --- /kb unanswered ---------------------------------------------------------------------------------------------------


def told(chat: Chat, who: str, kind: ChatType) -> tuple[str, Any]:
    event = chat.event("message", who, text="/kb unanswered")
    handled = chat.tell(replace(event, origin=replace(event.origin, chat_type=kind)))
    return handled.outcome, handled.reply


def test_in_a_chat_of_ones_own_reviewers_see_them_and_a_group_hears_how_many(chat: Chat) -> None:
    def work(conn: Connection) -> int:
        secret = shelved(conn, "薪酬.md", "P5", readers="dept:人事部")
        asked(conn, person(conn, "林晓"), "P5 是多少钱", at=NOW - timedelta(hours=1))
        job = asked(conn, person(conn, "林晓"), "P5 多少钱", "两万", grounded=True, offered={"薪酬.md": secret})
        feedback.say(conn, job, person(conn, "王芳"), DOWN, NOW, ["wrong"])
        return job

    assert told(chat, "anna", ChatType.DIRECT)[0] == "refused:not_reviewer"
    anna = chat.db.read_sync(users.find, "anna")[0]
    chat.db.run_sync(users.set_role, anna.id, Role.REVIEWER)
    assert told(chat, "anna", ChatType.DIRECT)[1].text == "没有等着补答案的问题。"
    chat.db.run_sync(work)
    _, reply = told(chat, "anna", ChatType.DIRECT)
    assert reply.title == "没答好的问题 · 1 个"
    assert reply.text == "• P5 多少钱 · 2 次 · 👎 1 · 内容有错误"
    assert "网页" in reply.note
    assert "P5" not in (group := told(chat, "anna", ChatType.GROUP)[1].text)
    assert "1 个问题" in group
    chat.db.run_sync(users.set_role, anna.id, Role.ADMIN)
    chat.house = replace(chat.house, page="https://moqi.example")
    _, reply = told(chat, "anna", ChatType.DIRECT)
    assert reply.text.endswith(" · 林晓")
    assert "https://moqi.example/knowledge?view=unanswered" in reply.note


def test_a_long_list_is_cut_and_says_so() -> None:
    one = Open(
        question="问" * 200, jobs=(1,), people=1, last=NOW, refused=1, disliked=0, reasons={"later": 1}, said=(),
        answer="", documents=(), hidden=False, askers=(),
    )  # fmt: skip
    reply = Words("en").unanswered([one], 31, named=True, page="")
    row, more = reply.text.splitlines()
    assert len(row) < 90
    assert (row[:2], more) == ("• ", "…")
