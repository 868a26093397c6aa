"""The bot comes into chats and is taken out of them: greeted once, stopped with a reason, owners told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from bot.context import Handled
from bot.reply import Reply
from scheduler import queue
from scheduler.verify import verify
from storage import chats, jobs, outbox
from storage.chats import ChatState
from storage.database import Database
from storage.files import Files
from storage.records import ChatType, Delivery, DeliveryState, JobState, Kind, Origin, ReservationState
from tests.blank import blank
from tests.bot.test_reserve import NOW, Chat, house


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    blank(tmp_path / "moqi.db")
    with Database.open(f"sqlite:///{tmp_path / 'moqi.db'}") as opened:
        yield Chat(opened, house())


def happens(
    chat: Chat, action: str, *, room: str = "oc_team", later: int = 0, direct: bool = False, **value: Any
) -> Handled:
    chat.now = NOW + timedelta(minutes=later)
    event = chat.event("chat", "boss", action=action, value=value)
    kind = ChatType.DIRECT if direct else ChatType.GROUP
    return chat.tell(replace(event, origin=replace(event.origin, chat_id=room, chat_type=kind, message_id="")))


def told(chat: Chat) -> list[tuple[Origin, Reply]]:
    """What was said directly because a chat is gone."""
    gone = [one for one in chat.sent() if one.key.startswith("gone-")]
    return [(one.origin, Reply.from_json(one.body)) for one in gone]


def messages(chat: Chat, job: int) -> dict[str, Delivery]:
    return chat.db.read_sync(outbox.of_job, job)


def test_hello_with_three_things_to_try_is_said_once(chat: Chat) -> None:
    first = happens(chat, "joined", name="设计组")
    assert first.reply is not None
    assert (first.reply.title, first.reply.text.count("\n`")) == ("大家好，我是墨契", 3)
    assert "@墨契 画 一只" in first.reply.text
    for later, action in ((0, "joined"), (1, "joined"), (2, "left"), (3, "joined")):
        assert happens(chat, action, later=later).reply is None
    found = chat.db.read_sync(chats.get, "feishu", "oc_team")
    assert found is not None
    assert (found.state, found.name, found.greeted_at) == (ChatState.MEMBER, "设计组", NOW)


def test_who_opens_their_chat_is_greeted_once(chat: Chat) -> None:
    assert [happens(chat, "entered", room="oc_p", later=at, direct=True).reply is None for at in range(3)] == [
        False,
        True,
        True,
    ]
    hello = happens(chat, "entered", room="oc_q", later=9, direct=True).reply
    assert hello is not None
    assert "@墨契" not in hello.text  # nobody is mentioned where nobody else reads


def test_the_practice_model_is_greeted_with_what_it_can_draw(chat: Chat) -> None:
    chat.house = replace(chat.house, rules=replace(chat.house.rules, practice=True))
    hello = happens(chat, "joined").reply
    assert hello is not None
    assert "红色的圆" in hello.text


def test_news_that_come_late_change_nothing(chat: Chat) -> None:
    assert happens(chat, "left", later=5).outcome == "ignored:left"
    assert happens(chat, "joined", later=1).outcome == "ignored:known already"
    assert happens(chat, "left", later=5).outcome == "ignored:known already"


def stopped_team(chat: Chat) -> Handled:
    """anna has two jobs and a reservation in the team's chat, ben a proposal and a job elsewhere; then it is gone."""
    for who, text in (
        ("anna", "/draw 一只猫"),
        ("anna", "/draw 一只狗"),
        ("anna", "/draw 早安图 --every 工作日9:00"),
        ("ben", "/draw 晚安图 --at 明天22:00"),
    ):
        chat.say(text, who)
    chat.press("res_confirm", "anna", reservation=1, version=1, choice=0)
    event = chat.event("message", "ben", text="/draw 一只鸟")
    assert chat.tell(replace(event, origin=replace(event.origin, chat_id="oc_team2"))).outcome == "job:3"
    chat.db.run_sync(_run_first, chat.house.policy)
    return happens(chat, "left", later=1, name="设计组")


def _run_first(conn: Connection, policy: Any) -> None:
    claimed = queue.claim(conn, Kind.DRAW, lambda job: 1, policy, NOW)
    assert claimed is not None
    assert [job.id for job in claimed.jobs] == [1]


def test_trap_27_what_is_planned_in_a_chat_that_is_gone_stops_and_its_owners_are_told_once(chat: Chat) -> None:
    handled = stopped_team(chat)
    assert handled.reply is None  # nobody there would hear it
    assert handled.stop == (1,)
    found = [chat.db.read_sync(jobs.get, number) for number in (1, 2, 3)]
    assert [one and (one.state, one.cancel_requested) for one in found] == [
        (JobState.RUNNING, True),
        (JobState.CANCELLED, False),
        (JobState.QUEUED, False),  # in another chat, whose name begins the same
    ]
    outcome = messages(chat, 2)["outcome"]
    assert outcome.state is DeliveryState.FAILED
    assert "no longer in chat oc_team" in outcome.reason
    kept = [chat.kept(number) for number in (1, 2)]
    assert [(one.state, one.reason) for one in kept] == [
        (ReservationState.PAUSED, "chat_gone"),
        (ReservationState.CANCELLED, "chat_gone"),
    ]
    said = told(chat)
    assert [(origin.sender, origin.chat_id, origin.chat_type.value) for origin, _ in said] == [
        ("anna", "", "direct"),
        ("ben", "", "direct"),
    ]
    anna, ben = (reply.text for _, reply in said)
    assert "“设计组”群" in anna
    assert "r1" in anna
    assert "#1、#2" in anna
    assert "已作废：r2" in ben
    assert "任务" not in ben


def test_the_books_are_right_after_a_chat_is_gone(chat: Chat, tmp_path: Path) -> None:
    stopped_team(chat)
    (tmp_path / "files").mkdir()
    checks = chat.db.read_sync(verify, Files(tmp_path / "files"), chat.now + timedelta(days=3))
    assert [check.broken for check in checks if "event" not in check.invariant] == [[]] * 5


def test_told_again_nothing_more_is_said(chat: Chat) -> None:
    stopped_team(chat)
    happens(chat, "left", later=1, name="设计组")
    happens(chat, "disbanded", later=2, name="设计组")
    assert len(told(chat)) == 2


def test_what_rests_goes_on_only_when_its_owner_says_so(chat: Chat) -> None:
    stopped_team(chat)
    back = happens(chat, "joined", later=9).reply
    assert back is not None  # hello, for the first time, and what rests
    assert "r1" in back.text
    assert chat.kept(1).state is ReservationState.PAUSED
    happens(chat, "left", later=10)
    again = happens(chat, "joined", later=11).reply
    assert again is not None
    assert (again.title, "r1" in again.text) == ("我又回来了", True)
    assert chat.say("/resume r1", "anna").outcome == "reply"
    assert (chat.kept(1).state, chat.kept(1).reason) == (ReservationState.ACTIVE, "")
    happens(chat, "left", later=12)
    assert chat.kept(1).reason == "chat_gone"  # and it stops once more


def test_a_booked_picture_that_already_waits_goes_to_its_owner(chat: Chat) -> None:
    chat.say("/draw 一只猫 --at 10分钟后")
    chat.press("res_confirm", reservation=1, version=1, choice=0)
    chat.now = NOW + timedelta(minutes=10)
    chat.fire()
    happens(chat, "left", later=11)
    found = chat.db.read_sync(jobs.get, 1)
    assert found is not None
    assert found.state is JobState.QUEUED
    assert told(chat) == []
