"""How a model fits into memory, against what was measured on the full-size one."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from inference.images.memory import GIB, OFFERED, OVERHEAD, Need, Tier, lowered, plan, tier_of
from inference.images.model import ModelCard

FULL = Need(text_encoder=8_045_000_000, transformer=12_310_000_000, vae=168_000_000)
FP8 = replace(FULL, transformer=6_200_000_000)

#: The transformer's activations in GiB, measured by size and batch; and the decoder's by size.
DRAWING = {
    512: {1: 0.07, 4: 0.42, 8: 0.91},
    1024: {1: 0.39, 4: 1.81, 8: 3.69},
    1536: {1: 0.97, 4: 4.12},
    2048: {4: 7.37},
}
DECODING = {512: 0.38, 1024: 1.5, 1536: 3.38, 2048: 6.0}


@pytest.mark.parametrize(("side", "batch", "gib"), [(s, b, g) for s, row in DRAWING.items() for b, g in row.items()])
def test_the_figures_cover_what_drawing_was_measured_to_take(side: int, batch: int, gib: float) -> None:
    held = FULL.weights("none") + OVERHEAD
    said = (FULL.peak("none", side * side, batch, tiled=True, decode=0) - held) / GIB
    assert gib <= said <= gib * 1.25 + 0.06


@pytest.mark.parametrize(("side", "gib"), DECODING.items())
def test_and_what_decoding_takes(side: int, gib: float) -> None:
    held = FULL.weights("none") + OVERHEAD
    assert (FULL.peak("none", side * side) - held) / GIB == pytest.approx(gib, rel=0.02)
    assert (replace(FULL, element=4).peak("none", side * side) - held) / GIB == pytest.approx(2 * gib, rel=0.02)


@pytest.mark.parametrize(
    ("need", "gib", "wanted", "offload", "tier", "short"),
    [
        (FULL, 130, "auto", "none", Tier.HIGH, False),
        (FULL, 28.8, "auto", "none", Tier.HIGH, False),  # 48 GB at 0.6
        (FULL, 22.0, "auto", "none", Tier.MEDIUM, False),
        (FULL, 15, "auto", "model", Tier.HIGH, False),
        (FULL, 11, "auto", "group", Tier.HIGH, False),
        (FP8, 11, "auto", "model", Tier.HIGH, False),
        (FP8, 17, "auto", "none", Tier.HIGH, False),
        (FULL, 4.0, "auto", "group", Tier.MEDIUM, False),
        (FULL, 3.0, "auto", "group", Tier.LOW, True),
        (FULL, 15, "none", "none", Tier.LOW, True),  # who says so may know better
        (FULL, 130, "model", "model", Tier.HIGH, False),
        (FULL, inf, "auto", "none", Tier.HIGH, False),
    ],
)
def test_the_fastest_way_that_fits_and_the_tier_it_leaves(
    need: Need, gib: float, wanted: str, offload: str, tier: Tier, short: bool
) -> None:
    found = plan(need, gib * GIB, wanted)
    assert (found.offload, found.tier, found.short) == (offload, tier, short)
    assert found.max_pixels == OFFERED[tier]


@pytest.mark.parametrize(
    ("gib", "side", "tiled"),
    [
        (130, 1024, False),
        (130, 2048, False),
        (28.8, 1216, False),
        (28.8, 1536, True),  # its tensors would fit, its workspaces not
        (21.9, 1216, True),  # memory is short
        (21.9, 1024, False),  # one tile: nothing would change
    ],
)
def test_tiles_are_for_large_pictures_and_short_memory(gib: float, side: int, tiled: bool) -> None:
    assert plan(FULL, gib * GIB, "none").tiled(side, side) is tiled


@pytest.mark.parametrize(
    ("gib", "side", "most"), [(130, 1024, 64), (28.8, 1024, 17), (28.8, 512, 64), (22, 1024, 3), (3, 1024, 1)]
)
def test_how_many_fit_into_a_pass(gib: float, side: int, most: int) -> None:
    assert plan(FULL, gib * GIB).most(side, side) == most


@pytest.mark.parametrize(
    ("side", "then"), [(2048, Tier.MEDIUM), (1800, Tier.MEDIUM), (1536, Tier.LOW), (1024, None), (512, None)]
)
def test_what_one_picture_ran_out_of_is_offered_no_more(side: int, then: Tier | None) -> None:
    left = lowered(2048 * 2048, side * side)
    assert left == (OFFERED[then] if then else 512 * 512)
    assert lowered(left, 2048 * 2048) == left, "never raised again"


def test_the_card_says_its_tier() -> None:
    card = ModelCard(name="x", path="", builtin=False, device="cpu", dtype="bfloat16")
    sizes = (2048 * 2048, 1536 * 1536, 1024 * 1024, 512 * 512)
    assert [replace(card, max_pixels=pixels).tier for pixels in sizes] == ["high", "medium", "low", "low"]
    assert [tier_of(pixels) for pixels in sizes] == [Tier.HIGH, Tier.MEDIUM, Tier.LOW, Tier.LOW]
