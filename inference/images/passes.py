"""A running forward pass: who is in it, who left, how far it is, and whether what comes out are numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inference.errors import NotFinite
from inference.images.batching import block_of
from inference.images.model import Taker, Watch
from inference.images.sketch import Sketches, due
from inference.requests import ImageRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """One picture of a batch, with its prompt as the model will read it."""

    index: int
    prompt: str
    seed: int
    request: ImageRequest
    tokens: int

    @property
    def block(self) -> int:
        """Its caption's length in blocks of tokens: equal ones share a pass."""
        return block_of(self.tokens)


class AllLeft(Exception):
    """Every member of a pass was cancelled. Raised out of the callback, so that nothing is decoded."""


@dataclass(kw_only=True, slots=True)
class Pass:
    """A running forward pass: who is still in it."""

    live: list[Member]
    watch: Watch
    sketches: Sketches
    before: Any = None  # the latents one step ago

    def on_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        """Called by the pipeline after every step: report, let cancelled members go, look for NaN at the end."""
        for member in self.live:
            self.watch.step(member.index, step + 1, pipeline.num_timesteps)
        keep = [place for place, member in enumerate(self.live) if not self.watch.cancelled(member.index)]
        if not keep:
            raise AllLeft
        if len(keep) < len(self.live):
            self.live = [self.live[place] for place in keep]
            tensors["latents"] = tensors["latents"][keep]
            tensors["prompt_embeds"] = [tensors["prompt_embeds"][place] for place in keep]
            self.before = None if self.before is None else self.before[keep]
        if due(step + 1, pipeline.num_timesteps):
            asked = ((place, self.watch.preview(member.index)) for place, member in enumerate(self.live))
            takers = {place: take for place, take in asked if take is not None}
            self.sketches.show(takers, self.before, tensors["latents"], pipeline.scheduler)
        self.before = tensors["latents"]
        if step + 1 == pipeline.num_timesteps:
            self.require_finite(tensors["latents"])
        return tensors

    def require_finite(self, values: Any) -> None:
        """Refuse NaN and infinity: the decoder would turn them into a black picture without an error."""
        finite = values.isfinite().flatten(1).all(1).tolist()
        if not all(finite):
            error = NotFinite("The model produced values that are not numbers.", "Try another seed or prompt.")
            error.member = self.live[finite.index(False)].index if any(finite) else None
            raise error


class Nobody:
    """A Watch nobody looks through."""

    def cancelled(self, index: int) -> bool:
        return False

    def step(self, index: int, done: int, total: int) -> None:
        """Nobody is told."""

    def preview(self, index: int) -> Taker | None:
        return None
