"""A machine with a graphics card and large models, pretended: a driver that is a script, weights that are holes."""

from __future__ import annotations

import json
import os
import struct
from math import prod
from pathlib import Path

import pytest

QWEN = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}


def checkpoint(folder: Path, gigabytes: float) -> Path:
    """A language model of this size; its weights are a hole in the file and take no disk."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(QWEN))
    (folder / "tokenizer.json").write_text("{}")
    shape = [1000, int(gigabytes * 500_000)]
    header = json.dumps({"w": {"dtype": "BF16", "shape": shape, "data_offsets": [0, prod(shape) * 2]}}).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + prod(shape) * 2)
    return folder


def write(config: Path, text: str, image: str = "{}") -> None:
    (config / "model.yaml").write_text(f"image: {image}\ntext: {text}\n", encoding="utf-8")


def driver(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An nvidia-smi in `folder` that tells of an RTX 4090, and main memory enough."""
    folder.mkdir()
    program = folder / "nvidia-smi"
    shares, plain = "0, GPU-5ad4, NVIDIA GeForce RTX 4090, 24564, 347, 412", "NVIDIA GeForce RTX 4090, 24564 MiB, 590"
    program.write_text(f'#!/bin/sh\ncase "$1" in *reserved*) echo "{shares}";; *) echo "{plain}";; esac\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("bot.sharing.free_memory", lambda: 64e9)
