"""The visible mark 「AI生成」 of GB 45438-2025: a line of text on a dark plate in a corner, legible on any ground.

Its capitals are at least 5 % of the picture's shorter side high, measured on the picture, and the Chinese characters
higher. The characters come from a shipped mask (tools/mark_glyphs.py): no font is looked for on the machine.
"""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image, ImageDraw

from inference.images.glyphs import FOLDER, glyphs, trouble

SHARE = 0.05  # of the shorter side: the least height of a letter that the standard allows
LEGIBLE = 10  # pixels: capitals of small pictures are no lower where there is room
PLATE = 0.62  # how dark the plate is: on white the letters keep a contrast of 6 to 1
_PADDING, _MARGIN = 0.22, 0.25  # around the text, and to the picture's edges; in heights of a capital


def marked(image: Image.Image, text: str) -> Image.Image:
    """A copy of an RGB picture with the mark at the bottom right. 2 ms at 1024x1024, pure but for time.

    Raises ValueError for a text that `glyphs.trouble` refuses.
    """
    if problem := trouble(text):
        raise ValueError(f"the mark {text!r} {problem}")
    capital = _capital(text, *image.size)
    letters = _letters(text, capital)
    padding, margin = _around(capital)
    plate = Image.new("L", (letters.width + 2 * padding, letters.height + 2 * padding))
    corner = max(1, plate.height // 5)
    ImageDraw.Draw(plate).rounded_rectangle((0, 0, plate.width - 1, plate.height - 1), corner, fill=round(255 * PLATE))
    left = max(0, image.width - plate.width - margin)
    top = max(0, image.height - plate.height - margin)
    copy = image.copy()
    copy.paste((0, 0, 0), (left, top), plate)
    copy.paste((255, 255, 255), (left + padding, top + padding), letters)
    return copy


def _capital(text: str, width: int, height: int) -> int:
    """How high a capital is, in pixels: what the standard wants, more where that were too small to be read."""
    least = math.ceil(SHARE * min(width, height))
    larger = (size for size in range(LEGIBLE, least, -1) if _fits(text, size, width, height))
    return max(least, next(larger, least))


def _fits(text: str, capital: int, width: int, height: int) -> bool:
    padding, margin = _around(capital)
    wide, high = _measure(text, capital)
    room = 2 * (padding + margin)
    return wide + room <= width and high + room <= height


def _around(capital: int) -> tuple[int, int]:
    return max(1, round(_PADDING * capital)), max(1, round(_MARGIN * capital))


def _measure(text: str, capital: int) -> tuple[int, int]:
    """The size of a line of text, in pixels."""
    scale = capital / glyphs().capital
    return math.ceil(sum(map(glyphs().width, text)) * scale), math.ceil(_mask().height * scale)


@lru_cache(maxsize=32)
def _letters(text: str, capital: int) -> Image.Image:
    """A line of text as a mask, its capitals at least so many pixels high."""
    mask = _mask()
    line = Image.new("L", (sum(map(glyphs().width, text)), mask.height))
    place = 0
    for char in text:
        if char != " ":
            left, width = glyphs().cells[char]
            line.paste(mask.crop((left, 0, left + width, mask.height)), (place, 0))
        place += glyphs().width(char)
    return line.resize(_measure(text, capital), Image.Resampling.LANCZOS)


@lru_cache(maxsize=1)
def _mask() -> Image.Image:
    with Image.open(FOLDER / "glyphs.png") as image:
        return image.convert("L")
