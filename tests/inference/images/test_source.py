"""Pictures that people give: what is taken, how it is turned, and what is refused with a next step."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from inference.errors import BadSource
from inference.images import source
from inference.images.source import fitted, keep, kind_of


def saved(image: Image.Image, form: str, **more: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **more)
    return buffer.getvalue()


def halves(width: int = 64, height: int = 32) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), "red")
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


def kept(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(keep(data).data)).convert("RGB")


def about(pixel: object, wanted: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(int(a) - b) < 40 for a, b in zip(pixel, wanted, strict=True))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_a_format_that_is_named_is_taken_and_kept_as_a_plain_png(form: str) -> None:
    data = saved(halves(), form)
    assert kind_of(data) == form
    found = keep(data)
    assert (found.media_type, found.width, found.height) == ("image/png", 64, 32)
    assert found.data.startswith(b"\x89PNG")
    assert about(kept(data).getpixel((4, 4)), (255, 0, 0))
    assert keep(data) == found, "the same picture is the same file"


@pytest.mark.parametrize("form", ["TIFF", "ICO", "PPM", "TGA"])
def test_a_format_that_is_not_named_is_refused_though_pillow_reads_it(form: str) -> None:
    with pytest.raises(BadSource) as refused:
        keep(saved(halves(), form))
    assert (refused.value.reason, bool(refused.value.next_step)) == ("format", True)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"%PDF-1.7 ...",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF",
        b"GIF",
        b"RIFF....WAVE",
    ],
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadSource) as refused:
        keep(data)
    assert refused.value.reason == "format"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("spoil", [lambda d: d[: len(d) // 2], lambda d: d[:12], lambda d: d[:20] + b"\xff" * len(d)])
def test_a_damaged_one_is_refused_or_still_a_picture(form: str, spoil: Callable[[bytes], bytes]) -> None:
    data = spoil(saved(halves(200, 200), form))
    try:
        found = keep(data).data
    except BadSource as refused:
        found = refused.next_step.encode()  # and no other error
    assert found


@pytest.mark.parametrize(("turn", "red_at"), [(1, (4, 16)), (2, (60, 16)), (3, (60, 16)), (6, (16, 4)), (8, (16, 60))])
def test_a_photo_stands_as_the_camera_was_held(turn: int, red_at: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    exif[0x8825] = {1: "N", 2: (31.0, 14.0, 0.0)}  # where it was taken
    found = keep(saved(halves(), "JPEG", exif=exif, quality=95))
    picture = Image.open(io.BytesIO(found.data))
    assert (found.width, found.height) == picture.size == ((32, 64) if turn in (6, 8) else (64, 32))
    assert about(picture.convert("RGB").getpixel(red_at), (255, 0, 0))
    assert not picture.getexif(), "nothing of the photo's own data is kept"


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGBA", (32, 32), (255, 0, 0, 0)),
        Image.new("LA", (32, 32), (0, 0)),
        Image.new("RGBA", (32, 32), (255, 0, 0, 0)).convert("P"),
    ],
    ids=["RGBA", "LA", "P"],
)
def test_what_is_transparent_lies_on_white(image: Image.Image) -> None:
    assert about(kept(saved(image, "PNG")).getpixel((4, 4)), (255, 255, 255))


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new(mode, (32, 32), 60000 if mode == "I;16" else None)
    found = Image.open(io.BytesIO(keep(saved(image, "JPEG" if mode == "CMYK" else "PNG")).data))
    assert found.mode == "RGB"
    if mode == "I;16":
        assert about(found.getpixel((4, 4)), (234, 234, 234))


def test_of_an_animation_the_first_picture_is_taken() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert about(kept(data).getpixel((4, 4)), (255, 0, 0))


def test_a_large_one_is_made_smaller_and_keeps_its_shape() -> None:
    found = keep(saved(Image.new("RGB", (5000, 2500), "red"), "JPEG"))
    assert (found.width, found.height) == (2048, 1024)


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it has so many pixels, and unfolds to zeros."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (40_000, 40_000), (2**31 - 1, 2), (60_000, 900)])
def test_a_bomb_is_refused_by_its_header(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("it was unfolded"))
    with pytest.raises(BadSource) as refused:
        keep(bomb(width, height))
    assert refused.value.reason in ("large", "small")


def test_a_file_beyond_the_limit_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MAX_BYTES", 100)
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(BadSource) as refused:
        keep(saved(halves(), "PNG"))
    assert refused.value.reason == "large"


@pytest.mark.parametrize("size", [(8, 8), (4, 4000), (2000, 20)])
def test_a_speck_or_a_thread_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(BadSource) as refused:
        keep(saved(Image.new("RGB", size), "PNG"))
    assert refused.value.reason == "small"


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (64, 128), (16, 16)])
def test_a_picture_is_fitted_by_cutting_its_edges_not_by_squeezing(size: tuple[int, int]) -> None:
    image = fitted(saved(halves(200, 100), "PNG"), *size)
    assert (image.size, image.mode) == (size, "RGB")
    assert about(image.getpixel((1, size[1] // 2)), (255, 0, 0))
    assert about(image.getpixel((size[0] - 2, size[1] // 2)), (0, 0, 255))
