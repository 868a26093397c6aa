"""What the numbers of a command may be: the operator's parameters, narrowed by what the loaded model offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # for their names only
    from inference.images.model import ModelCard
    from storage.records import Template

SEED_MAX = 2**32 - 1
SHAPES = ((1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16))  # width to height, as people name them
ENLARGING = (2.0, 1.5)  # what is tried, in this order


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """The allowed values of one number. `choices`, when given, are the only ones."""

    low: float
    high: float
    default: float
    choices: tuple[float, ...] = ()

    def allows(self, value: float) -> bool:
        return value in self.choices if self.choices else self.low <= value <= self.high

    def nearest(self, value: float) -> float:
        if self.choices:
            return min(self.choices, key=lambda choice: abs(choice - value))
        return min(max(value, self.low), self.high)

    def within(self, low: float, high: float) -> Bounds:
        """The same bounds, narrowed to [low, high]; the default moves inside."""
        choices = tuple(c for c in self.choices if low <= c <= high)
        bottom, top = max(low, self.low), max(low, min(high, self.high))
        narrow = Bounds(low=bottom, high=top, default=self.default, choices=choices)
        return replace(narrow, default=narrow.nearest(self.default))


@dataclass(frozen=True, kw_only=True, slots=True)
class SizeRule:
    """The allowed picture sizes, in pixels."""

    min_side: int = 256
    max_side: int = 2048
    multiple: int = 16
    max_pixels: int = 2048 * 2048
    default: tuple[int, int] = (1024, 1024)
    choices: tuple[tuple[int, int], ...] = ()

    def problem(self, width: int, height: int) -> str:
        """Why this size is refused, as the ending of an error code; empty when it is allowed."""
        if not (self.min_side <= width <= self.max_side and self.min_side <= height <= self.max_side):
            return "range"
        if width % self.multiple or height % self.multiple:
            return "multiple"
        if width * height > self.max_pixels:
            return "pixels"
        return "choice" if self.choices and (width, height) not in self.choices else ""

    def nearest(self, width: int, height: int) -> tuple[int, int]:
        """An allowed size as close as possible to what was asked."""
        if self.choices:
            return min(self.choices, key=lambda c: abs(c[0] - width) + abs(c[1] - height))
        width, height = self._clamp(width), self._clamp(height)
        if width * height > self.max_pixels:
            shrink = sqrt(self.max_pixels / (width * height))
            width, height = self._floor(width * shrink), self._floor(height * shrink)
        if width * height > self.max_pixels:  # the shorter side was at its limit: only the longer one can give way
            short = min(width, height)
            long = self._floor(self.max_pixels / short)
            width, height = (long, short) if width > height else (short, long)
        return width, height

    def at_most(self, pixels: int) -> SizeRule:
        """The same sizes up to so many pixels; the default shrinks with them."""
        choices = tuple(choice for choice in self.choices if choice[0] * choice[1] <= pixels)
        smaller = replace(self, max_pixels=min(self.max_pixels, pixels), choices=choices)
        return replace(smaller, default=smaller.nearest(*self.default)) if smaller.problem(*self.default) else smaller

    def for_ratio(self, ratio: float) -> tuple[int, int] | None:
        """The size of this width:height ratio closest to the default pixel count, not above it; None if none fits.

        Not above, because a picture larger than the default costs more units than the person expects.
        """
        pixels = min(self.default[0] * self.default[1], self.max_pixels)
        fitting = [s for s in self._candidates(ratio, pixels) if not self.problem(*s)]
        if not fitting:
            return None
        return min(fitting, key=lambda s: _mismatch(s, ratio) + (1 - s[0] * s[1] / pixels))

    def like(self, width: int, height: int) -> tuple[int, int]:
        """The allowed size for a picture drawn from one of this size: its own where that is no larger than the default.

        Else as close to its shape as the default's pixels allow, so that it costs no more than is expected.
        """
        width, height = max(width, 1), max(height, 1)
        small = width * height <= self.default[0] * self.default[1]
        if small and min(width, height) >= self.min_side and max(width, height) <= self.max_side and not self.choices:
            return self.nearest(width, height)
        ratio = min(max(width / height, self.min_side / self.max_side), self.max_side / self.min_side)
        fitting = self.for_ratio(ratio)
        if fitting is not None:
            return fitting
        scale = sqrt(self.default[0] * self.default[1] / (width * height))
        return self.nearest(round(width * scale), round(height * scale))

    def offered(self) -> tuple[tuple[int, int], ...]:
        """Sizes to choose from: the only ones; or the default, the usual shapes of its pixels, the largest square."""
        if self.choices:
            return self.choices
        shaped = (self.for_ratio(width / height) for width, height in SHAPES)
        return tuple(dict.fromkeys((self.default, *filter(None, shaped), self.nearest(self.max_side, self.max_side))))

    def enlarged(self, width: int, height: int) -> tuple[int, int] | None:
        """The next larger allowed size of the same shape: twice, else one and a half times; None when there is none."""
        if self.choices:
            larger = [s for s in self.choices if s[0] * s[1] > width * height and _mismatch(s, width / height) < 0.02]
            return min(larger, key=lambda s: abs(s[0] / width - 2), default=None)
        for factor in ENLARGING:
            size = self._floor(width * factor), self._floor(height * factor)
            if not self.problem(*size) and size > (width, height):
                return size
        return None

    def _candidates(self, ratio: float, pixels: int) -> list[tuple[int, int]]:
        if self.choices:
            return [s for s in self.choices if _mismatch(s, ratio) < 0.1]
        heights = range(self._ceil(self.min_side), self.max_side + 1, self.multiple)
        sizes = ((round(h * ratio / self.multiple) * self.multiple, h) for h in heights)
        return [s for s in sizes if 0 < s[0] * s[1] <= pixels and _mismatch(s, ratio) < 0.1]

    def _clamp(self, side: int) -> int:
        rounded = round(side / self.multiple) * self.multiple
        return min(max(rounded, self._ceil(self.min_side)), self._floor(self.max_side))

    def _ceil(self, side: float) -> int:
        return int(-(-side // self.multiple)) * self.multiple

    def _floor(self, side: float) -> int:
        return max(int(side // self.multiple) * self.multiple, self._ceil(self.min_side))


def shape(width: int, height: int) -> str:
    """What people call the shape of a size: 4:3; empty for none of the usual ones."""
    near = min(SHAPES, key=lambda one: _mismatch((width, height), one[0] / one[1]))
    return f"{near[0]}:{near[1]}" if _mismatch((width, height), near[0] / near[1]) < 0.05 else ""


def _mismatch(size: tuple[int, int], ratio: float) -> float:
    """How far a size is from a ratio: 0 = exact, 0.1 = about ten percent."""
    return abs(size[0] / size[1] / ratio - 1) if size[0] and size[1] else 1.0


class Shelf(Protocol):
    """The prompt templates that somebody may use where they write."""

    def find(self, name: str) -> Template | None:
        """The template of this name; `本群/海报` names one of the group's. None when there is none."""

    def names(self) -> Sequence[str]:
        """The names there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """Everything parse() needs to know to refuse what would not work."""

    size: SizeRule = SizeRule()
    steps: Bounds = Bounds(low=1, high=50, default=8)
    cfg: Bounds = Bounds(low=0, high=20, default=0)
    count: Bounds = Bounds(low=1, high=2, default=1)
    strength: Bounds = Bounds(low=0.1, high=1, default=0.6)  # how much of a picture is drawn anew
    seed: int | None = None  # the seed of a picture that names none; None = a fresh one each time
    prompt_max: int = 2000  # characters, of questions too
    guidance: bool = False  # whether cfg > 0 does anything
    concurrency: int = 3  # jobs of one person that run at once; the others wait
    groups: tuple[str, ...] = ()  # that a reservation may name: --to NAME
    adapters: tuple[tuple[str, float], ...] = ()  # that a picture may name, and their usual weights: --lora NAME:W
    shelf: Shelf | None = None  # the templates at hand; None: --template is read, and nothing is filled in
    practice: bool = False  # whether the model is the built-in one, which draws only simple figures

    def narrowed(self, card: ModelCard) -> Rules:
        """The same rules within what a model offers."""
        return replace(
            self,
            size=_narrow_size(self.size, card),
            steps=self.steps.within(1, card.max_steps),
            cfg=self.cfg if card.guidance else Bounds(low=0, high=0, default=0),
            guidance=card.guidance,
            practice=card.builtin,
            adapters=tuple((one.name, one.weight) for one in card.adapters),
        )


def _narrow_size(rule: SizeRule, card: ModelCard) -> SizeRule:
    narrow = SizeRule(
        min_side=max(rule.min_side, card.min_side),
        max_side=min(rule.max_side, card.max_side),
        multiple=card.multiple,
        max_pixels=min(rule.max_pixels, card.max_pixels),
    )
    choices = tuple(c for c in rule.choices if not narrow.problem(*c))
    # The default may be one the model cannot draw, and so not among the choices that are left.
    return replace(narrow, choices=choices, default=replace(narrow, choices=choices).nearest(*rule.default))
