"""What models need, from their headers: against checkpoints of known sizes."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import pytest

from inference.gpu.needs import image_need, text_need
from inference.images.checkpoint_files import BrokenFileError
from inference.images.registry import BUILTIN

BYTES = {"BF16": 2, "F32": 4, "I32": 4, "F8_E4M3": 1}
QWEN = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}


def weights(file: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    """A safetensors file of zeros, with a hole instead of them: it takes no disk."""
    header, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = prod(shape) * BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + end)


def language_model(folder: Path, config: dict[str, Any], dtype: str = "BF16") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    weights(folder / "model-00001-of-00002.safetensors", {"a": (dtype, [1000, 1000])})
    weights(folder / "model-00002-of-00002.safetensors", {"b": ("I32", [1000, 500])})
    return folder


def test_the_practice_model(tmp_path: Path) -> None:
    need = image_need(BUILTIN)
    on_disk = sum(file.stat().st_size for file in BUILTIN.rglob("*.safetensors"))
    assert need.weights("none") == pytest.approx(on_disk, rel=0.05)
    assert need.width < 1000
    wide = image_need(BUILTIN, "float32")
    assert (wide.weights("none"), wide.element) == (2 * need.weights("none"), 4)
    small = image_need(BUILTIN, "bfloat16", "fp8")
    assert (small.transformer * 2, small.text_encoder) == (need.transformer, need.text_encoder)


@pytest.mark.parametrize(
    ("config", "token"),
    [
        (QWEN, 147_456),  # Qwen3-8B: 144 KiB
        ({**QWEN, "num_hidden_layers": 28, "num_key_value_heads": 4}, 57_344),  # Qwen2.5-7B: 56 KiB
        ({"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 256}, 2 * 2 * 4 * 64 * 2),
        ({"text_config": QWEN}, 147_456),
    ],
)
def test_a_language_model(tmp_path: Path, config: dict[str, Any], token: int) -> None:
    need = text_need(language_model(tmp_path / "m", config))
    assert (need.weights, need.token) == (2_000_000 + 2_000_000, token)


def test_what_is_stored_wide_is_kept_narrow(tmp_path: Path) -> None:
    assert text_need(language_model(tmp_path / "m", QWEN, "F32")).weights == 4_000_000


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**QWEN, "num_hidden_layers": "many"}, 'num_hidden_layers "many"'),
        ({"num_hidden_layers": 2}, "num_attention_heads null"),
        ({"num_hidden_layers": 2, "num_attention_heads": 4}, "hidden_size null"),
    ],
)
def test_a_configuration_that_does_not_say(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    with pytest.raises(BrokenFileError, match=said):
        text_need(language_model(tmp_path / "m", config))


def test_a_folder_without_weights(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    with pytest.raises(BrokenFileError, match=r"no \*\.safetensors"):
        text_need(tmp_path)
    with pytest.raises(BrokenFileError):
        image_need(tmp_path)
