"""What a picture leaves to chance: one number for each thing that its scene does not say.

The numbers are few and named, so that training can write them into the noise that belongs to the picture: the mean of
the noise in each of the 16 latent channels is one of them. The transformer then need not guess what chance will decide,
as noise and caption together say all of it; and a mean is what attention reads first. The noise stays standard normal,
as the pipeline draws it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")

#: The first of two figures is the left one, else the upper one.
NAMES = (
    "x",
    "y",
    "length",
    "tilt",
    "x of second",
    "y of second",
    "length of second",
    "tilt of second",
    "arrangement",
    "size",
    "colour",
    "light",
    "style",
    "angle",
    "phase",
    "period",
)


@dataclass(frozen=True, slots=True)
class Dice:
    """One number from 0 to 1 for each of NAMES."""

    faces: tuple[float, ...]

    @classmethod
    def roll(cls, rng: random.Random) -> Dice:
        return cls(tuple(rng.random() for _ in NAMES))

    def share(self, name: str) -> float:
        """From 0 to 1."""
        return self.faces[NAMES.index(name)]

    def between(self, name: str, low: float, high: float) -> float:
        return low + self.share(name) * (high - low)

    def one(self, name: str, choices: Sequence[_T]) -> _T:
        return choices[int(self.share(name) * len(choices))]
