"""Which image model is used, and how it is opened: the built-in one, or the folder that the settings name."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inference.images import adapters
from inference.images.adapters import Found
from inference.images.guidance import Wanted, described
from inference.images.model import ModelCard

if TYPE_CHECKING:  # for their names only: the one brings diffusers
    from inference.images.gauge import Gauged
    from inference.images.zimage import ZImageModel

log = logging.getLogger(__name__)

BUILTIN = Path(__file__).parent / "builtin" / "checkpoint"
#: The style that ships with the practice model; its line in /help is one of our own sentences.
SKETCH = adapters.Wanted(path=BUILTIN.parent / "adapters" / "sketch.safetensors", name="手绘线条", weight=0.8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A checkpoint folder, and why it was taken."""

    name: str
    path: Path
    builtin: bool
    reason: str  # a sentence for /status and `moqi doctor`


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadOptions:
    """How to load it: the keys of `image:` in model.yaml."""

    dtype: str = "bfloat16"
    device: str = "auto"  # auto | cpu | cuda:N | mps
    attention: str = ""  # backend of diffusers; empty = the fastest of those that are installed
    compiling: bool | str = False  # True | False | "auto" = where it is faster
    offload: str = "auto"  # auto | none | model | group
    quantization: str = "none"  # none | fp8
    memory_fraction: float | None = None  # share of the GPU's memory, 0 to 1
    notes: Path | None = None  # folder for what is learned about this machine; None = learned anew at each start
    guidance: Wanted = "auto"  # whether the checkpoint takes it; auto = as its folder says
    adapters: tuple[adapters.Wanted, ...] = ()


def resolve(settings_path: str | None, name: str = "") -> Choice:
    """The folder that model.yaml names, else the built-in model.

    A folder that is named but broken is chosen all the same, so that loading it fails with its problems: quietly
    drawing with the practice model instead would look like a bad model, not like a wrong path.
    """
    if not settings_path:
        return Choice(name="builtin", path=BUILTIN, builtin=True, reason="model.yaml names no image.path")
    path = Path(settings_path).expanduser()
    return Choice(name=name or path.resolve().name, path=path, builtin=False, reason=f"model.yaml names {path}")


def stored(name: str, path: Path) -> Choice:
    """A model of the store, by the name it has there."""
    return Choice(name=name, path=path, builtin=practises(path), reason="chosen by an admin")


def practises(path: Path) -> bool:
    """Whether a checkpoint is another version of the practice model: made for its sizes, knowing what it knows."""
    try:
        return _shape(path) == _shape(BUILTIN)
    except (OSError, ValueError):
        return False  # loading it says what is wrong


def _shape(path: Path) -> dict[str, object]:
    """What a checkpoint's transformer is built like."""
    config = json.loads((path / "transformer" / "config.json").read_text(encoding="utf-8"))
    return {key: value for key, value in config.items() if not key.startswith("_")}


def expected_card(choice: Choice, options: LoadOptions) -> ModelCard:
    """What the model will offer, known before it is loaded: enough to check sizes and prices."""
    card = ModelCard(
        name=choice.name,
        path=str(choice.path),
        builtin=choice.builtin,
        device=options.device,
        dtype=options.dtype,
        adapters=styles(choice, options).adapters,
    )
    return described(card, options.guidance)


def styles(choice: Choice, options: LoadOptions) -> Found:
    """The style adapters there are for a model; with the practice model comes one of its own. Reads headers only."""
    return adapters.find((SKETCH, *options.adapters) if choice.builtin else options.adapters, choice.path)


def measure(
    choice: Choice,
    options: LoadOptions,
    budget: Callable[[ModelCard], float],
    report: Callable[[Gauged], None],
) -> tuple[ModelCard, list[Gauged]]:
    """Load the model, find out within `budget` seconds how many pictures at once pay, and keep it for the next start.

    Raises ModelUnavailable, ImageError.
    """
    model = load(choice, options)
    try:
        found = model.measure(budget(model.card), report)
        return model.card, found
    finally:
        model.close()


def load(choice: Choice, options: LoadOptions) -> ZImageModel:
    """Load the model: seconds to minutes, on the thread that will use it. Raises ModelUnavailable."""
    from inference.images.zimage import ZImageModel

    found = styles(choice, options)
    for one in found.broken:
        why = f"{one.problem.problem} {one.problem.next_step}"
        log.warning("the style adapter %s is left out: %s", one.name, why, extra={"action": "adapter-left-out"})
    model = ZImageModel.load(
        choice.path,
        name=choice.name,
        builtin=choice.builtin,
        dtype=options.dtype,
        device=options.device,
        attention=options.attention,
        compiling=options.compiling,
        offload=options.offload,
        quantization=options.quantization,
        memory_fraction=options.memory_fraction,
        notes=options.notes,
        adapters=found.adapters,
    )
    model.card = described(model.card, options.guidance)
    return model
