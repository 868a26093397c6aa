"""What people say without a command: small talk, questions, orders with a time, orders in other words."""

from __future__ import annotations

import pytest

from bot.commands import Conversation, Draw, Reserve, Rules, Tone, UsageError, parse, suggested

RULES = Rules()

TONES = [
    (
        Tone.CHAT,
        ["你好", "你好呀！", "hi", "Hello there!", "谢谢，辛苦了", "好的", "👍", "！！", "哈哈哈哈", "讲个笑话"],
    ),
    (Tone.CHAT, ["早上好～", "ok thanks", "墨契你好", "How are you?", "在吗？", "晚安😴"]),
    (Tone.ABOUT, ["你是谁？", "你会做什么", "你好，你能做什么？", "what can you do?", "help", "会画图吗", "怎么用你"]),
    (
        Tone.QUESTION,
        ["年假几天", "早，年假几天？", "好的，那国外呢？", "图书馆几点开门？", "截图怎么发？", "画展几点开始"],
    ),
    (Tone.QUESTION, ["谢谢，那发票呢", "who is the IT contact", "公司海报模板在哪里", "你好，报销要多久", "长" * 301]),
    (Tone.UNSURE, ["年假规定", "今天天气真好", "the travel policy", "打印机没纸了"]),
    (
        Tone.UNSURE,
        ["能不能整一张赛博朋克城市的图？", "我想看看下雨的江南", "来点小猫的图吧", "I want a picture of a cat"],
    ),
]


@pytest.mark.parametrize(("tone", "text"), [(tone, text) for tone, texts in TONES for text in texts])
def test_how_a_message_sounds(tone: Tone, text: str) -> None:
    """What asks for something is a question, however kindly it begins."""
    assert parse(text, RULES) == Conversation(text=text, tone=tone)


@pytest.mark.parametrize(
    "text", ["哈" * 60, "!" * 59 + "a", "你好" * 30, "谢谢" * 29 + "x", "ok " * 19 + "b", "整" * 3000]
)
def test_no_message_makes_a_pattern_run_away(text: str) -> None:
    """One that did would take minutes."""
    found = parse(text, RULES)
    assert isinstance(found, Conversation | UsageError)


@pytest.mark.parametrize(
    ("text", "at", "every", "prompt"),
    [
        ("每天早上九点画一张日历封面", "", "每天早上九点", "一张日历封面"),
        ("帮我每天早上九点画一张日历封面", "", "每天早上九点", "一张日历封面"),
        ("每天早上九点能不能画一张日历封面？", "", "每天早上九点", "一张日历封面"),
        ("以后每周五下午五点给我画一张周末壁纸吧", "", "每周五下午五点", "一张周末壁纸"),
        ("画一张日历封面，每天早上九点", "", "每天早上九点", "一张日历封面"),
        ("画一张日历封面，每天早上九点吧。", "", "每天早上九点", "一张日历封面"),
        ("工作日9:00，画早安图案", "", "工作日9:00", "早安图案"),
        ("明天9点画一只猫", "明天9点", "", "一只猫"),
        ("请在明天早上9点帮我画一只猫", "明天早上9点", "", "一只猫"),
        ("晚上10点画一张夜景", "晚上10点", "", "一张夜景"),
        ("22:00-06:00画一张夜景", "22:00-06:00", "", "一张夜景"),
        ("下周一画一张夜景", "下周一", "", "一张夜景"),
        ("every day at 9 draw a calendar cover", "", "every day at 9", "a calendar cover"),
        ("tomorrow at 9am draw a cat", "tomorrow at 9am", "", "a cat"),
    ],
)
def test_an_order_with_a_time_is_a_reservation(text: str, at: str, every: str, prompt: str) -> None:
    found = parse(text, RULES)
    assert isinstance(found, Reserve)
    assert (found.at, found.every, found.draw.prompt) == (at, every, prompt)


def test_options_of_an_order_with_a_time_count() -> None:
    found = parse("每天9点画一只猫 --size 512x512 --private", RULES)
    assert isinstance(found, Reserve)
    assert (found.draw.width, found.draw.private) == (512, True)


@pytest.mark.parametrize("text", ["明天9点画", "每天早上九点帮我画一张海报"])
def test_a_time_and_no_picture_asks_for_one(text: str) -> None:
    found = parse(text, RULES)
    assert isinstance(found, UsageError)
    assert (found.code, found.topic) == ("reserve_prompt", "reserve")


@pytest.mark.parametrize("text", ["画一座城市，晚上十点", "画一只猫，每天的心情", "画一个挂钟，9点"])
def test_a_time_within_a_picture_is_part_of_it(text: str) -> None:
    found = parse(text, RULES)
    assert isinstance(found, Draw)
    assert found.prompt == text.removeprefix("画")


@pytest.mark.parametrize(
    "text",
    [
        "今天画了一只猫",
        "明天画展几点开始",
        "每周一画什么好",
        "每天早上九点提醒我开会",
        "今天有什么新闻",
        "3天画一张图够吗",
    ],
)
def test_what_only_speaks_of_times_is_no_order(text: str) -> None:
    assert isinstance(parse(text, RULES), Conversation)


def test_what_a_model_takes_for_an_order_becomes_one_by_the_same_rules() -> None:
    drawn = suggested("下雨的江南 --size 512x512", "", RULES)
    assert isinstance(drawn, Draw)
    assert (drawn.prompt, drawn.width) == ("下雨的江南", 512)
    booked = suggested("加油海报", "每周一早上八点", RULES)
    assert isinstance(booked, Reserve)
    assert booked.every == "每周一早上八点"
    for prompt, when in [("", ""), ("猫 --szie 3", ""), ("猫", "一会儿吧"), ("猫 --from 3", ""), ("猫 --at 22:00", "")]:
        assert suggested(prompt, when, RULES) is None
