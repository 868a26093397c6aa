"""Turns a drawn picture into files: PNG master, marked copies, thumbnail, small JPEG for chats; each with its label.

The label is the implicit one of GB 45438-2025 (Annex E): a field AIGC in the TC260 namespace of the XMP packet, exactly
one per file. Pillow drops XMP whenever it saves again, so every function here passes it on. The master and its copies
in full also say how they were made (recipe.py), prompt included, so that a forwarded picture can be drawn again; not
those of a private order. Nobody's id is ever written into a file.

The master bears no visible mark: a variation must not begin with one. What leaves Moqi does (mark.py).
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import Image, ImageChops
from PIL.PngImagePlugin import PngInfo, putchunk

from inference.images.label import Label, label_xmp
from inference.images.mark import marked
from inference.images.recipe import OURS, PARAMETERS, Carried, Recipe, carried, parameters
from inference.results import ImageResult

XMP_KEYWORD = "XML:com.adobe.xmp"  # where PNG keeps XMP
THUMBNAIL_SIDE = 512  # pixels: sharp in a chat column on a dense screen
PNG_LEVEL = 1  # with run lengths only (Z_RLE) faster than Pillow's default and about as small
PNG_AVERAGE = b"\x03"  # the filter of every line: the difference to the mean of the pixels to the left and above
PNG_RGB = (8, 2, 0, 0, 0)  # bits, colour type, compression, filter method, no interlacing
JPEG_QUALITIES = (92, 85, 75, 65)
PREVIEW_QUALITY = 80
SMALLEST_SIDE = 64  # pixels; below this a picture shows nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """A picture as files."""

    data: bytes  # the master
    media_type: str
    width: int
    height: int
    sha256: str  # of `data`, hex


def finish(result: ImageResult, *, job: str, recipe: Recipe | None, producer: str = "moqi") -> Finished:
    """Encode a picture as the master: PNG with its label and, unless that is None, its recipe.

    30 ms at 1024x1024: call it in a thread. Raises ValueError when producer or job hold characters that the standard
    does not allow.
    """
    image = result.image
    xmp = label_xmp(Label(producer=producer, produce_id=job))
    said = Carried() if recipe is None else Carried(parameters=parameters(recipe), ours=recipe.to_json())
    data = _png(image, xmp, said)
    return Finished(
        data=data,
        media_type="image/png",
        width=image.width,
        height=image.height,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def shown(data: bytes, mark: str) -> bytes:
    """A copy of a master to be shown: with the visible mark, its label and its recipe. 60 ms at 1024x1024.

    Call it in a thread. Raises ValueError for a mark that cannot be written.
    """
    with Image.open(io.BytesIO(data)) as source:
        return _png(marked(source.convert("RGB"), mark), _xmp_of(source), carried(source))


def shown_jpeg(data: bytes, mark: str) -> bytes:
    """A preview of a picture that is still being drawn, with the visible mark. 2 ms at 256x256."""
    with Image.open(io.BytesIO(data)) as source:
        return _save(marked(source.convert("RGB"), mark), "JPEG", _xmp_of(source), quality=PREVIEW_QUALITY)


def to_chat_jpeg(data: bytes, max_bytes: int) -> bytes:
    """The picture as a JPEG of at most `max_bytes`, for platforms with limits: lower quality first, then fewer pixels.

    Keeps the label and the recipe. Raises ValueError when not even a picture of 64 pixels fits.
    """
    with Image.open(io.BytesIO(data)) as source:
        xmp, exif = _xmp_of(source), carried(source).exif()
        image = source.convert("RGB")
    while True:
        for quality in JPEG_QUALITIES:
            encoded = _save(image, "JPEG", xmp, exif, quality=quality)
            if len(encoded) <= max_bytes:
                return encoded
        if min(image.size) < 2 * SMALLEST_SIDE:
            raise ValueError(f"a picture of {len(data):,} bytes does not fit into {max_bytes:,} bytes as a JPEG")
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def thumbnail(data: bytes, mark: str = "") -> tuple[bytes, str]:
    """A small copy of an encoded picture and its media type; its label and, unless empty, the visible mark are on it.

    It does not say how the picture was made. Call it in a thread.
    """
    with Image.open(io.BytesIO(data)) as source:
        xmp = _xmp_of(source)
        small = source.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    return _save(marked(small, mark) if mark else small, "WEBP", xmp, quality=80, method=2), "image/webp"


def _png(image: Image.Image, xmp: bytes, said: Carried) -> bytes:
    """A PNG with the same filter on every line: Pillow tries five and takes 2.5 times as long for 5 to 15 % less."""
    image = image.convert("RGB")
    info = PngInfo()
    for keyword, text in ((PARAMETERS, said.parameters), (OURS, said.ours)):
        if text:
            info.add_itxt(keyword, text)
    if xmp:
        info.add_itxt(XMP_KEYWORD, xmp.decode())
    packer = zlib.compressobj(PNG_LEVEL, strategy=zlib.Z_RLE)
    buffer = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    buffer.seek(0, io.SEEK_END)
    putchunk(buffer, b"IHDR", struct.pack(">2I5B", *image.size, *PNG_RGB))
    for name, content, _ in info.chunks:
        putchunk(buffer, name, content)
    putchunk(buffer, b"IDAT", packer.compress(_filtered(image)), packer.flush())
    putchunk(buffer, b"IEND")
    return buffer.getvalue()


def _filtered(image: Image.Image) -> bytes:
    """The lines of an RGB picture as PNG wants them: the number of the filter, then what the filter leaves."""
    mean = ImageChops.add(_moved(image, 1, 0), _moved(image, 0, 1), 2)
    lines = ImageChops.subtract_modulo(image, mean).tobytes()
    width = 3 * image.width
    return b"".join(PNG_AVERAGE + lines[start : start + width] for start in range(0, len(lines), width))


def _moved(image: Image.Image, right: int, down: int) -> Image.Image:
    """The picture moved; what comes in at the edges is 0, as PNG has it."""
    canvas = Image.new("RGB", image.size)
    canvas.paste(image, (right, down))
    return canvas


def _save(image: Image.Image, form: str, xmp: bytes, exif: bytes = b"", **options: Any) -> bytes:
    buffer = io.BytesIO()
    options |= {name: packet for name, packet in (("xmp", xmp), ("exif", exif)) if packet}
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _xmp_of(image: Image.Image) -> bytes:
    """The XMP packet of an opened picture, empty when it has none."""
    packet = image.info.get("xmp") or image.info.get(XMP_KEYWORD) or b""
    return packet.encode() if isinstance(packet, str) else bytes(packet)
