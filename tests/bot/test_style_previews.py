"""Previews of styles: drawn when asked for and nobody waits, once, and anew when what they show has changed."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from bot import styles
from bot.styles import Styles, kept_as
from inference.device import ImageDevice
from inference.errors import BadAdapter
from inference.images.model import Adapter, ModelCard, Watch
from inference.requests import ImageRequest
from inference.results import ImageResult

INK = Adapter(name="ink", file=Path("ink.safetensors"), weight=0.7, version="1")
OLD = Adapter(name="old", file=Path("old.safetensors"), version="1")
CARD = ModelCard(name="painter", path="", builtin=True, device="cpu", dtype="float32", adapters=(INK, OLD))


class Painter:
    """A second engine: red with styles, white without."""

    def __init__(self, card: ModelCard = CARD) -> None:
        self.card = card
        self.drawn: list[tuple[tuple[str, float], ...]] = []

    def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        [request] = batch
        self.drawn.append(request.adapters)
        if ("broken", 1.0) in request.adapters:
            raise BadAdapter("broken", "It does not fit.")
        colour = "red" if request.adapters else "white"
        image = Image.new("RGB", (request.width, request.height), colour)
        return [ImageResult(image=image, seed=request.seed, seconds=0.1, batch_size=1)]

    def close(self) -> None:
        """Nothing is held."""


class Waiting:
    """Who waits for a picture."""

    def __init__(self, jobs: int = 0) -> None:
        self.jobs = jobs
        self.asked = asyncio.Event()

    async def nobody(self) -> bool:
        self.asked.set()
        return not self.jobs


@asynccontextmanager
async def opened(folder: Path, painter: Painter, waiting: Waiting | None = None) -> AsyncIterator[Styles]:
    device = ImageDevice(lambda: painter, painter.card)
    await device.ready()
    made = Styles(device, folder, (waiting or Waiting()).nobody, lambda: "AI生成")
    try:
        yield made
    finally:
        await made.close()
        await device.close()


async def drawn(found: Styles) -> list[str]:
    """The previews once all are drawn that can be."""
    await found.shown()
    assert found._drawing is not None
    await found._drawing
    return [one.preview for one in await found.shown()]


async def test_a_preview_shows_without_and_with_and_is_drawn_once(tmp_path: Path) -> None:
    painter = Painter()
    async with opened(tmp_path / "styles", painter) as found:
        assert [(one.adapter.name, one.preview) for one in await found.shown()] == [("ink", ""), ("old", "")]
        keys = await drawn(found)
        assert painter.drawn == [(), (("ink", 0.7),), (), (("old", 1.0),)]
        data = found.preview(keys[0])
        assert data is not None
        assert found.preview("0" * 32) is None
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.format == "WEBP"
            assert picture.size == (512, 256)
            assert picture.convert("RGB").crop((384, 192, 512, 256)).getcolors(1) is None, "a mark"
            left, right = (picture.convert("RGB").getpixel((x, 128)) for x in (128, 384))
            assert b"TC260" in picture.info["xmp"]
        assert isinstance(left, tuple)
        assert isinstance(right, tuple)
        assert left[1] > 200 > 60 > right[1]
    async with opened(tmp_path / "styles", painter) as again:
        assert [one.preview for one in await again.shown()] == keys
    assert len(painter.drawn) == 4


async def test_nobody_who_waits_is_held_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(styles, "LOOK_AGAIN", 0.01)
    painter, waiting = Painter(), Waiting(jobs=1)
    async with opened(tmp_path, painter, waiting) as found:
        await found.shown()
        for _ in range(3):
            waiting.asked.clear()
            await waiting.asked.wait()
        assert painter.drawn == []
        waiting.jobs = 0
        assert all(await drawn(found))


async def test_one_that_cannot_be_drawn_has_no_preview_and_stops_nobody(tmp_path: Path) -> None:
    broken = Adapter(name="broken", file=Path("broken.safetensors"))
    async with opened(tmp_path, Painter(replace(CARD, adapters=(broken, INK)))) as found:
        assert [bool(key) for key in await drawn(found)] == [False, True]
        assert found._drawing is not None
        assert found._drawing.done(), "what failed once is not tried at every look"


def test_a_preview_is_of_one_file_one_model_and_one_weight() -> None:
    other = replace(CARD, path="elsewhere")
    keys = {kept_as(INK, CARD), kept_as(INK, other), kept_as(OLD, CARD)}
    keys |= {kept_as(replace(INK, version="2"), CARD), kept_as(replace(INK, weight=1.0), CARD)}
    assert len(keys) == 5
