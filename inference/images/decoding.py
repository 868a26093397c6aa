"""From latents to a picture: decoding in tiles where memory is short, bytes, and what torch's errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from inference.errors import ImageError, OutOfMemory

LATENT = 8  # pixels a side of a cell of the latents
NO_MEMORY = ("out of memory", "can't allocate memory")  # how MPS and the CPU's allocator say it: plain RuntimeErrors


@contextmanager
def tiled(vae: Any, side: int) -> Iterator[None]:
    """Decode in tiles of `side` pixels; 0 = at once."""
    if not side:
        yield
        return
    kept = vae.tile_sample_min_size, vae.tile_latent_min_size
    vae.tile_sample_min_size, vae.tile_latent_min_size = side, side // LATENT
    vae.enable_tiling()
    try:
        yield
    finally:
        vae.disable_tiling()
        vae.tile_sample_min_size, vae.tile_latent_min_size = kept


def to_images(pixels: Any) -> list[Image.Image]:
    """Pixels from 0 to 1 as RGB pictures. Rounded on the device: a quarter of the bytes travels."""
    import torch

    whole = (pixels.float() * 255).round_().clamp_(0, 255).to(torch.uint8)
    return [Image.fromarray(array) for array in whole.permute(0, 2, 3, 1).contiguous().cpu().numpy()]


def image_error(error: Exception) -> ImageError:
    """What an error of torch means to the caller."""
    import torch

    said = str(error).lower()
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or any(phrase in said for phrase in NO_MEMORY):
        return OutOfMemory("The device ran out of memory.", "Fewer pictures at once or a smaller size may fit.")
    return ImageError(f"The engine failed: {error}", "Try again; if it stays, look at the log.")
