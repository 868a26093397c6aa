"""What an image model is: its card (what it offers) and one method. See zimage.py for the implementation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from inference.images.batching import BatchLimit
from inference.images.memory import Tier, tier_of
from inference.requests import ImageRequest
from inference.results import ImageResult

NATIVE_SIZE = (1024, 1024)  # what Z-Image-Turbo was made for
BUILTIN_SIZE = (256, 256)  # what the practice model was made for

Taker = Callable[[bytes], None]  # of a small JPEG that shows where a picture stands


@dataclass(frozen=True, kw_only=True, slots=True)
class Adapter:
    """A LoRA that a picture may name: a style laid over the model while it draws. See adapters.py."""

    name: str  # what people write behind --lora
    file: Path  # .safetensors
    weight: float = 1.0  # how strongly it acts where nobody says otherwise
    description: str = ""  # one line for /help; empty = nobody wrote one
    size: int = 0  # bytes of the file: about what it takes in memory
    rank: int = 0  # of its largest layer
    version: str = ""  # of the file: another one once it was replaced


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """What a loaded model is and offers. Sizes in pixels."""

    name: str  # e.g. "Z-Image-Turbo" or "builtin"
    path: str  # the checkpoint folder
    builtin: bool  # the practice model that ships with Moqi
    device: str  # cpu | cuda:0 | mps
    dtype: str
    default_steps: int = 8
    max_steps: int = 50
    min_side: int = 64
    max_side: int = 2048
    multiple: int = 16  # sides must be multiples of this
    max_pixels: int = 2048 * 2048  # follows the memory there is, and falls when one picture of this size runs out
    guidance: bool = False  # whether cfg > 0 and negative prompts do anything
    default_cfg: float = 0.0
    adapters: tuple[Adapter, ...] = ()  # in the order people are shown them
    #: How many pictures may share a pass. Of the machine, not of the model: two cards are equal without it.
    batches: BatchLimit = field(default=BatchLimit(), compare=False)

    @property
    def default_size(self) -> tuple[int, int]:
        """The size it was made for."""
        return BUILTIN_SIZE if self.builtin else NATIVE_SIZE

    @property
    def tier(self) -> Tier:
        """How much this machine can draw at once."""
        return tier_of(self.max_pixels)


class Watch(Protocol):
    """How a running batch talks to its members. Called on the engine's thread: must only post and return."""

    def cancelled(self, index: int) -> bool:
        """Whether member `index` of the batch no longer wants its picture."""

    def step(self, index: int, done: int, total: int) -> None:
        """Member `index` has finished `done` of `total` denoising steps."""

    def preview(self, index: int) -> Taker | None:
        """Who takes a small picture of where member `index` stands now; None, and none is made. Asked after step()."""


class ImageModel(Protocol):
    """A loaded model. Not thread-safe: exactly one thread calls it (see inference/device.py)."""

    @property
    def card(self) -> ModelCard:
        """What it offers now: what runs out of memory is offered no more."""

    def generate(self, batch: Sequence[ImageRequest], watch: Watch) -> list[ImageResult | None]:
        """Draw the batch in one forward pass; all members share size, steps, cfg and adapters.

        Returns one result per member in order; None for a member that was cancelled on the way.
        Raises inference.errors.ImageError (out of memory, non-finite latents, bad request).
        """

    def close(self) -> None:
        """Free the device."""
