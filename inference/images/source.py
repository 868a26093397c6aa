"""Pictures that people give, made fit to draw from: known formats only, bounded, upright, on white, without metadata.

A file is judged by its first bytes, never by its name. What is kept is our own encoding of its pixels: where a photo
was taken and whatever else was hidden in it stays behind. Pure but for time: call it in a thread.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from PIL import Image, ImageOps, UnidentifiedImageError

from inference.errors import BadSource

MAX_BYTES = 20_000_000  # of a file
MAX_PIXELS = 50_000_000  # of a picture before it is made smaller: 150 MB in memory
KEPT_SIDE = 2048  # pixels: nothing larger is ever drawn from
FLATTEST = 16  # the longer side may be this many times the shorter one

#: The formats that are read, by how their files begin. Others are refused whatever Pillow could do with them.
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
)
_READABLE = "PNG, JPEG, WebP, GIF, BMP"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A picture as it is kept: a PNG of RGB pixels and nothing else."""

    data: bytes
    media_type: str
    width: int
    height: int


def kind_of(data: bytes) -> str:
    """The format that the first bytes tell, as Pillow calls it; empty for anything that is not read."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), "")


def keep(data: bytes) -> Kept:
    """A picture as somebody gave it, made ready to be kept. Raises BadSource. Up to a second for a large one."""
    image = _upright(data)
    image.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return Kept(data=buffer.getvalue(), media_type="image/png", width=image.width, height=image.height)


def fitted(data: bytes, width: int, height: int) -> Image.Image:
    """An encoded picture as what a request begins with: RGB, of this size, its edges cut where the shape differs.

    Raises BadSource.
    """
    return ImageOps.fit(_upright(data), (width, height), Image.Resampling.LANCZOS)


def _upright(data: bytes) -> Image.Image:
    """The pixels as RGB: turned as the camera was held, laid on white where they are transparent."""
    form = kind_of(data)
    if not form:
        raise BadSource("format", "This file is no picture that can be read.", f"Send one of {_READABLE}.")
    if len(data) > MAX_BYTES:
        limit = f"Send one of at most {MAX_BYTES // 1_000_000} MB."
        raise BadSource("large", f"The picture has {len(data) / 1_000_000:.0f} MB.", limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own doubts about a file; what matters is judged here
            with Image.open(io.BytesIO(data), formats=(form,)) as image:
                _check_size(*image.size)
                image.draft("RGB", (KEPT_SIDE, KEPT_SIDE))  # a large JPEG is unfolded to the size that is needed
                return _on_white(ImageOps.exif_transpose(image))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError) as error:
        raise BadSource("broken", f"The picture cannot be read: {error}", "Save it anew and send it again.") from error
    except (Image.DecompressionBombError, MemoryError) as error:
        raise BadSource("large", "The picture has too many pixels.", "Send a smaller one.") from error


def _check_size(width: int, height: int) -> None:
    """By what the header says, before anything is unfolded."""
    if width * height > MAX_PIXELS:
        limit = f"Send one of at most {MAX_PIXELS // 1_000_000} megapixels."
        raise BadSource("large", f"The picture has {width}x{height} pixels.", limit)
    if min(width, height) < 16 or max(width, height) > FLATTEST * min(width, height):
        raise BadSource("small", f"The picture has only {width}x{height} pixels.", "Send a larger one.")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        upper = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", upper.size, "white"), upper).convert("RGB")
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel: Pillow would cut off what is above 255
        return image.point(lambda value: value / 256).convert("L").convert("RGB")
    return image.convert("RGB")
