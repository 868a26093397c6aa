"""The engine on an NVIDIA GPU: what only shows there. `make test ARGS="-m gpu"` where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageChops

from benchmarks import gpu
from inference.errors import OutOfMemory
from inference.images.passes import Nobody
from inference.images.registry import BUILTIN
from inference.images.speed import Way
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no NVIDIA GPU"),
    pytest.mark.filterwarnings("default"),  # drivers and compilers have much to say
]

NEAR = 24  # of 255: how far a value of one picture may lie off in a batch, where kernels add up in another order


def load(**options: Any) -> ZImageModel:
    return ZImageModel.load(BUILTIN, name="builtin", builtin=True, device="cuda:0", **options)


@pytest.fixture(scope="module")
def model() -> Iterator[ZImageModel]:
    loaded = load(attention="native")
    yield loaded
    loaded.close()


def request(side: int = 256, seed: int = 7, prompt: str = "a red cube", steps: int = 8) -> ImageRequest:
    return ImageRequest(prompt=prompt, width=side, height=side, steps=steps, seed=seed)


def draw(model: ZImageModel, *batch: ImageRequest) -> list[Image.Image]:
    return [one.image for one in model.generate(batch, Nobody()) if one]


def farthest(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of any value."""
    return max(high for _, high in ImageChops.difference(one, other).getextrema())  # type: ignore[misc]


class Leaving(Nobody):
    """A Watch of one member who leaves after so many steps."""

    def __init__(self, index: int, after: int) -> None:
        self._leaving, self._after, self.gone = index, after, False

    def cancelled(self, index: int) -> bool:
        return self.gone and index == self._leaving

    def step(self, index: int, done: int, total: int) -> None:
        self.gone |= done >= self._after


def test_the_same_seed_draws_the_same_bytes(model: ZImageModel) -> None:
    assert draw(model, request())[0].tobytes() == draw(model, request())[0].tobytes()


@pytest.mark.parametrize("side", [64, 256, 512])
def test_members_of_a_batch_look_as_they_do_alone(model: ZImageModel, side: int) -> None:
    orders = [request(side, seed=seed) for seed in range(4)]
    together = draw(model, *orders)
    for order, picture in zip(orders, together, strict=True):
        assert farthest(picture, draw(model, order)[0]) <= NEAR


def test_whoever_leaves_is_gone_and_the_others_stay(model: ZImageModel) -> None:
    alone = draw(model, request(seed=1))[0]
    first, gone = model.generate([request(seed=1), request(seed=2)], Leaving(index=1, after=3))
    assert gone is None
    assert first is not None
    assert farthest(first.image, alone) <= NEAR
    assert model.generate([request()], Leaving(index=0, after=3)) == [None]
    assert farthest(draw(model, request(seed=1))[0], alone) == 0


def test_running_out_of_memory_fails_the_batch_and_not_the_process(model: ZImageModel) -> None:
    before = draw(model, request())[0]
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 150 * 2**20) / total)
    try:
        with pytest.raises(OutOfMemory):
            draw(model, *(request(1024, seed=seed, steps=1) for seed in range(8)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert model.card.batches.max_batch(1024, 1024) == 1
    assert farthest(draw(model, request())[0], before) == 0


@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloaded_it_draws_the_same_also_after_a_cancellation(model: ZImageModel, offload: str) -> None:
    parts = load(attention="native", offload=offload)
    plain = draw(model, request())[0]
    assert parts.generate([request()], Leaving(index=0, after=2)) == [None]
    for _ in range(2):  # the second with its prompt known
        assert farthest(draw(parts, request())[0], plain) <= NEAR
    assert parts.learning.plan.offload == offload
    parts.close()


def test_eight_bits_draw_what_sixteen_do(model: ZImageModel) -> None:
    small = load(attention="native", quantization="fp8")
    assert small.learning.plan.need.transformer < 0.6 * model.learning.plan.need.transformer
    assert len(draw(small, request())) == 1
    small.close()


def test_compiled_code_bears_many_sizes_lengths_and_batches(tmp_path: Path) -> None:
    compiled = load(attention="native", compiling=True, notes=tmp_path)
    orders = [[request(side)] for side in (64, 128, 256, 512, 768)]
    orders += [[request(prompt="word " * many)] for many in (30, 60, 120)]
    orders += [[request(seed=seed) for seed in range(batch)] for batch in (2, 3, 4)]
    with_graphs = [draw(compiled, *order) for order in orders]
    assert compiled.way == Way(compiled=True), "it fell back"
    compiled._compute(Way())
    for order, pictures in zip(orders, with_graphs, strict=True):
        for one, other in zip(draw(compiled, *order), pictures, strict=True):
            assert farthest(one, other) <= 2 * NEAR
    compiled.close()


def test_the_fastest_way_is_found_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[Way] = []
    measure = ZImageModel._timed

    def counted(self: ZImageModel, way: Way) -> dict[Way, float]:
        timed.append(way)
        return measure(self, way)

    monkeypatch.setattr(ZImageModel, "_timed", counted)
    first = load(compiling="auto", notes=tmp_path)
    assert len(timed) == 4
    chosen = first.way
    first.close()
    again = load(compiling="auto", notes=tmp_path)
    assert len(timed) <= 5, "what was chosen is only warmed up"
    assert again.way == chosen
    again.close()


@pytest.mark.slow
def test_the_full_size_model_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.mem_get_info()[0] < 30 * 2**30:
        pytest.skip("the full-size model needs 30 GiB")
    assert gpu.main(["--sizes", "512", "--batches", "1", "--rounds", "1"]) == 0
    assert "of the floor" in capsys.readouterr().out
