"""The engine that quotes: everything it shows stands in the documents, and it says when nothing does."""

from __future__ import annotations

import pytest

from inference.grounding import cite
from inference.requests import AnswerRequest
from inference.results import Answer, Delta
from inference.text.extractive import FLOOR, ExtractiveModel, answerable, compose, units
from storage.records import Passage, ScoredPassage

LEAVE = (
    "入职满 3 个月即可休年假。年假天数按工龄计算：\n\n"
    "| 工龄 | 年假 |\n|---|---|\n| 不满 10 年 | 10 天 |\n| 满 10 年 | 15 天 |"
    "\n\n- 婚假：10 天。\n- **产假**：158 天。"
)


def scored(
    number: int, text: str, coverage: float = 1.0, document: str = "请假.md", heading: str = ""
) -> ScoredPassage:
    passage = Passage(
        id=number, document_id=1, document=document, heading=heading, ordinal=0, start=0, end=len(text), text=text
    )
    return ScoredPassage(passage=passage, score=10.0 - number, coverage=coverage)


def ask(question: str, *passages: ScoredPassage, language: str = "zh") -> Answer:
    return compose(AnswerRequest(question=question, passages=passages, language=language))


def test_passages_are_quoted_numbered_and_named() -> None:
    answer = ask(
        "产假多少天",
        scored(7, LEAVE, heading="请假 › 各种假"),
        scored(8, "产假申请须附证明。", document="附则.md"),
    )
    assert answer.grounded
    assert answer.engine == "extractive"
    assert [(one.mark, one.passage, one.document, one.heading) for one in answer.citations] == [
        (1, 7, "请假.md", "请假 › 各种假"),
        (2, 8, "附则.md", ""),
    ]
    assert answer.citations[0].quote == "**产假**：158 天。"
    assert "**[1] 请假 › 各种假**" in answer.text
    assert "**产假：158 天。**" in answer.text
    assert "**[2] 附则.md**" in answer.text


@pytest.mark.parametrize("question", ["产假多少天", "满十年有几天年假", "满 10 年", "入职多久休年假", "婚假", "无关"])
def test_every_quote_is_verbatim_and_every_line_is_from_the_document(question: str) -> None:
    answer = ask(question, scored(1, LEAVE))
    for one in answer.citations:
        assert one.quote in LEAVE
    _, shown = answer.text.split("[1] ", 1)
    for line in shown.split("\n")[1:]:
        assert cite.check(line.strip("…"), LEAVE, shortest=1)


def test_a_row_is_shown_with_the_head_of_its_table() -> None:
    rows = "\n".join(f"| 城市{n} | 每晚 {n} 元 |" for n in range(100, 140))
    answer = ask("城市105", scored(1, f"| 城市 | 标准 |\n|---|---|\n{rows}"))
    assert "**城市105 ｜ 每晚 105 元**" in answer.text
    assert "城市 ｜ 标准\n" in answer.text
    assert "|---|" not in answer.text


def test_a_long_passage_is_shown_around_the_best_sentence() -> None:
    text = "这是铺垫的一句话，和问题没有关系。" * 30 + "丢失工牌的补办费用是二十元。" + "这是后面的一句话。" * 30
    answer = ask("工牌补办费用", scored(1, text))
    assert answer.citations[0].quote == "丢失工牌的补办费用是二十元。"
    assert "…这是铺垫" in answer.text
    assert answer.text.endswith("…")
    assert len(answer.text) < 500


def test_nothing_fits() -> None:
    found = [scored(n, "别的内容。", coverage=FLOOR - 0.01, document=f"{n % 2}.md") for n in range(5)]
    answer = ask("股票期权", *found)
    assert (answer.grounded, answer.citations, answer.nearest) == (False, (), ("0.md", "1.md"))
    assert "没有找到" in answer.text
    assert "别的内容" not in answer.text
    assert ask("股票期权").nearest == ()
    assert ask("stock options", language="en").text.startswith("The knowledge base does not say")


def test_much_worse_passages_are_left_out_but_at_most_three_shown() -> None:
    weak = ask("产假", scored(1, LEAVE), scored(2, "产假。", coverage=0.1))
    assert len(weak.citations) == 1
    many = ask("产假", *[scored(n, "产假有规定。") for n in range(5)])
    assert [one.mark for one in many.citations] == [1, 2, 3]


def test_the_floor_looks_at_the_first_passages_only() -> None:
    poor = [scored(n, "。", coverage=0.1) for n in range(3)]
    assert not answerable([])
    assert not answerable([*poor, scored(9, "。", coverage=1.0)])
    assert answerable([*poor[:2], scored(9, "。", coverage=FLOOR)])


async def test_the_stream_is_the_answer_in_pieces() -> None:
    request = AnswerRequest(question="产假", passages=(scored(1, LEAVE),))
    *deltas, last = [piece async for piece in ExtractiveModel().stream(request)]
    assert isinstance(last, Answer)
    assert len(deltas) > 3
    assert "".join(piece.text for piece in deltas if isinstance(piece, Delta)) == last.text
    assert last == compose(request)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("一。二！三？四", ["一。", "二！", "三？", "四"]),
        ("他说“好。”然后走了。", ["他说“好。”", "然后走了。"]),
        ("The rate is 3.5 percent. Ask HR.", ["The rate is 3.5 percent.", "Ask HR."]),
        ("- 甲\n2. 乙\n> 丙", ["甲", "乙", "丙"]),
        ("| a | b |\n|:--|---|\n| 1 | 2 |", ["a | b", "1 | 2"]),
        ("---\n\n***", ["---\n\n***"]),  # nothing to say: the whole, so that there is always a unit
        ("", [""]),
    ],
)
def test_units(text: str, expected: list[str]) -> None:
    assert [text[unit.start : unit.end] for unit in units(text)] == expected
