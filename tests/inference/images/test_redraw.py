"""Pictures drawn from pictures by the real pipeline on the built-in checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference.errors import BadImageRequest
from inference.images.builtin.judge import look
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest, passes
from tests.inference.images.test_zimage import Recorder, calls_of, decodes_of, draw

RED, GREEN = "左上角红色的圆，蓝色背景", "左上角绿色的圆，蓝色背景"


@pytest.fixture(scope="module")
def red(engine: ZImageModel) -> Image.Image:
    """A red circle on blue."""
    (made,) = engine.generate([ImageRequest(prompt=RED, width=128, height=128, steps=8, seed=7)], Recorder())
    assert made is not None
    return made.image


def again(source: Image.Image, prompt: str = GREEN, seed: int = 8, strength: float = 0.6, **more: Any) -> ImageRequest:
    size = {"width": source.width, "height": source.height}
    return ImageRequest(
        **{"prompt": prompt, "steps": 8, "seed": seed, **size, **more}, strength=strength, source=source
    )


def test_a_red_circle_drawn_from_its_picture_as_a_green_one_stays_where_it_is(
    engine: ZImageModel, red: Image.Image
) -> None:
    (made,) = engine.generate([again(red)], Recorder())
    assert made is not None
    (before,), (after,) = look(np.asarray(red)), look(np.asarray(made.image))
    assert (before.colour, after.colour) == ("red", "green")
    assert (before.shape, after.shape) == ("circle", "circle")
    assert abs(before.x - after.x) < 0.05
    assert abs(before.y - after.y) < 0.05
    assert abs(before.area - after.area) < 0.05


def test_a_second_pass_over_the_enlarged_picture_keeps_what_it_shows(engine: ZImageModel, red: Image.Image) -> None:
    large = red.resize((256, 256), Image.Resampling.LANCZOS)
    (made,) = engine.generate([again(large, RED, strength=0.3)], Recorder())
    assert made is not None
    assert made.image.size == (256, 256)
    assert [(one.colour, one.shape) for one in look(np.asarray(made.image))] == [("red", "circle")]
    assert np.abs(np.asarray(made.image, int) - np.asarray(large, int)).mean() < 6


@pytest.mark.parametrize("strength", [0.1, 0.3, 0.6, 0.9, 1.0])
def test_as_many_steps_are_run_and_told_as_are_paid_for(engine: ZImageModel, red: Image.Image, strength: float) -> None:
    watch, wanted = Recorder(), again(red.resize((64, 64)), strength=strength)
    with calls_of(engine.pipeline.transformer) as calls:
        engine.generate([wanted], watch)
    assert len(calls) == wanted.passes
    assert watch.steps == [(0, done, wanted.passes) for done in range(1, wanted.passes + 1)]


@pytest.mark.parametrize(
    ("steps", "strength", "run"),
    [(8, 1.0, 8), (8, 0.6, 5), (8, 0.3, 3), (8, 0.1, 1), (8, 0.01, 1), (1, 0.5, 1), (50, 0.3, 15), (8, None, 8)],
)
def test_how_many_steps_a_strength_means(steps: int, strength: float | None, run: int) -> None:
    assert passes(steps, strength) == run


def test_the_same_seed_draws_the_same_bytes_and_another_one_others(engine: ZImageModel, red: Image.Image) -> None:
    first = draw(engine, [again(red)])
    assert first == draw(engine, [again(red)])
    assert first != draw(engine, [again(red, seed=9)])


def test_what_begins_with_noise_is_the_same_before_and_after(engine: ZImageModel, red: Image.Image) -> None:
    """Both ways share one scheduler: neither may leave its place in the other."""
    plain = ImageRequest(prompt=RED, width=64, height=64, steps=4, seed=3)
    before = draw(engine, [plain])
    remade = draw(engine, [again(red)])
    assert draw(engine, [plain]) == before
    assert draw(engine, [again(red)]) == remade


def test_no_weight_is_held_twice(engine: ZImageModel) -> None:
    one, other = engine.pipeline.components, engine._redrawing.components
    assert {name for name in one if one[name] is not other[name]} == set()


def test_every_member_of_a_batch_equals_its_solo_picture(engine: ZImageModel, red: Image.Image) -> None:
    batch = [again(red, seed=1), again(red.rotate(180), seed=2), again(red, RED, seed=3)]
    with calls_of(engine.pipeline.transformer) as calls:
        together = draw(engine, batch)
    assert {len(latents) for latents, *_ in calls} == {3}, "one pass for all"
    assert together == [draw(engine, [one])[0] for one in batch]


def test_one_member_leaves_and_alone_nothing_is_decoded(
    engine: ZImageModel, red: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = [again(red, seed=1), again(red, seed=2)]
    first, gone = draw(engine, batch, Recorder(leave={1: 2}))
    assert (first, gone) == (draw(engine, batch[:1])[0], None)
    with decodes_of(engine, monkeypatch) as decodes, calls_of(engine.pipeline.transformer) as calls:
        assert draw(engine, [again(red)], Recorder(leave={0: 2})) == [None]
    assert (len(calls), decodes) == (2, [])
    assert draw(engine, batch[:1]) == [first]


def test_a_strength_is_shared_by_the_whole_batch(engine: ZImageModel, red: Image.Image) -> None:
    with pytest.raises(ValueError, match="strength"):
        engine.generate([again(red), again(red, strength=0.3)], Recorder())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"strength": 0.0}, "above 0"),
        ({"strength": 1.5}, "up to 1"),
        ({"source": None}, "go together"),
        ({"strength": None}, "go together"),
        ({"source": Image.new("RGB", (64, 64))}, "128x128"),
        ({"source": Image.new("L", (128, 128))}, "RGB"),
    ],
)
def test_a_source_that_does_not_fit_is_refused(
    engine: ZImageModel, red: Image.Image, wrong: dict[str, Any], says: str
) -> None:
    values = {"prompt": RED, "width": 128, "height": 128, "steps": 8, "seed": 1, "strength": 0.6, "source": red}
    with calls_of(engine.pipeline.transformer) as calls, pytest.raises(BadImageRequest, match=says) as refused:
        engine.generate([ImageRequest(**{**values, **wrong})], Recorder())
    assert (calls, refused.value.member) == ([], 0)


def test_a_fault_leaves_the_engine_usable(engine: ZImageModel, red: Image.Image) -> None:
    before = draw(engine, [again(red)])

    def fail() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with calls_of(engine.pipeline.transformer, fail), pytest.raises(Exception, match="memory"):
        engine.generate([again(red)], Recorder())
    assert draw(engine, [again(red)]) == before
