"""Rankings made one."""

from __future__ import annotations

import pytest

from inference.grounding.fusion import fuse


@pytest.mark.parametrize(
    ("rankings", "expected"),
    [
        ([[1, 2, 3]], [1, 2, 3]),
        ([[1, 2, 3], []], [1, 2, 3]),
        ([[], []], []),
        ([[1, 2], [3, 4]], [1, 3, 2, 4]),  # equal places: the earlier ranking first
        ([[1, 2, 3], [3, 2, 1]], [1, 3, 2]),  # 1/61 + 1/63 is a little more than 2/62
        ([[1, 2, 3], [4, 3, 5]], [3, 1, 4, 2, 5]),  # found by both
        ([[1, 1, 1, 2], [2]], [2, 1]),  # a thing counts once, at its first place
    ],
)
def test_what_both_find_comes_first(rankings: list[list[int]], expected: list[int]) -> None:
    assert [one for one, _ in fuse(*rankings)] == expected


def test_scores_are_sums_of_reciprocal_places() -> None:
    assert dict(fuse([7, 8], [8], k0=10)) == pytest.approx({7: 1 / 11, 8: 1 / 12 + 1 / 11})
