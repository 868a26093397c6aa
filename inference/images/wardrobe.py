"""Puts style adapters (LoRA) on the transformer for one pass and takes them off again.

An adapter is read when it is first asked for, and stays in memory: switching to it then takes less than a millisecond.
What was not worn for the longest goes first when all together take more than KEEP bytes. Off means that every layer
goes around what adapters added: a picture without any is the same, bit by bit, as before the first was read.

Reading an adapter changes the layers, so compiled blocks are compiled once more, for seconds, when the first one is
read, and one whose set of layers differs does it again; passes after that are not held up. Diffusers' hot-swapping
would spare the latter for adapters of one rank and one at a time; here several may be worn at once, so it is not used.

Files are read as safetensors and given to diffusers as tensors under its own names: it never opens a file, and so never
one that runs code.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inference.errors import BadAdapter
from inference.images.adapters import layers, model_layers, tensor_shapes
from inference.images.checkpoint_files import BrokenFileError
from inference.images.model import Adapter

KEEP = 1_000_000_000  # bytes of adapters that stay in memory; one for the full model takes 20 to 350 MB


class Wardrobe:
    """The adapters of one pipeline. Used by the thread that owns it."""

    def __init__(self, pipeline: Any, checkpoint: Path, adapters: Iterable[Adapter], keep: int = KEEP) -> None:
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._adapters = {one.name: one for one in adapters}
        self._keep = keep
        self._read: dict[str, str] = {}  # name -> what the pipeline calls it; worn last, last
        self._count = 0

    @property
    def read(self) -> tuple[str, ...]:
        """The names of those in memory, the one worn last at the end."""
        return tuple(self._read)

    @contextmanager
    def wearing(self, wanted: tuple[tuple[str, float], ...]) -> Iterator[None]:
        """Draw with these adapters and weights within the block. Raises BadAdapter before it begins."""
        if not wanted:
            yield
            return
        try:
            self._put_on(wanted)
            yield
        finally:
            if self._read:
                self._pipeline.disable_lora()

    def _put_on(self, wanted: tuple[tuple[str, float], ...]) -> None:
        for name, _ in wanted:
            self._read[name] = self._read.pop(name) if name in self._read else self._fetched(name)
        self._pipeline.enable_lora()
        self._pipeline.set_adapters([self._read[name] for name, _ in wanted], [weight for _, weight in wanted])
        self._make_room(len(wanted))  # at last: peft does not like what is worn to be let go of

    def _fetched(self, name: str) -> str:
        """Read an adapter into the pipeline; returns what the pipeline calls it."""
        from safetensors import SafetensorError

        one = self._adapters[name]
        self._count += 1
        slot = f"style_{self._count}"  # a name of ours: what people write may hold dots, which torch does not allow
        try:
            with warnings.catch_warnings():
                # peft doubts that a model should have several adapters; ours wears some of them at a time.
                warnings.filterwarnings("ignore", "Already found a `peft_config`", UserWarning)
                self._pipeline.load_lora_weights(state(one.file, self._checkpoint), adapter_name=slot)
        except BrokenFileError as error:
            raise BadAdapter("broken", error.found.problem, error.found.next_step) from error
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            step = "Look at it with `moqi doctor`."
            raise BadAdapter("broken", f"The style adapter {name} cannot be used: {error}", step) from error
        return slot

    def _make_room(self, worn: int) -> None:
        """Let go of what was not worn for the longest; the last `worn` stay whatever they take."""
        names = list(self._read)
        for place, name in enumerate(names[:-worn]):
            if sum(self._adapters[one].size for one in names[place:]) <= self._keep:
                return
            self._pipeline.delete_adapters(self._read.pop(name))


def state(file: Path, checkpoint: Path) -> Mapping[str, Any]:
    """The tensors of an adapter file as diffusers names them, whatever its layout. Raises BrokenFileError."""
    from safetensors.torch import load_file

    shapes = tensor_shapes(file)
    modules = model_layers(checkpoint)
    found = layers(file, shapes, modules)
    tensors = load_file(file)
    named: dict[str, Any] = {}
    for layer in found:
        down, up = tensors[layer.down], tensors[layer.up]
        scale = float(tensors[layer.alpha]) / len(down) if layer.alpha else layer.scale
        parts = up.split([modules[one][0] for one in layer.targets])
        for module, part in zip(layer.targets, parts, strict=True):
            named[f"transformer.{module}.lora_A.weight"] = down if scale == 1 else down * scale
            named[f"transformer.{module}.lora_B.weight"] = part.contiguous()
    return named
