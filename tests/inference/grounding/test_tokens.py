"""Cutting text: both sides of the search must cut alike."""

from __future__ import annotations

import pytest

from inference.grounding import tokens
from inference.grounding.search import index_terms, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("電腦與請假", "电脑与请假"),
        ("ＡＢＣ１２３", "abc123"),
        ("Straße", "strasse"),
        ("㎡", "m2"),
    ],
)
def test_fold(text: str, expected: str) -> None:
    assert tokens.fold(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("差旅报销", ["差旅", "报销"]),
        ("c++ 和 c#", ["c++", "和", "c#"]),
        ("wi-fi", ["wi", "fi", "wi-fi"]),
        ("3.5% 的", ["3.5%", "的"]),
        ("end.", ["end"]),
        ("，。！ —", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert tokens.words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("年假制度", ["年假", "假制", "制度"]),
        ("年a假", []),
        ("休，年假", ["年假"]),
        ("𠮷野家", ["𠮷野", "野家"]),
    ],
)
def test_bigrams(text: str, expected: list[str]) -> None:
    assert tokens.bigrams(text) == expected


def test_pieces_joined_are_the_text() -> None:
    text = "出差住宿标准是多少钱 一晚？ok"
    assert "".join(tokens.cut(text)) == text


def test_asking_words_are_not_searched_for() -> None:
    asked = terms("请问年假怎么休？")
    assert asked.words == ("年", "假", "休")
    assert asked.bigrams == ("年假",)


def test_a_question_of_asking_words_alone_keeps_them() -> None:
    assert terms("怎么").words == ("怎么",)


def test_a_question_has_each_term_once_a_text_every_occurrence() -> None:
    assert terms("报销报销").words == ("报销",)
    assert index_terms("报销，报销").words == ("报销", "报销")


@pytest.mark.parametrize("question", ["", "  ", "？！", "👍"])
def test_nothing_to_look_for(question: str) -> None:
    asked = terms(question)
    assert asked.words == ()
    assert asked.bigrams == ()
