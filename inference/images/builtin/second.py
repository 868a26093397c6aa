"""Writes a second version of the built-in model: it draws sketches wherever the prompt leaves the style open.

    python -m inference.images.builtin.second OUT

The sketch adapter, added for good to the weights it was trained on: a folder to switch to and back, made in a second.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from inference.images.builtin import components
from inference.images.registry import BUILTIN, SKETCH

ADAPTERS = BUILTIN.parent / "adapters"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m inference.images.builtin.second OUT\n")
        return 2
    write(Path(arguments[0]))
    return 0


def write(out: Path) -> None:
    """Write the pipeline folder `out`."""
    import torch
    from diffusers import ZImagePipeline

    pipeline: Any = ZImagePipeline.from_pretrained(
        str(BUILTIN), dtype=torch.bfloat16, local_files_only=True, use_safetensors=True
    )
    pipeline.load_lora_weights(str(ADAPTERS), weight_name=SKETCH.path.name, use_safetensors=True)
    pipeline.fuse_lora(lora_scale=SKETCH.weight)
    pipeline.unload_lora_weights()
    components.save(pipeline, out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
