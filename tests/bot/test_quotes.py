"""Messages without words, and messages about other messages, where the platform tells what those say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.moderation import Rule, Screen, words
from bot.replies import job_reply
from storage import jobs
from storage.database import Database
from storage.migrations import migrate
from storage.records import Job, JobState
from tests.bot.test_reserve import CARD, Chat, house


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blank") / "moqi.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def chat(blank: Path, tmp_path: Path) -> Iterator[Chat]:
    path = tmp_path / "moqi.db"
    path.write_bytes(blank.read_bytes())
    with Database.open(f"sqlite:///{path}") as db:
        yield Chat(db, house())


def newest(chat: Chat) -> Job:
    return chat.db.read_sync(jobs.recent)[0]


@pytest.mark.parametrize(
    ("value", "outcome", "said"),
    [
        ({"images": [{"url": "u", "key": "k"}]}, "refused:only_picture", "`/draw 描述 --from`"),
        ({"files": [{"url": "u", "key": "k", "name": "a.pdf"}]}, "refused:only_file", "`/kb add`"),
        ({"unusable": "location"}, "refused:unusable", "看不懂"),
        ({}, "refused:nothing_said", "/help"),
    ],
)
def test_a_message_without_words_is_told_what_to_do_with_it(
    chat: Chat, value: dict[str, Any], outcome: str, said: str
) -> None:
    handled = chat.say("", value=value)
    assert handled.outcome == outcome
    assert handled.reply is not None
    assert said in handled.reply.text


@pytest.mark.parametrize("text", ["这个怎么申请？", "/ask 这个怎么申请？"])
def test_trap_15_a_question_is_asked_with_the_message_it_is_about(chat: Chat, text: str) -> None:
    chat.say(text, value={"quote": "年假\n满一年后有"})
    assert newest(chat).params["question"] == "这个怎么申请？\n「年假\n满一年后有」"


def test_a_quote_takes_the_room_that_the_question_leaves(chat: Chat) -> None:
    most = chat.house.rules.prompt_max
    chat.say("为什么？", value={"quote": "长" * 9000})
    assert len(newest(chat).params["question"]) == most
    chat.say("问" * most, value={"quote": "长"})
    assert newest(chat).params["question"] == "问" * most


def test_an_order_to_draw_is_not_changed_by_what_it_quotes(chat: Chat) -> None:
    chat.say("/draw 猫", value={"quote": "狗"})
    assert newest(chat).params["prompt"] == "猫"


def test_what_is_quoted_is_moderated_as_well(chat: Chat) -> None:
    chat.house = replace(chat.house, screen=Screen(rules=(Rule(name="secret", words=frozenset(words(["机密"]))),)))
    assert chat.say("这是什么？", value={"quote": "机密文件"}).outcome == "refused:moderated"


def test_a_card_says_in_words_what_its_button_and_form_do(chat: Chat) -> None:
    chat.say("/draw 猫")
    queued = job_reply(newest(chat), chat.house.words, card=CARD)
    assert [button.hint for button in queued.buttons] == ["发送 `/cancel 1` 取消"]


def test_what_has_no_hint_is_no_text(chat: Chat) -> None:
    chat.say("/draw 猫")
    job = replace(newest(chat), state=JobState.DONE, result={"seeds": [1]})
    done = job_reply(job, chat.house.words, card=CARD)
    assert {button.action for button in done.buttons if button.hint} == set()
    assert done.form is not None
    assert done.form.hint == "改词重画：发送 `/redo 1 新的描述`"
