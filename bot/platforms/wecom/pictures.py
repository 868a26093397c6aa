"""Pictures as each of WeCom's channels takes them: JPG or PNG of at most so many bytes."""

from __future__ import annotations

import asyncio
from typing import Final

from bot.platforms.base import TOO_LARGE, Undelivered

JPEG: Final = "image/jpeg"
PNG: Final = "image/png"
_MARKS: Final = {
    JPEG: b"\xff\xd8\xff",
    PNG: b"\x89PNG\r\n\x1a\n",
    "image/gif": b"GIF8",
}


async def fitting(data: bytes, most: int, kinds: frozenset[str] = frozenset({JPEG, PNG})) -> tuple[bytes, str]:
    """The picture and its media type, as it is where it fits, else as a JPEG of at most `most` bytes.

    `kinds` are the media types that the channel takes; what a picture is, its bytes say. Encoding runs in a thread.
    Raises Undelivered for what is no picture or never fits.
    """
    kind = kind_of(data)
    if kind in kinds and len(data) <= most:
        return data, kind
    return await asyncio.to_thread(_encoded, data, most), JPEG


def kind_of(data: bytes) -> str:
    """The media type of a picture by its first bytes; empty for those that WeCom takes nowhere."""
    return next((kind for kind, mark in _MARKS.items() if data.startswith(mark)), "")


def _encoded(data: bytes, most: int) -> bytes:
    from inference.images.finish import to_chat_jpeg

    try:
        return to_chat_jpeg(data, most)
    except (OSError, ValueError, SyntaxError) as error:
        refused = Undelivered(f"a picture of {len(data):,} bytes cannot be sent: {error}")
        refused.code = TOO_LARGE
        raise refused from error
