"""Made pictures as the pages show them: in full, and small. Everything here blocks: call it in a thread."""

from __future__ import annotations

from bot.console.console import Console
from storage.records import Asset

SMALL = "image/webp"


def whole(console: Console, asset: Asset) -> bytes:
    """The picture. Raises Missing."""
    return console.files.read(asset.sha256)


def small(console: Console, asset: Asset) -> bytes:
    """Its thumbnail, made once. Raises Missing."""

    def make() -> bytes:
        return console.thumbnail(console.files.read(asset.sha256))[0]

    return console.thumbnails.of(asset.sha256, "", make, console.files.exists)
