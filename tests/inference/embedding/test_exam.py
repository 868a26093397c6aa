"""How a model is judged: pure decisions, as tables."""

from __future__ import annotations

import pytest

from inference.embedding.exam import Ranks, depth, judge, judge_ranks, place, probes
from inference.grounding import tokens

TEXTS = [
    "第一章\n员工每年享有十天带薪年假，工龄满十年的享有十五天。未休完的年假可以结转到次年三月底。",
    "短。",
    "| 级别 | 限额 |\n",
    "The travel policy allows economy class flights only; book them two weeks ahead of the trip.",
]


def test_questions_are_two_thirds_of_a_sentence_in_its_order() -> None:
    found = probes(TEXTS, tokens.cut)
    assert found == probes(TEXTS, tokens.cut), "the same texts give the same questions"
    assert [any(one.sentence in text for text in TEXTS) for one in found] == [True, True]
    for one in found:
        said, whole = tokens.cut(one.question), iter(one.sentence)
        assert all(character in whole for character in "".join(said))
        assert 0.4 < len(one.question) / len(one.sentence) < 0.95


@pytest.mark.parametrize(("passages", "expected"), [(1, 1), (20, 1), (60, 3), (100, 5), (200, 10), (100_000, 10)])
def test_a_model_that_guesses_is_right_in_one_of_twenty(passages: int, expected: int) -> None:
    assert depth(passages) == expected


def test_the_place_of_a_sentence() -> None:
    assert [place("年假", texts) for texts in (["年假"], ["x", "有年假", "年假"], ["x"], [])] == [1, 2, 0, 0]


def ranks(words: float, meaning: float, both: float, seconds: float = 0.01) -> list[Ranks]:
    """Of two hundred, so many found at the first place."""
    return [
        Ranks(words=n < words * 200, meaning=n < meaning * 200, both=n < both * 200, seconds=seconds)
        for n in range(200)
    ]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (ranks(0.95, 0.90, 0.97), ""),
        (ranks(0.95, 0.76, 0.95), ""),  # 0.8 of what words find
        (ranks(0.95, 0.75, 0.97), "By itself it finds 75.0 %"),
        (ranks(0.95, 0.95, 0.945), ""),  # half a point
        (
            ranks(0.95, 0.95, 0.94),
            "Words alone find 95.0 % of the sentences among the first 5, together with it 94.0 %",
        ),
        (ranks(0.95, 0.90, 0.97, seconds=1.2), "takes 1.2 s, and a question waits 1 s"),
        ([], "There are 500 passages"),
    ],
)
def test_the_verdict_on_an_embedder(found: list[Ranks], reason: str) -> None:
    verdict = judge(found, 500, 1.0)
    assert verdict.reason.startswith(reason) if not reason else reason in verdict.reason
    assert bool(verdict.reason) == bool(reason)
    assert verdict.figures["questions"] == len(found)


def test_early_only_what_cannot_become_better_counts() -> None:
    assert not judge(ranks(0.95, 0.90, 0.5, seconds=9), 500, 1.0, early=True).reason
    assert "By itself it finds" in judge(ranks(0.95, 0.75, 0.97), 500, 1.0, early=True).reason


@pytest.mark.parametrize(
    ("before", "after", "seconds", "reason"),
    [
        ([2, 2, 1], [1, 1, 1], 0.1, ""),
        ([1, 2, 3], [1, 2, 3], 0.1, ""),
        ([1, 1, 2], [1, 2, 2], 0.1, "would make the order worse"),
        ([2, 2, 1], [1, 1, 1], 3.0, "Ranking takes 3.0 s"),
        ([], [], 0.1, "fewer than 20 passages"),
    ],
)
def test_the_verdict_on_a_reranker(before: list[int], after: list[int], seconds: float, reason: str) -> None:
    verdict = judge_ranks(before, after, [seconds] * len(before), 2.0)
    assert bool(verdict.reason) == bool(reason)
    assert reason in verdict.reason
