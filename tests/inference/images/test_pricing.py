"""What pictures cost, and how much work they are."""

from __future__ import annotations

import pytest

from inference.images.pricing import price, weight
from inference.images.registry import LoadOptions, expected_card, resolve

CARD = expected_card(resolve(None), LoadOptions())


@pytest.mark.parametrize(
    ("width", "height", "steps", "count", "units"),
    [
        (64, 64, 1, 1, 1),
        (1024, 1024, 8, 1, 1),
        (1024, 1024, 8, 2, 2),
        (1024, 1024, 9, 1, 2),
        (1024, 1024, 16, 1, 2),
        (1040, 1024, 8, 1, 2),
        (1024, 2048, 8, 1, 2),
        (2048, 2048, 8, 1, 4),
        (2048, 2048, 16, 2, 16),
        (512, 512, 32, 1, 1),
        (512, 512, 33, 1, 2),
    ],
)
def test_price_is_in_proportion_and_rounded_up(width: int, height: int, steps: int, count: int, units: int) -> None:
    assert price(width, height, steps, count, CARD) == units


@pytest.mark.parametrize(("side", "tflop"), [(512, 12.90), (1024, 55.61), (1536, 147.4), (2048, 319.2)])
def test_weight_follows_the_models_operation_counts(side: int, tflop: float) -> None:
    assert weight(side, side, steps=1) == pytest.approx(tflop / 55.61, rel=0.04)


def test_weight_grows_with_steps_and_count_and_is_never_nothing() -> None:
    assert weight(1024, 1024, 8, 2) == pytest.approx(16)
    assert weight(64, 64, 1) > 0
