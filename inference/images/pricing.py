"""What a picture costs in units, and how much work it is. Pure."""

from __future__ import annotations

from inference.images.model import ModelCard

UNIT_PIXELS = 1024 * 1024  # one unit buys this many at the default steps

#: Attention grows with the square of the pixels, everything else linearly: fitted to the model's operation counts
#: (12.9, 55.6, 147 and 319 TFLOP a step at 512, 1024, 1536 and 2048 squared; the fit is within 4 %).
LINEAR, QUADRATIC = 0.855, 0.145


def price(width: int, height: int, steps: int, count: int, card: ModelCard) -> int:
    """Units for `count` pictures: 1 each up to 1024x1024 at the default steps, else in proportion, rounded up."""
    work, unit = width * height * steps, UNIT_PIXELS * card.default_steps
    return count * max(1, -(-work // unit))


def weight(width: int, height: int, steps: int, count: int = 1) -> float:
    """Work of `count` pictures relative to one denoising step at 1024x1024. Never 0."""
    megapixels = width * height / UNIT_PIXELS
    return count * steps * (LINEAR * megapixels + QUADRATIC * megapixels**2)
