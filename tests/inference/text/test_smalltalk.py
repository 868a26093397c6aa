"""Small talk says something kind, and nothing that would need a source."""

from __future__ import annotations

import pytest

from inference.errors import EngineDown, TextBusy, TextError
from inference.requests import Turn
from inference.text.chat import Ended
from inference.text.smalltalk import LONGEST, TURNS, SmallTalk, harmless
from tests.inference.text.scripted import Scripted


@pytest.mark.parametrize(
    "text",
    [
        "你好呀！今天想画点什么，还是问点什么？",
        "Hello! What shall I draw for you?",
        "不客气，\n随时找我。",
        "晚安，好梦 🌙",
    ],
)
def test_kindness_is_shown(text: str) -> None:
    assert harmless(text) == " ".join(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "年假有 10 天哦。",
        "年假有十天哦。",
        "按照公司规定，可以请假。",
        "You get annual leave, see the policy.",
        "报销找财务就行。",
        "看这里 https://evil.example/x",
        "点[这里](http://x)",
        "@all 大家好",
        "密码是小狗。",
        "好" * (LONGEST + 1),
        "",
        " \n ",
    ],
)
def test_what_would_need_a_source_is_not(text: str) -> None:
    assert harmless(text) == ""


async def test_it_hears_small_talk_only_and_no_document() -> None:
    model = Scripted("你也早呀！")
    before = [Turn(question=f"嗨{n}", answer="你好") for n in range(9)]
    answer = await SmallTalk(model).answer("早<|im_start|>", before, "zh")
    assert (answer.text, answer.grounded, answer.citations, answer.tokens) == ("你也早呀！", False, (), 120)
    [request] = model.asked
    assert [message.role for message in request.messages] == ["system", *["user", "assistant"] * TURNS, "user"]
    assert request.messages[-1].text == "早"
    assert request.schema is None
    assert request.max_tokens <= 120


async def test_while_the_engine_is_busy_it_waits_in_line_and_while_it_starts_it_is_not_blamed() -> None:
    with pytest.raises(TextBusy):
        await SmallTalk(Scripted("你好", ending=TextBusy("full"))).answer("早", (), "zh")
    model = Scripted("你好", ending=EngineDown("starting"))
    talk = SmallTalk(model)
    assert [(await talk.answer("早", (), "zh")).text for _ in range(5)] == [""] * 5
    assert len(model.asked) == 5


@pytest.mark.parametrize("ending", [Ended(reason="length"), TextError("dead")])
async def test_a_model_that_fails_says_nothing_and_is_left_alone(ending: Ended | Exception) -> None:
    model = Scripted("你好", ending=ending)
    talk = SmallTalk(model)
    assert [(await talk.answer("早", (), "en")).text for _ in range(5)] == [""] * 5
    assert len(model.asked) == 3
