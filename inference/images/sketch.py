"""Previews: where a running pass stands, as a small picture. Latents become colours by one linear map.

The map is fitted to the model's own VAE once, when the first preview is wanted: to fields of colour that it encodes.
Its decoder would show more, but costs a share of every pass, and an offloaded model would leave the device for it;
decoding shrunken latents is cheap and loses whatever is small.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from typing import Any

from PIL import Image

from inference.images.model import Taker

log = logging.getLogger(__name__)

SIDE = 128  # pixels of a preview's longer side
QUALITY = 75  # of its JPEG: 2 to 6 KB
_FIELD = 256  # pixels a side of what the map is fitted to
_GRIDS = (1, 2, 3, 4, 6, 8, 12, 16)  # colours a side; the coarse ones with edges between them
_GREYS = 4  # plain fields from black to white: pictures have more of them than chance makes


def due(done: int, total: int) -> bool:
    """Whether a preview is due after `done` of `total` steps: three or so in between, none at the ends."""
    return 1 < done < total and done % max(2, total // 4) == 0


class Sketches:
    """The previews of one model. No picture fails for them: the first error is logged and ends them."""

    def __init__(self, vae: Any) -> None:
        self._vae = vae
        self._colours: Any = None  # (channels + 1, 3), the last row a constant
        self._stopped = False

    def show(self, takers: Mapping[int, Taker], before: Any, latents: Any, scheduler: Any) -> None:
        """Give each taker, by place in the batch, its JPEG. `before` is what the latents were a step ago."""
        if self._stopped or not takers:
            return
        try:
            places = list(takers)
            at = scheduler.step_index
            aim = _aim(before[places], latents[places], float(scheduler.sigmas[at - 1]), float(scheduler.sigmas[at]))
            for take, pixels in zip(takers.values(), self._pixels(aim), strict=True):
                take(_jpeg(pixels))
        except Exception:  # whatever it is, the picture itself goes on
            log.exception("no more previews until a restart", extra={"action": "previews-stopped"})
            self._stopped = True

    def _pixels(self, latents: Any) -> Any:
        """Bytes (picture, height, width, 3), one pixel for each cell of the latents."""
        import torch

        if self._colours is None:
            self._colours = _fitted(self._vae, latents.device)
        rgb = latents.float().permute(0, 2, 3, 1) @ self._colours[:-1] + self._colours[-1]
        return (rgb.nan_to_num().clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()


def _aim(before: Any, latents: Any, sigma_before: float, sigma: float) -> Any:
    """Where the flow is heading: the clean latents, if it went on as in the last step (x = clean + sigma * v)."""
    velocity = (latents - before) / (sigma - sigma_before)
    return latents - sigma * velocity


def _fitted(vae: Any, device: Any) -> Any:
    """The linear map from a cell's latents to its colour that errs least over the fields."""
    import torch
    from torch.nn.functional import interpolate

    fields = _fields()
    with torch.no_grad():  # one at a time: little memory
        encoded = [vae.encode((one[None] * 2 - 1).to(device, vae.dtype)).latent_dist.mode() for one in fields]
    latents = (torch.cat(encoded).float().cpu() - vae.config.shift_factor) * vae.config.scaling_factor
    cells = latents.permute(0, 2, 3, 1).flatten(0, 2)
    seen = interpolate(fields, size=latents.shape[-2:], mode="area").permute(0, 2, 3, 1).flatten(0, 2)
    with_constant = torch.cat([cells, torch.ones(len(cells), 1)], 1)
    return torch.linalg.lstsq(with_constant, seen).solution.to(device)


def _fields() -> Any:
    """Pictures (n, 3, side, side) from 0 to 1: always the same ones, of many colours."""
    import torch
    from torch.nn.functional import interpolate

    chance = torch.Generator("cpu").manual_seed(0)  # the global one is nobody's to touch
    made = []
    for side in _GRIDS:
        grid = torch.rand(2, 3, side, side, generator=chance)
        made.append(interpolate(grid, size=(_FIELD, _FIELD), mode="nearest" if side <= 4 else "bilinear"))
    made += [torch.full((1, 3, _FIELD, _FIELD), grey / (_GREYS - 1)) for grey in range(_GREYS)]
    return torch.cat(made)


def _jpeg(pixels: Any) -> bytes:
    image = Image.fromarray(pixels)
    scale = SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    buffer = io.BytesIO()
    image.resize((width, height), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
