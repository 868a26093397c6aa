"""What training sees at each step: pictures of one size with captions of about one length."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference.images.builtin.scene import Scene, sample

from . import batched
from .captions import EMPTY, Asked, Captions, Reader, together
from .layout import Layouts
from .team import Team

if TYPE_CHECKING:
    from torch import Tensor

TOKENS_PER_BATCH = 64 * 96  # about: pictures and captions of one step, over the whole team
MORE_CAPTIONS = 128  # of each step, over the whole team


@dataclass(frozen=True, slots=True)
class Pool:
    """Encoded scenes of one size."""

    scenes: Sequence[Scene]
    latents: Tensor  # (scenes, 16, height / 8, width / 8), bfloat16
    dice: Tensor  # (scenes, 16): what chance decided in each
    layouts: Layouts


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's share: equal picture sizes, captions of one length."""

    latents: Tensor
    dice: Tensor
    layouts: Layouts
    captions: Captions
    more: Captions  # without pictures: there are many more ways to ask than pictures that a step has time for
    told: Captions | None  # the same pictures, asked for plainly: what a teacher reads


def batches(
    pools: Sequence[tuple[float, Pool]], reader: Reader, rng: random.Random, team: Team, *, plainly: bool = False
) -> Iterator[Batch]:
    """Endless batches; `pools` come with their shares of the pictures. Captions of one batch are padded alike."""
    waiting: dict[tuple[int, int], list[tuple[int, Asked]]] = defaultdict(list)
    while True:
        which = rng.choices(range(len(pools)), weights=[share for share, _ in pools])[0]
        pool = pools[which][1]
        for _ in range(16):
            index = rng.randrange(len(pool.scenes))
            asked = reader.silence() if rng.random() < EMPTY else reader.ask(pool.scenes[index], rng)
            length = padded(len(asked.tokens))
            queue = waiting[which, length]
            queue.append((index, asked))
            if len(queue) == _batch_size(pool, length, team):
                more = without_pictures(reader, rng, team.share(MORE_CAPTIONS))
                yield _batch(pool, queue, more, _plainly(pool, queue, reader, rng) if plainly else None)
                queue.clear()


def padded(tokens: int) -> int:
    """The length of a sequence as the pipeline pads it."""
    return -(-tokens // batched.BLOCK) * batched.BLOCK


def without_pictures(reader: Reader, rng: random.Random, count: int) -> Captions:
    """Captions of fresh scenes."""
    asked = [reader.ask(sample(rng), rng) for _ in range(count)]
    return together(asked, max(len(one.tokens) for one in asked))


def _batch_size(pool: Pool, length: int, team: Team) -> int:
    tokens = pool.latents.shape[2] * pool.latents.shape[3] // 4 + length
    return max(1, team.share(TOKENS_PER_BATCH) // tokens)


def _batch(pool: Pool, queue: Sequence[tuple[int, Asked]], more: Captions, told: Captions | None) -> Batch:
    chosen = [index for index, _ in queue]
    captions = together([asked for _, asked in queue], padded(len(queue[0][1].tokens)))
    return Batch(pool.latents[chosen], pool.dice[chosen], pool.layouts.take(chosen), captions, more, told)


def _plainly(pool: Pool, queue: Sequence[tuple[int, Asked]], reader: Reader, rng: random.Random) -> Captions:
    """Where nothing was asked, nothing is."""
    asked = [one if one.silent else reader.ask(pool.scenes[index], rng, plainly=True) for index, one in queue]
    return together(asked, padded(max(len(one.tokens) for one in asked)))
