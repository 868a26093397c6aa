"""What it costs to encode, mark and copy a picture: processor time, on a picture with the detail of a photo.

`copies` is what others call: figures of any size, without the rest.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image, ImageFilter

from benchmarks.common import Figure, figure, part
from inference.images.finish import finish, shown, thumbnail, to_chat_jpeg
from inference.images.mark import marked
from inference.images.recipe import Recipe, read
from inference.results import ImageResult

TITLE = "Files of a picture, processor time"
MARK = "AI生成"
PROMPT = "一只戴红围巾的熊猫" * 20
ROUNDS = 7
FEISHU = 10_000_000  # bytes: a JPEG of the best quality


def run(quick: bool = False) -> list[Figure]:
    """1024x1024 as people order it, and 256x256 as the practice model draws."""
    rounds = 2 if quick else ROUNDS
    return [item for side in ((64,) if quick else (1024, 256)) for item in copies(side, side, rounds)]


def copies(width: int, height: int, rounds: int = ROUNDS) -> list[Figure]:
    """Each step alone, at this size."""
    image = photo(width, height)
    recipe = Recipe(prompt=PROMPT, seed=7, steps=8, width=width, height=height, model="Z-Image-Turbo")
    result = ImageResult(image=image, seed=7, seconds=0.1, batch_size=1)
    master = finish(result, job="17-1", recipe=recipe).data
    steps: dict[str, Callable[[], Any]] = {
        "mark alone": lambda: marked(image, MARK),
        "master: PNG, label, recipe": lambda: finish(result, job="17-1", recipe=recipe),
        "the same without a recipe": lambda: finish(result, job="17-1", recipe=None),
        "shown copy of a master: read, mark, PNG": lambda: shown(master, MARK),
        "JPEG of a master for a chat": lambda: to_chat_jpeg(master, FEISHU),
        "thumbnail with its mark, WebP": lambda: thumbnail(master, MARK),
        "thumbnail without": lambda: thumbnail(master),
        "read the recipe": lambda: read(master),
        "Pillow alone: PNG": lambda: _saved(image, "PNG"),
        "Pillow alone: JPEG 92": lambda: _saved(image, "JPEG", quality=92),
        "Pillow alone: WebP 80": lambda: _saved(image, "WEBP", quality=80, method=2),
    }
    size = f"{width}x{height}"
    found = [figure(f"{size} {name}", _timed(step, rounds), "ms") for name, step in steps.items()]
    return [*found, figure(f"{size} master", [len(master) / 1000], "kB")]


def photo(width: int, height: int) -> Image.Image:
    """Smooth shapes under a little grain: between a drawing and the noise that nothing compresses."""
    grain = Image.frombytes("RGB", (width, height), random.Random(7).randbytes(width * height * 3))
    coarse = grain.resize((max(2, width // 64), max(2, height // 64))).resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(coarse, grain.filter(ImageFilter.GaussianBlur(1)), 0.08)


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _timed(step: Callable[[], Any], rounds: int) -> Sequence[float]:
    """Milliseconds that each round computed, after one that nobody counts: what else runs is left out."""
    step()
    took = []
    for _ in range(rounds):
        began = time.thread_time()
        step()
        took.append(1000 * (time.thread_time() - began))
    return took


if __name__ == "__main__":
    part(run, TITLE)
