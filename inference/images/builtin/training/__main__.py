"""Trains the built-in model: paint, autoencoder, reading, flow, guided, save.

    torchrun --nproc-per-node 2 -m inference.images.builtin.training FOLDER [--steps N]

FOLDER keeps what each stage made, so that a run that was stopped goes on where it was; `FOLDER/checkpoint` is the
result. Hours on two cores. The committed checkpoint is 14,500 flow and 3,400 guided steps old, its decoder 11,500; some
of what is asked beside the picture (layout.py, the ends of figures and the odd captions of captions.py) joined on the
way.
"""

from __future__ import annotations

import argparse
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inference.images.builtin import components
from inference.images.builtin.dice import Dice
from inference.images.builtin.painting import paint, plan
from inference.images.builtin.scene import Scene, sample

from . import autoencoder, batches, captions, flow, guided, layout
from .progress import Bar
from .team import Team

if TYPE_CHECKING:
    from torch import Tensor

Pools = list[tuple[float, batches.Pool]]

SEED = 20261121
VAE_STEPS, POLISH_STEPS, READING_STEPS = 5000, 11_500, 2000
FLOW_STEPS, GUIDED_STEPS = 14_500, 3400
NATIVE_PART = 0.5  # of the flow steps
GUIDED_PACE = 0.4  # of the full rate, falling
SAVE_EVERY = 250
AT_ONCE = 16  # scenes painted and encoded

#: Width, height, scenes, share of the pictures that training sees once it sees them all. The native size comes first.
SIZES = (
    (128, 128, 48_000, 0.62),
    (256, 256, 8_000, 0.26),
    (192, 128, 2_000, 0.03),
    (128, 192, 2_000, 0.03),
    (256, 144, 2_000, 0.03),
    (144, 256, 2_000, 0.03),
)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m inference.images.builtin.training", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the stages and the result go")
    parser.add_argument("--steps", type=int, default=FLOW_STEPS, help="steps of the flow stage")
    parser.add_argument("--guided", type=int, default=GUIDED_STEPS, help="steps of the guided stage")
    parser.add_argument("--compile", action="store_true", help="faster after some minutes; needs a C++ compiler")
    given = parser.parse_args(arguments)
    team = Team.join()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    import torch

    torch.manual_seed(SEED)  # the same first weights in every process of the team
    tokenizer = components.tokenizer(captions.corpus(SEED))
    vae, encoder, transformer = components.vae(), components.text_encoder(tokenizer), components.transformer()
    reading, reader = flow.Reading(encoder), captions.Reader.of(tokenizer)
    torch.manual_seed(SEED + 1 + team.rank)
    _stage(folder / "autoencoder.pt", team, vae, lambda: _train_vae(vae, team))
    _stage(folder / "vae.pt", team, vae, lambda: _polish(vae, team))
    _stage(
        folder / "reading.pt", team, torch.nn.ModuleList([encoder, reading.heads]), lambda: _read(reading, reader, team)
    )
    training = flow.Training(transformer, reading, team, compiled=given.compile)
    pools = _pools(folder, vae, team)
    _train_flow(training, reader, pools, folder, given.steps)
    _train_guided(training, reader, pools, folder, given.guided)
    if team.rank == 0:
        save(folder / "checkpoint", training, tokenizer, vae)
    return 0


def _stage(file: Path, team: Team, module: Any, work: Callable[[], None]) -> None:
    """Do `work` unless its result is there, and load the result: all of the team go on with the same weights."""
    import torch

    if not file.exists():
        work()
        if team.rank == 0:
            _write(file, module.state_dict())
    _meet(team)
    module.load_state_dict(torch.load(file, weights_only=True))


def _write(file: Path, state: object) -> None:
    import torch

    half = file.with_name(file.name + ".part")  # not the name of another process
    torch.save(state, half)
    half.replace(file)


def _train_vae(vae: Any, team: Team) -> None:
    autoencoder.train(vae, VAE_STEPS, SEED, team, Bar("autoencoder", VAE_STEPS, shown=team.rank == 0))


def _polish(vae: Any, team: Team) -> None:
    autoencoder.polish(vae, POLISH_STEPS, SEED, team, Bar("decoder", POLISH_STEPS, shown=team.rank == 0))


def _read(reading: flow.Reading, reader: captions.Reader, team: Team) -> None:
    flow.learn_to_read(reading, reader, READING_STEPS, SEED, team, Bar("reading", READING_STEPS, shown=team.rank == 0))


def _pools(folder: Path, vae: Any, team: Team) -> Pools:
    """Scenes of every size with their latents: painted and encoded once, each by one of the team in parts."""
    return [(share, _pool(folder, width, height, count, vae, team)) for width, height, count, share in SIZES]


def _pool(folder: Path, width: int, height: int, count: int, vae: Any, team: Team) -> batches.Pool:
    import torch

    rng = random.Random(f"{SEED}-{width}x{height}")
    scenes = [sample(rng) for _ in range(count)]
    rolled = [Dice.roll(_chance(number)) for number in range(count)]

    def edges(numbers: range) -> Tensor:
        return layout.edges([plan(scenes[one], rolled[one], width, height) for one in numbers], width, height)

    latents = _latents(folder / f"pool-{width}x{height}.pt", scenes, width, height, vae, team)
    distances = _made_together(folder / f"edges-{width}x{height}.pt", count, edges, team)
    dice = torch.tensor([one.faces for one in rolled]).clamp(1e-4, 1 - 1e-4)
    return batches.Pool(scenes, latents, dice, layout.Layouts.of(scenes, rolled, width, height, distances))


def _chance(index: int) -> random.Random:
    """What paints scene `index` of a pool."""
    return random.Random(f"{SEED}-{index}")


def _latents(file: Path, scenes: list[Scene], width: int, height: int, vae: Any, team: Team) -> Tensor:
    """Every scene painted and encoded, (scenes, 16, height / 8, width / 8) in bfloat16."""
    import numpy as np
    import torch

    def make(numbers: range) -> Tensor:
        painted = np.stack([paint(scenes[number], _chance(number), width, height) for number in numbers])
        pixels = torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return autoencoder.encode(vae, pixels).bfloat16()

    return _made_together(file, len(scenes), make, team)


def _made_together(file: Path, count: int, make: Callable[[range], Tensor], team: Team) -> Tensor:
    """What `make` gives for the scenes up to `count`, some at once; each of the team makes a part, `file` keeps it."""
    import torch

    if not file.exists():
        tell = Bar(file.stem, count // AT_ONCE, shown=team.rank == 0)
        parts = []
        for start in range(team.rank * AT_ONCE, count, team.size * AT_ONCE):
            parts.append((start, make(range(start, min(start + AT_ONCE, count)))))
            tell(start // AT_ONCE, 0.0)
        _write(file.with_suffix(f".{team.rank}"), parts)
        _meet(team)
        if team.rank == 0:
            mine = [file.with_suffix(f".{rank}") for rank in range(team.size)]
            shares = [one for part in mine for one in torch.load(part, weights_only=True)]
            _write(file, torch.cat([made for _, made in sorted(shares, key=lambda one: one[0])]))
            for part in mine:
                part.unlink()
        _meet(team)
    kept: Tensor = torch.load(file, weights_only=True)
    return kept


def _meet(team: Team) -> None:
    """Wait until everybody of the team is here."""
    import torch

    if team.size > 1:
        torch.distributed.barrier()


def _train_flow(training: flow.Training, reader: captions.Reader, pools: Pools, folder: Path, steps: int) -> None:
    file, team = folder / "flow.pt", training.team
    rng = _go_on(training, file, "flow")
    tell = Bar("flow", steps, shown=team.rank == 0)
    native, every = (batches.batches(some, reader, rng, team) for some in (pools[:1], pools))
    if training.step < steps and team.rank == 0:
        (folder / "guided.pt").unlink(missing_ok=True)  # what an earlier flow taught
    while training.step < steps:
        # Figures first, where they cost least; the other sizes are learned quickly once figures are known.
        batch = next(native if training.step < NATIVE_PART * steps else every)
        tell(training.step, **training.learn(batch, pace(training.step, steps)))
        _keep(training, file, last=training.step == steps)


def _train_guided(training: flow.Training, reader: captions.Reader, pools: Pools, folder: Path, steps: int) -> None:
    """Learn from the model that the flow left."""
    file, team = folder / "guided.pt", training.team
    teacher = guided.Teacher(training, reader)
    training.begin_again()
    rng = _go_on(training, file, "guided")
    tell = Bar("guided", steps, shown=team.rank == 0)
    taught = batches.batches(pools, reader, rng, team, plainly=True)
    while training.step < steps:
        falling = GUIDED_PACE * min(1.0, (training.step + 1) / flow.WARM_UP, (steps - training.step) / steps)
        tell(training.step, **training.learn(next(taught), falling, teacher))
        _keep(training, file, last=training.step == steps)


def _go_on(training: flow.Training, file: Path, stage: str) -> random.Random:
    """Restore what `file` keeps, if it is there, and seed what is to come."""
    import torch

    if file.exists():
        training.restore(torch.load(file, weights_only=True))
    chance = f"{stage}-{SEED}-{training.step}-{training.team.rank}"
    torch.manual_seed(zlib.crc32(chance.encode()))
    return random.Random(chance)


def _keep(training: flow.Training, file: Path, *, last: bool) -> None:
    if training.team.rank == 0 and (last or training.step % SAVE_EVERY == 0):
        _write(file, training.state())


def pace(step: int, steps: int) -> float:
    """Share of the full rate: warm up, stay, and fall to nothing over the last third."""
    return min(1.0, (step + 1) / flow.WARM_UP, (steps - step) / (steps / 3))


def save(out: Path, training: flow.Training, tokenizer: Any, vae: Any) -> None:
    """Write the averaged weights as a pipeline folder in bfloat16."""
    import torch
    from diffusers import ZImagePipeline

    transformer, encoder = components.transformer(), components.text_encoder(tokenizer)
    training.averaged_into(transformer, encoder)
    parts: dict[str, Any] = {
        "scheduler": components.scheduler(),
        "text_encoder": encoder.eval(),
        "tokenizer": tokenizer,
        "transformer": transformer.eval(),
        "vae": vae.eval(),
    }
    pipeline: Any = ZImagePipeline(**parts)
    pipeline.to(dtype=torch.bfloat16)
    components.save(pipeline, out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
