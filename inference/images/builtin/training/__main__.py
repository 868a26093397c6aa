"""Trains the built-in model: paint, autoencoder, reading, flow, save.

    torchrun --nproc-per-node 2 -m inference.images.builtin.training FOLDER [--steps N]

FOLDER keeps what each stage made, so that a run that was stopped goes on where it was; `FOLDER/checkpoint` is the
result. Hours on two cores; it has not been run to its end yet.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.images.builtin import components
from inference.images.builtin.dice import Dice
from inference.images.builtin.painting import paint
from inference.images.builtin.scene import sample

from . import autoencoder, captions, flow
from .layout import Layouts
from .progress import Bar
from .team import Team

SEED = 20261121
VAE_STEPS, POLISH_STEPS, READING_STEPS = 5000, 1500, 2000
FLOW_STEPS = 9000
NATIVE_PART = 0.5  # of the flow steps
SAVE_EVERY = 250
ENCODE_AT_ONCE = 16

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
    _train_flow(training, reader, _pools(folder, vae, team), folder, given.steps)
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
    if team.size > 1:
        torch.distributed.barrier()
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


def _pools(folder: Path, vae: Any, team: Team) -> list[tuple[float, flow.Pool]]:
    """Scenes and their latents for every size: painted and encoded once, each by one of the team in parts."""
    import torch

    pools = []
    for width, height, count, share in SIZES:
        rng = random.Random(f"{SEED}-{width}x{height}")
        scenes = [sample(rng) for _ in range(count)]
        file = folder / f"pool-{width}x{height}.pt"
        latents = _latents(file, scenes, width, height, vae, team)
        rolled = [Dice.roll(_chance(index)) for index in range(count)]
        dice = torch.tensor([one.faces for one in rolled]).clamp(1e-4, 1 - 1e-4)
        pools.append((share, flow.Pool(scenes, latents, dice, Layouts.of(scenes, rolled, width, height))))
    return pools


def _chance(index: int) -> random.Random:
    """What paints scene `index` of a pool."""
    return random.Random(f"{SEED}-{index}")


def _latents(file: Path, scenes: list[Any], width: int, height: int, vae: Any, team: Team) -> Any:
    import numpy as np
    import torch

    if not file.exists():
        tell = Bar(file.stem, len(scenes) // ENCODE_AT_ONCE, shown=team.rank == 0)
        parts = []
        mine = range(team.rank * ENCODE_AT_ONCE, len(scenes), team.size * ENCODE_AT_ONCE)
        for start in mine:
            some = enumerate(scenes[start : start + ENCODE_AT_ONCE], start)
            painted = np.stack([paint(scene, _chance(index), width, height) for index, scene in some])
            pixels = torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 127.5 - 1
            with torch.autocast("cpu", dtype=torch.bfloat16):
                parts.append((start, autoencoder.encode(vae, pixels).bfloat16()))
            tell(start // ENCODE_AT_ONCE, 0.0)
        _write(file.with_suffix(f".{team.rank}"), parts)
        if team.size > 1:
            torch.distributed.barrier()
        if team.rank == 0:
            shares = [torch.load(file.with_suffix(f".{rank}"), weights_only=True) for rank in range(team.size)]
            _write(
                file,
                torch.cat(
                    [part for _, part in sorted((one for share in shares for one in share), key=lambda one: one[0])]
                ),
            )
            for rank in range(team.size):
                file.with_suffix(f".{rank}").unlink()
        if team.size > 1:
            torch.distributed.barrier()
    return torch.load(file, weights_only=True)


def _train_flow(
    training: flow.Training, reader: captions.Reader, pools: list[tuple[float, flow.Pool]], folder: Path, steps: int
) -> None:
    import torch

    state, team = folder / "flow.pt", training.team
    if state.exists():
        training.restore(torch.load(state, weights_only=True))
    first = training.step
    torch.manual_seed(hash((SEED, first, team.rank)))
    rng = random.Random(f"flow-{SEED}-{first}-{team.rank}")
    tell = Bar("flow", steps, shown=team.rank == 0)
    native, every = (flow.batches(some, reader, rng, team) for some in (pools[:1], pools))
    while training.step < steps:
        # Figures first, where they cost least; the other sizes are learned quickly once figures are known.
        batch = next(native if training.step < NATIVE_PART * steps else every)
        tell(training.step, **training.learn(batch, pace(training.step, steps)))
        if team.rank == 0 and training.step % SAVE_EVERY == 0:
            _write(state, training.state())
    if team.rank == 0:
        _write(state, training.state())


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
