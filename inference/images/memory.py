"""How a model fits into memory, and how large a picture then may be. Pure: bytes in, a plan out.

The figures were measured on the full-size model (tensor peaks on the meta device, flash attention assumed) and scale
with the width of the layers. Decoding is the peak: one picture at a time (slicing), in tiles of 1024 pixels where
memory is short. Tiles can show at their seams, so up to 1.5 megapixels they are a last resort, and above them the rule
unless memory is plentiful: what the decoder really takes was seen to be three times its tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

GIB = 2**30
MEGAPIXEL = 1024 * 1024

ACTIVATION = 0.47 * GIB  # the transformer's, bf16, per megapixel and picture: .39 alone, .46 in a batch
DECODE = 1.5 * GIB  # the VAE's, bf16, per megapixel
DECODE_SEEN = 3 * DECODE  # allocated and reserved, as others measured it: workspaces and fragmentation
TILE_PIXELS = MEGAPIXEL  # a tile of the VAE as diffusers cuts it; smaller ones change pictures visibly
TILE_ABOVE = 1_500_000  # pixels
OVERHEAD = 1.25 * GIB  # the device's context, workspaces, fragmentation
GROUP_SHARE = 0.1  # of the largest component: what block-wise offloading keeps on the device
FULL_WIDTH, FULL_VAE = 3840, 128  # of the model that was measured: the transformer's width, the VAE's first channels


class Tier(StrEnum):
    """How much a machine can draw at once: the largest size that is offered."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


#: Largest first.
OFFERED = {Tier.HIGH: 2048 * 2048, Tier.MEDIUM: 1536 * 1536, Tier.LOW: 1024 * 1024}

#: Fastest first.
OFFLOADS = ("none", "model", "group")


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a loaded model is made of. Weights in bytes, as they lie on the device."""

    text_encoder: int
    transformer: int
    vae: int
    width: int = FULL_WIDTH
    vae_channels: int = FULL_VAE
    element: int = 2  # bytes of a number: 2 for bf16, 4 for fp32

    def weights(self, offload: str) -> float:
        """Bytes of weights on the device at a time."""
        parts = (self.text_encoder, self.transformer, self.vae)
        if offload == "none":
            return float(sum(parts))
        return max(parts) * (1.0 if offload == "model" else GROUP_SHARE)

    def peak(self, offload: str, pixels: int, batch: int = 1, *, tiled: bool = False, decode: float = DECODE) -> float:
        """Bytes that a pass takes at most: weights and the larger of drawing and decoding."""
        scale = self.element / 2 / MEGAPIXEL
        drawing = ACTIVATION * pixels * batch * scale * self.width / FULL_WIDTH
        at_once = min(pixels, TILE_PIXELS) if tiled else pixels
        decoding = decode * at_once * scale * self.vae_channels / FULL_VAE
        return self.weights(offload) + max(drawing, decoding) + OVERHEAD


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a model lies in memory, and what follows from it."""

    need: Need
    usable: float  # bytes; infinity where nobody knows
    offload: str  # none | model | group
    tier: Tier
    short: bool = False  # even the smallest tier fits only by hope: everything is tiled that can be

    @property
    def max_pixels(self) -> int:
        """The largest picture that is offered."""
        return OFFERED[self.tier]

    def tiled(self, width: int, height: int) -> bool:
        """Whether the VAE decodes a picture of this size in tiles."""
        pixels = width * height
        if pixels <= TILE_PIXELS:
            return False  # one tile: nothing would change
        if pixels <= TILE_ABOVE:
            return self.short or self.need.peak(self.offload, pixels) > self.usable
        return self.need.peak(self.offload, pixels, decode=DECODE_SEEN) > self.usable

    def most(self, width: int, height: int) -> int:
        """How many pictures of this size fit into one pass, at least 1, at most 64."""
        pixels, tiled = width * height, self.tiled(width, height)
        fitting = (
            batch
            for batch in range(64, 1, -1)
            if self.need.peak(self.offload, pixels, batch, tiled=tiled) <= self.usable
        )
        return next(fitting, 1)


def plan(need: Need, usable: float, wanted: str = "auto") -> Plan:
    """The fastest way to hold the model in which a picture of one megapixel still fits, and the tier it leaves.

    `wanted` other than auto is taken as it is: who chose it may know better than the figures.
    """
    ways = OFFLOADS if wanted == "auto" else (wanted,)
    offload = next((way for way in ways if need.peak(way, OFFERED[Tier.LOW]) <= usable), ways[-1])
    found = Plan(need=need, usable=usable, offload=offload, tier=Tier.LOW)
    tier = next((tier for tier, pixels in OFFERED.items() if need.peak(offload, pixels, tiled=True) <= usable), None)
    return replace(found, tier=tier or Tier.LOW, short=tier is None)


def lowered(max_pixels: int, failed: int) -> int:
    """The largest size still offered after one picture of `failed` pixels, alone and tiled, ran out of memory."""
    below = [pixels for pixels in OFFERED.values() if pixels < failed]
    return min(max_pixels, max(below, default=OFFERED[Tier.LOW] // 4))


def tier_of(max_pixels: int) -> Tier:
    """The tier whose pictures are the largest within `max_pixels`."""
    return next((tier for tier, pixels in OFFERED.items() if pixels <= max_pixels), Tier.LOW)
