"""Several processes that train together: each computes its share of a batch, and their gradients are averaged.

One process per core beats one process with a thread per core by far where other work runs beside it: threads meet
after every operation, processes once per step. Start them with torchrun; without it there is a team of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Team:
    """This process's place among `size`."""

    rank: int
    size: int

    @classmethod
    def join(cls) -> Team:
        """The team that torchrun started, one thread each; or alone, with the threads torch has."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls(0, 1)
        import torch

        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo")
        return cls(int(os.environ["RANK"]), size)

    def share(self, batch: int) -> int:
        """How many of `batch` are this process's."""
        return batch // self.size

    def average(self, gradients: Iterable[Tensor]) -> None:
        """Replace the gradients by the mean over the team, in place."""
        if self.size == 1:
            return
        import torch

        every = list(gradients)
        flat = torch.cat([one.flatten() for one in every])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        for one, mean in zip(every, flat.split([one.numel() for one in every]), strict=True):
            one.copy_(mean.view_as(one))

    def gather(self, part: Tensor) -> Tensor:
        """The parts of everybody, one after another along the first axis; all parts are of one shape."""
        if self.size == 1:
            return part
        import torch

        parts = [torch.empty_like(part) for _ in range(self.size)]
        torch.distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)
