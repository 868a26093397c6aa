"""What every patch of the picture should know on its way through the transformer.

First the dice that the noise holds, then its own place, half way the nearest figure and where that lies, and at last
how far its points are from an edge. Noise and caption settle all of it, but the pixels say it so indirectly that
learning it from them alone takes most of the training: positions reach the transformer as rotations only, and after
8,000 steps a patch knew its row to one in eight. Linear heads that are thrown away afterwards ask for it outright. The
idea is that of REPA (Yu et al. 2024), where a picture encoder gives the features; here the painter knows better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inference.images.builtin import vocabulary
from inference.images.builtin.dice import NAMES, Dice
from inference.images.builtin.painting import Plan, edge_distances, plan
from inference.images.builtin.scene import Scene

from .batched import Seen

if TYPE_CHECKING:
    from torch import Tensor

PATCH = 16  # pixels
MOST = 4  # figures on a canvas
PLACES = 4  # numbers: to the right, down, length, tilt
KINDS: tuple[Sequence[str], ...] = (tuple(vocabulary.SHAPES), tuple(vocabulary.COLOURS), tuple(vocabulary.STYLES))
FAR = 1.5  # lengths; further away is as far
NEAR, AWAY = 0.8, 0.1  # within so many lengths a patch counts whole, further away this much
POINTS = 4  # on each side of a patch: where the distance to an edge is asked
SOFT = 8.0  # pixels at which a distance is still told well from a larger one
EXACT = 10.0  # how much more an error of place counts than one of kind


@dataclass(frozen=True, slots=True)
class Layouts:
    """Where the figures of some scenes are."""

    spots: Tensor  # (scenes, MOST, PLACES), in pixels
    kinds: Tensor  # (scenes, MOST, 3)
    edges: Tensor  # see edges()

    @classmethod
    def of(cls, scenes: Iterable[Scene], dice: Iterable[Dice], width: int, height: int, edges: Tensor) -> Layouts:
        import torch

        rows = [_figures(plan(scene, faces, width, height)) for scene, faces in zip(scenes, dice, strict=True)]
        spots = torch.tensor([[place for place, _ in row] for row in rows])
        return cls(spots, torch.tensor([[kinds for _, kinds in row] for row in rows]), edges)

    def take(self, chosen: Sequence[int]) -> Layouts:
        return Layouts(self.spots[chosen], self.kinds[chosen], self.edges[chosen])


def edges(plans: Sequence[Plan], width: int, height: int) -> Tensor:
    """How far points in each patch are from the edge of the nearest figure, (plans, patches, POINTS ** 2), int8.

    127 is far outside, -127 deep inside; SOFT pixels are three quarters of that.
    """
    import numpy as np
    import torch

    step = PATCH // POINTS
    across, down = (np.arange(0, side, step, dtype=np.float32) + step / 2 for side in (width, height))
    points = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2)
    far = torch.from_numpy(np.stack([edge_distances(one, points) for one in plans]))
    rows, columns = height // PATCH, width // PATCH
    by_patch = far.view(len(plans), rows, POINTS, columns, POINTS).transpose(2, 3).flatten(3).flatten(1, 2)
    return (127 * torch.tanh(by_patch / SOFT)).round().to(torch.int8)


def _figures(planned: Plan) -> list[tuple[tuple[float, ...], tuple[int, ...]]]:
    known: list[tuple[tuple[float, ...], tuple[int, ...]]] = [
        ((spot.x, spot.y, spot.length, spot.tilt), _kinds(mark.shape, mark.colour, mark.style))
        for mark in planned.marks
        for spot in mark.spots
    ]
    nowhere = ((1e6, 1e6, 1.0, 0.0), (0, 0, 0))
    return [*known, *[nowhere] * (MOST - len(known))]


def _kinds(*names: str) -> tuple[int, ...]:
    return tuple(kinds.index(name) for kinds, name in zip(KINDS, names, strict=True))


class Guide:
    """Asks the patches what they know."""

    def __init__(self, width: int) -> None:
        import torch

        self.heads = torch.nn.ModuleDict(
            {
                "layout": torch.nn.Linear(width, PLACES + sum(map(len, KINDS))),
                "dice": torch.nn.Linear(width, len(NAMES)),
                "own place": torch.nn.Linear(width, 4),
                "edges": torch.nn.Linear(width, POINTS**2),
            }
        )

    def loss(self, seen: Seen, layouts: Layouts, dice: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """How wrong the patches are, and the share of kinds that those near figures have right.

        `dice` (batch, 16) are from 0 to 1; `sigma` (batch) is the share of noise: little of it does not hold them.
        """
        import torch

        rows, columns = (side // 2 for side in seen.velocity.shape[2:])
        rolled = self._said("dice", seen.refined) - torch.special.ndtri(dice)[:, None]
        own = self._said("own place", seen.early) - own_places(rows, columns)
        layout, right = self._layout(self._said("layout", seen.middle), layouts, rows, columns)
        rolled_wrong = (rolled.square().mean(dim=(1, 2)) * sigma**4).mean()
        far = self._said("edges", seen.late) - layouts.edges.float() / 127
        return layout + rolled_wrong + EXACT * (own.square().mean() + far.square().mean()), right

    def _said(self, head: str, patches: Tensor) -> Tensor:
        import torch

        normal = torch.nn.functional.rms_norm(patches.float(), patches.shape[-1:])
        return self.heads[head](normal)  # type: ignore[no-any-return]

    def _layout(self, said: Tensor, layouts: Layouts, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        import torch

        place, kinds, weight = targets(layouts, rows, columns)
        total = EXACT * ((said[..., :PLACES] - place).square().mean(dim=-1) * weight).sum()
        right, start = weight.new_zeros(()), PLACES
        near = weight == 1
        for number, names in enumerate(KINDS):
            part, wanted = said[..., start : start + len(names)], kinds[..., number]
            entropy = torch.nn.functional.cross_entropy(part.flatten(0, 1), wanted.flatten(), reduction="none")
            total = total + (entropy * weight.flatten()).sum()
            right = right + (part.argmax(dim=-1) == wanted)[near].float().mean() / len(KINDS)
            start += len(names)
        return total / weight.sum(), right


def own_places(rows: int, columns: int) -> Tensor:
    """Row and column of every patch, as shares of the picture from -1 to 1 and as counts, (patches, 4)."""
    import torch

    down, right = torch.meshgrid(torch.arange(rows) + 0.5, torch.arange(columns) + 0.5, indexing="ij")
    shares = [2 * down / rows - 1, 2 * right / columns - 1]
    return torch.stack([*shares, down / 4 - 1, right / 4 - 1], dim=-1).flatten(0, 1)


def targets(layouts: Layouts, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """For every patch the place (batch, patches, PLACES) and the kinds (batch, patches, 3) of the nearest figure.

    Also how much each patch counts (batch, patches).
    """
    import torch

    down, right = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = (torch.stack([right, down], dim=-1).flatten(0, 1) + 0.5) * PATCH
    away = layouts.spots[:, None, :, :2] - centres[None, :, None]  # (batch, patches, figures, 2)
    away = away / layouts.spots[:, None, :, 2:3]
    nearest = away.square().sum(dim=-1).argmin(dim=-1)  # (batch, patches)
    batch = torch.arange(len(nearest))[:, None]
    offset = away[batch, torch.arange(nearest.shape[1]), nearest]
    spot = layouts.spots[batch, nearest]
    length = 2 * torch.log(spot[..., 2:3] / (PATCH * min(rows, columns))) + 2
    place = torch.cat([offset.clamp(-FAR, FAR), length, 8 * spot[..., 3:]], dim=-1)
    near = offset.square().sum(dim=-1) < NEAR**2
    return place, layouts.kinds[batch, nearest], torch.where(near, 1.0, AWAY)
