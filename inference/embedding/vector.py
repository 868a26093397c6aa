"""Vectors as they are kept: 32-bit floats of length 1, little-endian. Pure."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Sequence


def pack(numbers: Sequence[float], dimensions: int = 0) -> bytes:
    """The first `dimensions` numbers (0 = all) at length 1. Raises ValueError for what has no direction."""
    kept = [float(number) for number in (numbers[:dimensions] if dimensions else numbers)]
    length = math.sqrt(sum(number * number for number in kept))
    if not kept or not math.isfinite(length) or not length:
        raise ValueError("a vector of nothing, of zeros, or of numbers that are none")
    packed = array("f", [number / length for number in kept])
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()
