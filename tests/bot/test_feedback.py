"""👍 and 👎 as they are pressed: by anybody who sees the card, once each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from bot import router
from bot.replies import Words
from bot.reply import Form
from storage import feedback, jobs, outbox, users
from storage.feedback import Remarks, Votes
from storage.records import Identity
from tests.asked import asked
from tests.bot.test_forms import chat, finished, press
from tests.bot.test_reserve import NOW, Chat

__all__ = ["chat"]


@pytest.mark.parametrize(
    ("presses", "votes", "said"),
    [
        ([("anna", "vote_up", 0)], Votes(up=1), "谢谢，已记下 👍"),
        ([("ben", "vote_down", 0)], Votes(down=1), "已记下 👎"),  # not the one who ordered it
        ([("anna", "vote_up", 0), ("anna", "vote_down", 9)], Votes(down=1), "已记下 👎"),
        ([("anna", "vote_up", 0), ("anna", "vote_up", 9)], Votes(), "已收回"),
        ([("anna", "vote_up", 0), ("anna", "vote_up", 1)], Votes(up=1), "已记下 👍"),  # a double click
        ([("anna", "vote_up", 0), ("ben", "vote_up", 0)], Votes(up=2), "已记下 👍"),
    ],
)
def test_votes(chat: Chat, presses: list[tuple[str, str, int]], votes: Votes, said: str) -> None:
    finished(chat)
    for who, action, at in presses:
        chat.now = NOW + timedelta(seconds=at)
        handled = press(chat, action, who, job=1)
        assert handled.reply is None  # a toast, and not a word in the chat
        assert handled.toast[0] == "success"
    assert said in handled.toast[1]
    assert chat.db.read_sync(feedback.of_job, 1) == votes


def test_what_has_no_result_yet_cannot_be_judged(chat: Chat) -> None:
    chat.say("/draw 一只猫")
    assert press(chat, "vote_up", job=1).outcome == "refused:not_finished"


def test_who_is_shut_out_has_no_vote(chat: Chat) -> None:
    finished(chat)
    ben = chat.db.run_sync(users.resolve, Identity(platform="feishu", external_id="ben"), "ben", NOW)
    chat.db.run_sync(users.set_banned, ben.id, True)
    assert press(chat, "vote_up", "ben", job=1).outcome == "refused:banned"
    assert chat.db.read_sync(feedback.of_job, 1) == Votes()


@pytest.mark.parametrize(
    ("presses", "votes", "remarks", "said"),
    [
        ([("vote_up", [], "")], Votes(up=1), Remarks(), "👍"),
        ([("vote_up", [], "")] * 2, Votes(up=1), Remarks(), "👍"),  # said twice, and not taken back
        (
            [("vote_down", [3, 1, 3, 7, True, "2"], " 年份\n不对\u202e")],
            Votes(down=1),
            Remarks(reasons={"beside": 1, "wrong": 1}, said=("年份 不对",)),
            "👎",
        ),
        ([("vote_down", [2], "少"), ("vote_down", [4], "")], Votes(down=1), Remarks(reasons={"figures": 1}), "👎"),
        ([("vote_down", [2], "少"), ("vote_up", [2], "少")], Votes(up=1), Remarks(), "👍"),
        ([("vote_down", [2], "少"), ("vote_none", [], "")], Votes(), Remarks(), "已收回"),
        ([("vote_none", [], "")], Votes(), Remarks(), "已收回"),
        ([("vote_none", None, None)], Votes(), Remarks(), "已收回"),
        ([("vote_down", [], "长" * 900)], Votes(down=1), Remarks(said=("长" * 500,)), "👎"),
        ([("vote_down", [], {"no": "text"})], Votes(down=1), Remarks(), "👎"),
        ([("vote_down", "1234", "no list")], Votes(down=1), Remarks(), "👎"),  # a button's: it says nothing of reasons
    ],
)
def test_a_platforms_own_votes_say_what_stands_and_why(
    chat: Chat, presses: list[tuple[str, Any, Any]], votes: Votes, remarks: Remarks, said: str
) -> None:
    finished(chat)
    for number, (action, reasons, words) in enumerate(presses):
        chat.now = NOW + timedelta(seconds=9 * number)
        handled = press(chat, action, "ben", job=1, reasons=reasons, said=words)
    assert said in handled.toast[1]
    assert chat.db.read_sync(feedback.of_job, 1) == votes
    assert chat.db.read_sync(feedback.remarks, 1) == remarks


def test_the_same_opinion_delivered_twice_is_one(chat: Chat) -> None:
    finished(chat)
    event = chat.event("action", "ben", action="vote_down", value={"job": 1, "reasons": [1], "said": "跑题"})
    for _ in range(2):
        chat.db.run_sync(router.press, chat.house, event, chat.now)
    assert chat.db.read_sync(feedback.remarks, 1) == Remarks(reasons={"beside": 1}, said=("跑题",))


def test_an_opinion_about_a_message_of_ours_counts_wherever_it_stands(chat: Chat) -> None:
    """The platform gives it to the message itself; a card can be copied elsewhere, this cannot."""
    finished(chat)
    event = chat.event("action", "ben", action="vote_up", value={"job": 1, "reasons": []})
    elsewhere = replace(event, origin=replace(event.origin, chat_id="oc_other"))
    chat.db.run_sync(router.press, chat.house, elsewhere, chat.now)
    assert chat.db.read_sync(feedback.of_job, 1) == Votes(up=1)


def test_every_reason_has_its_words() -> None:
    for language in ("zh", "en"):
        assert all(Words(language).knows(f"vote.reason.{name}") for name in feedback.REASONS.values())


# --- why, after a 👎 under an answer ----------------------------------------------------------------------------------


def answered(chat: Chat) -> int:
    """An answer of anna's in the group, delivered as message om_answer."""

    def work(conn: Connection) -> int:
        anna = users.resolve(conn, Identity(platform="feishu", external_id="anna"), "anna", NOW).id
        job = asked(conn, anna, "年假怎么休", "十天 [1]", grounded=True, group="oc_team")
        found = jobs.get(conn, job)
        assert found is not None
        for slot in ("card", "outcome"):
            queued = outbox.add(conn, f"job-{job}-{slot}", found.origin, slot=slot, now=NOW, job_id=job)
            assert queued is not None
            outbox.sent(conn, queued, {"message_id": "om_answer"}, NOW)
        return job

    return chat.db.run_sync(work)


def remarks(chat: Chat, job: int) -> Remarks:
    return chat.db.read_sync(feedback.remarks, job)


def ask_why(chat: Chat, job: int) -> Form:
    handled = press(chat, "vote_down", "ben", message="om_answer", job=job)
    assert "哪里不好" in handled.toast[1]
    assert handled.shown is not None
    assert handled.shown.receipt == {"message_id": "om_answer"}
    assert handled.shown.reply.text == "十天 [1]"
    form = handled.shown.reply.form
    assert form is not None
    assert form.open
    return form


def test_a_thumb_down_is_asked_why_and_one_press_or_a_sentence_says_it(chat: Chat) -> None:
    job = answered(chat)
    form = ask_why(chat, job)
    assert [one.label for one in form.choices] == ["与问题无关", "内容不完整", "内容有错误", "数据分析错误"]
    chosen = form.choices[2]
    handled = press(chat, chosen.action, "ben", message="om_answer", **chosen.value)
    assert handled.shown is not None
    assert handled.shown.reply.form is None, "the question is answered"
    assert "审核员会看到" in handled.toast[1]
    assert remarks(chat, job) == Remarks(reasons={"wrong": 1})
    handled = press(chat, form.action, "cora", message="om_answer", **form.value, form={"reason": " 旧\n了 "})
    assert handled.toast[0] == "success"
    assert remarks(chat, job) == Remarks(reasons={"wrong": 1}, said=("旧 了",))
    both = {**form.choices[0].value, "form": {"reason": "跑题"}}
    press(chat, form.action, "cora", message="om_answer", **both)
    assert remarks(chat, job) == Remarks(reasons={"wrong": 1, "beside": 1}, said=("跑题",))


def test_what_was_asked_goes_when_the_vote_is_taken_back_or_somebody_closes_it(chat: Chat) -> None:
    job = answered(chat)
    ask_why(chat, job)
    chat.now = NOW + timedelta(seconds=9)
    handled = press(chat, "vote_down", "ben", message="om_answer", job=job)
    assert "收回" in handled.toast[1]
    assert handled.shown is not None
    assert handled.shown.reply.form is None
    form = ask_why(chat, job)
    handled = press(chat, "form_close", "anna", message="om_answer", **form.value)
    assert handled.shown is not None
    assert handled.shown.reply.form is None
    assert press(chat, "vote_up", "anna", message="om_answer", job=job).shown is None, "nothing was open for them"
    assert press(chat, "form_open", "anna", message="om_answer", job=job).outcome == "refused:not_a_picture"


def test_no_card_is_shown_where_the_press_came_from_none(chat: Chat) -> None:
    job = answered(chat)
    for message in ("", "om_other"):
        handled = press(chat, "vote_down", f"ben{message}", message=message, job=job)
        assert handled.shown is None
        assert "审核员会看到" in handled.toast[1]
    own = chat.event("action", "ben", action="vote_down", value={"job": job, "reasons": [], "said": ""})
    assert chat.db.run_sync(router.press, chat.house, own, chat.now).shown is None, "WeCom has asked already"


@pytest.mark.parametrize("carried", [{"reason": 9}, {"reason": True}, {"reason": "3"}, {}, {"form": "x"}])
def test_what_is_no_reason_is_a_thumb_down_without_one(chat: Chat, carried: dict[str, Any]) -> None:
    job = answered(chat)
    handled = press(chat, "why_form", "ben", message="om_answer", job=job, **carried)
    assert handled.outcome == "reply"
    assert chat.db.read_sync(feedback.of_job, job) == Votes(down=1)
    assert remarks(chat, job) == Remarks()


def test_a_forwarded_card_says_no_reason(chat: Chat) -> None:
    job = answered(chat)
    handled = press(chat, "why_form", "ben", message="om_copy", room="oc_other", job=job, reason=1)
    assert handled.outcome == "refused:elsewhere"
    assert remarks(chat, job) == Remarks()


def test_a_page_judges_nobody_elses_answers(chat: Chat) -> None:
    """It can name any job; a card that is not shown to somebody is not theirs to judge, nor to know of."""
    job = answered(chat)
    for action in ("vote_up", "vote_down", "why_form"):
        event = chat.event("action", "ben", platform="web", action=action, value={"job": job})
        assert chat.db.run_sync(router.press, chat.house, event, chat.now).outcome == "refused:unknown_job"
    assert chat.db.read_sync(feedback.of_job, job) == Votes()
