"""Judges from pixels alone whether a picture shows a scene: colours, regions and templates, nothing learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache
from itertools import permutations

import numpy as np
import numpy.typing as npt

from .lab import Floats, Pixels, lab
from .painting import ALONE, CROWDED, cover
from .regions import Mask, filled, label
from .scene import Figure, Scene
from .vocabulary import RELATION_SIDE, RGB, SHAPES, Colour, Place, Relation, Shape, Size, Style

#: Lab distance from the ground at which a pixel belongs to a figure.
FOREGROUND = 20.0
#: Smallest region taken for a figure, as a share of the picture.
SPECK = 0.004
#: Largest hole, as a share of the filled figure, that a ring has; an outlined circle has a larger one.
RING_HOLE = (0.08, 0.40)
#: Lab spread inside a figure from which it is a gradient, and from which it has stripes.
DRIFT, STRIPES = 3.2, 9.0
#: Width of the normalised masks that are compared with templates.
GRID = 40

NAMES: tuple[Colour, ...] = tuple(RGB)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What is right; None where the scene does not ask. Colour, shape, size and style need every figure right."""

    background: bool | None
    colour: bool | None
    shape: bool
    size: bool | None
    place: bool | None
    style: bool | None
    count: bool
    relation: bool | None

    @property
    def right(self) -> bool:
        """Whether nothing that was asked for is wrong."""
        return all(getattr(self, field.name) is not False for field in fields(self))

    @property
    def both(self) -> bool:
        """Whether each figure has its colour and shape, and they stand as asked."""
        return False not in (self.count, self.colour, self.shape, self.place, self.relation)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One figure found in a picture."""

    shape: Shape
    colour: Colour
    style: Style
    x: float  # centre of the bounding box, as a share of the width
    y: float  # and of the height
    length: float  # longest side, as a share of the picture's shorter side
    area: float  # as a share of the picture


def judge(scene: Scene, picture: Pixels) -> Verdict:
    """Compare a picture, (height, width, 3), with the scene it should show."""
    colours = lab(np.asarray(picture, dtype=np.uint8))
    seen = look(picture)
    wanted = [figure for figure in scene.figures for _ in range(figure.count)]
    pairs = _matched(wanted, seen)
    scale = ALONE if len(wanted) == 1 else CROWDED
    return Verdict(
        background=_asked(scene.background, lambda name: _nearest(_ground(colours)) == name),
        colour=_every(pairs, wanted, "colour", lambda want, got: want.colour == got.colour),
        shape=len(pairs) == len(wanted) and all(want.shape == got.shape for want, got in pairs),
        size=_every(pairs, wanted, "size", lambda want, got: want.size == _size(got.length, scale)),
        place=_every(pairs, wanted, "place", lambda want, got: want.place == _place(got.x, got.y)),
        style=_every(pairs, wanted, "style", lambda want, got: want.style == got.style),
        count=len(seen) == len(wanted),
        relation=_asked(
            scene.relation, lambda relation: len(pairs) == 2 and _stands(relation, pairs[0][1], pairs[1][1])
        ),
    )


def look(picture: Pixels) -> list[Seen]:
    """Every figure in a picture, largest first."""
    colours = _smoothed(lab(np.asarray(picture, dtype=np.uint8)))
    apart = np.linalg.norm(colours - _ground(colours), axis=-1)
    labels, count = label(_joined(apart > FOREGROUND))
    found = []
    for number in range(1, count + 1):
        mask = labels == number
        if mask.mean() >= SPECK:
            found.append(_seen(mask, colours))
    found.sort(key=lambda figure: -figure.area)
    return found


# Comparing -----------------------------------------------------------------------------------------------------------

_Pairs = list[tuple[Figure, Seen]]


def _asked(value: object, check: Callable[..., bool]) -> bool | None:
    return None if value is None else check(value)


def _every(pairs: _Pairs, wanted: list[Figure], name: str, right: Callable[[Figure, Seen], bool]) -> bool | None:
    """Whether all figures for which `name` is asked have it; a figure that is missing has nothing."""
    if all(getattr(figure, name) is None for figure in wanted):
        return None
    found = all(getattr(want, name) is None or right(want, got) for want, got in pairs)
    return found and len(pairs) == len(wanted)


def _matched(wanted: list[Figure], seen: list[Seen]) -> _Pairs:
    """Each wanted figure with a seen one; of two different figures, the order in which more fits."""
    found = seen[: len(wanted)]
    if len(wanted) == 2 and len(found) == 2 and wanted[0] != wanted[1]:
        found = list(max(permutations(found, 2), key=lambda order: _fit(wanted, order)))
    return list(zip(wanted, found, strict=False))


def _fit(wanted: list[Figure], order: Iterable[Seen]) -> int:
    return sum((w.colour == s.colour) + (w.shape == s.shape) for w, s in zip(wanted, order, strict=True))


def _size(length: float, scale: dict[Size, tuple[float, float]]) -> Size:
    if length < (scale["small"][1] + scale["medium"][0]) / 2:
        return "small"
    return "medium" if length < (scale["medium"][1] + scale["large"][0]) / 2 else "large"


def _place(x: float, y: float) -> Place:
    third = (_third(x), _third(y))
    return _PLACES[third]


def _third(share: float) -> int:
    return 0 if share < 0.42 else 2 if share > 0.58 else 1


_PLACES: dict[tuple[int, int], Place] = {
    (0, 0): "top_left",
    (1, 0): "top",
    (2, 0): "top_right",
    (0, 1): "left",
    (1, 1): "centre",
    (2, 1): "right",
    (0, 2): "bottom_left",
    (1, 2): "bottom",
    (2, 2): "bottom_right",
}


def _stands(relation: Relation, first: Seen, second: Seen) -> bool:
    """Whether the first is clearly on that side of the second, and more so than on any other."""
    right, down = first.x - second.x, first.y - second.y
    side = RELATION_SIDE[relation]
    along, across = (right, down) if side in ("left", "right") else (down, right)
    if side in ("left", "top"):
        along = -along
    return along > 0.15 and along > abs(across)


# Seeing --------------------------------------------------------------------------------------------------------------


def _ground(colours: Floats) -> Floats:
    """The usual colour of the picture's edge."""
    band = max(2, min(colours.shape[:2]) // 42)
    sides = (colours[:band], colours[-band:], colours[:, :band], colours[:, -band:])
    return np.asarray(np.median(np.concatenate([side.reshape(-1, 3) for side in sides]), axis=0), dtype=np.float32)


def _smoothed(colours: Floats) -> Floats:
    """Each pixel with its neighbours: takes the edge off noise and leaves thin lines."""
    padded = np.pad(colours, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray((rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4, dtype=np.float32)


def _joined(mask: Mask) -> Mask:
    """The mask with cracks of one pixel closed, so that an outline is one region."""
    return ~_grown(~_grown(mask))


def _grown(mask: Mask) -> Mask:
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    return out


def _seen(mask: Mask, colours: Floats) -> Seen:
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    box = mask[top:bottom, left:right]
    whole = filled(box)
    inner = _core(box)
    pixels = colours[top:bottom, left:right]
    shape = _shape(box, whole)
    return Seen(
        shape=shape,
        colour=_dominant(pixels[inner]),
        style=_style(shape, box, whole, inner, pixels),
        x=(left + right) / 2 / width,
        y=(top + bottom) / 2 / height,
        length=max(bottom - top, right - left) / min(height, width),
        area=float(whole.sum()) / (height * width),
    )


def _core(box: Mask) -> Mask:
    """The mask without its blurred rim; thin lines keep what they have."""
    core = box
    for least in (12, 12, 36):
        smaller = ~_grown(~np.pad(core, 1))[1:-1, 1:-1]
        if smaller.sum() < least:
            break
        core = smaller
    return core


@cache
def _palette() -> Floats:
    return lab(np.array([RGB[name] for name in NAMES], dtype=np.uint8))


def _nearest(colour: Floats) -> Colour:
    return NAMES[int(np.linalg.norm(_palette() - colour, axis=1).argmin())]


def _dominant(pixels: Floats) -> Colour:
    """The name that most pixels are nearest to."""
    nearest = np.linalg.norm(pixels[:, None] - _palette(), axis=2).argmin(axis=1)
    return NAMES[int(np.bincount(nearest, minlength=len(NAMES)).argmax())]


# Shapes --------------------------------------------------------------------------------------------------------------


def _shape(box: Mask, whole: Mask) -> Shape:
    grid = _normalised(whole)
    names, templates = _templates()
    shared = templates @ grid
    overlap = shared / (templates.sum(axis=1) + grid.sum() - shared)
    best = names[int(overlap.argmax())]
    return "ring" if best == "circle" and _hole(box, whole) else best


def _hole(box: Mask, whole: Mask) -> bool:
    share = 1 - float(box.sum()) / float(whole.sum())
    return RING_HOLE[0] < share < RING_HOLE[1]


def _normalised(mask: Mask) -> Floats:
    """The mask centred on a square grid, its longest side as wide as the grid."""
    height, width = mask.shape
    longest = max(height, width)
    steps = (np.arange(GRID) + 0.5) / GRID * longest
    rows = np.floor(steps - (longest - height) / 2).astype(int)
    columns = np.floor(steps - (longest - width) / 2).astype(int)
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    picked = mask[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    return np.asarray(picked & inside, dtype=np.float32).ravel()


@cache
def _templates() -> tuple[tuple[Shape, ...], Floats]:
    """Every shape but the ring, which is a circle with a hole, at several tilts."""
    names: list[Shape] = []
    masks = []
    for shape in SHAPES:
        for tilt in (-0.18, -0.12, -0.06, 0.0, 0.06, 0.12, 0.18):
            if shape != "ring":
                names.append(shape)
                masks.append(_normalised(_cropped(cover(shape, 90, 121, (60.5, 60.5), tilt) > 0.5)))
    return tuple(names), np.array(masks)


def _cropped(mask: Mask) -> Mask:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


# Styles --------------------------------------------------------------------------------------------------------------


def _style(shape: Shape, box: Mask, whole: Mask, inner: Mask, pixels: Floats) -> Style:
    if shape != "ring" and box.sum() < 0.85 * whole.sum():
        return "outline"
    values = pixels[inner]
    smooth, rest = _plane_fit(np.argwhere(inner), values)
    if smooth > max(DRIFT, 0.8 * rest):
        return "gradient"
    return "striped" if rest > STRIPES else "flat"


def _plane_fit(points: npt.NDArray[np.intp], values: Floats) -> tuple[float, float]:
    """How far the colours drift evenly in one direction, and how far they stray from that (Lab).

    Straying is the 70th percentile: the other colour of stripes is more than 30 % of them, a blurred rim is less.
    """
    basis = np.column_stack((points, np.ones(len(points)))).astype(np.float32)
    plane = basis @ np.linalg.lstsq(basis, values, rcond=None)[0]
    drift = np.linalg.norm(plane - plane.mean(axis=0), axis=1)
    return float(np.sqrt((drift**2).mean())), float(np.percentile(np.linalg.norm(values - plane, axis=1), 70))
