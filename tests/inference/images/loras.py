"""Style adapters for tests: small, made of noise, in every layout that is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from inference.images.adapters import model_layers
from inference.images.registry import BUILTIN

Tensors = dict[str, torch.Tensor]

MODULES = ("layers.2.attention.to_q", "layers.2.attention.to_k", "layers.2.attention.to_v", "layers.5.feed_forward.w1")
RANK = 2


def noise(seed: int = 1, size: float = 0.3) -> Tensors:
    """A LoRA as diffusers writes it; the queries, keys and values share what goes into them."""
    generator = torch.Generator().manual_seed(seed)
    shapes = model_layers(BUILTIN)
    downs = {into: (torch.randn(RANK, into, generator=generator) * size).bfloat16() for _, into in shapes.values()}
    made: Tensors = {}
    for module in MODULES:
        out, into = shapes[module]
        made[f"transformer.{module}.lora_A.weight"] = downs[into].clone()
        made[f"transformer.{module}.lora_B.weight"] = (torch.randn(out, RANK, generator=generator) * size).bfloat16()
    return made


def kohya(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The same as kohya's scripts write it, with alphas: half the rank, and twice the weights."""
    made: Tensors = {}
    for name, one in tensors.items():
        module, _, part = name.removeprefix("transformer.").partition(".lora_")
        flat = f"lora_unet_{module.replace('.', '_')}"
        made[f"{flat}.lora_{'down' if part == 'A.weight' else 'up'}.weight"] = 2 * one if part == "A.weight" else one
        made[f"{flat}.alpha"] = torch.tensor(RANK / 2)
    return made


def comfy(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The same under the names of the original model, which keeps queries, keys and values in one layer."""
    made = {name.replace("transformer.", "diffusion_model."): one for name, one in tensors.items()}
    stem = "diffusion_model.layers.2.attention."
    made[f"{stem}qkv.lora_A.weight"] = made[f"{stem}to_q.lora_A.weight"]
    made[f"{stem}qkv.lora_B.weight"] = torch.cat([made[f"{stem}to_{one}.lora_B.weight"] for one in "qkv"])
    return {name: one for name, one in made.items() if ".to_" not in name}


def peft(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The same as peft keeps a model: its alpha stands in adapter_config.json."""
    return {name.replace("transformer.", "base_model.model."): one for name, one in tensors.items()}


def write(file: Path, tensors: Tensors, note: Mapping[str, object] | None = None) -> Path:
    """Write the adapter file, with a note in its header."""
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {name: one if isinstance(one, str) else json.dumps(one) for name, one in (note or {}).items()}
    save_file({name: one.contiguous() for name, one in tensors.items()}, file, told or None)
    return file
