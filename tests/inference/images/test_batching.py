"""Who may share a forward pass, and how many."""

from __future__ import annotations

from typing import Any

import pytest

from inference.images.batching import BatchLimit, batch_key, block_of, estimated_block, max_batch, worthwhile
from inference.requests import ImageRequest


def key(**more: Any) -> str:
    request = ImageRequest(**{"prompt": "a", "width": 512, "height": 512, "steps": 8, "seed": 1, **more})
    return batch_key(request, estimated_block(request.prompt))


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({"seed": 2}, True),
        ({"prompt": "another short prompt"}, True),
        ({"negative": "ugly"}, True),
        ({"width": 768}, False),
        ({"height": 768}, False),
        ({"steps": 4}, False),
        ({"cfg": 3.0}, False),
        ({"adapters": (("ink", 0.8),)}, False),
        ({"prompt": "word " * 40}, False),
    ],
)
def test_what_must_agree_within_a_batch(change: dict[str, Any], alike: bool) -> None:
    assert (key() == key(**change)) is alike


def test_the_order_of_adapters_does_not_matter_but_the_weight_does() -> None:
    one, other = ("ink", 0.8), ("neon", 0.5)
    assert key(adapters=(one, other)) == key(adapters=(other, one))
    assert key(adapters=(one,)) != key(adapters=(("ink", 0.7),))


@pytest.mark.parametrize(("tokens", "block"), [(1, 1), (32, 1), (33, 2), (64, 2), (512, 16)])
def test_captions_are_counted_in_blocks_of_32(tokens: int, block: int) -> None:
    assert block_of(tokens) == block


@pytest.mark.parametrize(
    ("prompt", "block"),
    [
        ("", 1),
        ("a red cube", 1),
        ("一只戴红围巾的熊猫", 1),
        ("熊猫" * 12, 2),
        ("word " * 23, 1),
        ("word " * 24, 2),
        ("🐼" * 60, 3),
    ],
)
def test_the_estimate_counts_words_and_characters(prompt: str, block: int) -> None:
    assert estimated_block(prompt) == block


@pytest.mark.parametrize(
    ("width", "height", "most"),
    [(64, 64, 4), (512, 512, 4), (512, 768, 2), (768, 768, 2), (1024, 768, 2), (1024, 1024, 1), (2048, 2048, 1)],
)
def test_large_pictures_are_drawn_alone(width: int, height: int, most: int) -> None:
    assert max_batch(width, height) == BatchLimit().max_batch(width, height) == most


def test_running_out_of_memory_halves_this_size_and_larger_ones() -> None:
    limit = BatchLimit().halve(512, 512, 4)
    assert [limit.max_batch(512, 512), limit.max_batch(256, 256), limit.max_batch(768, 512)] == [2, 4, 2]
    limit = limit.halve(512, 512, 2)
    assert [limit.max_batch(512, 512), limit.max_batch(768, 512)] == [1, 1]
    assert limit.halve(512, 512, 1).max_batch(512, 512) == 1, "never below one picture"


@pytest.mark.parametrize(
    ("seconds", "most"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 0.98}, 1),  # a large picture fills the device
        ({1: 1.0, 2: 0.6, 4: 0.4, 8: 0.39}, 4),
        ({1: 1.0, 2: 0.7, 4: 0.8, 8: 0.5}, 8),  # a slow moment at 4 does not end it
        ({1: 1.0, 2: 0.96, 4: 0.92, 8: 0.91}, 4),  # together they save enough
        ({1: 1.0, 2: 1.1, 4: 1.3}, 1),
    ],
)
def test_a_larger_batch_must_save_time(seconds: dict[int, float], most: int) -> None:
    assert worthwhile(seconds) == most


@pytest.mark.parametrize(
    ("width", "height", "most"),
    [
        (64, 64, 8),
        (128, 128, 8),
        (256, 256, 8),
        (272, 256, 3),  # between two sizes the next larger one counts
        (512, 512, 3),
        (640, 512, 2),  # beyond what was measured the rule speaks too
        (1024, 1024, 1),
    ],
)
def test_what_was_measured_comes_before_the_rule(width: int, height: int, most: int) -> None:
    limit = BatchLimit(measured=((256 * 256, 8), (512 * 512, 3)))
    assert limit.max_batch(width, height) == most


@pytest.mark.parametrize(("side", "most"), [(64, 4), (256, 4), (512, 2), (500, 2), (768, 1), (1024, 1)])
def test_no_more_than_fit(side: int, most: int) -> None:
    assert BatchLimit(fitting=((256 * 256, 16), (512 * 512, 2))).max_batch(side, side) == most
