"""What a picture of the small world shows, and the random draw of such scenes.

Pure values. An attribute that is None was not asked for: a caption stays silent about it and the painter chooses.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from .lab import contrast
from .vocabulary import (
    COLOURS,
    PLACES,
    RELATION_SIDE,
    SHAPES,
    SIZES,
    STYLES,
    Colour,
    Place,
    Relation,
    Shape,
    Size,
    Style,
)

#: Lab distance under which two colours are hard to tell apart as figure and ground.
CLEAR = 40.0
#: The same for stripes and gradients, whose tints reach towards the ground.
PATTERN_CLEAR = 50.0

#: One combination in this many is kept out of training.
HELD_OUT_SHARE = 10

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One shape, or `count` equal ones."""

    shape: Shape
    colour: Colour | None
    size: Size | None = None
    place: Place | None = None  # of a single figure only
    style: Style | None = None
    count: int = 1  # 1-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One or two figures on a ground."""

    figures: tuple[Figure, ...]
    relation: Relation | None = None  # of the first figure to the second
    background: Colour | None = None


def sample(rng: random.Random, *, held_out: bool = False) -> Scene:
    """Draw a consistent scene: from the training combinations, or with `held_out` from those kept out of training."""
    while True:
        scene = _draw(rng)
        if is_held_out(scene) is held_out:
            return scene


def is_held_out(scene: Scene) -> bool:
    """Whether this combination of shapes and colours is never trained; the same on every machine."""
    if len(scene.figures) == 1:
        figure = scene.figures[0]
        key = f"{figure.shape} {figure.colour} {scene.background}"
    else:
        key = "+".join(sorted(f"{figure.shape} {figure.colour}" for figure in scene.figures))
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def _draw(rng: random.Random) -> Scene:
    kind = rng.random()
    if kind < 0.55:
        return _one(rng)
    if kind < 0.80:
        return _two(rng)
    return _several(rng)


def _one(rng: random.Random) -> Scene:
    background = _maybe(rng, 0.75, tuple(COLOURS))
    colour = None if rng.random() < 0.03 else rng.choice(_visible_on(background))
    place = _maybe(rng, 0.5, tuple(PLACES))
    figure = _figure(rng, background, colour=colour, rich=True, place=place)
    return Scene(figures=(figure,), background=background)


def _several(rng: random.Random) -> Scene:
    background = _maybe(rng, 0.65, tuple(COLOURS))
    colour = rng.choice(_visible_on(background))
    figure = _figure(rng, background, colour=colour, count=rng.choice((2, 3, 4)))
    return Scene(figures=(figure,), background=background)


def _two(rng: random.Random) -> Scene:
    background = _maybe(rng, 0.6, tuple(COLOURS))
    places, relation = _arrangement(rng)
    while True:
        colours = _visible_on(background)
        first, second = (_figure(rng, background, colour=rng.choice(colours), place=place) for place in places)
        if (first.shape, first.colour) != (second.shape, second.colour):  # two equal ones would be a count
            return Scene(figures=(first, second), relation=relation, background=background)


def _arrangement(rng: random.Random) -> tuple[tuple[Place | None, Place | None], Relation | None]:
    kind = rng.random()
    if kind < 0.60:
        return (None, None), rng.choice(tuple(RELATION_SIDE))
    if kind < 0.85:
        return rng.choice(_far_places()), None
    return (None, None), None


def _figure(
    rng: random.Random,
    background: Colour | None,
    *,
    colour: Colour | None,
    rich: bool = False,
    place: Place | None = None,
    count: int = 1,
) -> Figure:
    shape = rng.choice(tuple(SHAPES))
    size = _maybe(rng, 0.5 if rich else 0.25, tuple(SIZES))
    style = _maybe(rng, 0.4 if rich else 0.2, _styles(shape, size, colour, background))
    return Figure(shape=shape, colour=colour, size=size, place=place, style=style, count=count)


def _maybe(rng: random.Random, chance: float, choices: Sequence[_T]) -> _T | None:
    return rng.choice(choices) if rng.random() < chance else None


@cache
def _styles(shape: Shape, size: Size | None, colour: Colour | None, background: Colour | None) -> tuple[Style, ...]:
    """Without outlines where the line would fill the figure, without patterns where they would not show."""
    thin = shape == "ring" or size == "small"
    faint = colour is None or (background is not None and contrast(colour, background) < PATTERN_CLEAR)
    missing = {"outline"} if thin else set()
    if faint:
        missing |= {"striped", "gradient"}
    return tuple(style for style in STYLES if style not in missing)


@cache
def _visible_on(background: Colour | None) -> tuple[Colour, ...]:
    return tuple(c for c in COLOURS if background is None or contrast(c, background) >= CLEAR)


#: Column and row of each place, 0-2.
CELLS: dict[Place, tuple[int, int]] = {
    "left": (0, 1),
    "right": (2, 1),
    "top": (1, 0),
    "bottom": (1, 2),
    "centre": (1, 1),
    "top_left": (0, 0),
    "top_right": (2, 0),
    "bottom_left": (0, 2),
    "bottom_right": (2, 2),
}


@cache
def _far_places() -> tuple[tuple[Place, Place], ...]:
    """Pairs of places with a free row or column between them: figures of any size stay apart."""
    return tuple(
        (a, b) for a in CELLS for b in CELLS if any(abs(p - q) == 2 for p, q in zip(CELLS[a], CELLS[b], strict=True))
    )
