"""A conversation takes no more of a prompt than it may."""

from __future__ import annotations

import pytest

from inference.requests import Turn
from inference.text.budget import CUT, FRAME, fitting, shortened, tokens

SHORT = Turn(question="年假几天", answer="十天")  # 4 + 2 and two frames
COST = 6 + 2 * FRAME


@pytest.mark.parametrize(
    ("text", "about"), [("", 0), ("年假十天", 4), ("abc", 1), ("abcd", 2), ("年假 10 天", 3 + 2), ("，。", 2)]
)
def test_tokens_are_estimated_rather_too_many(text: str, about: int) -> None:
    assert tokens(text) == about


@pytest.mark.parametrize(
    ("room", "kept"), [(0, 0), (COST - 1, 1), (COST, 1), (2 * COST, 2), (3 * COST - 1, 2), (999, 5)]
)
def test_the_last_turns_stay_as_far_as_there_is_room(room: int, kept: int) -> None:
    turns = [Turn(question="年假几天", answer=f"十{n}") for n in range(5)]
    found = fitting(turns, room)
    assert [one.question for one in found] == ["年假几天"] * kept
    if room >= COST:
        assert list(found) == turns[5 - kept :]


def test_a_long_last_answer_is_shortened_and_a_long_earlier_one_ends_it() -> None:
    long = Turn(question="流程", answer="字" * 500)
    [last] = fitting([SHORT, long], 100)
    assert (last.question, last.answer) == ("流程", "字" * (100 - 2 - 2 * FRAME - 1) + CUT)
    assert fitting([SHORT, long, SHORT], 100) == (SHORT,)


@pytest.mark.parametrize("room", [0, 1, 2, 7, 30])
def test_what_is_shortened_fits(room: int) -> None:
    cut = shortened("年假 annual leave 十天" * 9, room)
    assert tokens(cut) <= room
    assert (cut == "") == (room < 2)
