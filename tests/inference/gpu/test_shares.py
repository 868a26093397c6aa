"""Who gets how much, on the cards that teams have, with the models they would choose."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from inference.gpu.card import MIB, Card
from inference.gpu.needs import TextNeed
from inference.gpu.shares import ASLEEP, MARGIN, PARKED, Shares, Wanted, Way, share
from inference.images.memory import Need

GB = 10**9
#: Z-Image-Turbo in bf16.
PICTURES = Need(text_encoder=8_045_000_000, transformer=12_310_000_000, vae=168_000_000)
#: What CUDA can give of an RTX 4090, an L40S, an A100 and an H200, in MiB.
CARDS = {24: 24_217, 48: 45_457, 80: 81_109, 141: 143_156}
MODELS = {
    "7B AWQ": TextNeed(weights=5_600_000_000, token=57_344),
    "8B AWQ": TextNeed(weights=6_200_000_000, token=147_456),
    "8B FP8": TextNeed(weights=9_400_000_000, token=147_456),
    "8B": TextNeed(weights=16_400_000_000, token=147_456),
    "30B FP8": TextNeed(weights=31_000_000_000, token=98_304),
    "30B": TextNeed(weights=61_000_000_000, token=98_304),
}


def card(size: int, used: float = 0.0, index: int = 0) -> Card:
    return Card(index=index, name=f"card of {size}", total=CARDS[size] * MIB, used=int(used * GB))


def wanted(model: str, **more: Any) -> Wanted:
    return Wanted(image=PICTURES, text=MODELS[model], **more)


def fits(found: Shares) -> None:
    """Nobody is promised what somebody else has, in any phase."""
    assert found.problem == ""
    assert found.text is not None
    total, used = found.image.card.total, found.image.card.used
    image, text = found.image.limit, found.text.budget
    assert found.image.fraction * total <= (image + found.image.beside) * 1.0001
    assert found.text.utilization * total <= text * 1.0001
    assert found.text.least <= found.text.budget
    assert found.image.least <= found.image.limit
    if found.way is Way.SLEEP:
        assert text + PARKED + MARGIN + used <= total
        assert image + ASLEEP + MARGIN + used <= total
    elif found.way is not Way.APART:
        assert image + text + MARGIN + used + found.image.beside <= total


@pytest.mark.parametrize(
    ("size", "model", "way", "offload", "utilization", "questions"),
    [
        (24, "7B AWQ", Way.OFFLOAD, "model", 0.32, 1),
        (24, "8B AWQ", Way.SLEEP, "model", 0.92, 12),
        (24, "8B", Way.SLEEP, "model", 0.92, 4),
        (48, "8B FP8", Way.RESIDENT, "none", 0.42, 6),
        (48, "8B", Way.RESIDENT, "none", 0.42, 1),
        (48, "30B FP8", Way.SLEEP, "model", 0.96, 15),
        (80, "8B", Way.RESIDENT, "none", 0.45, 16),
        (80, "30B FP8", Way.RESIDENT, "none", 0.54, 16),
        (80, "30B", Way.OFFLOAD, "model", 0.77, 2),
        (141, "8B FP8", Way.RESIDENT, "none", 0.20, 16),
        (141, "30B", Way.RESIDENT, "none", 0.51, 16),
    ],
)
def test_the_cards_that_teams_have(
    size: int, model: str, way: Way, offload: str, utilization: float, questions: int
) -> None:
    found = share([card(size)], wanted(model), host=96 * GB)
    fits(found)
    assert (found.way, found.image.offload) == (way, offload)
    assert found.text is not None
    assert found.text.utilization == pytest.approx(utilization, abs=0.011)
    assert found.text.tokens // 8192 == questions, "questions of the full length at once"
    assert found.text.sleeps is (way is Way.SLEEP)


@pytest.mark.parametrize("size", CARDS)
def test_pictures_alone_have_the_card(size: int) -> None:
    found = share([card(size)], Wanted(image=PICTURES, text=None))
    assert (found.way, found.image.offload, found.text) == (Way.ALONE, "none", None)
    assert found.image.limit == found.image.card.total - MARGIN
    assert share([card(size)], Wanted(image=PICTURES, text=None, fraction=0.25)).image.fraction == 0.25


def test_what_others_use_is_not_there() -> None:
    assert share([card(48)], wanted("8B FP8")).way is Way.RESIDENT
    pressed = share([card(48, used=20)], wanted("8B FP8"))
    fits(pressed)
    assert pressed.way is Way.SLEEP


def test_models_of_the_search_have_their_place() -> None:
    found = share([card(48)], wanted("8B", beside=4 * GB))
    fits(found)
    assert found.way is Way.OFFLOAD, "both were only just resident without them"
    assert found.image.fraction * found.image.card.total == pytest.approx(found.image.limit + 4 * GB, rel=0.01)
    assert "3.0 for models of the search" in share([card(24)], wanted("30B", beside=3 * GB)).problem


def test_two_cards_are_shared_by_nobody() -> None:
    found = share([card(24), card(24, index=1)], wanted("8B FP8"))
    fits(found)
    assert found.way is Way.APART
    assert found.text is not None
    assert (found.text.card.index, found.image.card.index, found.image.offload) == (0, 1, "none")
    assert share([card(24), card(24, index=1)], wanted("30B")).problem


@pytest.mark.parametrize(
    ("size", "model", "written", "way", "offload"),
    [
        (48, "8B FP8", {"fraction": 0.5, "utilization": 0.4}, Way.RESIDENT, "none"),
        (48, "8B FP8", {"fraction": 0.4}, Way.OFFLOAD, "model"),  # too little for all of it
        (48, "8B FP8", {"fraction": 0.2}, Way.OFFLOAD, "group"),
        (48, "8B FP8", {"offload": "model"}, Way.OFFLOAD, "model"),
        (48, "8B FP8", {"sleep": True}, Way.SLEEP, "model"),
        (24, "8B AWQ", {"sleep": False}, Way.OFFLOAD, "group"),
        (24, "8B AWQ", {"fraction": 0.8, "utilization": 0.8}, Way.SLEEP, "model"),
        (24, "8B AWQ", {"offload": "group", "sleep": True}, Way.SLEEP, "group"),
    ],
)
def test_what_model_yaml_says_counts(size: int, model: str, written: dict[str, Any], way: Way, offload: str) -> None:
    found = share([card(size)], wanted(model, **written), host=96 * GB)
    fits(found)
    assert (found.way, found.image.offload) == (way, offload)
    if "fraction" in written:
        assert found.image.fraction == written["fraction"]
    if "utilization" in written:
        assert found.text is not None
        assert found.text.utilization == written["utilization"]


def test_a_written_cache_is_kept_to() -> None:
    found = share([card(48)], wanted("8B FP8", cache=3 * GB))
    fits(found)
    assert found.text is not None
    assert (found.text.cache, found.text.tokens) == (3 * GB, 3 * GB // 147_456)


def test_pictures_take_what_the_language_model_leaves_and_no_share_is_rounded_up() -> None:
    found = share([card(48)], wanted("8B FP8", utilization=0.3333))
    fits(found)
    assert found.text is not None
    assert found.text.utilization == 0.333
    assert found.left == pytest.approx(MARGIN)


@pytest.mark.parametrize(
    ("size", "model", "written", "host", "step"),
    [
        (24, "30B", {}, inf, "smaller or more strongly quantised"),
        (48, "8B FP8", {"fraction": 0.8, "utilization": 0.9, "sleep": False}, inf, "image.memory_fraction and"),
        (48, "8B FP8", {"utilization": 0.1}, inf, "to auto"),
        (48, "8B", {"fraction": 0.05, "offload": "none"}, inf, "to auto"),
        (24, "8B AWQ", {"offload": "none"}, inf, "image.offload"),
        (24, "8B", {"sleep": False}, 38 * GB, "text.sleep"),
        (24, "8B AWQ", {"context": 131_072}, inf, "text.max_model_len to 32768"),
        (24, "8B AWQ", {"cache": 30 * GB}, inf, "text.kv_cache_gb to 0"),
        (48, "8B FP8", {"cache": 1 * GB}, inf, "text.kv_cache_gb to 0"),  # too little for one question
        (24, "8B AWQ", {}, 8 * GB, "main memory"),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(
    size: int, model: str, written: dict[str, Any], host: float, step: str
) -> None:
    found = share([card(size)], wanted(model, **written), host)
    assert step in found.next_step
    assert found.problem.startswith("The language model does not fit beside the image model: card of")
    assert found.text is None
    assert found.way is Way.ALONE, "pictures are drawn all the same"


@pytest.mark.parametrize("size", CARDS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("used", [0, 5])
@pytest.mark.parametrize("host", [16, 96])
def test_no_plan_promises_more_than_there_is(size: int, model: str, used: float, host: int) -> None:
    found = share([card(size, used=used)], wanted(model), host * GB)
    if not found.problem:
        fits(found)
        assert found.host <= host * GB


def test_the_refusal_says_what_it_takes() -> None:
    found = share([card(24, used=1.5)], wanted("30B", fraction=0.4), 64 * GB)
    assert "25.4 GB, 1.5 of them used by others" in found.problem
    assert "the language model takes at least 64.0 and pictures 4.2" in found.problem
    assert "image.memory_fraction is 0.4" in found.problem
    assert "64 GB of main memory" in found.problem
