"""Styles (LoRA) as people meet them: ordered by name, on the card, kept by /redo, in /help, and gone one day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.booking import Booker
from bot.commands import Rules
from bot.replies import Words, job_reply
from inference.images.model import Adapter
from scheduler import firing
from storage.database import Database
from storage.records import Role
from tests.blank import blank
from tests.bot.test_remix import done, ordered, refused
from tests.bot.test_reserve import CARD, Chat, house

STROKES = Adapter(name="手绘线条", file=Path("strokes.safetensors"))
INK = Adapter(name="ink", file=Path("ink.safetensors"), weight=0.7, description="水墨晕染")
STYLED = replace(CARD, adapters=(STROKES, INK))


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    path = tmp_path / "moqi.db"
    blank(path)
    with Database.open(f"sqlite:///{path}") as db:
        yield Chat(db, replace(house(card=STYLED), rules=Rules().narrowed(STYLED)))


def lose(chat: Chat, *kept: Adapter) -> None:
    """The model has only these styles from now on."""
    card = replace(CARD, adapters=kept)
    chat.house = replace(chat.house, card=card, rules=Rules().narrowed(card))


def test_a_style_is_ordered_by_name_and_stands_on_the_card(chat: Chat) -> None:
    job = ordered(chat, chat.say("/draw 一个红色的圆 --lora 手绘线条:0.6,INK"))
    assert job.params["adapters"] == [["手绘线条", 0.6], ["ink", 0.7]]
    assert dict(job_reply(job, chat.house.words, card=STYLED).fields)["风格"] == "手绘线条 0.6, ink 0.7"
    plain = ordered(chat, chat.say("/draw 一个红色的圆"))
    assert "adapters" not in plain.params
    assert "风格" not in dict(job_reply(plain, chat.house.words, card=STYLED).fields)
    assert job.batch_key != plain.batch_key


def test_redo_keeps_it_and_none_takes_it_away(chat: Chat) -> None:
    parent = done(chat, "/draw 一个红色的圆 --seed 7 --lora 手绘线条")
    assert ordered(chat, chat.say(f"/redo {parent.id}")).params["adapters"] == [["手绘线条", 1.0]]
    assert ordered(chat, chat.say(f"/redo {parent.id} --lora ink")).params["adapters"] == [["ink", 0.7]]
    taken = ordered(chat, chat.say(f"/redo {parent.id} --lora none"))
    assert not taken.params["adapters"]
    plain = ordered(chat, chat.say("/draw 一个红色的圆 --seed 7"))
    assert taken.batch_key == plain.batch_key


def test_what_is_gone_is_refused_by_name_and_can_be_left_out(chat: Chat) -> None:
    parent = done(chat, "/draw 圆 --seed 7 --lora 手绘线条,ink")
    lose(chat, INK)
    said = refused(chat, f"/redo {parent.id}")
    assert "手绘线条" in said
    assert "--lora none" in said
    assert ordered(chat, chat.say(f"/redo {parent.id} --lora none")).cost == parent.cost


def test_a_reservation_carries_it_to_the_day_and_says_when_it_was_lost(chat: Chat) -> None:
    chat.say("/draw 圆 --every 每天9:00 --lora 手绘线条:0.6")
    assert dict(chat.card().fields)["风格"] == "手绘线条 0.6"
    chat.push("确认")
    chat.now += timedelta(days=1)
    chat.db.run_sync(firing.fire, 1, Booker(chat.house), chat.house.policy, chat.now)
    fired = ordered(chat)
    assert fired.params["adapters"] == [["手绘线条", 0.6]]
    lose(chat)
    chat.now += timedelta(days=1)
    chat.db.run_sync(firing.fire, 1, Booker(chat.house), chat.house.policy, chat.now)
    assert ordered(chat).id == fired.id, "nothing was drawn, and nothing charged"
    assert "风格（LoRA）手绘线条 现在没有了" in chat.notice().text


@pytest.mark.parametrize(
    ("language", "usual", "ours"), [("zh", "常用 1", "手绘线条，微微抖动"), ("en", "usually 1", "shaky hand")]
)
def test_help_lists_names_weights_and_what_they_do(language: str, usual: str, ours: str) -> None:
    words = Words(language)
    rules = Rules().narrowed(STYLED)
    for topic in ("lora", "draw"):
        text = words.help(topic, Role.USER, rules, STYLED.adapters).text
        assert "`手绘线条`" in text
        assert usual in text
        assert "水墨晕染" in text
        assert ours in text
    assert "image.adapters" in words.help("lora", Role.USER, rules, ()).text
    assert "LoRA" not in words.help("draw", Role.USER, rules, ()).text


def test_the_page_of_draw_stays_short(chat: Chat) -> None:
    many = tuple(replace(INK, name=f"ink{number}") for number in range(20))
    lose(chat, *many)
    page, all_of_them = (chat.say(f"/help {topic}").reply for topic in ("draw", "lora"))
    assert page is not None
    assert all_of_them is not None
    assert (page.text.count("水墨晕染"), all_of_them.text.count("水墨晕染")) == (8, 20)
    assert "还有 12 种" in page.text
