"""An answer in a group is the group's; whoever presses its button gets one of their own, alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from bot import router
from bot.context import Handled
from bot.render import Renderer
from bot.reply import Reply
from scheduler.history import CHAT
from scheduler.runners.ask import STANDALONE, readers
from storage import jobs, outbox
from storage.database import Database
from storage.records import ChatType, Job, JobState, Kind
from storage.tables import jobs as table
from tests.blank import blank
from tests.bot.test_reserve import Chat, house

ANSWERS: dict[str, Mapping[str, Any]] = {
    "answered": {"text": "十天 [1]", "grounded": True, "citations": [], "engine": "x"},
    "refused": {"text": "没有找到", "grounded": False, "citations": [], "nearest": []},
    "interrupted": {"text": "摘录", "grounded": True, "citations": [], "interrupted": True},
}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def chat(db: Database) -> Chat:
    return Chat(db, replace(house(), writes_first=frozenset({"feishu"})))


def answered(chat: Chat, result: Mapping[str, Any] = ANSWERS["answered"], **values: Any) -> Job:
    job = int(chat.say("年假几天？", **values).outcome.removeprefix("job:"))
    done = update(table).where(table.c.id == job).values(state=JobState.DONE, result=dict(result), finished_at=chat.now)
    chat.db.run_sync(lambda conn: conn.execute(done))
    return kept(chat, job)


def kept(chat: Chat, number: int) -> Job:
    found = chat.db.read_sync(jobs.get, number)
    assert found is not None
    return found


def card(chat: Chat, job: Job) -> Reply:
    return chat.db.read_sync(Renderer(lambda: chat.house).job, job, None)


def press(chat: Chat, job: int, who: str = "anna", **origin: Any) -> Handled:
    event = chat.event("action", who, action="ask_privately", value={"job": job})
    event = replace(event, origin=replace(event.origin, **origin))
    return chat.db.run_sync(router.press, chat.house, event, chat.now)


@pytest.mark.parametrize("result", ANSWERS.values(), ids=ANSWERS)
def test_it_stands_on_every_answer_in_a_group(chat: Chat, result: Mapping[str, Any]) -> None:
    """Were it there only sometimes, it would tell the group that somebody could read more."""
    actions = [button.action for button in card(chat, answered(chat, result)).buttons if button.quiet]
    assert "ask_privately" in actions


def test_it_stands_nowhere_else(chat: Chat) -> None:
    job = answered(chat)
    alone = replace(job, origin=replace(job.origin, chat_type=ChatType.DIRECT))
    talk = replace(job, result={"text": "你好呀", CHAT: True})
    never = replace(job, origin=replace(job.origin, platform="wecom"))
    for one in (alone, talk, never):
        assert "ask_privately" not in [button.action for button in card(chat, one).buttons]


@pytest.mark.parametrize("who", ["anna", "ben"])
def test_it_answers_whoever_presses_alone_and_with_their_rights(chat: Chat, who: str) -> None:
    asked = answered(chat)
    before = len(chat.sent())
    handled = press(chat, asked.id, who)
    job = kept(chat, int(handled.outcome.removeprefix("job:")))
    assert (job.kind, job.params, job.parent_id) == (Kind.ASK, asked.params, asked.id)
    assert (job.origin.chat_type, job.origin.chat_id, job.origin.sender) == (ChatType.DIRECT, "", who)
    assert all(one.origin.chat_type is ChatType.DIRECT for one in chat.sent()[before:])  # the group hears nothing
    assert "单聊" in handled.toast[1]
    may = chat.db.read_sync(lambda conn: readers(conn, job.user_id, job.origin))
    assert {f"user:{job.user_id}", f"user:feishu:{who}", "everyone"} == may


def test_what_it_leant_on_in_the_group_goes_along(chat: Chat) -> None:
    """Somebody else's own chat says nothing about it."""
    asked = answered(chat, {**ANSWERS["answered"], STANDALONE: "年假几天？ 那病假呢？"})
    job = kept(chat, int(press(chat, asked.id, "ben").outcome.removeprefix("job:")))
    assert job.params == {"question": "年假几天？", STANDALONE: "年假几天？ 那病假呢？"}


def test_pressed_twice_it_asks_once(chat: Chat) -> None:
    asked = answered(chat)
    assert press(chat, asked.id).outcome.startswith("job:")
    assert press(chat, asked.id).outcome == "ignored:pressed twice"


def test_a_forwarded_card_answers_nobody(chat: Chat) -> None:
    assert press(chat, answered(chat).id, chat_id="oc_elsewhere").outcome == "refused:elsewhere"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": JobState.RUNNING}, "not_finished"),
        ({"kind": Kind.DRAW, "params": {"prompt": "猫"}}, "unknown_job"),
        ({"cleared": 90, "params": {"question": ""}, "result": {}}, "question_gone"),
    ],
)
def test_what_cannot_be_asked_again_says_why(chat: Chat, changes: Mapping[str, Any], code: str) -> None:
    asked = answered(chat)

    def change(conn: Connection) -> None:
        conn.execute(update(table).where(table.c.id == asked.id).values(**changes))

    chat.db.run_sync(change)
    assert press(chat, asked.id).outcome == f"refused:{code}"
    assert press(chat, 99).outcome == "refused:unknown_job"


def test_where_nobody_can_be_written_to_it_says_what_to_do(chat: Chat) -> None:
    asked = answered(chat)
    chat.house = house()
    handled = press(chat, asked.id)
    assert handled.outcome == "refused:private_answer_here"
    assert "单聊" in handled.toast[1]


def test_small_talk_is_told_from_an_answer(chat: Chat) -> None:
    job = answered(chat)
    said = card(chat, replace(job, result={"text": "你也好呀！", CHAT: True}))
    assert (said.text, said.sources, said.buttons) == ("你也好呀！", (), ())
    assert "没有查资料" in said.note
    silent = card(chat, replace(job, result={"text": "", CHAT: True}))
    assert "/help" in silent.text
    assert silent.note == ""


def test_what_was_cleared_says_so_wherever_it_is_shown(chat: Chat) -> None:
    asked = answered(chat)

    def clear(conn: Connection) -> None:
        emptied = {"params": {"question": ""}, "result": {}, "cleared": 90}
        conn.execute(update(table).where(table.c.id == asked.id).values(**emptied))

    chat.db.run_sync(clear)
    assert "90 天" in card(chat, kept(chat, asked.id)).text
    listed = chat.say("/jobs").reply
    assert listed is not None
    assert "已按保留规则清除" in listed.text
    assert chat.db.read_sync(outbox.of_job, asked.id)
