"""Trains the autoencoder on painted scenes, then the decoder once more on whole pictures.

The noise of the posterior has a fixed size: the decoder learns to forgive small errors of the transformer, and the
latents keep a scale of about one.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from inference.images.builtin.painting import paint
from inference.images.builtin.scene import sample

from .team import Team

if TYPE_CHECKING:
    from torch import Tensor

NOISE = 0.2  # standard deviation of the posterior, latents having about 1
SCALE_WEIGHT = 1e-3
CROP, CUTS = 64, 3
BATCH = 32
RATE = 2e-3
POLISH_SIZES = ((128, 128), (128, 128), (96, 160), (160, 96), (192, 192))
POLISH_BATCH = 8
POLISH_NOISE = 0.3  # at most, latents having about 1: what the flow gives is not exact
NATIVE_PART = 0.75


def pictures(rng: random.Random, count: int, width: int, height: int) -> Tensor:
    """Painted scenes, (count, 3, height, width), -1 to 1."""
    import numpy as np
    import torch

    painted = np.stack([paint(sample(rng), rng, width, height) for _ in range(count)])
    return torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 127.5 - 1


def train(vae: Any, steps: int, seed: int, team: Team, tell: Callable[[int, float], None]) -> None:
    """Teach `vae` to bring pictures back through its latents; then give the latents the scale that its config says."""
    import torch

    rng = random.Random(f"{seed}-{team.rank}")
    vae.train()
    with torch.no_grad():
        vae.encoder.conv_out.weight[16:] = 0  # the posterior's width is set, not learned
        vae.encoder.conv_out.bias[16:] = 2 * math.log(NOISE)
    parameters = list(vae.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, betas=(0.9, 0.95))
    for step, batch in zip(range(steps), _crops(rng, team.share(BATCH)), strict=False):
        _pace(optimizer, RATE, step, steps)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mean = vae.encode(batch).latent_dist.mean
            seen = vae.decode(mean + NOISE * torch.randn_like(mean)).sample
        loss = _distance(seen.float(), batch) + SCALE_WEIGHT * mean.float().square().mean()
        _descend(loss, parameters, optimizer, team)
        tell(step, loss.item())


def polish(vae: Any, steps: int, seed: int, team: Team, tell: Callable[[int, float], None]) -> None:
    """Scale the latents to standard deviation 1 in the pipeline's units, and let the decoder get used to it."""
    import torch

    _rescale(vae, pictures(random.Random(seed), 256, 128, 128))
    rng = random.Random(f"{seed}-{team.rank}")
    config = vae.config
    parameters = [*vae.decoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0, betas=(0.9, 0.95))
    for step in range(steps):
        _pace(optimizer, RATE, step, steps)
        # Most of it at the native size, where it costs least; the other sizes are soon learned.
        width, height = POLISH_SIZES[step % len(POLISH_SIZES) if step > steps * NATIVE_PART else 0]
        batch = pictures(rng, team.share(POLISH_BATCH), width, height)
        with torch.no_grad():
            latent = vae.encode(batch).latent_dist.mean
        noise = POLISH_NOISE * torch.rand(len(batch), 1, 1, 1) * torch.randn_like(latent) / config.scaling_factor
        with torch.autocast("cpu", dtype=torch.bfloat16):
            seen = vae.decode(latent + noise).sample
        loss = _distance(seen.float(), batch)
        _descend(loss, parameters, optimizer, team)
        tell(step, loss.item())
    vae.eval()


def encode(vae: Any, batch: Tensor) -> Tensor:
    """The latents of `batch` as the transformer sees them: about standard normal."""
    import torch

    with torch.no_grad():
        mean = vae.encode(batch).latent_dist.mean
    return (mean - vae.config.shift_factor) * vae.config.scaling_factor  # type: ignore[no-any-return]


def _rescale(vae: Any, batch: Tensor) -> None:
    """Fold the measured mean and deviation of the latents into the last and the first convolution."""
    import torch

    with torch.no_grad():
        raw = torch.cat([vae.encode(part).latent_dist.mean for part in batch.split(32)])
        middle = raw.mean(dim=(0, 2, 3))
        width = (raw - middle[:, None, None]).std()
        gain = 1 / (width * vae.config.scaling_factor)
        last, first = vae.encoder.conv_out, vae.decoder.conv_in
        last.weight[:16] *= gain
        last.bias[:16] = (last.bias[:16] - middle) * gain + vae.config.shift_factor
        last.bias[16:] += 2 * torch.log(gain)
        back = middle - vae.config.shift_factor / gain
        first.bias += (first.weight.sum(dim=(2, 3)) * back).sum(dim=1)
        first.weight /= gain


def _crops(rng: random.Random, count: int) -> Iterator[Tensor]:
    """Cuts of painted scenes, of several each time the one with the most in it: plain ground teaches little."""
    import torch

    while True:
        whole = pictures(rng, count, 128, 128)
        yield torch.stack([max((_cut(rng, one) for _ in range(CUTS)), key=lambda cut: cut.var()) for one in whole])


def _cut(rng: random.Random, picture: Tensor) -> Tensor:
    left, top = rng.randrange(0, 128 - CROP + 1, 4), rng.randrange(0, 128 - CROP + 1, 4)
    return picture[:, top : top + CROP, left : left + CROP]


def _distance(seen: Tensor, wanted: Tensor) -> Tensor:
    """Absolute error, and squared so that an edge in the wrong place counts more."""
    error = seen - wanted
    return error.abs().mean() + error.square().mean()


def _pace(optimizer: Any, rate: float, step: int, steps: int) -> None:
    """Warm up over 50 steps, then fall along a cosine."""
    share = min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))
    for group in optimizer.param_groups:
        group["lr"] = rate * share


def _descend(loss: Tensor, parameters: list[Any], optimizer: Any, team: Team) -> None:
    import torch

    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    team.average(one.grad for one in parameters if one.grad is not None)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
