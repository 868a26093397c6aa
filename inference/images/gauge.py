"""Measures how many pictures at once pay on this machine: for each size seconds per picture at batch 1, 2, 4 and 8."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.errors import OutOfMemory
from inference.images.batching import WORTH
from inference.images.model import ImageModel
from inference.images.passes import Nobody
from inference.requests import ImageRequest

BATCHES = (1, 2, 4, 8)
SIDES = (256, 512, 768, 1024)  # pixels, the smallest first: where batches pay most
BUILTIN_SIDES = (64, 128, 256, 512)
ROUNDS = 2  # the faster one counts: what else ran meanwhile can only slow a picture down
PROMPT = "a red cube on a white table"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gauged:
    """One measurement."""

    side: int  # pixels: the picture is square
    batch: int
    seconds: float  # per picture


def sides_of(model: ImageModel) -> tuple[int, ...]:
    """The sizes that are measured, within what the model offers."""
    sides = BUILTIN_SIDES if model.card.builtin else SIDES
    return tuple(side for side in sides if side >= model.card.min_side and side * side <= model.card.max_pixels)


def gauge(
    model: ImageModel,
    sides: Sequence[int],
    budget: float,
    report: Callable[[Gauged], None] = lambda found: None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Gauged]:
    """Measure size by size, within about `budget` seconds. What no longer pays twice in a row is not driven further."""
    began, found = clock(), list[Gauged]()
    for side in sides:
        of_size: dict[int, float] = {}
        for batch in BATCHES:
            left = budget - (clock() - began)
            if _enough(of_size) or _foreseen(found, side, batch) > left:
                break
            try:
                seconds = _seconds(model, side, batch, clock)
            except OutOfMemory:
                break
            of_size[batch] = seconds
            found.append(Gauged(side=side, batch=batch, seconds=seconds))
            report(found[-1])
    return found


def _seconds(model: ImageModel, side: int, batch: int, clock: Callable[[], float]) -> float:
    """Per picture, once everything a pass of this size needs has been set up."""
    pictures = [
        ImageRequest(prompt=PROMPT, width=side, height=side, steps=model.card.default_steps, seed=seed)
        for seed in range(batch)
    ]
    model.generate(pictures, Nobody())
    times = []
    for _ in range(ROUNDS):
        began = clock()
        model.generate(pictures, Nobody())
        times.append(clock() - began)
    return min(times) / batch


def _enough(of_size: dict[int, float]) -> bool:
    """Whether the last two batches saved too little."""
    times = list(of_size.values())
    return len(times) > 2 and min(times[-2:]) > (1 - WORTH) * min(times[:-2])


def _foreseen(found: Sequence[Gauged], side: int, batch: int) -> float:
    """Seconds the next measurement may take, from the one before it; nothing is foreseen of the first."""
    if not found:
        return 0.0
    last = found[-1]
    return (1 + ROUNDS) * batch * last.seconds * max(1.0, (side / last.side) ** 2)
