"""Every way in which a checkpoint folder can be broken, on broken copies of the built-in one."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.errors import ModelUnavailable
from inference.images.preflight import preflight
from inference.images.registry import BUILTIN

TRANSFORMER = "transformer/diffusion_pytorch_model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 24000000000\n"


def change(name: str, edit: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """Edit the JSON file `name` of a checkpoint."""

    def apply(folder: Path) -> None:
        content = json.loads((folder / name).read_text())
        edit(content)
        (folder / name).write_text(json.dumps(content))

    return apply


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return apply


def remove(name: str) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        target = folder / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return apply


def cut(name: str, by: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        file = folder / name
        file.write_bytes(file.read_bytes()[:-by])

    return apply


def shard(folder: Path) -> None:
    """Cut the transformer's only file into an index with one shard, as large checkpoints have it."""
    file = folder / TRANSFORMER
    part = "diffusion_pytorch_model-00001-of-00001.safetensors"
    raw = file.read_bytes()
    names = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])
    file.rename(file.with_name(part))
    index = {"weight_map": {name: part for name in names if name != "__metadata__"}}
    file.with_name(file.name + ".index.json").write_text(json.dumps(index))


def shard_and(then: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        shard(folder)
        then(folder)

    return apply


def template_in_config(folder: Path) -> None:
    template = (folder / "tokenizer/chat_template.jinja").read_text()
    (folder / "tokenizer/chat_template.jinja").unlink()
    change("tokenizer/tokenizer_config.json", lambda config: config.update(chat_template=template))(folder)


INDEX = TRANSFORMER + ".index.json"
SHARD = "transformer/diffusion_pytorch_model-00001-of-00001.safetensors"

BROKEN = [
    ("no index", remove("model_index.json"), ["model_index.json", "missing"]),
    ("index garbage", write("model_index.json", b"<html>"), ["model_index.json", "JSON"]),
    ("index not text", write("model_index.json", b"\xff\xfe\x00"), ["model_index.json", "JSON"]),
    ("index a list", write("model_index.json", b"[]"), ["model_index.json", "object"]),
    ("another pipeline", change("model_index.json", lambda i: i.update(_class_name="FluxPipeline")), ["FluxPipeline"]),
    ("foreign class", change("model_index.json", lambda i: i.update(vae=["evil", "AutoencoderKL"])), ["evil", "vae"]),
    ("component not named", change("model_index.json", lambda i: i.pop("scheduler")), ["scheduler"]),
    ("no vae", remove("vae"), ["vae", "missing"]),
    ("no scheduler", remove("scheduler"), ["scheduler", "missing"]),
    ("no tokenizer", remove("tokenizer"), ["tokenizer", "missing"]),
    ("no transformer config", remove("transformer/config.json"), ["transformer/config.json", "missing"]),
    ("config garbage", write("text_encoder/config.json", b"{"), ["text_encoder/config.json", "JSON"]),
    ("no scheduler config", remove("scheduler/scheduler_config.json"), ["scheduler_config.json", "missing"]),
    ("no weights", remove(TRANSFORMER), [TRANSFORMER, "missing"]),
    ("empty weights", write(TRANSFORMER, b""), [TRANSFORMER, "empty"]),
    ("few bytes", write(TRANSFORMER, b"abc"), [TRANSFORMER, "not a safetensors"]),
    ("header cut", write(TRANSFORMER, struct.pack("<Q", 5000) + b"{"), [TRANSFORMER, "cut off"]),
    ("header garbage", write(TRANSFORMER, struct.pack("<Q", 4) + b"abcd"), [TRANSFORMER, "header"]),
    ("header of no tensors", write(TRANSFORMER, struct.pack("<Q", 8) + b'{"a": 1}'), [TRANSFORMER, "header"]),
    ("truncated by one byte", cut("vae/diffusion_pytorch_model.safetensors", 1), ["vae", "bytes"]),
    ("truncated by half", cut(TRANSFORMER, 600_000), [TRANSFORMER, "bytes"]),
    ("lfs weights", write(TRANSFORMER, POINTER), [TRANSFORMER, "git-lfs"]),
    ("lfs tokenizer", write("tokenizer/tokenizer.json", POINTER), ["tokenizer.json", "git-lfs"]),
    ("shard missing", shard_and(remove(SHARD)), [SHARD, "missing"]),
    ("shard truncated", shard_and(cut(SHARD, 10)), [SHARD, "bytes"]),
    ("index names no shards", shard_and(write(INDEX, b'{"weight_map": {}}')), [INDEX, "shards"]),
    ("index leaves the folder", shard_and(write(INDEX, b'{"weight_map": {"a": "../x.safetensors"}}')), [INDEX]),
    ("layers lacking", change("transformer/config.json", lambda c: c.update(n_layers=7)), ["layers.6", "transformer"]),
    ("refiner lacking", change("transformer/config.json", lambda c: c.update(n_refiner_layers=2)), ["refiner.1"]),
    ("layer count odd", change("transformer/config.json", lambda c: c.update(n_layers="two")), ["n_layers", "'two'"]),
    (
        "encoder layers lacking",
        change("text_encoder/config.json", lambda c: c.update(num_hidden_layers=36)),
        ["layers.5", "text_encoder"],
    ),
    (
        "empty tokenizer",
        change("tokenizer/tokenizer.json", lambda t: t["model"].update(vocab={"a": 0})),
        ["tokenizer", "at most one token"],
    ),
    ("no tokenizer.json", remove("tokenizer/tokenizer.json"), ["tokenizer.json", "missing"]),
    ("no template", remove("tokenizer/chat_template.jinja"), ["tokenizer", "chat template"]),
    ("blank template", write("tokenizer/chat_template.jinja", b" \n"), ["chat template"]),
    *((f"a {kind} file", write(f"vae/weights{kind}", b"x"), [f"weights{kind}", "code"])
      for kind in (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".py", ".PKL")),
]  # fmt: skip

WHOLE: list[tuple[str, Callable[[Path], None]]] = [
    ("as built", lambda folder: None),
    ("sharded", shard),
    ("template in the tokenizer's config", template_in_config),
    (
        "causal language model",
        change("model_index.json", lambda i: i.update(text_encoder=["transformers", "Qwen3ForCausalLM"])),
    ),
    ("pictures beside it", write("example.webp", b"RIFF")),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUILTIN, tmp_path / "checkpoint"))


@pytest.mark.parametrize(("name", "break_it", "says"), BROKEN, ids=[row[0] for row in BROKEN])
def test_every_fault_is_found_with_its_file_and_next_step(
    folder: Path, name: str, break_it: Callable[[Path], None], says: list[str]
) -> None:
    break_it(folder)
    found = preflight(folder)
    assert not found.ok, name
    assert any(all(word in problem.problem for word in says) for problem in found.problems), found.problems
    assert len(found.problems) <= 2, found.problems
    assert all(problem.next_step for problem in found.problems)


@pytest.mark.parametrize(("name", "prepare"), WHOLE, ids=[row[0] for row in WHOLE])
def test_whole_checkpoints_pass(folder: Path, name: str, prepare: Callable[[Path], None]) -> None:
    prepare(folder)
    found = preflight(folder)
    assert found.problems == (), name
    assert found.weight_bytes == pytest.approx(13_594_062, abs=5_000)
    found.require()


def test_a_missing_folder_and_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "does not exist" in preflight(tmp_path / "none").problems[0].problem
    assert "not a folder" in preflight(tmp_path / "file").problems[0].problem


@pytest.mark.parametrize("dtype", ["float16", "fp16", "int8", ""])
def test_only_number_formats_that_draw_are_taken(dtype: str) -> None:
    (problem,) = preflight(BUILTIN, dtype=dtype).problems
    assert ("black" in problem.problem) == (dtype in ("float16", "fp16"))
    assert "bfloat16" in problem.next_step


def test_several_faults_are_told_at_once(folder: Path) -> None:
    remove("vae")(folder)
    remove("tokenizer/chat_template.jinja")(folder)
    found = preflight(folder)
    assert len(found.problems) == 2
    with pytest.raises(ModelUnavailable, match=r"chat template.*vae") as refused:
        found.require()
    assert refused.value.next_step == found.problems[0].next_step


def test_an_unreadable_file_is_a_problem_and_no_crash(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def refuse(self: Path, *args: Any, **options: Any) -> Any:
        if self.name == "diffusion_pytorch_model.safetensors":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert {"right to read" in problem.next_step for problem in preflight(folder).problems} == {True}


def test_the_check_needs_no_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from inference.images.preflight import preflight; "
        "from inference.images.registry import BUILTIN; assert preflight(BUILTIN).ok; "
        "assert not {'torch', 'diffusers', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
