"""Paints a scene of the small world: the pictures that the practice model is trained on.

All lengths are shares of the canvas's shorter side, places are shares of the canvas: any aspect ratio works.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from .dice import Dice
from .lab import Floats, Pixels, distance
from .scene import CELLS, CLEAR, PATTERN_CLEAR, Figure, Scene
from .vocabulary import RELATION_SIDE, RGB, SIZES, Colour, Place, Shape, Side, Size, Style

Rgb = tuple[int, int, int]
Point = tuple[float, float]

#: Longest side of a figure: alone, and with others on the canvas.
ALONE: dict[Size, Point] = {"small": (0.24, 0.28), "medium": (0.37, 0.43), "large": (0.56, 0.64)}
CROWDED: dict[Size, Point] = {"small": (0.21, 0.24), "medium": (0.29, 0.32), "large": (0.37, 0.40)}
ANY_ALONE, ANY_CROWDED = (0.38, 0.54), (0.27, 0.35)

_ALL_SIZES: tuple[Size, ...] = tuple(SIZES)

MARGIN = 0.04
LINE = 0.034  # width of an outline: clearly thinner than a ring
RING_HOLE = 0.5  # inner radius over outer radius
STRIPE_PERIOD = (0.105, 0.125)
STRIPE_DUTY = 0.62  # of the figure's own colour: the larger part, so that it stays the dominant one
TILT = math.radians(7)  # a square stays a square and no diamond
SUPERSAMPLING = 4
COLUMNS = (0.24, 0.5, 0.76)
TINTS: tuple[Rgb, ...] = ((0, 0, 0), (0, 0, 0), (0, 8, 14), (14, 6, 0), (8, 0, 8), (6, 6, 6))
_ALL_SIDES: tuple[Side, ...] = ("left", "right", "top", "bottom")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one figure is painted, in pixels."""

    x: float
    y: float
    length: float  # of the longest side
    tilt: float  # in radians


@dataclass(frozen=True, slots=True)
class Mark:
    """One figure of the scene with everything decided."""

    shape: Shape
    colour: Colour
    style: Style
    fill: Rgb
    spots: tuple[Spot, ...]  # as many as the figure counts


@dataclass(frozen=True, slots=True)
class Plan:
    """What is painted: marks on a ground."""

    ground: Rgb
    marks: tuple[Mark, ...]


def paint(scene: Scene, rng: random.Random, width: int, height: int) -> Pixels:
    """The picture of a scene, (height, width, 3); whatever the scene leaves open, Dice.roll(rng) decides."""
    dice = Dice.roll(rng)
    planned = plan(scene, dice, width, height)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = planned.ground
    for mark in planned.marks:
        for spot in mark.spots:
            _paint_figure(canvas, mark.shape, mark.style, mark.fill, planned.ground, spot, dice)
    return canvas


def plan(scene: Scene, dice: Dice, width: int, height: int) -> Plan:
    """Scene and dice together: which colours, styles and places the picture has."""
    colours = [figure.colour or _open_colour(dice, scene.background) for figure in scene.figures]
    ground = _lit(dice, RGB[scene.background]) if scene.background else _open_ground(dice, colours)
    marks = []
    for figure, colour, spots in zip(scene.figures, colours, _spots(scene, dice, width, height), strict=True):
        fill = _lit(dice, RGB[colour])
        style = figure.style or _open_style(dice, distance(fill, ground))
        marks.append(Mark(figure.shape, colour, style, fill, tuple(spots)))
    return Plan(ground, tuple(marks))


# What the scene leaves open ------------------------------------------------------------------------------------------


def _lit(dice: Dice, colour: Rgb) -> Rgb:
    light = dice.between("light", 0.95, 1.04)
    red, green, blue = (min(255, round(part * light)) for part in colour)
    return red, green, blue


def _open_colour(dice: Dice, background: Colour | None) -> Colour:
    choices = [c for c in RGB if c != "white"] if background is None else list(RGB)
    return dice.one("colour", [c for c in choices if background is None or distance(RGB[c], RGB[background]) >= CLEAR])


def _open_ground(dice: Dice, colours: list[Colour]) -> Rgb:
    """A white, light gray or softly tinted ground on which every figure shows; darker ones are for light figures."""
    tint = dice.one("colour", TINTS)
    grounds = [(light - tint[0], light - tint[1], light - tint[2]) for light in (246, 226, 200, 170, 110, 30)]

    def clear(ground: Rgb) -> float:
        return min(distance(RGB[colour], ground) for colour in colours)

    return next((ground for ground in grounds if clear(ground) >= PATTERN_CLEAR), max(grounds, key=clear))


def _open_style(dice: Dice, clear: float) -> Style:
    return "gradient" if dice.share("style") < 0.06 and clear >= PATTERN_CLEAR else "flat"


# Where things are ----------------------------------------------------------------------------------------------------


def _spots(scene: Scene, dice: Dice, width: int, height: int) -> list[list[Spot]]:
    """The spots of each figure of the scene, at least one each."""
    figure = scene.figures[0]
    if len(scene.figures) == 2:
        centres = _pair_centres(scene, dice)
        first = 0 if _comes_first(*centres) else 1
        return [
            [_spot(one, centre, dice, width, height, CROWDED, of_second=number != first)]
            for number, (one, centre) in enumerate(zip(scene.figures, centres, strict=True))
        ]
    if figure.count == 1:
        return [[_spot(figure, _centre(figure.place, dice), dice, width, height, ALONE)]]
    sized = figure if figure.size else replace(figure, size=dice.one("size", _ALL_SIZES))  # equal ones, equally large
    return [[_spot(sized, centre, dice, width, height, CROWDED) for centre in _count_centres(sized, dice)]]


def _spot(
    figure: Figure,
    centre: Point,
    dice: Dice,
    width: int,
    height: int,
    scale: dict[Size, Point],
    *,
    of_second: bool = False,
) -> Spot:
    low, high = scale[figure.size] if figure.size else (ANY_ALONE if scale is ALONE else ANY_CROWDED)
    if figure.style == "outline":
        low, high = max(low, 0.31), max(high, 0.325)  # smaller, the line would fill the figure
    short = min(width, height)
    length = dice.between("length of second" if of_second else "length", low, high) * short
    room = length / 2 + MARGIN * short  # keeps the whole figure on the canvas
    x = min(max(centre[0] * width, room), width - room)
    y = min(max(centre[1] * height, room), height - room)
    return Spot(x, y, length, dice.between("tilt of second" if of_second else "tilt", -TILT, TILT))


def _comes_first(one: Point, other: Point) -> bool:
    """Whether `one` is the left one of two, or the upper one where both are in a column."""
    across = other[0] - one[0]
    return across > 0 if abs(across) > 0.2 else other[1] > one[1]


def _centre(place: Place | None, dice: Dice) -> Point:
    jitter = 0.08 if place is None else 0.03
    column, row = CELLS[place or "centre"]
    return COLUMNS[column] + dice.between("x", -jitter, jitter), COLUMNS[row] + dice.between("y", -jitter, jitter)


def _pair_centres(scene: Scene, dice: Dice) -> tuple[Point, Point]:
    first, second = scene.figures
    if first.place and second.place:
        return _cell(first.place), _cell(second.place)
    side: Side = RELATION_SIDE[scene.relation] if scene.relation else dice.one("arrangement", _ALL_SIDES)
    slip = dice.between("y", -0.06, 0.06)
    shift = dice.between("y of second", -0.05, 0.05)
    near = dice.between("x", 0.235, 0.255), 0.5 + slip + shift
    far = dice.between("x of second", 0.745, 0.765), 0.5 - slip + shift
    if side in ("top", "bottom"):
        near, far = (near[1], near[0]), (far[1], far[0])
    return (near, far) if side in ("left", "top") else (far, near)


def _cell(place: Place) -> Point:
    column, row = CELLS[place]
    return COLUMNS[column], COLUMNS[row]


def _count_centres(figure: Figure, dice: Dice) -> list[Point]:
    layouts = _layouts()[figure.count]
    if figure.size != "small" and figure.count == 3:
        layouts = layouts[2:]  # three larger ones do not fit in a row
    x, y = dice.between("x", -0.02, 0.02), dice.between("y", -0.02, 0.02)
    return [(column + x, row + y) for column, row in dice.one("arrangement", layouts)]


@cache
def _layouts() -> dict[int, tuple[tuple[Point, ...], ...]]:
    """Centres for 2, 3 and 4 equal figures; rows of three first."""
    a, b, c = 0.26, 0.5, 0.74
    low, high = 0.17, 0.83
    return {
        2: (((a, b), (c, b)), ((b, a), (b, c)), ((a, a), (c, c)), ((c, a), (a, c))),
        3: (
            ((low, b), (b, b), (high, b)),
            ((b, low), (b, b), (b, high)),
            ((b, a), (a, c), (c, c)),
            ((a, a), (c, a), (b, c)),
        ),
        4: (((a, a), (c, a), (a, c), (c, c)),),
    }


# Shapes --------------------------------------------------------------------------------------------------------------


@cache
def outline_of(shape: Shape) -> Floats:
    """The corners of a shape, centred, its longest side 2; a ring is its outer circle."""
    points = _raw_outline(shape)
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray((points - (low + high) / 2) * (2 / (high - low).max()) * _optical_scale(shape), dtype=np.float32)


def _optical_scale(shape: Shape) -> float:
    return 0.92 if shape == "square" else 1.0  # a square of the same width looks larger


def _raw_outline(shape: Shape) -> Floats:
    if shape == "square":
        return _points([(-1, -1), (1, -1), (1, 1), (-1, 1)])
    if shape == "triangle":
        return _points([(0, -0.9), (1, 0.85), (-1, 0.85)])
    if shape == "diamond":
        return _points([(0, -1), (0.64, 0), (0, 1), (-0.64, 0)])
    if shape == "star":
        return _points([_polar(k * math.pi / 5, 1 if k % 2 == 0 else 0.43) for k in range(10)])
    if shape == "heart":
        return _points([_heart(k * math.tau / 60) for k in range(60)])
    if shape == "cross":
        w = 0.33
        quarter = [(-w, -1), (w, -1), (w, -w)]
        return _points([_turn(x, y, k) for k in range(4) for x, y in quarter])
    if shape == "crescent":
        return _crescent()
    return _points([_polar(k * math.tau / 64, 1) for k in range(64)])


def _points(corners: list[Point]) -> Floats:
    return np.array(corners, dtype=np.float32)


def _polar(angle: float, radius: float) -> Point:
    return radius * math.sin(angle), -radius * math.cos(angle)


def _turn(x: float, y: float, quarters: int) -> Point:
    for _ in range(quarters):
        x, y = -y, x
    return x, y


def _heart(t: float) -> Point:
    return 16 * math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))


def _crescent() -> Floats:
    """A disc minus a smaller disc to its right: the horns point right."""
    offset, radius = 0.5, 0.82
    x = (1 - radius**2 + offset**2) / (2 * offset)
    outer, inner = math.acos(x), math.acos((x - offset) / radius)
    back = [outer + k * (math.tau - 2 * outer) / 40 for k in range(41)]
    front = [inner + k * (math.tau - 2 * inner) / 40 for k in range(41)][::-1]
    arc = [(math.cos(a), math.sin(a)) for a in back]
    return _points(arc + [(offset + radius * math.cos(a), radius * math.sin(a)) for a in front])


# Pixels --------------------------------------------------------------------------------------------------------------


def _paint_figure(canvas: Pixels, shape: Shape, style: Style, fill: Rgb, ground: Rgb, spot: Spot, dice: Dice) -> None:
    height, width = canvas.shape[:2]
    short = min(height, width)
    half = math.ceil(spot.length * 0.58) + 2  # a tilted square reaches a little further than its side
    left, top, side = int(spot.x) - half, int(spot.y) - half, 2 * half + 1
    line = LINE * short if style == "outline" else 0.0
    mask = cover(shape, spot.length, side, (spot.x - left, spot.y - top), spot.tilt, line)
    colours = np.broadcast_to(np.array(fill, dtype=np.float32), (side, side, 3))
    if style == "striped":
        colours = _striped(fill, ground, side, dice.between("period", *STRIPE_PERIOD) * short, dice)
    elif style == "gradient":
        colours = _graded(shape, fill, side, spot.length, dice)
    _blend(canvas, colours, mask, left, top)


def _blend(canvas: Pixels, colours: Floats, mask: Floats, left: int, top: int) -> None:
    """Lay a square of colours over the canvas where the mask says so; what lies outside the canvas is cut off."""
    height, width, side = *canvas.shape[:2], len(mask)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    inside = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    part = canvas[y0:y1, x0:x1]
    part[:] = (part + mask[inside][..., None] * (colours[inside] - part) + 0.5).astype(np.uint8)


def cover(shape: Shape, length: float, side: int, centre: Point, tilt: float, line: float = 0.0) -> Floats:
    """How much of each pixel of a `side` x `side` square a shape covers, 0-1; with `line`, only its outline does."""
    corners = _placed(shape, length - line, tilt, centre) * SUPERSAMPLING  # a line is half inside, half outside
    image = Image.new("L", (side * SUPERSAMPLING, side * SUPERSAMPLING))
    draw = ImageDraw.Draw(image)
    if line:
        _draw_line(draw, corners.tolist(), line * SUPERSAMPLING)
    else:
        draw.polygon(corners.ravel().tolist(), fill=255)
    if shape == "ring":
        hole = (corners - np.array(centre) * SUPERSAMPLING) * RING_HOLE + np.array(centre) * SUPERSAMPLING
        draw.polygon(hole.ravel().tolist(), fill=0)
    return np.asarray(image.reduce(SUPERSAMPLING), dtype=np.float32) / np.float32(255)


def _placed(shape: Shape, length: float, tilt: float, centre: Point) -> Floats:
    """The corners of a shape where it lies."""
    cos, sin = math.cos(tilt), math.sin(tilt)
    turn = np.array([[cos, sin], [-sin, cos]], dtype=np.float32)
    return np.asarray(outline_of(shape) @ turn * (length / 2) + np.array(centre), dtype=np.float32)


def edge_distances(planned: Plan, points: Floats) -> Floats:
    """How far `points` (n, 2) are from the edge of the nearest figure, in pixels; negative inside of one."""
    spots = [(mark.shape, spot) for mark in planned.marks for spot in mark.spots]
    return np.asarray(np.min([_edge_distance(shape, spot, points) for shape, spot in spots], axis=0), dtype=np.float32)


def _edge_distance(shape: Shape, spot: Spot, points: Floats) -> Floats:
    centre = spot.x, spot.y
    outside = _outside(_placed(shape, spot.length, spot.tilt, centre), points)
    if shape != "ring":
        return outside
    hole = _outside(_placed(shape, spot.length * RING_HOLE, spot.tilt, centre), points)
    return np.maximum(outside, -hole)


def _outside(corners: Floats, points: Floats) -> Floats:
    """The distance of each point from a polygon, negative inside."""
    end = np.roll(corners, -1, axis=0)
    side, away = end - corners, points[:, None] - corners
    share = np.clip((away * side).sum(axis=-1) / np.maximum((side * side).sum(axis=-1), 1e-9), 0, 1)
    distance = np.sqrt(((away - share[..., None] * side) ** 2).sum(axis=-1).min(axis=1))
    spans = (corners[:, 1] > points[:, None, 1]) != (end[:, 1] > points[:, None, 1])
    with np.errstate(divide="ignore", invalid="ignore"):  # level sides span nothing
        crossing = corners[:, 0] + away[..., 1] * side[:, 0] / side[:, 1]
    inside = (spans & (points[:, None, 0] < crossing)).sum(axis=1) % 2 == 1
    return np.asarray(np.where(inside, -distance, distance), dtype=np.float32)


def _draw_line(draw: ImageDraw.ImageDraw, corners: list[list[float]], width: float) -> None:
    closed = [(x, y) for x, y in [*corners, *corners[:2]]]
    draw.line(closed, fill=255, width=round(width), joint="curve")


def _striped(fill: Rgb, ground: Rgb, side: int, period: float, dice: Dice) -> Floats:
    base = np.array(fill, dtype=np.float32)
    phase = (_along(_angle(dice), side) / period + dice.share("phase")) % 1.0
    tint = np.clip((np.minimum(phase, 1 - phase) - STRIPE_DUTY / 2) * period + 0.5, 0, 1)[..., None]
    return np.asarray(base + tint * (_tint(fill, ground) - base), dtype=np.float32)


def _graded(shape: Shape, fill: Rgb, side: int, length: float, dice: Dice) -> Floats:
    angle = _angle(dice)
    across = outline_of(shape) @ np.array([math.cos(angle), math.sin(angle)])
    reach = 0.9 * float(across.max() - across.min()) * length / 2  # a narrow figure too shows both ends
    depth = np.clip(_along(angle, side) * dice.one("phase", (-1, 1)) / reach + 0.5, 0, 1)[..., None]
    dark, middle, light = _gradient_stops(np.array(fill, dtype=np.float32))
    colours = np.where(depth < 0.5, dark + (middle - dark) * depth * 2, middle + (light - middle) * (depth * 2 - 1))
    return np.asarray(colours, dtype=np.float32)


def _angle(dice: Dice) -> float:
    return dice.one("angle", (0.0, 0.25, 0.5, 0.75)) * math.pi


def _along(angle: float, side: int) -> Floats:
    """How far each pixel of a square is from its middle in the direction of `angle`, in pixels."""
    axis = np.arange(side, dtype=np.float32) - side / 2
    return np.asarray(axis[None, :] * math.cos(angle) + axis[:, None] * math.sin(angle), dtype=np.float32)


def _gradient_stops(base: Floats) -> tuple[Floats, Floats, Floats]:
    """Darker, the colour itself, lighter; black only gets lighter, white only darker."""
    if base.max() < 60:
        return base, base + (255 - base) * 0.12, base + (255 - base) * 0.32
    if base.min() > 225:
        return base * 0.68, base * 0.87, base
    return base * 0.72, base, base + (255 - base) * 0.45


#: Shares of white (positive) or black (negative) mixed in; the first that shows on figure and ground is taken.
STRIPE_TINTS = (0.55, -0.5, 0.7, -0.7, 0.88, -0.88)


def _tint(fill: Rgb, ground: Rgb) -> Floats:
    tints = [_mixed(fill, share) for share in STRIPE_TINTS]
    clear = [tint for tint in tints if _clearness(tint, fill, ground) >= 1]
    best = clear[0] if clear else max(tints, key=lambda tint: _clearness(tint, fill, ground))
    return np.array(best, dtype=np.float32)


def _clearness(tint: Rgb, fill: Rgb, ground: Rgb) -> float:
    """1 where a stripe shows on its figure, and the figure's edge on the ground."""
    return min(distance(tint, fill) / 30, distance(tint, ground) / 38)


def _mixed(fill: Rgb, share: float) -> Rgb:
    target = 255 if share > 0 else 0
    red, green, blue = (round(part + (target - part) * abs(share)) for part in fill)
    return red, green, blue
