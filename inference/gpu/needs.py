"""What the models that are configured need, read from the headers of their files: no torch, no weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from inference.images.checkpoint_files import BrokenFileError, Tensor, read_json, tensors_of
from inference.images.memory import GIB, Need
from inference.images.preflight import WEIGHTS, weight_files

ELEMENT = {"bfloat16": 2, "float32": 4}
SEARCHING = GIB // 2  # bytes beside the weights of a model that makes vectors or ranks
CACHE_ELEMENT = 2  # bytes of a number in the cache: bf16
FLOATS = frozenset({"F32", "F64"})  # stored wider than any engine keeps them


@dataclass(frozen=True, kw_only=True, slots=True)
class TextNeed:
    """What a language model is made of. Bytes."""

    weights: int
    token: int  # of the cache (keys and values), for each token of a question and its answer


def image_need(path: Path, dtype: str = "bfloat16", quantization: str = "none") -> Need:
    """What the checkpoint folder of an image model will take. Raises BrokenFileError."""
    element = ELEMENT.get(dtype, 2)
    numbers = {part: _numbers(path / part, single) for part, single in WEIGHTS.items()}
    return Need(
        text_encoder=numbers["text_encoder"] * element,
        transformer=numbers["transformer"] * (1 if quantization == "fp8" else element),
        vae=numbers["vae"] * element,
        width=_whole(read_json(path / "transformer" / "config.json"), "dim", path),
        vae_channels=_first(read_json(path / "vae" / "config.json"), path),
        element=element,
    )


def text_need(path: Path) -> TextNeed:
    """What the checkpoint folder of a language model will take. Raises BrokenFileError."""
    config = read_json(path / "config.json")
    config = config.get("text_config") or config
    heads = _whole(config, "num_attention_heads", path)
    wide = config.get("head_dim") or _whole(config, "hidden_size", path) // heads
    kept = config.get("num_key_value_heads") or heads
    layers = _whole(config, "num_hidden_layers", path)
    return TextNeed(
        weights=_stored(path),
        token=2 * layers * int(kept) * int(wide) * CACHE_ELEMENT,
    )


def search_need(path: Path) -> int:
    """Bytes that a model of the search takes, computing included. Raises BrokenFileError."""
    return _stored(path) + SEARCHING


def _stored(path: Path) -> int:
    """Bytes of the weights that lie in a folder. Raises BrokenFileError."""
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise BrokenFileError(f"{path} has no *.safetensors.", "Download the whole checkpoint folder again.")
    return sum(_held(tensor) for file in files for tensor in tensors_of(file).tensors)


def _numbers(folder: Path, single: str) -> int:
    """How many numbers a component's weights are."""
    return _count(tensor for file in weight_files(folder, single) for tensor in tensors_of(file).tensors)


def _count(tensors: Iterable[Tensor]) -> int:
    return sum(prod(tensor.shape) for tensor in tensors)


def _held(tensor: Tensor) -> int:
    """Bytes of a tensor on the card: engines keep wide floats in 16 bits, everything else as it is stored."""
    return prod(tensor.shape) * 2 if tensor.dtype in FLOATS else tensor.end - tensor.start


def _whole(config: dict[str, Any], key: str, path: Path) -> int:
    value = config.get(key)
    if not isinstance(value, int) or value < 1:
        raise BrokenFileError(f"{path}: its configuration has {key} {json.dumps(value)}, not a number.")
    return value


def _first(config: dict[str, Any], path: Path) -> int:
    channels = config.get("block_out_channels")
    if not isinstance(channels, list) or not channels or not isinstance(channels[0], int):
        raise BrokenFileError(f"{path / 'vae' / 'config.json'} does not say how wide the decoder is.")
    return channels[0]
