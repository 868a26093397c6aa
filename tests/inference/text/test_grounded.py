"""What people see of a language model's answer, whatever it writes and however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from inference.errors import EngineDown, TextBusy, TextError, TextTooLong
from inference.requests import AnswerRequest, Turn
from inference.results import Answer, Delta
from inference.text.chat import ChatRequest, Ended, Piece
from inference.text.grounded import GroundedModel
from inference.text.resting import Resting
from storage.records import Passage, ScoredPassage
from tests.inference.text.scripted import Scripted, answer

HOTEL = "出差住宿标准：一线城市每晚不超过 450 元，其他城市每晚不超过 350 元。"
LEAVE = "工作满一年的员工，每年有 15 天年假。"


def passage(number: int, text: str, document: str = "手册.md") -> ScoredPassage:
    found = Passage(
        id=number, document_id=1, document=document, heading="差旅", ordinal=0, start=0, end=len(text), text=text
    )
    return ScoredPassage(passage=found, score=1.0)


def asked(question: str = "出差住宿一晚最多多少？", *texts: str) -> AnswerRequest:
    found = texts or (HOTEL, LEAVE)
    return AnswerRequest(question=question, passages=tuple(passage(40 + i, text) for i, text in enumerate(found)))


async def told(model: Scripted, request: AnswerRequest | None = None) -> tuple[str, Answer]:
    deltas, last = "", None
    async for piece in GroundedModel(model).stream(request or asked()):
        assert last is None, "the answer comes last"
        if isinstance(piece, Delta):
            deltas += piece.text
        else:
            last = piece
    assert last is not None
    assert model.closed == len(model.asked)
    return deltas, last


A = ("一线城市每晚最多 450 元。", [1], "一线城市每晚不超过 450 元")
B = ("每年有 15 天年假。", [2], "每年有 15 天年假")


async def test_sentences_come_one_by_one_with_their_sources_numbered_as_they_are_named() -> None:
    deltas, said = await told(Scripted(answer(B, A, ("都写在手册里。", [2, 1], "每年有 15 天年假"))))
    assert said.text == "每年有 15 天年假。 [1]\n一线城市每晚最多 450 元。 [2]\n都写在手册里。 [1][2]"
    assert deltas == said.text
    assert [(one.mark, one.passage, one.quote) for one in said.citations] == [
        (1, 41, "每年有 15 天年假"),
        (2, 40, "一线城市每晚不超过 450 元"),
    ]
    assert (said.grounded, said.engine, said.tokens, said.interrupted) == (True, "scripted", 120, False)


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (answer(A, ("一线城市每晚最多 540 元。", [1], "一线城市每晚不超过 450 元")), "一线城市每晚最多 450 元。 [1]"),
        (answer(("看 [9]。", [9], "一线城市每晚不超过 450 元"), A), "一线城市每晚最多 450 元。 [1]"),
        (answer(A, A), "一线城市每晚最多 450 元。 [1]"),
        (answer(A)[:-1], "一线城市每晚最多 450 元。 [1]"),  # not whole, and what was whole stands
        ("<think>\n\n</think>\n" + answer(A), "一线城市每晚最多 450 元。 [1]"),
        (answer(A, answerable=False), "一线城市每晚最多 450 元。 [1]"),
    ],
)
async def test_what_stands_is_shown_and_nothing_else(script: str, text: str) -> None:
    deltas, said = await told(Scripted(script))
    assert (deltas, said.text, said.grounded) == (text, text, True)


@pytest.mark.parametrize(
    "script",
    [
        "",
        "一线城市每晚最多 450 元。",
        answer(("一线城市每晚最多 999 元。", [1], "一线城市每晚不超过 450 元")),
        answer(("一线城市每晚最多 450 元。", [1], "一线城市每晚不得超过 450 元")),
        '{"answerable": true, "claims": []}',
        '{"answerable": true, "claims": [{"text": "一线',
    ],
)
async def test_where_nothing_stands_the_passages_are_quoted(script: str) -> None:
    deltas, said = await told(Scripted(script))
    assert deltas == ""
    assert said.engine == "extractive"
    assert "450 元" in said.text
    assert said.citations[0].passage == 40
    assert said.tokens == 120  # it was read and written all the same


async def test_a_model_that_knows_no_answer_is_believed() -> None:
    _, said = await told(Scripted(answer(answerable=False)))
    assert not said.grounded
    assert said.nearest == ("手册.md",)
    assert "没有找到" in said.text


@pytest.mark.parametrize("ending", [TextError("EngineCore died"), Ended(reason="abort")])
async def test_an_engine_that_dies_leaves_the_passages_behind(ending: Exception | Ended) -> None:
    deltas, said = await told(Scripted(answer(A, B)[:-30], ending=ending))
    assert deltas.startswith("一线城市每晚最多 450 元。")
    assert said.interrupted
    assert said.engine == "extractive"
    assert HOTEL[:10] in said.text


async def test_an_engine_that_is_being_started_again_needs_no_rest() -> None:
    resting = Resting()
    for failure in (
        EngineDown("gone"),
        TextError("broken"),
        EngineDown("gone"),
        TextError("broken"),
        EngineDown("gone"),
    ):
        grounded = GroundedModel(Scripted("", ending=failure), resting=resting)
        [said] = [piece async for piece in grounded.stream(asked())]
        assert isinstance(said, Answer)
        assert said.interrupted
    assert not resting.rests()  # two of them were failures


async def test_an_engine_that_takes_no_more_is_waited_for_by_whoever_asked() -> None:
    resting = Resting()
    for _ in range(9):
        with pytest.raises(TextBusy):
            [_ async for _ in GroundedModel(Scripted("", ending=TextBusy("enough")), resting=resting).stream(asked())]
    assert not resting.rests()


async def test_a_model_that_falls_silent_is_not_waited_for() -> None:
    class Silent(Scripted):
        async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
            self.asked.append(request)
            try:
                yield Piece('{"answerable"')
                await asyncio.Event().wait()
            finally:
                self.closed += 1

    model = Silent("")
    said = [piece async for piece in GroundedModel(model, patience=0.01).stream(asked())]
    assert isinstance(said[-1], Answer)
    assert said[-1].interrupted
    assert model.closed == 1


async def test_a_model_that_cannot_read_so_much_gets_fewer_passages() -> None:
    class Small(Scripted):
        async def stream(self, request: ChatRequest) -> AsyncGenerator[Piece | Ended]:
            if len(request.messages) > 2 or request.messages[0].text.count("<source n=") > room:
                raise TextTooLong("too long")
            async with aclosing(super().stream(request)) as pieces:
                async for piece in pieces:
                    yield piece

    many = replace(asked("住宿？", HOTEL, LEAVE, LEAVE, LEAVE), history=(Turn(question="？", answer="！"),))
    for room in (4, 2, 1):
        model = Small(answer(A))
        _, said = await told(model, many)
        assert said.text == "一线城市每晚最多 450 元。 [1]"
        assert model.asked[0].messages[0].text.count("<source n=") == room
    room = 0
    _, said = await told(Small(answer(A)), many)
    assert said.interrupted


async def test_who_leaves_stops_the_engine() -> None:
    model = Scripted(answer(A, B))
    stream = GroundedModel(model).stream(asked())
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert model.closed == 1


async def test_without_passages_no_model_is_asked() -> None:
    model = Scripted(answer(A))
    said = [piece async for piece in GroundedModel(model).stream(AnswerRequest(question="工资多少？"))]
    assert model.asked == []
    assert isinstance(said[0], Answer)
    assert not said[0].grounded


async def test_the_prompt_goes_from_what_changes_least_to_the_question_and_names_nobody() -> None:
    model = Scripted(answer(A))
    request = AnswerRequest(
        question="那国外呢？",
        passages=asked().passages,
        history=(Turn(question="住宿标准？", answer="450 元 [1]"),),
        salt="k1",
    )
    await told(model, request)
    prompt = model.asked[0]
    assert [message.role for message in prompt.messages] == ["system", "user", "assistant", "user"]
    assert prompt.messages[-1].text == "问题：那国外呢？"
    assert prompt.salt == "k1"
    assert prompt.messages[0].text.index('n="1"') < prompt.messages[0].text.index('n="2"')
    again = Scripted(answer(A))
    await told(again, request)
    assert again.asked[0].messages[0] != prompt.messages[0]  # another engine, another secret


async def test_the_same_sources_are_read_once() -> None:
    model = Scripted(answer(A))
    grounded = GroundedModel(model)
    for question in ("住宿一晚最多多少？", "那国外呢？"):
        [_ async for _ in grounded.stream(asked(question))]
    first, second = (one.messages for one in model.asked)
    assert first[0] == second[0]
    assert first[1] != second[1]


TURNS = (Turn(question="住酒店能报多少？", answer="450 元 [1]"),)
BY_RULES = "住酒店能报多少？ 那国外呢？"


@pytest.mark.parametrize(
    ("model", "searched"),
    [
        (Scripted("国外出差住酒店一晚\n能报多少？"), "国外出差住酒店一晚 能报多少？"),
        (Scripted(""), BY_RULES),
        (Scripted("好" * 500), BY_RULES),
        (Scripted("国外出差", ending=Ended(reason="length")), BY_RULES),
        (Scripted("国外出差", ending=TextError("down")), BY_RULES),
    ],
    ids=["rewritten", "nothing", "a novel", "cut", "down"],
)
async def test_a_question_that_leans_is_rewritten_by_the_model_or_by_rules(model: Scripted, searched: str) -> None:
    assert await GroundedModel(model).standalone("那国外呢？", TURNS) == searched
    assert model.closed == 1


async def test_a_first_question_is_searched_for_as_it_is() -> None:
    model = Scripted("x")
    assert await GroundedModel(model).standalone("那国外呢？", ()) == "那国外呢？"
    assert model.asked == []
