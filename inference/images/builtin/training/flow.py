"""Trains the text encoder and the transformer: from noise and a caption to the latents of the picture.

Flow matching as the pipeline samples it: x = (1 - sigma) picture + sigma noise, the transformer is told 1 - sigma and
answers with picture - noise. Half of the sigmas are those of the default eight steps, half come from the scheduler's
shifted continuum, so that other step counts work too.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from . import batched
from .batches import Batch, without_pictures
from .captions import KINDS, SLOTS, Captions, Reader, values
from .layout import Guide
from .team import Team

if TYPE_CHECKING:
    from torch import Tensor

    from .guided import Teacher

SHIFT = 3.0
STEPS = 8
READING_BATCH = 128
READING_RATE = 2e-3
MATRIX_RATE, OTHER_RATE, ENCODER_RATE = 3e-3, 1.5e-3, 5e-4
WARM_UP = 100
MEMORY = 0.998  # of the averaged weights, per step
READING_WEIGHT, MORE_WEIGHT, LAYOUT_WEIGHT = 0.1, 0.2, 0.2
GUIDED_WEIGHT = 4.0  # what a teacher says holds no noise: the errors are smaller


class Reading:
    """The text encoder, and the judges that say during training whether it has understood."""

    def __init__(self, encoder: Any) -> None:
        import torch

        self.encoder = encoder
        width = encoder.config.hidden_size
        self.heads = torch.nn.ModuleDict(
            {
                "slots": torch.nn.Linear(width, sum(count for _, count in SLOTS)),
                "figures": torch.nn.Linear(width, sum(map(values, KINDS))),
            }
        )

    def parameters(self) -> list[Any]:
        return [*self.encoder.parameters(), *self.heads.parameters()]

    def features(self, tokens: Tensor) -> Tensor:
        """What the pipeline takes from the encoder: (batch, tokens, width)."""
        return self.encoder(input_ids=tokens, output_hidden_states=True).hidden_states[-2]  # type: ignore[no-any-return]

    def loss(self, features: Tensor, captions: Captions) -> tuple[Tensor, Tensor]:
        """How wrong the tokens at the ends are, and the share of captions of which the last token knows everything.

        The end of a figure's words is asked for that figure: which attribute belongs to which of two figures is hard to
        find out from the end of the caption alone.
        """
        import torch

        rows = torch.arange(len(features))
        last, right = _named(
            self._said("slots", features[rows, captions.lengths - 1]), captions.slots, [count for _, count in SLOTS]
        )
        ends = features[rows[:, None], captions.ends].flatten(0, 1)
        each, _ = _named(self._said("figures", ends), captions.figures.flatten(0, 1), [values(kind) for kind in KINDS])
        return last + each, right.all(dim=1).float().mean()

    def _said(self, head: str, features: Tensor) -> Tensor:
        import torch

        return self.heads[head](torch.nn.functional.normalize(features, dim=-1) * 8)  # type: ignore[no-any-return]


def _named(said: Tensor, wanted: Tensor, counts: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Cross entropy summed over the columns of `wanted` (batch, columns), and where each is right; -1 is not asked."""
    import torch

    total, right, start = said.new_zeros(()), [], 0
    for column, count in enumerate(counts):
        part, true = said[:, start : start + count], wanted[:, column]
        asked = true >= 0
        total = total + torch.nn.functional.cross_entropy(part, true, ignore_index=-1, reduction="sum") / max(
            int(asked.sum()), 1
        )
        right.append((part.argmax(dim=1) == true) | ~asked)
        start += count
    return total, torch.stack(right, dim=1)


def learn_to_read(
    reading: Reading, reader: Reader, steps: int, seed: int, team: Team, tell: Callable[..., None]
) -> None:
    """Teach the encoder what captions say, before any picture: minutes that save hours."""
    import torch

    rng = random.Random(f"read-{seed}-{team.rank}")
    parameters = reading.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=READING_RATE, weight_decay=0.01, betas=(0.9, 0.98))
    for step in range(steps):
        captions = without_pictures(reader, rng, team.share(READING_BATCH))
        loss, right = reading.loss(reading.features(captions.tokens), captions)
        for group in optimizer.param_groups:
            group["lr"] = READING_RATE * min(1, (step + 1) / WARM_UP, 0.02 + (steps - step) / steps)
        optimizer.zero_grad()
        loss.backward()
        team.average(one.grad for one in parameters if one.grad is not None)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        tell(step, loss=loss.item(), read=right.item())


class Training:
    """The weights in float32, their running average, and the copy in bfloat16 that computes."""

    def __init__(self, transformer: Any, reading: Reading, team: Team, *, compiled: bool = False) -> None:
        import torch

        _begin(transformer)
        self.reading, self.team = reading, team
        self.guide = Guide(transformer.dim)
        self.block = _compiled() if compiled else batched.block
        self.names = [name for name, _ in transformer.named_parameters()]
        self.masters = [one.detach().clone().requires_grad_() for one in transformer.parameters()]
        self.average = [one.detach().clone() for one in (*self.masters, *reading.encoder.parameters())]
        self.model = transformer.bfloat16()
        self.step = 0
        matrices = [one for name, one in zip(self.names, self.masters, strict=True) if _is_matrix(name)]
        others = [one for name, one in zip(self.names, self.masters, strict=True) if not _is_matrix(name)]
        self.optimizers = [
            torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(
                [*others, *self.guide.heads.parameters()], lr=OTHER_RATE, weight_decay=0.0, betas=(0.9, 0.98)
            ),
            torch.optim.AdamW(reading.parameters(), lr=ENCODER_RATE, weight_decay=0.01, betas=(0.9, 0.98)),
        ]
        self.rates = (MATRIX_RATE, OTHER_RATE, ENCODER_RATE)
        self.turns = batched.Turns(transformer)

    def learn(self, batch: Batch, pace: float, teacher: Teacher | None = None) -> dict[str, float]:
        """One step at `pace` times the full rate. Returns the flow's loss, and the shares read and laid out right.

        What is right is the way from the noise to the painted picture, or what `teacher` says.
        """
        captions = batch.captions
        features = self.reading.features(captions.tokens)
        reading, _ = self.reading.loss(features, captions)
        sigma = sigmas(len(batch.latents))
        clean = batch.latents.float()
        noise = noise_for(clean, batch.dice)
        mixed = clean + sigma[:, None, None, None] * (noise - clean)
        turn = self.turns(captions.tokens.shape[1], clean)
        seen = batched.forward(
            self.model, mixed.bfloat16(), 1 - sigma, features.bfloat16(), captions.lengths, turn, self.block
        )
        layout, placed = self.guide.loss(seen, batch.layouts, batch.dice, sigma)
        # Weighted so that the picture counts alike at every share of noise: what matters is settled while it is high.
        right, weight = clean - noise, 1.0
        if teacher is not None:
            assert batch.told is not None, "a teacher reads plain captions: batches(…, plainly=True)"
            right, weight = teacher.velocity(mixed, sigma, batch.told), GUIDED_WEIGHT
        loss = (sigma[:, None, None, None] * (seen.velocity.float() - right)).square().mean()
        (weight * loss + READING_WEIGHT * reading + LAYOUT_WEIGHT * layout).backward()
        more, read = self.reading.loss(self.reading.features(batch.more.tokens), batch.more)
        (MORE_WEIGHT * more).backward()
        self._descend(pace)
        return {"loss": loss.item(), "read": read.item(), "layout": layout.item(), "placed": placed.item()}

    def _descend(self, pace: float) -> None:
        import torch

        for master, one in zip(self.masters, self.model.parameters(), strict=True):
            master.grad = one.grad.float() if one.grad is not None else torch.zeros_like(master)
            one.grad = None
        every = [*self.masters, *self.reading.parameters(), *self.guide.heads.parameters()]
        for one in every:
            if one.grad is None:
                one.grad = torch.zeros_like(one)  # the encoder's last layer, which nobody reads
        self.team.average(one.grad for one in every)
        torch.nn.utils.clip_grad_norm_(every, 1.0)
        for optimizer, rate in zip(self.optimizers, self.rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * pace
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        keep = min(MEMORY, self.step / (self.step + 10))
        self._compute_with_masters()
        with torch.no_grad():
            current = (*self.masters, *self.reading.encoder.parameters())
            for mean, one in zip(self.average, current, strict=True):
                mean.lerp_(one, 1 - keep)

    def averaged_into(self, transformer: Any, encoder: Any) -> None:
        """Copy the averaged weights into another transformer and encoder of the same shapes."""
        import torch

        with torch.no_grad():
            targets = (*transformer.parameters(), *encoder.parameters())
            for target, mean in zip(targets, self.average, strict=True):
                target.copy_(mean)

    def begin_again(self) -> None:
        """Go on from the averaged weights, at step 0."""
        import torch

        encoder = self.reading.encoder.parameters()
        with torch.no_grad():
            for one, mean in zip((*self.masters, *encoder), self.average, strict=True):
                one.copy_(mean)
        self._compute_with_masters()
        self.step = 0

    def _compute_with_masters(self) -> None:
        import torch

        with torch.no_grad():
            for one, master in zip(self.model.parameters(), self.masters, strict=True):
                one.copy_(master)

    def state(self) -> dict[str, Any]:
        """Everything that is needed to go on."""
        return {
            "step": self.step,
            "masters": [one.detach() for one in self.masters],
            "average": self.average,
            "encoder": self.reading.encoder.state_dict(),
            "heads": self.reading.heads.state_dict(),
            "guide": self.guide.heads.state_dict(),
            "optimizers": [one.state_dict() for one in self.optimizers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from state()."""
        import torch

        self.step = state["step"]
        self.reading.encoder.load_state_dict(state["encoder"])
        self.reading.heads.load_state_dict(state["heads"])
        self.guide.heads.load_state_dict(state["guide"])
        with torch.no_grad():
            for master, kept in zip(self.masters, state["masters"], strict=True):
                master.copy_(kept)
            for mean, kept in zip(self.average, state["average"], strict=True):
                mean.copy_(kept)
        self._compute_with_masters()
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)


def noise_for(latents: Tensor, dice: Tensor) -> Tensor:
    """Noise of the shape of `latents` whose channel means hold `dice` (batch, 16): see dice.py."""
    import torch

    noise = torch.randn_like(latents)
    # The mean of standard normal noise is independent of the rest: with dice that are uniform it all stays normal.
    means = torch.special.ndtri(dice) / (latents.shape[2] * latents.shape[3]) ** 0.5
    held: Tensor = noise - noise.mean(dim=(2, 3), keepdim=True) + means[:, :, None, None]
    return held


def _compiled() -> Any:
    """A transformer block that runs its small operations as one: nearly twice as fast on a CPU."""
    import torch

    torch._dynamo.config.recompile_limit = (
        64  # one for each size, for captions of each length, with and without gradients
    )
    return torch.compile(batched.block)


def sigmas(count: int) -> Tensor:
    """Noise shares for training, (count): half from the default steps, half from between them."""
    import torch

    free = torch.rand(count)
    grid = (torch.randint(STEPS, (count,)) + 1) / STEPS
    even = torch.where(torch.rand(count) < 0.5, free, grid)
    return SHIFT * even / (1 + (SHIFT - 1) * even)


def _is_matrix(name: str) -> bool:
    """Whether Muon takes it: the matrices inside the blocks."""
    return (".attention.to_" in name or ".feed_forward." in name) and name.endswith("weight")


def _begin(transformer: Any) -> None:
    """Start as the identity: gates shut, output zero."""
    import torch

    with torch.no_grad():
        for name, one in transformer.named_parameters():
            if "adaLN_modulation" in name or "all_final_layer" in name:
                one.zero_()
