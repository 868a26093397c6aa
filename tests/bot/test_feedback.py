"""👍 and 👎 as they are pressed: by anybody who sees the card, once each."""

from __future__ import annotations

from datetime import timedelta

import pytest

from storage import feedback, users
from storage.feedback import Votes
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
