"""What the engine learns from a device that is too small: the real pipeline, with a decoder that runs out on cue."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.errors import ModelUnavailable, OutOfMemory
from inference.images.batching import BatchLimit
from inference.images.gauge import gauge
from inference.images.learning import Learning
from inference.images.memory import plan
from inference.images.passes import Nobody
from inference.images.placement import require_quantization
from inference.images.registry import BUILTIN
from inference.images.speed import ways
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest


@pytest.fixture
def model(engine: ZImageModel, tmp_path: Path) -> Iterator[ZImageModel]:
    """The engine with notes of its own, as it was before afterwards."""
    kept, card = engine.learning, engine.card
    engine.learning = Learning.of(kept.plan, tmp_path, "this model", held="none")
    yield engine
    engine.learning, engine.card = kept, card


@pytest.fixture
def running_out(model: ZImageModel, monkeypatch: pytest.MonkeyPatch) -> list[Callable[[int, Any], bool]]:
    """Conditions under which decoding runs out of memory: given the batch and the VAE."""
    conditions: list[Callable[[int, Any], bool]] = []
    vae, decode = model.pipeline.vae, model.pipeline.vae.decode

    def decoded(latents: torch.Tensor, *rest: Any, **options: Any) -> Any:
        if any(short(len(latents), vae) for short in conditions):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 6 GiB.")
        return decode(latents, *rest, **options)

    monkeypatch.setattr(vae, "decode", decoded)
    return conditions


def draw(model: ZImageModel, batch: int = 1, width: int = 64, height: int = 64) -> list[bytes]:
    orders = [ImageRequest(prompt="a cube", width=width, height=height, steps=1, seed=n) for n in range(batch)]
    return [one.image.tobytes() for one in model.generate(orders, Nobody()) if one]


def test_a_batch_that_does_not_fit_is_halved_for_good(
    model: ZImageModel, running_out: list[Callable[[int, Any], bool]], tmp_path: Path
) -> None:
    before = draw(model)
    running_out.append(lambda batch, vae: batch > 2)
    with pytest.raises(OutOfMemory):
        draw(model, 4)
    assert model.card.batches.max_batch(64, 64) == 2
    assert len(draw(model, 2)) == 2
    assert draw(model) == before
    again = Learning.of(model.learning.plan, tmp_path, "this model", held="none")
    assert again.batches.max_batch(64, 64) == 2
    otherwise = Learning.of(model.learning.plan, tmp_path, "this model", held="model")
    assert otherwise.batches.max_batch(64, 64) == 4, "held otherwise, it may fit"


def test_one_picture_that_does_not_fit_is_decoded_in_tiles_from_then_on(
    model: ZImageModel, running_out: list[Callable[[int, Any], bool]]
) -> None:
    tiles: list[tuple[bool, int]] = []

    def untiled(_batch: int, vae: Any) -> bool:
        tiles.append((vae.use_tiling, vae.tile_sample_min_size))
        return not vae.use_tiling

    running_out.append(untiled)
    for _ in range(2):
        assert len(draw(model, width=528, height=64)) == 1
    assert tiles == [(False, 1024), (True, 512), (True, 512)]
    assert not model.pipeline.vae.use_tiling
    assert model.pipeline.vae.tile_sample_min_size == 1024
    assert model.learning.tile(64, 64) == 0, "smaller ones are not touched"
    assert model.card.max_pixels == 2048 * 2048


def test_what_does_not_fit_even_so_fails_alone_and_is_offered_no_more(
    model: ZImageModel, running_out: list[Callable[[int, Any], bool]]
) -> None:
    before = draw(model)
    running_out.append(lambda batch, vae: True)
    with pytest.raises(OutOfMemory):
        draw(model, width=528, height=64)
    running_out.clear()
    assert (model.card.max_pixels, model.card.tier) == (512 * 512, "low")
    assert draw(model) == before


@pytest.mark.parametrize(
    ("now", "size", "then"),
    [(0, (2048, 2048), 1024), (0, (1024, 1024), 512), (0, (528, 64), 512), (0, (512, 512), 0), (0, (1040, 64), 1024)],
)
def test_the_next_smaller_tiles(model: ZImageModel, now: int, size: tuple[int, int], then: int) -> None:
    learning = Learning.of(model.learning.plan, None, "x", held="none")
    assert learning.tile(*size) == now
    assert learning.tile_more(*size) is bool(then)
    assert learning.tile(*size) == then
    if then == 1024:
        assert learning.tile_more(*size)
        assert learning.tile(*size) == 512
        assert not learning.tile_more(*size)


def test_what_was_gauged_is_used_now_and_at_the_next_start(model: ZImageModel, tmp_path: Path) -> None:
    found = gauge(model, (64,), budget=0.05)
    assert [(one.side, one.batch) for one in found] == [(64, 1)], "the next would go beyond the time"
    model.learn([replace(found[0], batch=batch, seconds=1 / batch) for batch in (1, 2, 4, 8)])
    assert model.card.batches.max_batch(64, 64) == 8
    assert Learning.of(model.learning.plan, tmp_path, "this model", held="none").batches.max_batch(64, 64) == 8


def test_gauging_again_lets_be_tried_what_once_ran_out(model: ZImageModel) -> None:
    model.learning.ran_out(64, 64, 4)
    assert model.learning.batches.max_batch(64, 64) == 2
    assert len(model.measure(budget=0.01)) == 1
    assert model.card.batches.max_batch(64, 64) == 4


def test_gauging_stops_where_it_runs_out_of_memory(
    model: ZImageModel, running_out: list[Callable[[int, Any], bool]]
) -> None:
    running_out.append(lambda batch, vae: batch > 1)
    assert [one.batch for one in gauge(model, (64,), budget=60)] == [1]


def test_a_small_memory_is_said_on_the_card_from_the_beginning(model: ZImageModel) -> None:
    small = plan(replace(model.learning.plan.need, width=3840, vae_channels=128), 2 * 2**30)
    learning = Learning.of(small, None, "x", held="none")
    assert small.max_pixels == 1024 * 1024
    assert learning.batches == replace(BatchLimit(), fitting=learning.batches.fitting)
    assert learning.batches.max_batch(768, 768) == 1, "two would be worth it, but do not fit"


def test_eight_bits_halve_the_transformer_and_still_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    model = ZImageModel.load(BUILTIN, name="small", builtin=True, device="cpu", quantization="fp8", notes=tmp_path)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled"), "compiled anew at each start"
    plain = model.learning.plan.need
    assert {str(one.dtype) for one in model.pipeline.transformer.layers.parameters()} >= {"torch.float8_e4m3fn"}
    assert plain.transformer < 0.6 * sum(2 * one.numel() for one in model.pipeline.transformer.parameters())
    (picture,) = draw(model)
    assert len(set(picture)) > 50, "a flat picture"
    model.close()


@pytest.mark.parametrize(
    ("way", "device", "offload", "says"),
    [("int3", "cpu", "none", "int3"), ("fp8", "mps", "none", "Apple"), ("fp8", "cuda:0", "group", "group")],
)
def test_eight_bits_that_cannot_be_say_so(way: str, device: str, offload: str, says: str) -> None:
    with pytest.raises(ModelUnavailable, match=says) as refused:
        require_quantization(way, device, offload)
    assert refused.value.next_step


def test_a_way_that_ended_the_process_is_not_tried_again(model: ZImageModel, tmp_path: Path) -> None:
    tried = ways("cuda:0", "", "auto")
    model.learning.trying(tried[2])  # and then a fault of the device
    again = Learning.of(model.learning.plan, tmp_path, "this model", held="none")
    assert again.safe(tried) == (*tried[:2], tried[3])
    again.choose("auto", tried[2])
    assert again.chosen("auto") == (), "nor when it was the best once"
    again.trying(tried[0])
    assert again.chosen("auto") == (tried[2],)
    assert again.safe(tried) == tried, "something must be left"
    again.trying(None)
    assert Learning.of(model.learning.plan, tmp_path, "this model", held="none").safe(tried) == tried
