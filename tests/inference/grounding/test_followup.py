"""Questions that lean on those before them."""

from __future__ import annotations

import pytest

from inference.grounding.followup import leans, standalone
from inference.requests import Turn


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("那国外呢？", True),
        ("国外呢", True),
        ("病假呢？", True),
        ("如果不满一年呢？", True),
        ("它可以结转吗？", True),
        ("这个需要谁审批？", True),
        ("What about abroad?", True),
        ("that's for interns?", True),
        ("So how do I apply?", True),
        ("年假有几天呢？", False),
        ("出差住酒店一晚最多能报多少？", False),
        ("试用期的员工请病假会不会扣工资呢", False),
        ("Sofa in the office?", False),
        ("Italy travel budget?", False),
        ("", False),
    ],
)
def test_what_leans_on_what_was_said_before(question: str, expected: bool) -> None:
    assert leans(question) is expected


def turns(*questions: str) -> tuple[Turn, ...]:
    return tuple(Turn(question=question, answer="…") for question in questions)


@pytest.mark.parametrize(
    ("history", "question", "searched"),
    [
        ((), "那国外呢？", "那国外呢？"),
        (("VPN 怎么申请？", "住酒店能报多少？"), "那国外呢？", "住酒店能报多少？ 那国外呢？"),
        (("住酒店能报多少？", "国外呢？"), "那超了呢？", "住酒店能报多少？ 国外呢？ 那超了呢？"),
        (("住酒店能报多少？",), "年假怎么休？", "年假怎么休？"),
        (("一？", "那二呢", "那三呢", "那四呢"), "那五呢", "那二呢 那三呢 那四呢 那五呢"),
    ],
)
def test_the_question_it_leans_on_is_searched_for_with_it(
    history: tuple[str, ...], question: str, searched: str
) -> None:
    assert standalone(question, turns(*history)) == searched
