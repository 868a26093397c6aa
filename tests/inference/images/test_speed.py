"""Which way to compute is chosen, and that compiled code never costs a picture. Compiled by dynamo, run eagerly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from inference.errors import ModelUnavailable
from inference.images.passes import Nobody
from inference.images.registry import BUILTIN
from inference.images.speed import Way, apply, eager, fastest, ways
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest

CUDNN, COMPILED = Way(attention="_native_cudnn"), Way(compiled=True)


@pytest.mark.parametrize(
    ("device", "attention", "compiling", "tried"),
    [
        ("cpu", "", "auto", [Way()]),
        ("mps", "", "auto", [Way()]),
        ("cpu", "", True, [COMPILED]),
        ("cuda:0", "", False, [Way(), CUDNN]),
        ("cuda:0", "", "auto", [Way(), CUDNN, COMPILED, Way(attention="_native_cudnn", compiled=True)]),
        ("cuda:0", "sage", "auto", [Way(attention="sage"), Way(attention="sage", compiled=True)]),
        ("cuda:0", "native", True, [COMPILED]),
    ],
)
def test_what_is_tried(device: str, attention: str, compiling: bool | str, tried: list[Way]) -> None:
    assert list(ways(device, attention, compiling)) == tried


def test_a_backend_that_downloads_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="downloads code") as refused:
        ZImageModel.load(BUILTIN, name="builtin", builtin=True, device="cpu", attention="_flash_3_hub")
    assert "empty" in refused.value.next_step


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({Way(): 1.0}, Way()),
        ({Way(): 1.0, CUDNN: 0.98}, Way()),
        ({Way(): 1.0, CUDNN: 0.9}, CUDNN),
        ({Way(): 1.0, CUDNN: 0.9, COMPILED: 0.89}, CUDNN),
        ({Way(): 1.0, CUDNN: 0.9, COMPILED: 0.7}, COMPILED),
        ({CUDNN: 1.0, COMPILED: 2.0}, CUDNN),
    ],
)
def test_what_is_less_simple_must_be_faster_by_a_margin(seconds: dict[Way, float], best: Way) -> None:
    assert fastest(seconds) == best


def request(width: int = 64, prompt: str = "a cube", seed: int = 1, steps: int = 1) -> ImageRequest:
    return ImageRequest(prompt=prompt, width=width, height=64, steps=steps, seed=seed)


def draw(model: ZImageModel, *batch: ImageRequest) -> list[bytes]:
    return [one.image.tobytes() for one in model.generate(batch, Nobody()) if one]


@pytest.fixture
def compiled(engine: ZImageModel) -> Iterator[ZImageModel]:
    """The engine with its blocks compiled."""
    torch._dynamo.reset()
    apply(engine.pipeline.transformer, COMPILED, backend="eager")
    engine.way = COMPILED
    yield engine
    eager(engine.pipeline.transformer)
    engine.way = Way()
    torch._dynamo.reset()


@pytest.mark.slow  # tracing is what takes long
def test_many_sizes_lengths_and_batches_stay_within_the_graphs(compiled: ZImageModel) -> None:
    orders: list[list[ImageRequest]] = [[request(width)] for width in (64, 80, 96)]
    orders += [[request(prompt="word " * 40)], [request(), request(seed=2)], [request(seed=n) for n in range(3)]]
    orders += [[request(96), request(96, seed=2)]]
    with_graphs = [draw(compiled, *order) for order in orders]
    assert compiled.way == COMPILED, "it fell back"
    eager(compiled.pipeline.transformer)
    assert with_graphs == [draw(compiled, *order) for order in orders]


def test_past_the_limit_it_draws_without_compiled_code(
    compiled: ZImageModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config: Any = torch._dynamo.config
    monkeypatch.setattr(config, "recompile_limit", 1)
    (first,), (second,) = draw(compiled, request()), draw(compiled, request(96))
    assert draw(compiled, request(), request(seed=2))[0] == first
    assert compiled.way == Way()
    assert "without compiled code" in caplog.text
    assert draw(compiled, request(96)) == [second]


def test_a_way_that_fails_is_left_out_and_the_choice_is_kept(engine: ZImageModel) -> None:
    broken = Way(attention="flash_varlen")  # not installed here
    engine._choose((Way(), broken), wanted="of this test")
    assert engine.way == Way()
    assert engine.learning.chosen("of this test") == (Way(),)
    assert engine.learning.chosen("of another") == ()
