"""A prompt is read once, and what is kept of it draws the same picture bit by bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from PIL import Image

from inference.images.embeddings import Embeddings
from inference.images.passes import Nobody
from inference.images.zimage import MAX_TOKENS, ZImageModel
from inference.requests import ImageRequest

LONG = "a quiet lake at sunrise with soft mist, warm reflections, an old boat and a heron among the reeds"


@pytest.fixture
def reader(engine: ZImageModel) -> Iterator[list[int]]:
    """One entry for every prompt that reaches the text encoder, from an empty cache."""
    engine.embeddings.clear()
    seen: list[int] = []

    def note(_module: torch.nn.Module, _arguments: object, named: dict[str, torch.Tensor]) -> None:
        seen.extend([named["input_ids"].shape[1]] * len(named["input_ids"]))

    handle = engine.pipeline.text_encoder.register_forward_pre_hook(note, with_kwargs=True)
    yield seen
    handle.remove()


def draw(engine: ZImageModel, *prompts: str, source: Image.Image | None = None) -> list[bytes]:
    strength = None if source is None else 0.5
    batch = [
        ImageRequest(prompt=one, width=64, height=64, steps=2, seed=5, source=source, strength=strength)
        for one in prompts
    ]
    return [one.image.tobytes() for one in engine.generate(batch, Nobody()) if one]


@pytest.mark.parametrize("prompt", ["a red cube", "一只戴红围巾的熊猫", LONG, f"{LONG} " * 8])
def test_they_are_what_the_pipeline_makes_bit_by_bit(engine: ZImageModel, prompt: str) -> None:
    with torch.no_grad():
        (plain,), _ = engine.pipeline.encode_prompt([prompt], do_classifier_free_guidance=False)
    assert torch.equal(Embeddings(engine.pipeline, MAX_TOKENS).of(prompt), plain)


def test_a_prompt_is_read_once_also_with_others_and_from_a_picture(engine: ZImageModel, reader: list[int]) -> None:
    (alone,) = draw(engine, "a red cube")
    assert reader == [32], "padded to its block of tokens, not to 512"
    together = draw(engine, "a red cube", "a blue ball", "a red cube")
    assert len(reader) == 2
    assert [together[0], together[2]] == [alone, alone]
    (other,) = draw(engine, "a blue ball")
    begun = draw(engine, "a blue ball", source=Image.new("RGB", (64, 64), "white"))
    assert len(reader) == 2
    assert other == together[1] != begun[0]
    engine.embeddings.clear()
    assert draw(engine, "a red cube") == [alone]
    assert len(reader) == 3


def test_the_one_used_longest_ago_goes_first_when_there_are_too_many(engine: ZImageModel) -> None:
    size = Embeddings(engine.pipeline, MAX_TOKENS).of("a").nbytes
    kept = Embeddings(engine.pipeline, MAX_TOKENS, most_bytes=2 * size)
    for prompt in ("a", "b", "a", "c", "a", "b"):
        kept.of(prompt)
    assert (kept.hits, kept.misses) == (2, 4)
    assert kept.bytes == 2 * size
    kept.of(LONG)  # larger than all that may be kept: drawn, not kept
    assert kept.bytes == 2 * size
    kept.clear()
    assert kept.bytes == 0
