"""The built-in model obeys: what was asked for is what the pixels show, alone, in a batch, varied, steered, adapted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference.images.adapters import find
from inference.images.builtin import second
from inference.images.builtin.judge import look
from inference.images.model import Taker
from inference.images.registry import BUILTIN, SKETCH
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest

ASKED: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("一个红色的圆，蓝色背景", (("red", "circle"),)),
    ("a big green star on a black background", (("green", "star"),)),
    ("黄色的心，紫色背景", (("yellow", "heart"),)),
    ("white square, red background", (("white", "square"),)),
    ("白色背景上一个蓝色的三角形", (("blue", "triangle"),)),
    ("a purple ring on a yellow background", (("purple", "ring"),)),
    ("左边红色的圆，右边绿色的星，白色背景", (("green", "star"), ("red", "circle"))),
    ("three blue diamonds, white background", (("blue", "diamond"),) * 3),
)


class Watch:
    """Lets member `leaver` go after `after` steps, and everybody else stay."""

    def __init__(self, leaver: int | None = None, after: int = 3) -> None:
        self.leaver, self.after, self.done = leaver, after, 0

    def cancelled(self, index: int) -> bool:
        return index == self.leaver and self.done >= self.after

    def step(self, index: int, done: int, total: int) -> None:
        self.done = max(self.done, done)

    def preview(self, index: int) -> Taker | None:
        return None


@pytest.fixture(scope="module")
def engine() -> Iterator[ZImageModel]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    adapters = find([SKETCH], BUILTIN).adapters
    model = ZImageModel.load(BUILTIN, name="builtin", builtin=True, device="cpu", adapters=adapters)
    yield model
    model.close()
    torch.set_num_threads(threads)


def request(prompt: str, seed: int = 3, **more: Any) -> ImageRequest:
    return ImageRequest(**{"prompt": prompt, "seed": seed, "width": 128, "height": 128, "steps": 8, **more})


def draw(engine: ZImageModel, *requests: ImageRequest) -> list[Image.Image]:
    return [result.image for result in engine.generate(requests, Watch()) if result]


def shown(picture: Image.Image) -> tuple[tuple[str, str], ...]:
    """Colour and shape of every figure, in alphabetical order."""
    return tuple(sorted((figure.colour, figure.shape) for figure in look(np.array(picture))))


def test_a_batch_of_eight_different_prompts_gives_eight_right_pictures(engine: ZImageModel) -> None:
    pictures = draw(engine, *(request(prompt) for prompt, _ in ASKED))
    assert [shown(picture) for picture in pictures] == [wanted for _, wanted in ASKED]


def test_one_who_leaves_the_batch_does_not_disturb_the_others(engine: ZImageModel) -> None:
    results = engine.generate([request(prompt) for prompt, _ in ASKED], Watch(leaver=2))
    assert results[2] is None
    stayed = [(result, wanted) for result, (_, wanted) in zip(results, ASKED, strict=True) if result]
    assert [shown(result.image) for result, _ in stayed] == [wanted for _, wanted in stayed]
    assert len(stayed) == len(ASKED) - 1


@pytest.mark.parametrize(("width", "height"), [(256, 256), (192, 128), (128, 192), (256, 144)])
def test_other_sizes_still_show_what_was_asked_for(engine: ZImageModel, width: int, height: int) -> None:
    [picture] = draw(engine, request("红色的圆，白色背景", width=width, height=height))
    assert picture.size == (width, height)
    assert shown(picture) == (("red", "circle"),)


def test_a_seed_is_one_picture_and_seeds_differ_visibly(engine: ZImageModel) -> None:
    one, again, *others = draw(
        engine, *(request("a red circle", seed) for seed in (1, 1)), *(request("a red circle", s) for s in range(2, 8))
    )
    assert np.abs(np.array(one, int) - np.array(again, int)).max() <= 2  # places in a batch differ by rounding
    centres = {(round(f.x, 2), round(f.y, 2)) for picture in others for f in look(np.array(picture))}
    assert len(centres) >= 4
    assert {shown(picture) for picture in others} == {(("red", "circle"),)}


def test_a_variation_keeps_the_shape_and_changes_the_colour(engine: ZImageModel) -> None:
    from diffusers import ZImageImg2ImgPipeline

    [before] = draw(engine, request("一个红色的星，白色背景"))
    [there] = look(np.array(before))
    vary: Any = ZImageImg2ImgPipeline(**engine.pipeline.components)
    vary.set_progress_bar_config(disable=True)
    after = vary(
        prompt="一个蓝色的星，白色背景",
        image=before,
        strength=0.75,
        width=128,
        height=128,
        num_inference_steps=8,
        guidance_scale=0.0,
        generator=torch.Generator("cpu").manual_seed(5),
    ).images[0]
    [here] = look(np.array(after))
    assert (there.colour, here.colour) == ("red", "blue")
    assert (there.shape, here.shape) == ("star", "star")
    assert abs(there.x - here.x) + abs(there.y - here.y) < 0.12  # where it was, not somewhere new


def test_guidance_keeps_the_meaning(engine: ZImageModel) -> None:
    picture = engine.pipeline(
        prompt="a green heart on a white background",
        width=128,
        height=128,
        num_inference_steps=8,
        guidance_scale=1.0,
        generator=torch.Generator("cpu").manual_seed(2),
    ).images[0]
    assert shown(picture) == (("green", "heart"),)


def test_every_step_count_works(engine: ZImageModel) -> None:
    base = request("a red circle on a white background")
    for steps in (4, 20):
        [picture] = draw(engine, replace(base, steps=steps))
        assert shown(picture) == (("red", "circle"),)


SIMPLE = [request(prompt, seed=11) for prompt in ("一个红色的圆，白色背景", "a blue square")]


def drawn_as(pictures: Sequence[Image.Image]) -> list[tuple[str, str, str]]:
    return [(figure.colour, figure.shape, figure.style) for picture in pictures for figure in look(np.array(picture))]


def test_the_adapter_changes_the_style_keeps_the_rest_and_leaves_no_trace(engine: ZImageModel) -> None:
    worn = ((SKETCH.name, SKETCH.weight),)
    plain = draw(engine, *SIMPLE)
    sketched = draw(engine, *(replace(one, adapters=worn) for one in SIMPLE))
    assert drawn_as(plain) == [("red", "circle", "flat"), ("blue", "square", "flat")]
    assert drawn_as(sketched) == [("red", "circle", "outline"), ("blue", "square", "outline")]
    after = draw(engine, *SIMPLE)
    assert all((np.array(one) == np.array(other)).all() for one, other in zip(plain, after, strict=True))


LINES = (
    ("一个红色的圆，蓝色背景", (("red", "circle"),)),
    ("white square, red background", (("white", "square"),)),
    ("白色背景上一个蓝色的三角形", (("blue", "triangle"),)),
    ("a big blue diamond", (("blue", "diamond"),)),
    ("右下角一个橙色的圆", (("orange", "circle"),)),
)


def test_figures_become_lines_of_their_colour_and_shape(engine: ZImageModel) -> None:
    filled = [request(prompt) for prompt, _ in LINES]
    asked = [replace(one, adapters=((SKETCH.name, SKETCH.weight),)) for one in filled]
    pictures = draw(engine, *asked)
    assert [shown(picture) for picture in pictures] == [wanted for _, wanted in LINES]
    for picture, plain in zip(pictures, draw(engine, *filled), strict=True):
        assert inked(picture) < 0.75 * inked(plain)


def inked(picture: Image.Image) -> float:
    """The share of pixels that are clearly not ground."""
    pixels = np.array(picture).astype(int)
    return float((np.abs(pixels - pixels[2, 2]).sum(axis=-1) > 120).mean())


def test_the_second_version_is_another_model_in_the_same_layout(engine: ZImageModel, tmp_path: Path) -> None:
    second.write(tmp_path)
    model = ZImageModel.load(tmp_path, name="second", builtin=True, device="cpu")
    drawn = draw(model, *SIMPLE)
    model.close()
    assert [shown(picture) for picture in drawn] == [(("red", "circle"),), (("blue", "square"),)]
    assert all(inked(one) < 0.75 * inked(plain) for one, plain in zip(drawn, draw(engine, *SIMPLE), strict=True))
