"""What a model takes for an order is shown to its writer, and costs nothing before they say so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from bot import router
from bot.context import Handled
from bot.events import ChatEvent
from bot.moderation import Action, Rule, Screen
from bot.reply import Reply
from inference.text.routing import Meant, Purpose
from scheduler.history import CHAT
from storage import forgetting, inbox, jobs
from storage.database import Database
from storage.records import Job, Kind, Origin, ReservationState
from storage.tables import jobs as table
from storage.tables import outbox as sending
from tests.blank import blank
from tests.bot.test_forgetting import everything
from tests.bot.test_order import left
from tests.bot.test_reserve import NOW, Chat, house

DRAW = Meant(purpose=Purpose.DRAW, prompt="下雨的江南")
SAID = "我想看看下雨的江南"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    blank(tmp_path / "moqi.db")
    with Database.open(data=tmp_path) as opened:
        yield opened


@pytest.fixture
def chat(db: Database) -> Chat:
    return Chat(db, replace(house(), talks=True))


def told(chat: Chat, meant: Meant | None, text: str = SAID, who: str = "anna", **values: Any) -> Handled:
    return chat.tell(replace(chat.event("message", who, text=text, **values), meant=meant))


def press(chat: Chat, act: str, who: str = "anna", entry: object = 1, **origin: Any) -> Handled:
    event = chat.event("action", who, action=f"suggest_{act}", value={"entry": entry})
    event = replace(event, origin=replace(event.origin, **origin))
    return chat.db.run_sync(router.press, chat.house, event, chat.now)


def made(chat: Chat, outcome: str) -> Job:
    found = chat.db.read_sync(jobs.get, int(outcome.removeprefix("job:")))
    assert found is not None
    return found


def orders(chat: Chat) -> list[Job]:
    return chat.db.read_sync(jobs.recent)


def test_a_suggestion_shows_what_and_the_price_and_orders_nothing(chat: Chat) -> None:
    handled = told(chat, DRAW)
    assert handled.outcome == "reply"
    assert handled.reply is not None
    assert handled.reply.text == "下雨的江南"
    assert [button.action for button in handled.reply.buttons] == ["suggest_draw", "suggest_ask"]
    assert handled.reply.fields[0][1].startswith("1")
    assert "`/draw 下雨的江南`" in handled.reply.buttons[0].hint
    assert orders(chat) == []
    assert left(chat) == 50


def test_confirmed_it_is_drawn_once_for_its_writer_where_it_was_said(chat: Chat) -> None:
    told(chat, DRAW)
    asked = chat.db.read_sync(inbox.get, 1)
    assert asked is not None
    handled = press(chat, "draw")
    job = made(chat, handled.outcome)
    assert (job.kind, job.params["prompt"]) == (Kind.DRAW, "下雨的江南")
    assert job.origin == Origin.from_json(asked.event["origin"])
    assert left(chat) == 49
    for act in ("draw", "ask"):  # one answer, whichever
        assert press(chat, act).outcome == "ignored:repeated"
    assert len(orders(chat)) == 1
    card = next(one for one in chat.sent() if one.replaces == "event-1")
    assert (card.slot, Reply.from_json(card.body).buttons) == ("revision", ())


def test_refused_it_is_a_question(chat: Chat) -> None:
    told(chat, DRAW)
    job = made(chat, press(chat, "ask").outcome)
    assert (job.kind, job.params) == (Kind.ASK, {"question": SAID})
    assert left(chat) == 50


def test_nobody_else_confirms_it_and_its_writer_still_can(chat: Chat) -> None:
    told(chat, DRAW)
    chat.say("你好", "ben")
    assert press(chat, "draw", "ben").outcome == "refused:not_yours_suggestion"
    assert press(chat, "draw", chat_id="oc_elsewhere").outcome == "refused:elsewhere"
    assert press(chat, "draw").outcome.startswith("job:")


@pytest.mark.parametrize("entry", [0, 2, 99, -1, True, "1", None, 2**40])
def test_a_button_that_names_no_suggestion_does_nothing(chat: Chat, entry: object) -> None:
    told(chat, DRAW)
    chat.say("年假几天")  # entry 2: a question
    count = len(orders(chat))
    assert press(chat, "draw", entry=entry).outcome in ("refused:suggestion_gone", "refused:unknown_button")
    assert len(orders(chat)) == count


def test_what_its_writer_took_back_is_not_drawn(chat: Chat) -> None:
    told(chat, DRAW)
    gone = replace(chat.event("recall", "anna", value={"message_id": "k1"}), key="recall:k1")
    chat.tell(gone)
    assert press(chat, "draw").outcome == "refused:suggestion_gone"


def test_after_its_time_nothing_is_left_of_a_question_that_was_taken_for_an_order(chat: Chat) -> None:
    told(chat, DRAW)
    job = made(chat, press(chat, "ask").outcome)
    done = update(table).where(table.c.id == job.id).values(state="done", result={"text": "江南"}, finished_at=NOW)
    chat.db.run_sync(lambda conn: conn.execute(done))
    chat.db.run_sync(lambda conn: conn.execute(update(sending).values(state="sent")))
    assert "江南" in chat.db.read_sync(everything)
    later = NOW + timedelta(days=31)
    assert chat.db.run_sync(forgetting.clear, later - timedelta(days=30), 30, 10).jobs == 1
    assert "江南" not in chat.db.read_sync(everything)


def test_what_is_refused_by_the_rules_can_be_pressed_again(chat: Chat) -> None:
    told(chat, DRAW)
    enough, chat.house = chat.house, replace(house(units=0), talks=True)
    assert press(chat, "draw").outcome == "refused:quota"
    chat.house = enough
    assert press(chat, "draw").outcome.startswith("job:")


def test_confirmed_it_passes_the_same_gate_as_an_order(chat: Chat) -> None:
    told(chat, DRAW)
    chat.house = replace(
        chat.house, screen=Screen(rules=(Rule(name="x", words=frozenset({"江南"}), action=Action.REFUSE),))
    )
    assert press(chat, "draw").outcome == "refused:moderated"
    assert told(chat, DRAW).outcome == "refused:moderated"


def test_a_time_that_a_model_heard_becomes_a_proposal(chat: Chat) -> None:
    meant = Meant(purpose=Purpose.RESERVE, prompt="加油海报", when="每周一早上八点")
    handled = told(chat, meant, "以后每周一早上八点都来一张加油海报")
    assert handled.outcome == "reservation:1"
    assert chat.kept().state is ReservationState.PROPOSED
    assert left(chat) == 50


def test_said_in_plain_words_it_is_proposed_without_any_model(chat: Chat) -> None:
    chat.house = house()
    assert chat.say("每天早上九点画一张日历封面").outcome == "reservation:1"
    assert chat.kept().state is ReservationState.PROPOSED
    assert orders(chat) == []


@pytest.mark.parametrize(
    ("meant", "text", "params"),
    [
        (None, SAID, {"question": SAID}),
        (Meant(purpose=Purpose.QUESTION), SAID, {"question": SAID}),
        (Meant(purpose=Purpose.RESERVE, prompt="海报", when="一会儿吧"), SAID, {"question": SAID}),
        (Meant(purpose=Purpose.CHAT), "今天真热", {"question": "今天真热", CHAT: "model"}),
        (Meant(purpose=Purpose.CHAT), "年假几天？", {"question": "年假几天？"}),  # rules were sure
        (DRAW, "年假几天？", {"question": "年假几天？"}),
        (None, "你好", {"question": "你好", CHAT: "rules"}),
    ],
)
def test_the_rest_is_answered(chat: Chat, meant: Meant | None, text: str, params: dict[str, str]) -> None:
    job = made(chat, told(chat, meant, text).outcome)
    assert (job.kind, job.params) == (Kind.ASK, params)


def test_without_a_model_a_greeting_costs_nothing_and_says_what_can_be_done(chat: Chat) -> None:
    chat.house = house()
    for text, greets in (("你好", True), ("谢谢", True), ("你会做什么？", False)):
        handled = chat.say(text)
        assert handled.outcome == "reply"
        assert handled.reply is not None
        assert handled.reply.text.startswith("你好") is greets
        assert "/help" in handled.reply.text
    assert orders(chat) == []


def test_thanks_for_a_message_are_no_question_about_it(chat: Chat) -> None:
    job = made(chat, told(chat, None, "谢谢", value={"quote": "年假十天"}).outcome)
    assert job.params == {"question": "谢谢", CHAT: "rules"}


def test_what_no_model_can_draw_is_a_question(chat: Chat) -> None:
    chat.house = replace(house(card=None), talks=True)
    assert made(chat, told(chat, DRAW).outcome).params == {"question": SAID}


def test_what_a_message_was_taken_for_is_kept_only_where_it_was_shown(chat: Chat) -> None:
    event = replace(chat.event("message", "anna", text=SAID), meant=DRAW)
    assert ChatEvent.from_json(event.to_json()) == event
    plain = replace(event, meant=None)
    assert "meant" not in plain.to_json()
    assert ChatEvent.from_json(plain.to_json()) == plain
