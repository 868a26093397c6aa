"""Colours as CIE Lab, where a distance is about what an eye sees."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from .vocabulary import RGB, Colour

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_TO_XYZ_F32 = (_TO_XYZ / _WHITE[:, None]).T.astype(np.float32)


def _linear(value: npt.NDArray[np.float64]) -> Floats:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)


_LINEAR = _linear(np.arange(256) / 255)


def lab(pixels: Pixels) -> Floats:
    """Lab values (L 0-100) of sRGB bytes; the last axis holds the channels."""
    xyz = _LINEAR[pixels] @ _TO_XYZ_F32
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack((116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])), axis=-1)


def distance(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """Euclidean Lab distance of two sRGB colours; 2 is just visible, 100 is black and white."""
    pair = lab(np.array([one, other], dtype=np.uint8))
    return float(np.linalg.norm(pair[0] - pair[1]))


@cache
def contrast(one: Colour, other: Colour) -> float:
    """Lab distance of two named colours."""
    return distance(RGB[one], RGB[other])
