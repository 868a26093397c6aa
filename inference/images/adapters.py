"""Which style adapters (LoRA) there are for a model: files looked at by their headers alone, no torch, nothing loaded.

Three layouts of names are read: diffusers' and peft's (layers.0.attention.to_q.lora_A.weight), ComfyUI's
(diffusion_model.…, with one tensor for the queries, keys and values of the original model) and Kohya's
(lora_unet_layers_0_attention_to_q.lora_down.weight, with an alpha each). Every layer must be one that the model has, in
its size: diffusers itself only warns of layers it does not know, and draws on without them. What is broken is named and
left out; the model draws without it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from inference.images.checkpoint_files import BrokenFileError, Problem, read_json, tensors_of
from inference.images.model import Adapter
from inference.images.preflight import CODE_SUFFIXES, WEIGHTS, weight_files

SUFFIX = ".safetensors"
#: What a name may hold: nothing that --lora reads as a separator, and nothing that has to be quoted.
_NAME = re.compile(r"\w[\w.-]{0,39}")
_RESERVED = frozenset({"none", "off", "无", "不用"})  # what takes every adapter away
RENAME = "Rename it: up to 40 letters, digits, dots, dashes and underscores."

_PREFIXES = ("base_model.model.", "transformer.", "diffusion_model.", "lora_unet_")
_DOWN = (".lora_A.weight", ".lora_down.weight", ".lora_A.default.weight")
_UP = (".lora_B.weight", ".lora_up.weight", ".lora_B.default.weight")
_ALPHA = ".alpha"
#: The layers of the original model that diffusers calls otherwise.
_RENAMED = ((".attention.to_out.0", ".attention.out"), ("all_x_embedder.2-1", "x_embedder"))
_THREE = ("to_q", "to_k", "to_v")  # what the original model keeps in one layer, qkv

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """An adapter as the settings name it: a file, a folder with one, or without a name a folder with any number."""

    path: Path
    name: str = ""  # empty = as the file is called
    weight: float = 1.0
    description: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """An adapter that cannot be used, and why."""

    name: str
    problem: Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """The adapters that fit the model, and those that do not."""

    adapters: tuple[Adapter, ...] = ()
    broken: tuple[Broken, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer of the model that an adapter changes: up x down is added to its weights, `scale` times."""

    targets: tuple[str, ...]  # modules of the transformer; three where the file holds them as one
    down: str  # names of the tensors in the file
    up: str
    alpha: str = ""
    scale: float = 1.0  # where there is no alpha


def find(wanted: Iterable[Wanted], checkpoint: Path) -> Found:
    """Every adapter that `wanted` names, checked against the transformer of the checkpoint folder `checkpoint`."""
    adapters: dict[str, Adapter] = {}
    broken: list[Broken] = []
    modules: dict[str, Shape] | None = None
    for one in _files(wanted):
        try:
            name = _checked_name(one, adapters)
            modules = model_layers(checkpoint) if modules is None else modules
            adapters[name.casefold()] = _examined(replace(one, name=name), modules)
        except BrokenFileError as error:
            broken.append(Broken(name=one.name or one.path.name, problem=error.found))
    return Found(adapters=tuple(adapters.values()), broken=tuple(broken))


def _files(wanted: Iterable[Wanted]) -> Iterator[Wanted]:
    """The same with each folder replaced by what lies in it. A file that was named before is not found once more."""
    named: set[Path] = set()
    for one in wanted:
        if one.path.is_dir() and not one.name:
            yield from (Wanted(path=file) for file in _inside(one.path) if file.resolve() not in named)
            continue
        files = _inside(one.path, {SUFFIX}) if one.path.is_dir() else [one.path]
        named.update(file.resolve() for file in files)
        yield replace(one, path=files[0]) if len(files) == 1 else one


def _inside(folder: Path, suffixes: Collection[str] = frozenset({SUFFIX, *CODE_SUFFIXES})) -> list[Path]:
    """The files of a folder that could be adapters; those that could run code are found to be refused."""
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in suffixes)


def _checked_name(one: Wanted, taken: Mapping[str, Adapter]) -> str:
    """What it is called. Raises BrokenFileError for a name nobody could write, or that another one has."""
    name = one.name or one.path.stem
    if not _NAME.fullmatch(name) or name.casefold() in _RESERVED:
        raise BrokenFileError(f"{one.path}: {name!r} cannot be the name of a style.", RENAME)
    if name.casefold() in taken:
        first = taken[name.casefold()].file
        raise BrokenFileError(f"{first} and {one.path} are both called {name}.", "Rename one of them.")
    return name


def _examined(one: Wanted, modules: Mapping[str, Shape]) -> Adapter:
    if one.path.is_dir():
        step = "Name one of them: image.adapters in model.yaml takes a file, image.adapters_folder a folder of many."
        raise BrokenFileError(f"{one.path} is a folder that does not hold exactly one {SUFFIX} file.", step)
    if one.path.suffix.lower() != SUFFIX:
        step = "Convert it to safetensors, or look for that version of it."
        raise BrokenFileError(f"{one.path} can run code when it is opened; adapters are safetensors files.", step)
    if not one.path.is_file():
        raise BrokenFileError(f"{one.path} does not exist.", "Correct image.adapters in model.yaml.")
    shapes = tensor_shapes(one.path)
    found = layers(one.path, shapes, modules)
    about = one.path.stat()
    mark = f"{one.path.name} {about.st_size} {about.st_mtime_ns}"
    return Adapter(
        name=one.name,
        file=one.path,
        weight=one.weight,
        description=one.description or _described(one.path),
        size=about.st_size,
        rank=max(shapes[layer.down][0] for layer in found),
        version=hashlib.sha256(mark.encode()).hexdigest()[:16],
    )


def _described(file: Path) -> str:
    """What its maker wrote into the file, on one line."""
    note = _note(file)
    return " ".join(str(note.get("modelspec.description") or note.get("description") or "").split())[:200]


def tensor_shapes(file: Path) -> dict[str, Shape]:
    """The tensors of a safetensors file and their shapes. Raises BrokenFileError."""
    return {one.name: one.shape for one in tensors_of(file).tensors}


def _note(file: Path) -> dict[str, str]:
    """What the maker of a file wrote about it into its header."""
    note = tensors_of(file).metadata
    return note if isinstance(note, dict) else {}


def model_layers(checkpoint: Path) -> dict[str, Shape]:
    """The transformer's layers that an adapter can change: name -> (numbers out, numbers in). Raises BrokenFileError.

    They are read from the headers of its weights.
    """
    found: dict[str, Shape] = {}
    for file in weight_files(checkpoint / "transformer", WEIGHTS["transformer"]):
        shapes = tensor_shapes(file)
        found |= {name.removesuffix(".weight"): shape for name, shape in shapes.items() if name.endswith(".weight")}
    return {name: shape for name, shape in found.items() if len(shape) == 2}


def layers(file: Path, shapes: Mapping[str, Shape], modules: Mapping[str, Shape]) -> list[Layer]:
    """What the tensors of an adapter file change. Raises BrokenFileError where that is not quite clear."""
    parts = _parts(file, shapes)
    targets, scale = _targets(modules), _scale(file)
    strange = [name for name in parts if name not in targets]
    if strange:
        problem = f"{file} changes {len(strange)} of {len(parts)} layers that this model lacks, as {strange[0]}."
        raise BrokenFileError(problem, "It was made for another model: take one for Z-Image-Turbo.")
    found = []
    for name, tensors in parts.items():
        if "down" not in tensors or "up" not in tensors:
            raise BrokenFileError(f"{file} holds only a part of what it adds to {name}.")
        rank = shapes[tensors["down"]][0]
        layer = Layer(targets=targets[name], scale=scale(name, rank), **tensors)
        _check_shapes(file, name, layer, shapes, modules)
        found.append(layer)
    return found


def _parts(file: Path, shapes: Mapping[str, Shape]) -> dict[str, dict[str, str]]:
    """Layer as the file calls it -> down, up, alpha -> name of the tensor."""
    parts: dict[str, dict[str, str]] = {}
    for tensor in shapes:
        part, suffix = _part(tensor)
        if not part:
            problem = f"{file} is not a plain LoRA: it holds {tensor}."
            raise BrokenFileError(problem, "LoKr, LoHa, DoRA and changed text encoders are not read: take a LoRA.")
        plain = tensor.removesuffix(suffix)
        for prefix in _PREFIXES:
            plain = plain.removeprefix(prefix)
        parts.setdefault(plain, {})[part] = tensor
    if not parts:
        raise BrokenFileError(f"{file} holds nothing.")
    return parts


def _part(tensor: str) -> tuple[str, str]:
    """down, up or alpha, and the ending that says so; empty for anything else."""
    for part, endings in (("down", _DOWN), ("up", _UP), ("alpha", (_ALPHA,))):
        for ending in endings:
            if tensor.endswith(ending):
                return part, ending
    return "", ""


def _targets(modules: Mapping[str, Shape]) -> dict[str, tuple[str, ...]]:
    """Every name that a file may use for a layer -> the modules it means."""
    names: dict[str, tuple[str, ...]] = {}
    for module in modules:
        names[module] = (module,)
        for ours, theirs in _RENAMED:
            if ours in module:
                names[module.replace(ours, theirs)] = (module,)
        if module.endswith(".to_q"):
            stem = module.removesuffix("to_q")
            names[f"{stem}qkv"] = tuple(f"{stem}{one}" for one in _THREE)
    return {**{name.replace(".", "_"): meant for name, meant in names.items()}, **names}


def _check_shapes(
    file: Path, name: str, layer: Layer, shapes: Mapping[str, Shape], modules: Mapping[str, Shape]
) -> None:
    rank = shapes[layer.down][0]
    out, into = sum(modules[one][0] for one in layer.targets), modules[layer.targets[0]][1]
    have = (shapes[layer.down], shapes[layer.up])
    if not rank or have != ((rank, into), (out, rank)) or (layer.alpha and math.prod(shapes[layer.alpha]) != 1):
        problem = f"{file}: {name} has the shapes {list(have[0])} and {list(have[1])}, here it takes {into} to {out}."
        raise BrokenFileError(problem, "It was made for a model of another size: take one for Z-Image-Turbo.")


def _scale(file: Path) -> Callable[[str, int], float]:
    """How strongly a layer acts, by its name and rank, as peft wrote it down: in the file, or in a file beside it."""
    config = _peft_config(file)

    def scale(name: str, rank: int) -> float:
        by_layer = config.get("alpha_pattern") or {}
        alpha = by_layer.get(name, config.get("lora_alpha", rank))
        return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)

    if config.get("use_dora"):
        raise BrokenFileError(f"{file} is a DoRA, which is not read.", "Take a LoRA.")
    return scale


def _peft_config(file: Path) -> dict[str, Any]:
    written = _note(file).get("lora_adapter_metadata")
    if written is None:
        beside = file.with_name("adapter_config.json")
        return read_json(beside) if file.stem == "adapter_model" and beside.exists() else {}
    try:
        return {name.removeprefix("transformer."): value for name, value in json.loads(written).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise BrokenFileError(f"{file} has an unreadable note of peft in its header ({error}).") from error
