"""Previews of the real pipeline: they show the picture, cost it nothing, and never stand in its way."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from inference.images.model import Taker
from inference.images.sketch import SIDE, Sketches, due
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest

Pixels = npt.NDArray[np.float64]


def request(prompt: str = "红色的圆，蓝色背景", side: int = 256, **more: Any) -> ImageRequest:
    return ImageRequest(**{"prompt": prompt, "seed": 7, "width": side, "height": side, "steps": 8, **more})


class Onlooker:
    """A Watch that takes the previews of the members in `wants`, and leaves as `leave` says: member to step."""

    def __init__(self, *wants: int, leave: dict[int, int] | None = None) -> None:
        self.wants = wants
        self.leave = leave or {}
        self.done = 0
        self.taken: list[tuple[int, int, bytes]] = []  # member, step, JPEG

    def cancelled(self, index: int) -> bool:
        return index in self.leave and self.done >= self.leave[index]

    def step(self, index: int, done: int, total: int) -> None:
        self.done = done

    def preview(self, index: int) -> Taker | None:
        return (lambda jpeg: self.taken.append((index, self.done, jpeg))) if index in self.wants else None


def drawn(engine: ZImageModel, batch: list[ImageRequest], watch: Onlooker) -> list[bytes | None]:
    return [result.image.tobytes() if result else None for result in engine.generate(batch, watch)]


def pixels(jpeg: bytes) -> Pixels:
    image = Image.open(io.BytesIO(jpeg))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return np.asarray(image).astype(float)


@pytest.fixture
def fresh(engine: ZImageModel, monkeypatch: pytest.MonkeyPatch) -> Sketches:
    """The engine with previews that have fitted nothing yet."""
    sketches = Sketches(engine.pipeline.vae)
    monkeypatch.setattr(engine, "_sketches", sketches)
    return sketches


@pytest.mark.parametrize(
    ("total", "steps"),
    [(1, []), (2, []), (3, [2]), (4, [2]), (8, [2, 4, 6]), (9, [2, 4, 6, 8]), (50, [12, 24, 36, 48])],
)
def test_previews_are_due_in_between_and_few(total: int, steps: list[int]) -> None:
    assert [done for done in range(1, total + 1) if due(done, total)] == steps


def test_a_preview_shows_the_picture_that_comes_and_changes_nothing_of_it(engine: ZImageModel, fresh: Sketches) -> None:
    watch = Onlooker(0)
    with_previews = drawn(engine, [request()], watch)
    assert [(index, step) for index, step, _ in watch.taken] == [(0, 2), (0, 4), (0, 6)]
    for _, step, jpeg in watch.taken:
        assert len(jpeg) < 10_000
        shown = pixels(jpeg)
        assert shown.shape == (SIDE, SIDE, 3)
        corner, middle = shown[8:24, 8:24].mean((0, 1)), shown[60:76, 56:72].mean((0, 1))
        assert corner.argmax() == 2, f"step {step}: the background is {corner}"
        assert middle.argmax() == 0, f"step {step}: the figure is {middle}"
        assert middle[0] > 150 > 100 > middle[2], f"step {step}: the figure is {middle}"
    assert drawn(engine, [request()], Onlooker()) == with_previews


def test_each_member_is_told_of_its_own_picture_also_after_another_has_left(engine: ZImageModel) -> None:
    wide = {"width": 128, "height": 64}
    batch = [request("蓝色背景", **wide), request("红色的圆，蓝色背景", **wide), request("绿色的圆，黄色背景", **wide)]
    watch = Onlooker(0, 2, leave={1: 3})
    results = drawn(engine, batch, watch)
    assert results[1] is None
    assert [(index, step) for index, step, _ in watch.taken] == [(0, 2), (2, 2), (0, 4), (2, 4), (0, 6), (2, 6)]
    for index, _, jpeg in watch.taken[2:]:
        assert pixels(jpeg).shape == (SIDE // 2, SIDE, 3)
        final = Image.frombytes("RGB", (128, 64), results[index] or b"")
        other = Image.frombytes("RGB", (128, 64), results[2 - index] or b"")
        near, far = (np.abs(pixels(jpeg) - np.asarray(one).astype(float)).mean() for one in (final, other))
        assert near < far


def test_a_redrawn_picture_has_previews_too(engine: ZImageModel) -> None:
    source = Image.new("RGB", (64, 64), "red")
    watch = Onlooker(0)
    drawn(engine, [request(side=64, source=source, strength=0.6)], watch)
    assert [step for _, step, _ in watch.taken] == [2, 4]


def broken(jpeg: bytes) -> None:
    raise RuntimeError("nobody takes this")


@pytest.mark.parametrize("fault", ["fit", "taker"])
def test_an_error_in_a_preview_is_said_once_and_the_picture_is_drawn(
    engine: ZImageModel,
    fresh: Sketches,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = drawn(engine, [request(side=64)], Onlooker())
    watch = Onlooker(0)
    if fault == "fit":
        monkeypatch.setattr(fresh, "_vae", None)
    else:
        monkeypatch.setattr(watch, "preview", lambda index: broken)
    with caplog.at_level(logging.ERROR):
        assert drawn(engine, [request(side=64)], watch) == plain
        assert drawn(engine, [request(side=64)], watch) == plain
    assert [record.message for record in caplog.records] == ["no more previews until a restart"]
    assert watch.taken == []


def test_nothing_is_fitted_while_nobody_wants_previews(engine: ZImageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def must_not(vae: Any, device: Any) -> Callable[[], None]:
        raise AssertionError("fitted for nobody")

    monkeypatch.setattr("inference.images.sketch._fitted", must_not)
    monkeypatch.setattr(engine, "_sketches", Sketches(engine.pipeline.vae))
    drawn(engine, [request(side=64)], Onlooker())
    assert not engine._sketches._stopped
