"""float32 weights stored as bfloat16: the numbers that torch makes, in bounded memory, and the very same pictures."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from inference.images.checkpoint_files import read_header, tensors_of
from inference.images.store import pull, resave
from inference.images.store.parts import in_folder
from inference.images.zimage import ZImageModel
from inference.requests import ImageRequest
from storage.records import utcnow
from tests.inference.images import versions

#: Ties both ways, the largest number, infinity, NaN (also one that rounding would make infinite), tiny ones, zeros.
ODD = [
    0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000,
    0x7FC00000, 0x7F800001, 0xFFFFFFFF, 0x00000001, 0x80000001, 0x00008000, 0x00018000, 0x00000000, 0x80000000,
]  # fmt: skip


class Nobody:
    def cancelled(self, index: int) -> bool:
        return False

    def step(self, index: int, done: int, total: int) -> None:
        """Nobody is told."""

    def preview(self, index: int) -> Any:
        return None


def pixels(folder: Path) -> bytes:
    model = ZImageModel.load(folder, name="x", builtin=True, device="cpu")
    request = ImageRequest(prompt="a red cube", width=64, height=64, steps=8, seed=7)
    (result,) = model.generate([request], Nobody())
    model.close()
    assert result is not None
    return result.image.tobytes()


def test_numbers_are_rounded_as_torch_rounds_them() -> None:
    import torch

    chance = torch.Generator().manual_seed(1)
    bits = torch.randint(-(2**31), 2**31, (100_000,), generator=chance, dtype=torch.int64)
    numbers = torch.cat([bits, torch.tensor(ODD)]).to(torch.int32)
    expected = numbers.view(torch.float32).to(torch.bfloat16)
    found = torch.frombuffer(bytearray(resave.bfloat16(numbers.numpy().tobytes())), dtype=torch.bfloat16)
    nan = expected.isnan()
    assert (found.isnan() == nan).all()
    assert (found[~nan].view(torch.int16) == expected[~nan].view(torch.int16)).all()


def test_a_resaved_checkpoint_draws_what_the_original_draws(tmp_path: Path) -> None:
    original = versions.float32(tmp_path / "fp32", shards=3)
    plan = pull.prepare(tmp_path / "models", in_folder(original), "turbo")
    lock = pull.execute(plan, utcnow())
    kept = tmp_path / "models" / "turbo"
    assert lock.converted == ("transformer",)
    old, new = (sum(file.stat().st_size for file in (root / "transformer").glob("*")) for root in (original, kept))
    assert new / old == pytest.approx(0.5, abs=0.01)
    for file in (kept / "transformer").glob("*.safetensors"):
        assert {tensor.dtype for tensor in tensors_of(file).tensors} == {"BF16"}
    index = json.loads((kept / "transformer" / "diffusion_pytorch_model.safetensors.index.json").read_text())
    files = [tensors_of(file) for file in (kept / "transformer").glob("*.safetensors")]
    assert index["metadata"]["total_size"] == sum(one.tensors[-1].end for one in files)
    assert len(index["weight_map"]) == sum(len(one.tensors) for one in files)
    assert pixels(kept) == pixels(original)


def test_as_it_is_when_that_is_wished(tmp_path: Path) -> None:
    original = versions.float32(tmp_path / "fp32")
    plan = pull.prepare(tmp_path / "models", in_folder(original), "turbo", keep_dtype=True)
    assert pull.execute(plan, utcnow()).converted == ()
    assert (plan.target / versions.TRANSFORMER).read_bytes() == (original / versions.TRANSFORMER).read_bytes()


def test_a_large_tensor_is_never_read_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resave, "PIECE", 1000)
    monkeypatch.setattr(resave, "COPIED", 1000)
    sizes = {"a": ("F32", 10_001, 4), "b": ("BF16", 5_003, 2), "c": ("F32", 1, 4)}
    header: dict[str, Any] = {}
    end = 0
    for name, (dtype, count, width) in sizes.items():
        header[name] = {"dtype": dtype, "shape": [count], "data_offsets": [end, end + count * width]}
        end += count * width
    text = json.dumps(header).encode()
    raw = struct.pack("<Q", len(text)) + text + bytes(range(256)) * (end // 256) + bytes(end % 256)
    found = read_header(io.BytesIO(raw), len(raw), "x")

    class Sparing(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            assert count is not None
            assert 0 < count <= 4000, "bounded memory"
            return super().read(min(count, 700))  # as an archive may give it

    stream = Sparing(raw[found.begins :])
    new = b"".join(resave.converted(stream, found))
    assert len(new) == resave.size_of(found)
    written = read_header(io.BytesIO(new), len(new), "y")
    assert [(one.name, one.dtype, one.shape) for one in written.tensors] == [
        ("a", "BF16", (10_001,)), ("b", "BF16", (5_003,)), ("c", "BF16", (1,))
    ]  # fmt: skip
    kept = written.tensors[1]
    was = found.tensors[1]
    assert new[written.begins + kept.start : written.begins + kept.end] == raw[found.begins :][was.start : was.end]
