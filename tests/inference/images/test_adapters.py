"""Which style adapters are found, in which layouts they are read, and every way in which one is left out."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from inference.images.adapters import Broken, Found, Wanted, find
from inference.images.model import Adapter
from inference.images.registry import BUILTIN, SKETCH, LoadOptions, expected_card, resolve
from inference.images.wardrobe import state
from tests.inference.images import loras
from tests.inference.images.loras import Tensors, write

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 24000000000\n"
LAYER = "transformer.layers.2.attention.to_q"


def look(*wanted: Wanted) -> Found:
    return find(wanted, BUILTIN)


def only(found: Found) -> Adapter:
    [one] = found.adapters
    assert found.broken == ()
    return one


def left_out(found: Found) -> Broken:
    [one] = found.broken
    assert found.adapters == ()
    return one


def test_a_file_is_known_by_its_header(tmp_path: Path) -> None:
    file = write(tmp_path / "墨线.safetensors", loras.noise(), {"modelspec.description": " Ink,\n drawn "})
    found = only(look(Wanted(path=file)))
    assert (found.name, found.weight, found.rank, found.description) == ("墨线", 1.0, 2, "Ink, drawn")
    assert found.size == file.stat().st_size
    named = only(look(Wanted(path=file, name="ink", weight=0.7, description="Ours")))
    assert (named.name, named.weight, named.description) == ("ink", 0.7, "Ours")


def test_another_file_under_the_same_name_is_another_version(tmp_path: Path) -> None:
    file = write(tmp_path / "ink.safetensors", loras.noise())
    before = only(look(Wanted(path=file))).version
    assert before == only(look(Wanted(path=file))).version
    write(file, {**loras.noise(), "transformer.layers.5.feed_forward.w1.alpha": torch.tensor(1.0)})
    assert only(look(Wanted(path=file))).version != before


def test_a_folder_brings_what_lies_in_it_and_nothing_twice(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / f"{name}.safetensors", loras.noise())
    write(tmp_path / "deeper" / "c.safetensors", loras.noise())
    (tmp_path / "readme.txt").write_text("hello")
    found = look(Wanted(path=tmp_path / "b.safetensors", name="ink", weight=0.5), Wanted(path=tmp_path))
    assert [(one.name, one.weight) for one in found.adapters] == [("ink", 0.5), ("a", 1.0)]
    assert found.broken == ()
    assert only(look(Wanted(path=tmp_path / "deeper", name="C"))).file == tmp_path / "deeper" / "c.safetensors"
    assert "does not hold exactly one" in left_out(look(Wanted(path=tmp_path, name="both"))).problem.problem


LAYOUTS: tuple[tuple[Callable[[Any], Tensors], dict[str, object]], ...] = (
    (loras.kohya, {}),
    (loras.comfy, {}),
    (loras.peft, {"lora_adapter_metadata": {"r": 2, "lora_alpha": 2}}),
)


@pytest.mark.parametrize(("layout", "note"), LAYOUTS, ids=["kohya", "comfy", "peft"])
def test_every_layout_is_the_same_adapter(
    tmp_path: Path, layout: Callable[[Any], Tensors], note: dict[str, object]
) -> None:
    plain = loras.noise()
    file = write(tmp_path / "other.safetensors", layout(plain), note)
    assert only(look(Wanted(path=file))).rank == 2
    read = state(file, BUILTIN)
    assert read.keys() == plain.keys()
    assert all(torch.equal(read[name], one) for name, one in plain.items())


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 4}, 2.0),
        ({"lora_alpha": 4, "use_rslora": True}, 4 / 2**0.5),
        ({"lora_alpha": 4, "alpha_pattern": {"layers.2.attention.to_q": 1}}, 0.5),
    ],
)
def test_what_peft_wrote_down_scales_it(tmp_path: Path, config: dict[str, object], scale: float) -> None:
    plain = loras.noise()
    inside = write(tmp_path / "ink.safetensors", plain, {"lora_adapter_metadata": config})
    beside = write(tmp_path / "peft" / "adapter_model.safetensors", loras.peft(plain))
    (beside.parent / "adapter_config.json").write_text(json.dumps(config))
    for file in (inside, beside):
        read = state(file, BUILTIN)
        assert torch.equal(read[f"{LAYER}.lora_A.weight"], plain[f"{LAYER}.lora_A.weight"] * scale)


def changed(**more: torch.Tensor | None) -> Tensors:
    """An adapter with some tensors of one layer replaced, added, or (None) taken away."""
    made: dict[str, torch.Tensor | None] = {**loras.noise()}
    made |= {f"{LAYER}.{name.replace('__', '.')}": one for name, one in more.items()}
    return {name: one for name, one in made.items() if one is not None}


WRONG: tuple[tuple[str, Tensors, str], ...] = (
    ("other model", {"transformer.single_blocks.0.lin.lora_A.weight": torch.zeros(2, 8)}, "layers that this model lac"),
    ("other size", changed(lora_A__weight=torch.zeros(2, 3840)), "here it takes 192 to 192"),
    ("other rank", changed(lora_A__weight=torch.zeros(3, 192)), "has the shapes [3, 192] and [192, 2]"),
    ("half", changed(lora_B__weight=None), "holds only a part"),
    ("dora", changed(dora_scale=torch.zeros(192)), "is not a plain LoRA"),
    ("lokr", {"lycoris_layers_0_attention_to_q.lokr_w1": torch.zeros(4, 4)}, "is not a plain LoRA"),
    ("text encoder", {"lora_te_layers_0_q_proj.lora_down.weight": torch.zeros(2, 8)}, "layers that this model lacks"),
    ("alphas", changed(alpha=torch.zeros(2)), "has the shapes"),
    ("nothing", {}, "holds nothing"),
)


@pytest.mark.parametrize(("tensors", "why"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_what_does_not_fit_the_model_is_left_out(tmp_path: Path, tensors: Tensors, why: str) -> None:
    file = write(tmp_path / "odd.safetensors", tensors)
    broken = left_out(look(Wanted(path=file)))
    assert why in broken.problem.problem
    assert str(file) in broken.problem.problem
    assert broken.problem.next_step


FILES: tuple[tuple[str, bytes | None, str], ...] = (
    ("ink.safetensors", POINTER, "git-lfs pointer"),
    ("ink.safetensors", b"", "is empty"),
    ("ink.safetensors", pickle.dumps({"weights": [1] * 99}), "is not a safetensors file"),
    ("ink.safetensors", None, "does not exist"),
    ("ink.pt", pickle.dumps({}), "can run code"),
    ("ink.bin", pickle.dumps({}), "can run code"),
)


@pytest.mark.parametrize(("name", "content", "why"), FILES)
def test_a_broken_file_is_left_out(tmp_path: Path, name: str, content: bytes | None, why: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
        assert why in left_out(look(Wanted(path=tmp_path))).problem.problem
    assert why in left_out(look(Wanted(path=tmp_path / name, name="ink"))).problem.problem


def test_a_cut_file_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    write(tmp_path / "whole.safetensors", loras.noise())
    file = write(tmp_path / "cut.safetensors", loras.noise())
    file.write_bytes(file.read_bytes()[:-1])
    found = look(Wanted(path=tmp_path))
    assert [one.name for one in found.adapters] == ["whole"]
    assert [one.name for one in found.broken] == ["cut.safetensors"]
    assert "its header promises" in found.broken[0].problem.problem


@pytest.mark.parametrize("name", ["a b", "a,b", "a:2", "一，二", "none", "无", "-x", "x" * 41])
def test_a_name_that_nobody_could_write_is_refused(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / "ink.safetensors", loras.noise())
    assert "cannot be the name" in left_out(look(Wanted(path=file, name=name))).problem.problem


def test_of_two_with_one_name_the_first_stays(tmp_path: Path) -> None:
    first, second = (write(tmp_path / one / "ink.safetensors", loras.noise()) for one in "ab")
    found = look(Wanted(path=first), Wanted(path=second, name="INK"))
    assert [one.file for one in found.adapters] == [first]
    assert [one.name for one in found.broken] == ["INK"]


def test_the_practice_model_comes_with_a_style(tmp_path: Path) -> None:
    own = write(tmp_path / "ink.safetensors", loras.noise())
    card = expected_card(resolve(None), LoadOptions(adapters=(Wanted(path=own),)))
    assert [one.name for one in card.adapters] == ["手绘线条", "ink"]
    assert SKETCH.path.stat().st_size <= 300_000
    other = expected_card(resolve(str(BUILTIN)), LoadOptions(adapters=(Wanted(path=own),)))
    assert [one.name for one in other.adapters] == ["ink"]


def test_a_model_without_weights_has_no_adapters(tmp_path: Path) -> None:
    own = write(tmp_path / "ink.safetensors", loras.noise())
    assert left_out(find([Wanted(path=own)], tmp_path / "nowhere")).name == "ink.safetensors"
