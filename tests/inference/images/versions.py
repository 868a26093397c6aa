"""Further versions of the practice model, made by bytes: no torch, milliseconds."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy

from inference.images.checkpoint_files import tensors_of
from inference.images.registry import BUILTIN

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"


def negative(folder: Path) -> Path:
    """A version whose pictures are unlike the practice model's: the signs of its last layer are turned."""
    shutil.copytree(BUILTIN, folder)
    file = folder / VAE
    raw = bytearray(file.read_bytes())
    header = tensors_of(file)
    last = next(one for one in header.tensors if one.name == "decoder.conv_out.weight")
    width = {"BF16": 2, "F16": 2, "F32": 4}[last.dtype]
    for at in range(header.begins + last.start + width - 1, header.begins + last.end, width):
        raw[at] ^= 0x80
    file.write_bytes(raw)
    return folder


def float32(folder: Path, *, shards: int = 1) -> Path:
    """A version whose transformer is stored as float32, with digits that bfloat16 must round."""
    shutil.copytree(BUILTIN, folder)
    file = folder / TRANSFORMER
    raw, header, chance = file.read_bytes(), tensors_of(file), numpy.random.default_rng(7)
    entries: dict[str, tuple[list[int], bytes]] = {}
    for one in header.tensors:
        assert one.dtype == "BF16"
        upper = numpy.frombuffer(raw[header.begins + one.start : header.begins + one.end], dtype="<u2")
        lower = chance.integers(0, 2**16, upper.size, dtype="<u4")
        data = (upper.astype("<u4") << 16 | lower).astype("<u4").tobytes()
        entries[one.name] = (list(one.shape), data)
    if shards == 1:
        write(file, entries)
        return folder
    file.unlink()
    names = sorted(entries)
    weight_map: dict[str, str] = {}
    for number in range(shards):
        part = f"diffusion_pytorch_model-{number + 1:05}-of-{shards:05}.safetensors"
        mine = names[number::shards]
        write(file.with_name(part), {name: entries[name] for name in mine})
        weight_map |= dict.fromkeys(mine, part)
    total = sum(len(data) for _, data in entries.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    file.with_name(file.name + ".index.json").write_text(json.dumps(index))
    return folder


def hollow(folder: Path) -> Path:
    """A folder that looks whole to whoever loads nothing: every tensor is there, with one number in it."""
    shutil.copytree(BUILTIN, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    for file in BUILTIN.rglob("*.safetensors"):
        names = [one.name for one in tensors_of(file).tensors]
        write(folder / file.relative_to(BUILTIN), {name: ([1], b"\0\0") for name in names}, dtype="BF16")
    return folder


def write(file: Path, entries: dict[str, tuple[list[int], bytes]], dtype: str = "F32") -> None:
    """A safetensors file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (shape, data) in entries.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, data in entries.values()))
