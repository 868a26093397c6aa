"""Decides which requests may share a forward pass, and how many. Pure.

A batch must agree in everything the pipeline takes once per call: size, steps, guidance, adapters, and whether it
begins with pictures and how much of them is drawn anew. It should also agree in the length of the prompt in blocks of
32 tokens: equal blocks need no attention mask, and the fast attention kernels take none. The exact length needs the
tokenizer, which a process without torch does not have, so the key carries an estimate and the engine splits a batch by
the exact blocks. A wrong estimate costs a little speed, never a picture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from inference.requests import ImageRequest

TOKEN_BLOCK = 32  # the model pads captions to a multiple of this
TEMPLATE_TOKENS = 9  # what the chat template adds around a prompt

SMALL = 300_000  # pixels: up to here four pictures at once use the device better
LARGE = 1_000_000  # pixels: from here one picture fills it (measured elsewhere: batch 2 gains 2 % at 1024x1024)

WORTH = 0.07  # share of a picture's time that a larger batch must save

#: A word of Latin letters or digits, or any other character that is not a space: about one token each.
_PIECE = re.compile(r"[A-Za-z0-9']+|[^\sA-Za-z0-9']")


def batch_key(request: ImageRequest, block: int) -> str:
    """Requests with equal keys may share a forward pass. `block` is from estimated_block() or block_of()."""
    adapters = ",".join(f"{name}:{weight:g}" for name, weight in request.worn)
    kind = "" if request.strength is None else f"/from:{request.strength:g}"
    return f"{request.width}x{request.height}/{request.steps}/{request.cfg:g}/{adapters}/{block}{kind}"


def estimated_block(prompt: str) -> int:
    """About how many blocks of 32 tokens the prompt takes, without a tokenizer."""
    return block_of(len(_PIECE.findall(prompt)) + TEMPLATE_TOKENS)


def block_of(tokens: int) -> int:
    """How many blocks of 32 a caption of `tokens` tokens (template included) takes."""
    return -(-tokens // TOKEN_BLOCK)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchLimit:
    """How many pictures may share a pass: what was measured on this machine, else a rule by pixels.

    Lowered by what fits into memory and by what once ran out of it. Sizes in pixels per picture.
    """

    learned: tuple[tuple[int, int], ...] = ()  # (size, most pictures that may still be tried) after running out
    measured: tuple[tuple[int, int], ...] = ()  # (size, most pictures that are worth one pass), from `moqi bench`
    fitting: tuple[tuple[int, int], ...] = ()  # (size, most pictures that fit into memory)

    def max_batch(self, width: int, height: int) -> int:
        """The most pictures of this size in one pass, at least 1."""
        pixels = width * height
        room = [most for size, most in self.fitting if size >= pixels]
        bounds = [most for size, most in self.learned if size <= pixels]
        if self.fitting:
            bounds.append(max(room, default=1))
        return min([self._worth(width, height), *bounds])

    def halve(self, width: int, height: int, size: int) -> BatchLimit:
        """What holds after a batch of `size` pictures of this size ran out of memory."""
        pixels, half = width * height, max(1, size // 2)
        kept = [(known, most) for known, most in self.learned if known < pixels or most < half]
        return replace(self, learned=(*kept, (pixels, half)))

    def _worth(self, width: int, height: int) -> int:
        """By the measured size that is equal or the next larger one; beyond the largest, the rule speaks too."""
        larger = [entry for entry in self.measured if entry[0] >= width * height]
        if larger:
            return min(larger)[1]
        rule = max_batch(width, height)
        return min(rule, max(self.measured)[1]) if self.measured else rule


def max_batch(width: int, height: int) -> int:
    """The most pictures of this size that are worth one pass, memory aside: the rule where nothing was measured."""
    pixels = width * height
    if pixels >= LARGE:
        return 1
    return 4 if pixels <= SMALL else 2


def worthwhile(seconds: Mapping[int, float]) -> int:
    """The largest batch worth its wait, of measured seconds per picture by batch size.

    Everybody in a batch waits for all of it, so a larger one must save at least `WORTH` of what a picture takes in the
    best smaller one that was worth it.
    """
    best = min(seconds)
    for batch in sorted(seconds):
        if seconds[batch] <= (1 - WORTH) * seconds[best]:
            best = batch
    return best
