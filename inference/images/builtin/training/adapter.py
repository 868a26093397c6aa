"""Trains the adapter 手绘线条 (sketch): figures as shaky coloured lines wherever the caption leaves the style open.

    nice python -m inference.images.builtin.training.adapter CHECKPOINT OUT

A LoRA of rank 4 on the layers of the transformer; OUT gets sketch.safetensors as diffusers writes it, and state.pt,
from which the same command goes on after a break. 20 minutes on one core.

The model without the adapter is the teacher: what it says when the caption asks for outlines, and some way further from
what it says when it does not, is what the adapter learns to say without being asked. Fitted to painted pictures instead
it unlearned what guided.py had put into the weights: 56 % of the colours and 64 % of the shapes were right.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.images.builtin.dice import Dice
from inference.images.builtin.painting import paint
from inference.images.builtin.scene import Scene, sample
from inference.images.builtin.training import autoencoder, batched, flow
from inference.images.builtin.training.batches import padded
from inference.images.builtin.training.captions import Reader, together
from inference.images.builtin.training.progress import Bar

if TYPE_CHECKING:
    from torch import Tensor

FILE = "sketch.safetensors"
RANK = 4
TARGETS = r"layers\.\d\.(attention\.(to_q|to_k|to_v|to_out\.0)|feed_forward\.w[123])"
STEPS, RATE, SEED = 600, 1.5e-3, 7
SIZES = ((128, 8), (128, 8), (256, 2))  # side and batch, in turn
KEEP = 50  # steps between two savings
FURTHER = 0.7  # how much beyond the teacher's outlines, as a share of what they differ from its filled figures


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m inference.images.builtin.training.adapter CHECKPOINT OUT\n")
        return 2
    import torch
    from diffusers import ZImagePipeline
    from peft import LoraConfig

    torch.manual_seed(SEED)
    pipeline: Any = ZImagePipeline.from_pretrained(arguments[0], local_files_only=True, use_safetensors=True)
    transformer = pipeline.transformer
    transformer.requires_grad_(False)
    transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=TARGETS, init_lora_weights="gaussian"))
    out = Path(arguments[1])
    out.mkdir(parents=True, exist_ok=True)
    train(pipeline, out)
    return 0


def train(pipeline: Any, out: Path) -> None:
    """Fit the adapter's weights; everything else stays as it is. Goes on from what `out` holds."""
    import torch

    reader, tell = Reader.of(pipeline.tokenizer), Bar("adapter", STEPS)
    parameters = [one for one in pipeline.transformer.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.0)
    turns = batched.Turns(pipeline.transformer)
    for step in range(_taken_up(out, parameters, optimizer), STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 20, (STEPS - step) / (STEPS / 2))
        rng = random.Random(f"{SEED} {step}")  # so that a break changes nothing
        torch.manual_seed(rng.getrandbits(32))
        loss = _loss(pipeline, reader, rng, turns, *SIZES[step % len(SIZES)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        tell(step, loss.item())
        if (step + 1) % KEEP == 0 or step + 1 == STEPS:
            torch.save({"step": step + 1, "weights": parameters, "optimizer": optimizer.state_dict()}, out / "state.pt")
            _save(pipeline, out)


def _taken_up(out: Path, parameters: list[Any], optimizer: Any) -> int:
    """The step to begin with."""
    import torch

    if not (out / "state.pt").exists():
        return 0
    state = torch.load(out / "state.pt", weights_only=True)
    with torch.no_grad():
        for one, kept in zip(parameters, state["weights"], strict=True):
            one.copy_(kept)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(pipeline: Any, out: Path) -> None:
    from peft.utils import get_peft_model_state_dict

    layers = {name: one.bfloat16() for name, one in get_peft_model_state_dict(pipeline.transformer).items()}
    pipeline.save_lora_weights(str(out), transformer_lora_layers=layers, weight_name=FILE)
    (out / FILE).chmod(0o644)


def _loss(pipeline: Any, reader: Reader, rng: random.Random, turns: batched.Turns, side: int, batch: int) -> Tensor:
    import torch

    scenes = [sample(rng) for _ in range(batch)]
    chances = [rng.getrandbits(64) for _ in scenes]
    pairs = list(zip(map(outlined, scenes), chances, strict=True))
    painted = np.stack([paint(scene, random.Random(chance), side, side) for scene, chance in pairs])
    pixels = torch.from_numpy(painted).permute(0, 3, 1, 2).float() / 127.5 - 1
    clean = autoencoder.encode(pipeline.vae, pixels)
    dice = torch.tensor([Dice.roll(random.Random(chance)).faces for chance in chances]).clamp(1e-4, 1 - 1e-4)
    sigma, noise = flow.sigmas(batch), flow.noise_for(clean, dice)
    high = sigma[:, None, None, None]
    mixed = clean + high * (noise - clean)

    def said(asked: list[Scene], *, plainly: bool) -> Tensor:
        """What the model says: picture - noise."""
        read = [reader.ask(scene, rng, plainly=plainly) for scene in asked]
        captions = together(read, padded(max(len(one.tokens) for one in read)))
        with torch.no_grad():
            features = pipeline.text_encoder(input_ids=captions.tokens, output_hidden_states=True).hidden_states[-2]
        turn = turns(captions.tokens.shape[1], mixed)
        return batched.forward(pipeline.transformer, mixed, 1 - sigma, features, captions.lengths, turn).velocity

    with torch.no_grad():
        pipeline.transformer.disable_adapters()
        lines, filled = (said(list(map(style, scenes)), plainly=True) for style in (outlined, opened))
        pipeline.transformer.enable_adapters()
    taught = lines + FURTHER * (lines - filled)
    return (high * (said(list(map(opened, scenes)), plainly=False) - taught)).square().mean()


def outlined(scene: Scene) -> Scene:
    """The scene drawn in lines, as far as the painter can: a ring is one already, and small figures would be filled."""
    figures = (replace(one, style="flat" if one.shape == "ring" else "outline") for one in opened(scene).figures)
    return replace(scene, figures=tuple(figures))


def opened(scene: Scene) -> Scene:
    """The scene without a word on its style."""
    figures = (replace(one, style=None, size=None if one.size == "small" else one.size) for one in scene.figures)
    return replace(scene, figures=tuple(figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
