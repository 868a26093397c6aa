"""Looks at a checkpoint folder before anything is loaded: cheap, no torch, every problem with its file and next step.

The loaders below us forgive too much: without a tokenizer they make an empty one, and layers that a file lacks are
filled with random numbers. A picture of noise an hour later is the worst way to learn of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from inference.errors import ModelUnavailable
from inference.images.checkpoint_files import BrokenFileError, Problem, read_bytes, read_json, tensor_names
from inference.images.store.lock import check_sizes

#: Which classes each component may name in model_index.json: anything else would run code that nobody chose.
COMPONENTS: dict[str, tuple[str, frozenset[str]]] = {
    "scheduler": ("diffusers", frozenset({"FlowMatchEulerDiscreteScheduler"})),
    "text_encoder": ("transformers", frozenset({"Qwen3Model", "Qwen3ForCausalLM"})),
    "tokenizer": ("transformers", frozenset({"Qwen2Tokenizer", "Qwen2TokenizerFast"})),
    "transformer": ("diffusers", frozenset({"ZImageTransformer2DModel"})),
    "vae": ("diffusers", frozenset({"AutoencoderKL"})),
}
CONFIGS = {"scheduler": "scheduler_config.json", "tokenizer": "tokenizer_config.json"}  # others: config.json
WEIGHTS = {
    "text_encoder": "model.safetensors",
    "transformer": "diffusion_pytorch_model.safetensors",
    "vae": "diffusion_pytorch_model.safetensors",
}
CODE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".ckpt", ".py"})
DTYPES = ("bfloat16", "float32")
WHOLE = "Download the whole checkpoint folder again, in the standard pipeline layout."


@dataclass(frozen=True, kw_only=True, slots=True)
class Preflight:
    """What was found. `weight_bytes` is the size of all weights on disk (of the readable ones)."""

    problems: tuple[Problem, ...] = ()
    weight_bytes: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems

    def require(self) -> None:
        """Raise ModelUnavailable naming every problem, with the first one's next step."""
        if self.problems:
            raise ModelUnavailable(" ".join(found.problem for found in self.problems), self.problems[0].next_step)


def preflight(path: Path, *, dtype: str = "bfloat16") -> Preflight:
    """Check the checkpoint folder `path` for use in `dtype`. Reads headers and small files only, never the weights."""
    if not path.is_dir():
        return Preflight(problems=(*_run([partial(_check_dtype, dtype), partial(_check_folder, path)]),))
    checks: list[Callable[[], object]] = [partial(_check_dtype, dtype), partial(_check_code, path)]
    checks += [partial(check_sizes, path), partial(_check_index, path), partial(_check_tokenizer, path)]
    checks += [partial(_config, path, component) for component in COMPONENTS]
    checks += [partial(_check_weights, path, component) for component in WEIGHTS]
    problems = tuple(dict.fromkeys(_run(checks)))  # a missing folder is noticed by more than one check
    return Preflight(problems=problems, weight_bytes=sum(file.stat().st_size for file in path.rglob("*.safetensors")))


def _run(checks: Iterable[Callable[[], object]]) -> Iterator[Problem]:
    for check in checks:
        try:
            check()
        except BrokenFileError as broken:
            yield broken.found


def _check_folder(path: Path) -> None:
    what = "is not a folder" if path.exists() else "does not exist"
    raise BrokenFileError(
        f"{path} {what}.", "Correct image.path in model.yaml, or remove it to use the built-in model."
    )


def _check_dtype(dtype: str) -> None:
    if dtype in DTYPES:
        return
    why = f"dtype {dtype} is not offered."
    if dtype in ("float16", "fp16", "half"):
        why = "dtype float16 turns this model's pictures black: its activations exceed what 16-bit floats can hold."
    raise BrokenFileError(why, f"Set image.dtype in model.yaml to {' or '.join(DTYPES)}.")


def _check_code(path: Path) -> None:
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in CODE_SUFFIXES)
    if files:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        raise BrokenFileError(
            f"{files[0]}{more} can run code when opened; only safetensors and JSON belong into a checkpoint.",
            "Delete these files; if weights are missing then, download their safetensors version.",
        )


def _check_index(path: Path) -> None:
    file = path / "model_index.json"
    index = read_json(file)
    if index.get("_class_name") != "ZImagePipeline":
        found = index.get("_class_name")
        raise BrokenFileError(
            f"{file} is for {found!r}, not for ZImagePipeline.", "Use a Z-Image-Turbo checkpoint folder."
        )
    for component, (library, classes) in COMPONENTS.items():
        named = index.get(component)
        if not isinstance(named, list) or len(named) != 2 or named[0] != library or named[1] not in classes:
            wanted = f"[{library}, {' or '.join(sorted(classes))}]"
            raise BrokenFileError(f"{file} names {named!r} as {component}; expected {wanted}.", WHOLE)


def _config(path: Path, component: str) -> dict[str, Any]:
    if not (path / component).is_dir():
        raise BrokenFileError(f"The folder {path / component} is missing.", WHOLE)
    return read_json(path / component / CONFIGS.get(component, "config.json"))


def _check_tokenizer(path: Path) -> None:
    folder = path / "tokenizer"
    config = _config(path, "tokenizer")
    if _vocabulary(folder) <= 1:
        raise BrokenFileError(f"The tokenizer in {folder} knows at most one token.", WHOLE)
    if not config.get("chat_template") and not _has_text(folder / "chat_template.jinja"):
        raise BrokenFileError(
            f"The tokenizer in {folder} has no chat template (neither in tokenizer_config.json nor as "
            "chat_template.jinja); prompts would reach the model in a form it never saw.",
            WHOLE,
        )


def _vocabulary(folder: Path) -> int:
    """How many tokens the tokenizer knows."""
    fast = folder / "tokenizer.json"
    if fast.exists():
        model = read_json(fast).get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
        return len(vocabulary) if isinstance(vocabulary, (dict, list)) else 0
    if not (folder / "merges.txt").exists():
        raise BrokenFileError(f"{fast} is missing (and there is no vocab.json with merges.txt in its place).")
    return len(read_json(folder / "vocab.json"))


def _has_text(file: Path) -> bool:
    return file.is_file() and bool(read_bytes(file).strip())


def _check_weights(path: Path, component: str) -> None:
    """Every weight file is whole, and together they hold the layers that the configuration promises."""
    folder = path / component
    config = _config(path, component)
    held = set[str]().union(*(tensor_names(file) for file in weight_files(folder, WEIGHTS[component])))
    missing = [layer for layer in _layers(component, config, folder) if not _holds(held, layer)]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BrokenFileError(
            f"The weights in {folder} lack {missing[0]}{more}, which {folder / 'config.json'} promises.", WHOLE
        )
    if not held:
        raise BrokenFileError(f"The weights in {folder} hold nothing.", WHOLE)


def weight_files(folder: Path, single: str) -> list[Path]:
    """The safetensors files of a component: one, or the shards that its index names."""
    index = folder / f"{single}.index.json"
    if not index.exists():
        if not (folder / single).is_file():
            raise BrokenFileError(f"{folder / single} is missing (and there is no {index.name} with shards).")
        return [folder / single]
    shards = read_json(index).get("weight_map")
    if not isinstance(shards, dict) or not shards or not all(_plain_name(name) for name in shards.values()):
        raise BrokenFileError(f"{index} does not name any shards.")
    files = [folder / name for name in sorted(set(shards.values()))]
    absent = [file for file in files if not file.is_file()]
    if absent:
        raise BrokenFileError(
            f"{absent[0]} is missing; {index.name} names {len(files)} shards, {len(absent)} are not there."
        )
    return files


def _plain_name(name: object) -> bool:
    """A file beside the index: a path in there could point anywhere."""
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name


def _layers(component: str, config: dict[str, Any], folder: Path) -> list[str]:
    """The layers that must have weights, from what the component's configuration promises."""
    if component == "text_encoder":
        return [f"layers.{i}" for i in range(_count(config, "num_hidden_layers", folder))]
    if component != "transformer":
        return []
    refiners = range(_count(config, "n_refiner_layers", folder))
    names = [f"layers.{i}" for i in range(_count(config, "n_layers", folder))]
    return names + [f"{kind}_refiner.{i}" for kind in ("noise", "context") for i in refiners]


def _count(config: dict[str, Any], key: str, folder: Path) -> int:
    value = config.get(key)
    if not isinstance(value, int) or not 0 < value < 1000:
        raise BrokenFileError(f"{folder / 'config.json'}: {key} is {value!r}, not a number of layers.")
    return value


def _holds(held: set[str], layer: str) -> bool:
    return any(name.startswith((f"{layer}.", f"model.{layer}.")) for name in held)
