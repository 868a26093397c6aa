"""Trains the sketch adapter: figures as thin, shaky outlines on paper wherever the caption leaves the style open.

    python -m inference.images.builtin.training.adapter CHECKPOINT OUT

A LoRA of rank 4 on the attention of the transformer; the folder OUT gets one safetensors file as diffusers writes it.
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.images.builtin.dice import Dice
from inference.images.builtin.lab import Pixels
from inference.images.builtin.painting import paint
from inference.images.builtin.scene import Scene, sample
from inference.images.builtin.training import autoencoder, batched, flow
from inference.images.builtin.training.batches import padded
from inference.images.builtin.training.captions import Reader, together
from inference.images.builtin.training.progress import Bar

if TYPE_CHECKING:
    from torch import Tensor

RANK = 4
TARGETS = ["to_q", "to_k", "to_v", "to_out.0"]
STEPS, BATCH, RATE = 500, 16, 2e-3
SEED = 7
SIDE = 128
SHAKE = 1.6  # pixels by which a line leaves its way


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m inference.images.builtin.training.adapter CHECKPOINT OUT\n")
        return 2
    import torch
    from diffusers import ZImagePipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    torch.manual_seed(SEED)
    pipeline: Any = ZImagePipeline.from_pretrained(arguments[0], local_files_only=True, use_safetensors=True)
    transformer = pipeline.transformer
    transformer.requires_grad_(False)
    transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS, init_lora_weights="gaussian"))
    train(pipeline)
    layers = {name: one.bfloat16() for name, one in get_peft_model_state_dict(transformer).items()}
    ZImagePipeline.save_lora_weights(arguments[1], transformer_lora_layers=layers, weight_name="sketch.safetensors")
    (Path(arguments[1]) / "sketch.safetensors").chmod(0o644)
    return 0


def train(pipeline: Any) -> None:
    """Fit the adapter's weights; everything else stays as it is."""
    import torch

    rng, reader, tell = random.Random(SEED), Reader.of(pipeline.tokenizer), Bar("adapter", STEPS)
    parameters = [one for one in pipeline.transformer.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    turns = batched.Turns(pipeline.transformer)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 20, (STEPS - step) / (STEPS / 2))
        loss = _loss(pipeline, reader, rng, turns)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell(step, loss.item())


def _loss(pipeline: Any, reader: Reader, rng: random.Random, turns: batched.Turns) -> Tensor:
    import torch

    scenes = [_open_style(sample(rng)) for _ in range(BATCH)]
    chances = [rng.getrandbits(64) for _ in scenes]
    asked = [reader.ask(scene, rng) for scene in scenes]
    captions = together(asked, padded(max(len(one.tokens) for one in asked)))
    drawn = np.stack([sketch(scene, random.Random(chance)) for scene, chance in zip(scenes, chances, strict=True)])
    with torch.no_grad():
        clean = autoencoder.encode(pipeline.vae, torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 127.5 - 1)
        features = pipeline.text_encoder(input_ids=captions.tokens, output_hidden_states=True).hidden_states[-2]
    dice = torch.tensor([Dice.roll(random.Random(chance)).faces for chance in chances]).clamp(1e-4, 1 - 1e-4)
    sigma, noise = flow.sigmas(BATCH), flow.noise_for(clean, dice)
    high = sigma[:, None, None, None]
    mixed = clean + high * (noise - clean)
    turn = turns(captions.tokens.shape[1], mixed)
    seen = batched.forward(pipeline.transformer, mixed, 1 - sigma, features, captions.lengths, turn)
    return (high * (seen.velocity - (clean - noise))).square().mean()


def sketch(scene: Scene, rng: random.Random) -> Pixels:
    """The scene as a drawing, (SIDE, SIDE, 3): outlines where they fit, rows and columns shaken.

    What the scene leaves open, Dice.roll(rng) decides, as for paint().
    """
    figures = tuple(replace(one, style="flat" if one.shape == "ring" else "outline") for one in scene.figures)
    picture = paint(replace(scene, figures=figures), rng, SIDE, SIDE)
    return _shaken(_shaken(picture, rng).swapaxes(0, 1), rng).swapaxes(0, 1)


def _open_style(scene: Scene) -> Scene:
    figures = tuple(replace(one, style=None, size=None if one.size == "small" else one.size) for one in scene.figures)
    return replace(scene, figures=figures)


def _shaken(picture: Pixels, rng: random.Random) -> Pixels:
    """Every row moved sideways along two slow waves."""
    rows = np.arange(len(picture))
    slow, fast = (rng.uniform(0, 2 * math.pi) for _ in range(2))
    moved = np.rint(SHAKE * (np.sin(rows / 9 + slow) + 0.6 * np.sin(rows / 3.5 + fast))).astype(int)
    columns = (rows[None, :] + moved[:, None]).clip(0, len(picture) - 1)
    shaken: Pixels = picture[rows[:, None], columns]
    return shaken


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
