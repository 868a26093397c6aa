"""👍 and 👎 as they are pressed: by anybody who sees the card, once each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot import router
from bot.replies import Words
from storage import feedback, users
from storage.feedback import Remarks, Votes
from storage.records import Identity
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
