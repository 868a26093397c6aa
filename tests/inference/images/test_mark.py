"""The visible mark, measured on the picture: high enough, whole, legible on any ground, in its corner."""

from __future__ import annotations

import math

import pytest
from PIL import Image, ImageChops

from inference.images.glyphs import LONGEST, glyphs, trouble
from inference.images.mark import marked
from tests.inference.images.test_finish import noise

MARK = "AI生成"
SIZES = [(64, 64), (64, 2048), (2048, 64), (100, 80), (256, 256), (1024, 256), (513, 769), (1024, 1024), (2048, 2048)]


def letters(image: Image.Image) -> Image.Image:
    """Where on a black picture the letters stand: what is more white than not."""
    return image.convert("L").point([255 * (value > 127) for value in range(256)], "L")


def heights(ink: Image.Image) -> list[int]:
    """How many pixels high each stroke group is, from left to right: columns without ink lie between them."""
    box = ink.getbbox()
    assert box is not None
    found, start = [], None
    for x in range(box[0], box[2] + 1):
        column = ink.crop((x, 0, x + 1, ink.height)).getbbox() if x < box[2] else None
        if column is not None and start is None:
            start = x
        if column is None and start is not None:
            rows = ink.crop((start, 0, x, ink.height)).getbbox()
            assert rows is not None
            found.append(rows[3] - rows[1])
            start = None
    return found


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("text", [MARK, "人工智能生成合成内容"[:LONGEST]])
def test_every_letter_is_at_least_five_percent_of_the_shorter_side(size: tuple[int, int], text: str) -> None:
    ink = letters(marked(Image.new("RGB", size), text))
    least = 0.05 * min(size)
    # The lowest strokes of a character that falls apart into columns are no characters: the highest ones count.
    whole = [high for high in heights(ink) if high > least / 2]
    assert whole
    assert min(whole) >= least if text == MARK else max(whole) >= least


@pytest.mark.parametrize("size", SIZES)
def test_it_is_whole_and_in_the_corner(size: tuple[int, int]) -> None:
    changed = ImageChops.difference(marked(Image.new("RGB", size, "white"), MARK), Image.new("RGB", size, "white"))
    box = changed.getbbox()
    assert box is not None
    left, top, right, bottom = box
    assert 0 <= left < right < size[0]
    assert 0 <= top < bottom < size[1], "the plate ends before the edge: nothing is cut off"
    assert (left + right) / 2 > size[0] / 2
    assert (top + bottom) / 2 > size[1] / 2


@pytest.mark.parametrize("size", [(64, 64), (2048, 64), (256, 256)])
def test_small_pictures_have_letters_that_can_be_read(size: tuple[int, int]) -> None:
    assert min(high for high in heights(letters(marked(Image.new("RGB", size), MARK))) if high > 4) >= 9


@pytest.mark.parametrize("ground", ["white", "black", "#ffff00", "#808080", "noise"])
def test_the_letters_stand_out_from_any_ground(ground: str) -> None:
    size = (256, 256)
    under = noise(*size) if ground == "noise" else Image.new("RGB", size, ground)
    image = marked(under, MARK)
    ink = letters(marked(Image.new("RGB", size), MARK))
    box = ink.getbbox()
    assert box is not None
    on_black = marked(Image.new("RGB", size), MARK).crop(box)
    beside = zip(pixels(image.crop(box)), pixels(on_black), strict=True)
    around = [luminance(pixel) for pixel, soft in beside if soft == (0, 0, 0)]  # not the letters, nor their soft edges
    assert around
    assert 1.05 / (max(around) + 0.05) >= 4.5, "the contrast that WCAG wants of text"


def pixels(image: Image.Image) -> list[tuple[int, int, int]]:
    data = image.convert("RGB").tobytes()
    return [(data[at], data[at + 1], data[at + 2]) for at in range(0, len(data), 3)]


def luminance(pixel: tuple[int, int, int]) -> float:
    """Relative luminance as WCAG defines it."""
    linear = [one / 12.92 if (one := value / 255) <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for value in pixel]
    return math.fsum(share * one for share, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_the_original_stays_as_it_was() -> None:
    image = noise(64, 64)
    before = image.tobytes()
    marked(image, MARK)
    assert image.tobytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AI生成", ""),
        ("AI 生成", ""),
        ("人工智能合成", ""),
        ("AI生成·2026", ""),
        ("AI", "生成"),
        ("生成", "must name AI"),
        ("", "must name AI"),
        ("AI绘制生成", "'绘'"),
        ("ai生成", "'a'"),
        ("AI生成\n", "'\\n'"),
        ("人工智能生成合成内容图片", "at most 10"),
    ],
)
def test_a_text_that_is_no_label_or_cannot_be_printed_is_named(text: str, said: str) -> None:
    assert said in trouble(text)
    assert bool(said) == bool(trouble(text))


def test_what_cannot_be_printed_is_an_error_not_a_gap() -> None:
    with pytest.raises(ValueError, match="绘"):
        marked(noise(64, 64), "AI绘制生成")


def test_every_shipped_character_has_ink() -> None:
    """生 and 成 of a font without Chinese look the same: an empty box."""
    seen = set()
    for char, (_, width) in glyphs().cells.items():
        assert width > 0
        ink = marked(Image.new("RGB", (256, 256)), f"AI生成{char}").tobytes()
        seen.add(ink)
    assert len(seen) == len(glyphs().cells)
