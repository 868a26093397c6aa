"""Several rankings made one by the places alone (reciprocal rank fusion): scores of two kinds cannot be added. Pure."""

from __future__ import annotations

from collections.abc import Sequence

#: How much the first places stand out: 1 / (K0 + place). The published value; between 10 and 60 it matters little.
K0 = 60


def fuse(*rankings: Sequence[int], k0: int = K0) -> list[tuple[int, float]]:
    """What stands in the rankings (best first), each with its score, best first.

    What two rankings hold comes before one that only one of them holds at the same place. Equal ones keep the
    order of the earlier ranking, so the same rankings always give the same result.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for place, one in enumerate(dict.fromkeys(ranking), 1):
            scores[one] = scores.get(one, 0.0) + 1 / (k0 + place)
    return sorted(scores.items(), key=lambda pair: -pair[1])
