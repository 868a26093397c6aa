"""What the styles (LoRA) of the present model look like: one picture each, without and with it, drawn when asked for.

A preview costs two small pictures of the engine's time, so nobody who waits for one of theirs is held up: it is drawn
when nothing else is to be drawn, once, and kept in the data folder under what it was drawn from. Another file under the
same name, or another model, gets another one.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.device import DeviceState, ImageDevice
from inference.errors import InferenceError
from inference.images.model import Adapter, ModelCard
from inference.requests import ImageRequest
from inference.results import ImageResult
from scheduler.runners.draw import NobodyWatches
from storage.errors import StorageError

log = logging.getLogger("moqi.styles")

SEED = 7
SIDE = 512  # pixels, of a model that can draw anything
PROMPTS = {
    True: "一个蓝色的心，白色背景",
    False: "一只猫坐在窗台上，窗外是城市的黄昏",
}  # by whether it is the practice model
LOOK_AGAIN = 1.0  # seconds until the engine is looked at again


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A style, and what its preview is kept under; empty while there is none."""

    adapter: Adapter
    preview: str = ""


class Styles:
    """The styles and their previews. `idle` says whether nobody waits for a picture, `mark` what shown ones bear."""

    def __init__(
        self, device: ImageDevice, folder: Path, idle: Callable[[], Awaitable[bool]], mark: Callable[[], str]
    ) -> None:
        self._device = device
        self._folder = folder
        self._idle = idle
        self._mark = mark
        self._failed: set[Adapter] = set()
        self._drawing: asyncio.Task[None] | None = None

    async def shown(self) -> tuple[Shown, ...]:
        """Every style of the present model. Those that have no preview yet get theirs from now on."""
        card = self._device.card
        there = await asyncio.to_thread(self._there)
        keys = {one.name: kept_as(one, card) for one in card.adapters}
        found = [Shown(adapter=one, preview=keys[one.name] if keys[one.name] in there else "") for one in card.adapters]
        missing = [one.adapter for one in found if not one.preview and one.adapter not in self._failed]
        if missing and (self._drawing is None or self._drawing.done()):
            self._drawing = asyncio.create_task(self._draw(missing), name="style previews")
        return tuple(found)

    def preview(self, key: str) -> bytes | None:
        """The picture kept under a name of shown(): WebP, without the style on the left, with it on the right."""
        from inference.images.finish import thumbnail

        try:
            return thumbnail((self._folder / f"{key}.png").read_bytes(), self._mark())[0]
        except OSError:
            return None

    async def close(self) -> None:
        """Stop drawing previews."""
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.gather(self._drawing, return_exceptions=True)

    def _there(self) -> set[str]:
        return {file.stem for file in self._folder.glob("*.png")}

    async def _draw(self, missing: list[Adapter]) -> None:
        for one in missing:
            await self._turn()
            card = self._device.card
            if one not in card.adapters:  # another model draws by now
                return
            try:
                await self._keep(kept_as(one, card), await self._pair(one, card))
            except (InferenceError, StorageError, OSError) as error:
                self._failed.add(one)
                log.warning("no preview of %s: %s", one.name, error, extra={"action": "preview-failed"})

    async def _turn(self) -> None:
        """Wait until the engine has nothing else to do."""
        while True:
            if self._device.state is DeviceState.READY and await self._idle():
                return
            await asyncio.sleep(LOOK_AGAIN)

    async def _pair(self, one: Adapter, card: ModelCard) -> bytes:
        """The preview's bytes: two pictures of the same seed beside each other."""
        side = min(SIDE, *card.default_size)
        prompt, steps = PROMPTS[card.builtin], card.default_steps
        plain = ImageRequest(prompt=prompt, width=side, height=side, steps=steps, seed=SEED)
        worn = replace(plain, adapters=((one.name, one.weight),))
        drawn = [(await self._device.generate([request], NobodyWatches()))[0] for request in (plain, worn)]
        return await asyncio.to_thread(_beside, [one for one in drawn if one is not None])

    async def _keep(self, key: str, data: bytes) -> None:
        def write() -> None:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / f"{key}.part"
            part.write_bytes(data)
            part.replace(self._folder / f"{key}.png")

        await asyncio.to_thread(write)


def _beside(drawn: Sequence[ImageResult]) -> bytes:
    """The pictures in a row, as a master. For a thread."""
    from PIL import Image

    from inference.images.finish import finish

    side = drawn[0].image.width
    row = Image.new("RGB", (side * len(drawn), side))
    for place, one in enumerate(drawn):
        row.paste(one.image, (place * side, 0))
    return finish(replace(drawn[0], image=row), job="style-preview", recipe=None).data


def kept_as(one: Adapter, card: ModelCard) -> str:
    """The name of a preview: by all that it is drawn from."""
    drawn_from = f"{card.path}|{one.file}|{one.version}|{one.weight:g}|{PROMPTS[card.builtin]}"
    return hashlib.sha256(drawn_from.encode()).hexdigest()[:32]
