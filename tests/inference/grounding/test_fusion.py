"""Rankings made one."""

from __future__ import annotations

import pytest

from inference.grounding.fusion import fuse


@pytest.mark.parametrize(
    ("words", "meaning", "expected"),
    [
        ([1, 2, 3], [], [1, 2, 3]),
        ([], [1, 2, 3], [1, 2, 3]),
        ([], [], []),
        ([1, 2], [3, 4], [1, 2, 3, 4]),  # a place by words counts more
        ([1, 2, 3], [2, 3, 1], [2, 1, 3]),
        ([1, 2], [2, 3], [2, 1, 3]),  # found by both
        ([1, 1, 1, 2], [2], [2, 1]),  # a thing counts once, at its first place
    ],
)
def test_what_both_find_comes_first(words: list[int], meaning: list[int], expected: list[int]) -> None:
    assert [one for one, _ in fuse(words, meaning)] == expected


def test_scores_are_sums_of_reciprocal_places() -> None:
    assert dict(fuse([7, 8], [8])) == pytest.approx({7: 1.5 / 11, 8: 1.5 / 12 + 1 / 11})


def test_what_meaning_alone_finds_first_is_among_those_an_answer_is_made_from() -> None:
    """Ten passages are offered; fifty share some word with nearly every question."""
    fused = [one for one, _ in fuse(range(50), range(100, 150))]
    assert (fused.index(100), fused.index(101)) == (6, 9)
